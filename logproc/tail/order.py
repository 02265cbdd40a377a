"""Lines of many streams by the runtime's time, without holding any of them longer than a short window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from logproc.model import Chunk, Span
from logproc.tail.line_times import NO_TIME, Times, line_starts, line_times

WINDOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Lines:
    """A chunk and the time of each of its lines: none lower than the one before, so that a stream keeps its order."""

    chunk: Chunk
    times: Times | None = None


@dataclass(slots=True)
class _Held:
    """What waits of one stream."""

    arrived: float
    chunk: Chunk
    times: Times
    starts: Times


@dataclass(slots=True)
class Order:
    """Holds lines until those of other streams that belong before them had `window` seconds to come.

    A stream without times is handed on at once. Raised clocks of a node do not matter: a line waits by its arrival, not by its time.
    """

    window: float = WINDOW_SECONDS
    clock: Callable[[], float] = time.monotonic
    _held: list[_Held] = field(default_factory=list)

    def add(self, chunks: Sequence[Chunk]) -> list[Lines]:
        """Take chunks; those that are in no need of order come back. What they waited since they were read counts."""
        now, at_once, today = self.clock(), list[Lines](), time.time()
        for chunk in chunks:
            if not chunk.span.lines:
                at_once.append(Lines(chunk))
                continue
            starts = line_starts(chunk.data)
            times = line_times(chunk.data, starts)
            if not len(times) or (times == NO_TIME).all():
                at_once.append(Lines(chunk))
                continue
            self._held.append(_Held(now - _waited(chunk, today), chunk, np.maximum.accumulate(times), starts))
        return at_once

    def due(self, *, everything: bool = False) -> list[Lines]:
        """The lines that may go, cut out of their chunks; sort them by time across chunks (`reading` does)."""
        if not self._held:
            return []
        if everything or self.window <= 0:
            everything_held, self._held = self._held, []
            return [Lines(h.chunk, h.times) for h in everything_held]
        limit = self.clock() - self.window
        old = [int(h.times[-1]) for h in self._held if h.arrived <= limit]
        if not old:
            return []
        until = max(old)
        going, staying = list[Lines](), list[_Held]()
        blocked: set[tuple[str, str, int]] = set()
        for held in self._held:
            key = held.chunk.stream.key
            count = int(np.searchsorted(held.times, until, "right")) if key not in blocked else 0
            if count:
                going.append(_part(held, 0, count))
            if count < len(held.times):
                blocked.add(key)
                rest = _part(held, count, len(held.times)).chunk
                starts = held.starts[count:] - held.starts[count]
                staying.append(_Held(held.arrived, rest, held.times[count:], starts))
        self._held = staying
        return going

    @property
    def holds(self) -> bool:
        """Something waits."""
        return bool(self._held)


def _waited(chunk: Chunk, now: float) -> float:
    return max(0.0, now - chunk.read_at) if chunk.read_at else 0.0


def _part(held: _Held, first: int, end: int) -> Lines:
    chunk, starts = held.chunk, held.starts
    if first == 0 and end == len(held.times):
        return Lines(chunk, held.times)
    span = chunk.span
    data = chunk.data[starts[first] : starts[end]]
    oversized = tuple((i - first, n) for i, n in chunk.oversized if first <= i < end)
    part = Chunk(
        chunk.stream, Span(span.file_id, span.start, span.end, span.first_line + first, end - first), data, chunk.read_at,
        oversized, chunk.last and end == len(held.times),
    )  # fmt: skip
    return Lines(part, held.times[first:end])
