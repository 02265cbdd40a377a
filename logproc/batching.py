"""When a batch is parsed and sealed: chunks of many streams gathered to a target of bytes, lines or age, and joined per file.

Parsing has a fixed cost per call, so many small chunks are parsed at once; a large batch is parsed in pieces, so that its raw
bytes need not be held. Once sealed a batch is never cut again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from logproc.model import Chunk, SinkLimits, Span

SMALLEST_READ = 64 << 10
PARSE_BYTES = 4 << 20
"""Parsed at once: half of it costs 5 % more per line, eight times as much costs 150 MB and gains nothing."""


class Batcher:
    """Gathers chunks until one of the limits is reached."""

    def __init__(self, limits: SinkLimits, clock: Callable[[], float], piece_bytes: int = PARSE_BYTES) -> None:
        self._limits, self._clock, self._piece_bytes = limits, clock, piece_bytes
        self._chunks: list[Chunk] = []
        self._gathered = 0
        self._began_at: float | None = None
        self.lines = self.bytes = 0
        """Of the batch that is being filled, parsed pieces included."""

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Take chunks in the order in which they were read."""
        for chunk in chunks:
            if self._began_at is None:
                self._began_at = self._clock()
            self._chunks.append(chunk)
            self._gathered += len(chunk.data)
            self.lines += 0 if chunk.lost else chunk.span.lines
            self.bytes += len(chunk.data)

    @property
    def room(self) -> int:
        """Bytes to read until something is due; at least a small read's worth."""
        return max(SMALLEST_READ, min(self._limits.bytes - self.bytes, self._piece_bytes - self._gathered))

    def piece_due(self) -> bool:
        """Whether what was gathered is enough for a call of the parser."""
        return self._piece_bytes - self._gathered < SMALLEST_READ

    def due(self) -> str:
        """Why the batch is to be sealed now: `rows`, `bytes`, `age`; empty: not yet."""
        if self._began_at is None:
            return ""
        if self.lines >= self._limits.rows:
            return "rows"
        # A little less than the limit counts as full: a tiny last read would cost more than it brings.
        if self._limits.bytes - self.bytes < SMALLEST_READ:
            return "bytes"
        return "age" if not 0 <= self._clock() - self._began_at < self._limits.seconds else ""

    def seconds_left(self) -> float:
        """Until the batch is due by its age; for ever where none was begun."""
        if self._began_at is None:
            return float("inf")
        return max(0.0, self._began_at + self._limits.seconds - self._clock())

    def sealed(self) -> None:
        """The next chunk begins another batch."""
        self._began_at, self.lines, self.bytes = None, 0, 0

    def take(self) -> list[Chunk]:
        """The chunks to parse now, those of one file joined where they adjoin; files in the order of their first chunk."""
        files: dict[tuple[tuple[str, str, int], int], list[Chunk]] = {}
        order: dict[tuple[str, str, int], None] = {}
        for chunk in self._chunks:
            files.setdefault((chunk.stream.key, chunk.span.file_id), []).append(chunk)
            order.setdefault(chunk.stream.key)
        self._chunks, self._gathered = [], 0
        # All files of a stream together and in the order of reading: a fragment's end may stand in the next file.
        ranks = {key: rank for rank, key in enumerate(order)}
        joined: list[Chunk] = []
        for _, parts in sorted(files.items(), key=lambda item: ranks[item[0][0]]):
            joined.extend(_join(parts))
        return joined


def _join(parts: list[Chunk]) -> list[Chunk]:
    runs: list[list[Chunk]] = []
    for part in parts:
        before = runs[-1][-1].span if runs and runs[-1][-1].lost == part.lost else None
        if before is not None and (before.end, before.first_line + before.lines) == (
            part.span.start,
            part.span.first_line,
        ):
            runs[-1].append(part)
        else:
            runs.append([part])
    return [run[0] if len(run) == 1 else _joined(run) for run in runs]


def _joined(run: list[Chunk]) -> Chunk:
    first, last = run[0], run[-1]
    oversized, lines = [], 0
    for chunk in run:
        oversized += [(lines + index, length) for index, length in chunk.oversized]
        lines += chunk.span.lines
    span = Span(first.span.file_id, first.span.start, last.span.end, first.span.first_line, lines)
    data = b"".join(chunk.data for chunk in run)
    return Chunk(last.stream, span, data, first.read_at, tuple(oversized), last.last, last.lost)
