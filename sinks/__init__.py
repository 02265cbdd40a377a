"""Where batches go: one module for each destination, named like the scheme of its URL, with a function `sink(url)`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from logproc.errors import ConfigError
from logproc.model import Sink
from logproc.urls import Url


def make_sink(text: str) -> Sink:
    """The sink that a URL names; a path is the folder of an embedded store. Opens nothing yet.

    Raises ConfigError for an unknown scheme or option.
    """
    url = Url.parse(text, default_scheme="chdb")
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


def schemes() -> list[str]:
    """The schemes that have a sink: the modules of this folder with a function `sink`."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return [n for n in names if hasattr(importlib.import_module(f"{__name__}.{n}"), "sink")]
