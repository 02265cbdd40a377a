"""What a proxy knows of the lines it prints: blocks of rows, a column each, before any format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logproc.simulator.values import Ints

Fields = dict[str, Any]
"""Name to one value for all rows (`str`) or a list with one per row (`str` or `int`; `-` where there is none).

`start` is an array of microseconds. The names are those of `render.COMMANDS` and `render.REQUEST_HEADERS`.
"""

CLIENT_SIDE, SERVER_SIDE = "client", "server"


@dataclass(slots=True)
class Block:
    """Access-log lines of one call on one side: the pod whose proxy prints each, and when the request ended (microseconds)."""

    side: str
    pods: Ints
    end: Ints
    fields: Fields
    rows: int
    app_log: str = ""
    """How the application behind a server's proxy logs the same requests."""


def column(fields: Fields, name: str, rows: int) -> list[Any]:
    """One value per row, of either kind of field."""
    value = fields[name]
    return [value] * rows if isinstance(value, str) else list(value)
