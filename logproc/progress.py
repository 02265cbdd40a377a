"""How far a collector is, on standard error: one line that changes on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from logproc.log import Log, LogFormat
from logproc.metrics import Metrics
from logproc.model import SourceStatus
from logproc.sizes import count_text, size_text

TERMINAL_SECONDS = 0.25
LOG_SECONDS = 10.0
JSON_SECONDS = 60.0


class Progress:
    """Shows metrics while a pipeline runs, and lets lines for the operator through between them."""

    def __init__(self, *, quiet: bool = False, format: LogFormat = LogFormat.TEXT) -> None:
        self._terminal = (
            format is LogFormat.TEXT and sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not quiet
        )
        self._json = format is LogFormat.JSON
        self.log = Log(format, self._write)
        self._quiet = quiet
        self._every = TERMINAL_SECONDS if self._terminal else JSON_SECONDS if self._json else LOG_SECONDS
        self._metrics: Metrics | None = None
        self._status: Callable[[], SourceStatus] = SourceStatus
        self._shown_at = self._began_at = time.monotonic()
        self._before = (0.0, 0, 0)
        self._live: Any = None

    def begin(self, metrics: Metrics, status: Callable[[], SourceStatus]) -> None:
        """Show these from now on."""
        self._metrics, self._status = metrics, status
        self.log.adopt()
        self._began_at = time.monotonic()
        self._before = (self._began_at, 0, 0)
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True)
            self._live.start()

    def say(self, line: str) -> None:
        """Print a line for the operator."""
        self.log.say(line)

    def _write(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def step(self) -> None:
        """Called often; shows something when it is time."""
        now = time.monotonic()
        if self._quiet or self._metrics is None or now - self._shown_at < self._every:
            return
        self._shown_at = now
        if self._json:
            self._record(now)
            return
        line = self._line(now)
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def _record(self, now: float) -> None:
        assert self._metrics is not None  # noqa: S101  step() has looked
        read, status = self._metrics.read, self._status()
        then, lines, size = self._before
        seconds = max(now - then, 1e-3)
        self.log.say(
            "progress",
            lines=read.lines,
            lines_per_second=round((read.lines - lines) / seconds),
            bytes_per_second=round((read.bytes - size) / seconds),
            files=status.files,
            lag_bytes=status.lag_bytes,
            lag_seconds=round(status.lag_seconds, 1),
            rows=dict(read.rows),
            doubtful=read.doubtful,
            lost_bytes=status.lost_bytes,
            spool_bytes=self._metrics.spool_bytes,
            sink_error=self._metrics.sink_error,
        )
        self._before = (now, read.lines, read.bytes)

    def _line(self, now: float) -> str:
        assert self._metrics is not None  # noqa: S101  step() has looked
        read, status = self._metrics.read, self._status()
        then, lines, size = self._before
        seconds = max(now - then, 1e-3)
        parts = [
            count_text(read.lines, "line"),
            f"{(read.lines - lines) / seconds:,.0f}/s",
            f"{size_text((read.bytes - size) / seconds)}/s",
            count_text(status.files, "file"),
            f"behind {size_text(status.lag_bytes)}",
        ]
        if read.doubtful or read.rows["rejected_line"]:
            parts.append(f"doubtful {read.doubtful:,} rejected {read.rows['rejected_line']:,}")
        if status.lost_bytes:
            parts.append(f"LOST {size_text(status.lost_bytes)}")
        if self._metrics.sink_error:
            parts.append(f"sink: {self._metrics.sink_error}")
        if now - then >= 1.0:
            self._before = (now, read.lines, read.bytes)
        return "  ".join(parts)

    def end(self) -> None:
        """Remove the changing line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self.log.close()
