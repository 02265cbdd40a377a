"""What a loader counts about itself, and how Prometheus sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from logproc.exposition import counter, gauge
from logproc.model import ROW_TABLES

if TYPE_CHECKING:
    from prometheus_client.core import Metric

DEAD_LOOP_SECONDS = 600.0
"""An insert into a slow store may take minutes, and the loop does not come round meanwhile."""


@dataclass(slots=True)
class LoadMetrics:
    """Written by the loader's thread; read by anybody."""

    messages: int = 0
    batches: int = 0
    lines: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROW_TABLES, 0))
    """In the batches that were stored or found stored."""
    raw_bytes: int = 0
    inserts: int = 0
    insert_seconds: float = 0.0
    retries: int = 0
    dead_messages: int = 0
    dead_lines: int = 0
    lost_messages: int = 0
    buffered_bytes: int = 0
    settled: dict[int, int] = field(default_factory=dict)
    """Of each partition that is ours the offset before which all is stored."""
    lag: dict[int, int] = field(default_factory=dict)
    """Messages behind it."""
    sink_error: str = ""
    """Why the store does not take rows now; empty while it does."""
    broker_error: str = ""
    beat_at: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """The loop has come round."""
        self.beat_at = time.monotonic()

    def dead(self) -> str:
        """Why the process should be ended and started again; empty while it lives."""
        age = time.monotonic() - self.beat_at
        return f"the loop has not come round for {age:.0f} s" if age > DEAD_LOOP_SECONDS else ""

    def unready(self) -> str:
        """Why rows do not reach the store now; empty while they do."""
        return self.sink_error or self.broker_error or self.dead()


class LoaderCollector:
    """The metrics for a scrape."""

    def __init__(self, metrics: LoadMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        m = self._metrics
        yield counter("logproc_load_messages", "Messages that are stored.", m.messages)
        yield counter("logproc_load_lines", "Lines in them.", m.lines)
        yield counter("logproc_load_rows", "Rows in them.", {(t,): n for t, n in m.rows.items()}, ("table",))
        yield counter("logproc_load_inserts", "Inserts.", m.inserts)
        yield counter("logproc_load_insert_seconds", "Time spent in inserts.", m.insert_seconds)
        yield counter("logproc_load_retries", "Attempts that failed and were made again.", m.retries)
        yield counter("logproc_load_dead_messages", "Messages that went to the dead letters.", m.dead_messages)
        yield counter("logproc_load_dead_lines", "Lines in them.", m.dead_lines)
        yield counter(
            "logproc_load_lost_messages", "Messages removed by retention before they were stored.", m.lost_messages
        )
        yield gauge("logproc_load_buffered_bytes", "Messages in memory.", m.buffered_bytes)
        partitions = {(str(p),): float(n) for p, n in m.settled.items()}
        yield gauge("logproc_load_position", "Offset before which all is stored.", partitions, ("partition",))
        yield gauge(
            "logproc_load_lag_messages",
            "Messages not stored yet.",
            {(str(p),): float(n) for p, n in m.lag.items()},
            ("partition",),
        )
        yield gauge("logproc_load_sink_up", "1 while the store takes rows.", float(not m.sink_error))
        yield gauge("logproc_load_broker_up", "1 while the broker answers.", float(not m.broker_error))
