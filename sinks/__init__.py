"""Where batches go: one module for each destination, named like the scheme of its URL, with a function `sink(url)`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re

from logproc.errors import ConfigError
from logproc.model import Sink
from logproc.urls import Url

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


def make_sink(text: str) -> Sink:
    """The sink that a URL names; a path is the folder of an embedded store. Opens nothing yet.

    Raises ConfigError for an unknown scheme or option.
    """
    url = parse(text)
    modules = [m.name for m in pkgutil.iter_modules(__path__)]
    if url.scheme in modules:
        factory = getattr(importlib.import_module(f"{__name__}.{url.scheme}"), "sink", None)
        if factory is not None:
            made: Sink = factory(url)
            return made
    known = schemes()
    near = difflib.get_close_matches(url.scheme, known, 1)
    raise ConfigError(
        f"{text}: no sink answers {url.scheme}:",
        (f"did you mean {near[0]}:? " if near else "") + f"known: {', '.join(f'{k}:' for k in known)}",
    )


def parse(text: str) -> Url:
    """A URL of a sink or store; a path is an embedded store. `clickhouse:host` is a mistyped URL, not a folder of that name."""
    return Url.parse(text, default_scheme="" if _SCHEME.match(text) else "chdb")


def schemes() -> list[str]:
    """The schemes that have a sink: the modules of this folder with a function `sink`."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return [n for n in names if hasattr(importlib.import_module(f"{__name__}.{n}"), "sink")]
