"""How far a loader is, on standard error."""

from __future__ import annotations

import time

from logproc.loader_metrics import LoadMetrics
from logproc.metrics import Metrics
from logproc.model import SourceStatus
from logproc.progress import Progress
from logproc.sizes import count_text, size_text


class LoadProgress(Progress):
    """As a collector's, with what a loader counts."""

    def begin_load(self, metrics: LoadMetrics) -> None:
        """Show these from now on."""
        self._load = metrics
        self._then, self._then_lines = time.monotonic(), 0
        self.begin(Metrics(), SourceStatus)

    def _line(self, now: float) -> str:
        m = self._load
        rate = (m.lines - self._then_lines) / max(now - self._then, 1e-3)
        parts = [
            count_text(m.lines, "line"), f"{rate:,.0f}/s", count_text(m.messages, "message"),
            count_text(len(m.settled), "partition"), f"behind {count_text(sum(m.lag.values()), 'message')}", f"buffered {size_text(m.buffered_bytes)}",
        ]  # fmt: skip
        if m.dead_messages:
            parts.append(f"dead letters {m.dead_messages:,}")
        parts += [f"waiting: {why}" for why in (m.sink_error, m.broker_error) if why]
        if now - self._then >= 1.0:
            self._then, self._then_lines = now, m.lines
        return "  ".join(parts)

    def _record(self, now: float) -> None:
        m = self._load
        rate = (m.lines - self._then_lines) / max(now - self._then, 1e-3)
        self._then, self._then_lines = now, m.lines
        self.log.say(
            "loading", lines=m.lines, lines_per_second=round(rate), messages=m.messages, partitions=sorted(m.settled),
            behind=sum(m.lag.values()), dead_letters=m.dead_messages,
        )  # fmt: skip
