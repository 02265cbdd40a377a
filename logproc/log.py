"""What a long-running command says about itself: lines for a person, or one JSON object per line; never a flood.

Messages begin with `error: `, `warning: ` or `note: `; others are information. Of messages that differ only in names and numbers
some are written per minute, and how many were not is told with the next one.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from threading import Lock
from typing import Any

PER_MINUTE = 10
_WINDOW_SECONDS = 60.0
_LEVEL = re.compile(r"(error|warning|note): ")
_VARIES = re.compile(r"\S*[/\d]\S*")


class LogFormat(StrEnum):
    """How messages are written."""

    TEXT = "text"
    JSON = "json"


class Log:
    """Writes messages. Any thread may call it."""

    def __init__(
        self,
        format: LogFormat = LogFormat.TEXT,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` gets each line without its newline; by default standard error does."""
        self._json = format is LogFormat.JSON
        self.write = write or (lambda line: print(line, file=sys.stderr, flush=True))
        self._clock = clock
        self._lock = Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        """Of each kind of message when its window began, and how many came in it."""

    def say(self, message: str, **facts: Any) -> None:
        """Write a message unless too many of its kind were written; `facts` are further keys of the JSON object."""
        kind = _VARIES.sub("#", message)[:80]
        with self._lock:
            now = self._clock()
            began, count = self._windows.get(kind, (now, 0))
            unsaid = max(0, count - PER_MINUTE) if now - began >= _WINDOW_SECONDS else 0
            if now - began >= _WINDOW_SECONDS:
                began, count = now, 0
            if len(self._windows) > 1000:
                self._windows.clear()
            self._windows[kind] = (began, count + 1)
            if count >= PER_MINUTE:
                return
            if unsaid:
                facts["unsaid"] = unsaid
            self._put(message, facts)

    def adopt(self) -> None:
        """Write what libraries log too, warnings and worse: they have no place of their own."""
        logging.getLogger().handlers = [_Adopted(self)]

    def close(self) -> None:
        """Tell how many messages were not written."""
        with self._lock:
            unsaid = sum(max(0, count - PER_MINUTE) for _, count in self._windows.values())
            self._windows.clear()
            if unsaid:
                self._put(f"note: {unsaid} messages were not written because there were too many of their kind", {})

    def _put(self, message: str, facts: dict[str, Any]) -> None:
        found = _LEVEL.match(message)
        if not self._json:
            unsaid = facts.get("unsaid")
            self.write(f"{message} ({unsaid} more of this kind before)" if unsaid else message)
            return
        level = {"error": "error", "warning": "warning"}.get(found[1], "info") if found else "info"
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "message": message[found.end() :] if found else message,
            **facts,
        }
        self.write(json.dumps(record, ensure_ascii=False))


class _Adopted(logging.Handler):
    """Passes records of libraries on."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.say(f"{level}: {record.name}: {record.getMessage()}")
