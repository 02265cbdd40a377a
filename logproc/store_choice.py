"""Which store a reading command asks: the one that was typed or configured, else the demo's."""

from __future__ import annotations

import os
from pathlib import Path

from logproc.errors import ConfigError


def demo_folder() -> Path:
    """Where `logproc demo` keeps what it makes."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "logproc" / "demo"


def demo_store() -> Path:
    """The demo's embedded store."""
    return demo_folder() / "store"


def choose_store(typed: str | None) -> str:
    """The store's URL or folder. Raises ConfigError where none is named and there is no demo."""
    if typed:
        return typed
    if demo_store().is_dir():
        return str(demo_store())
    raise ConfigError(
        "no store is named",
        "give --store URL or set LOGPROC_STORE (a folder, chdb:///folder, clickhouse://user@host:8123/logproc);"
        " `logproc demo` makes one to try",
    )
