"""What the collector counts about itself; plain numbers, so that whoever shows them chooses how."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field

from logproc.model import Counts, SourceStatus

WRITE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DEAD_LOOP_SECONDS = 60.0
"""A loop that has not come round for so long is taken for dead; the largest batch on a busy core takes a few seconds."""
STUCK_SINK_SECONDS = 30.0
"""A write that takes longer, or errors for so long, mean that the sink is not ready."""


class Histogram:
    """Counts of values up to each bound, their number and their sum. One thread observes."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.sum = bounds, 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, int]]:
        """`(bound, how many values are not above it)`, the last bound `+Inf`."""
        total, found = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], list(self._counts), strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(slots=True)
class Metrics:
    """Written by the pipeline's threads, each field by one of them; read by anybody."""

    read: Counts = field(default_factory=Counts)
    """What was sealed."""
    sealed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("age", "bytes", "end", "rows"), 0))
    """Batches by the reason of their cut."""
    sent_batches: int = 0
    sent_lines: int = 0
    dead_batches: int = 0
    dead_lines: int = 0
    retries: int = 0
    """Writes that the sink could not take at that moment."""
    keep_failures: int = 0
    """Appends to the spool that failed and were tried again."""
    keep_error: str = ""
    """Why the spool cannot be written now; empty while it can."""
    write_seconds: Histogram = field(default_factory=lambda: Histogram(WRITE_SECONDS))
    """How long each write took that succeeded in the end, the pauses between its attempts included."""
    sink_open: bool = False
    """The sink could be reached once."""
    sink_error: str = ""
    """Why the sink does not take batches now; empty while it does."""
    sink_error_since: float = 0.0
    writing_since: float = 0.0
    """Since when the batch that is being sent has been with the sink; 0: none is."""
    parse_columnar: int = 0
    """Lines that took the fast path."""
    parse_seconds: float = 0.0
    keep_seconds: float = 0.0
    status: SourceStatus = field(default_factory=SourceStatus)
    """Of the source, some seconds old at most."""
    spool_bytes: int = 0
    spool_batches: int = 0
    spool_max: int = 0
    beat_at: float = field(default_factory=time.monotonic)
    """When the loop last came round."""

    def dead(self) -> str:
        """Why the process should be ended and started again; empty while it lives."""
        age = time.monotonic() - self.beat_at
        return f"the loop has not come round for {age:.0f} s" if age > DEAD_LOOP_SECONDS else ""

    def unready(self) -> str:
        """Why lines do not reach the sink now; empty while they do."""
        now = time.monotonic()
        if self.keep_error:
            return f"the spool cannot be written: {self.keep_error}"
        if not self.sink_open:
            return f"the sink was not reached yet{': ' if self.sink_error else ''}{self.sink_error}"
        if self.sink_error and now - self.sink_error_since > STUCK_SINK_SECONDS:
            return f"the sink takes nothing for {now - self.sink_error_since:.0f} s: {self.sink_error}"
        if self.writing_since and now - self.writing_since > STUCK_SINK_SECONDS:
            return f"one write hangs for {now - self.writing_since:.0f} s"
        return self.dead()
