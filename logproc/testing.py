"""Sources, sinks and a parser to test with: ours, and those of whoever writes another part."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from logproc.errors import Rejected, Unavailable
from logproc.model import (
    LEDGER,
    MESSAGE_LOG,
    ROW_TABLES,
    Batch,
    Chunk,
    Parsed,
    SinkLimits,
    SourceStatus,
    Span,
    Stream,
    Text,
)

LIMITS = SinkLimits(rows=1000, bytes=256 << 10, seconds=0.05)


class LineParser:
    """Every line becomes a `message_log` row with its text; what the frame put in front is left in it."""

    def parse(self, texts: Sequence[Text]) -> Parsed:
        """One row per line."""
        lines = [line for text in texts for line in text.data.split(b"\n")[:-1]]
        message = pa.array([line.decode(errors="replace") for line in lines], pa.string())
        batch = pa.RecordBatch.from_arrays([message], names=["message"])
        return Parsed({MESSAGE_LOG: batch}, {MESSAGE_LOG: np.arange(len(lines), dtype=np.int64)})


class MemorySource:
    """Hands on prepared chunks, one at a read, and then nothing."""

    idle_seconds = 0.0

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = list(chunks)

    @classmethod
    def of_lines(cls, *lines: str, stream: Stream | None = None, file_id: int = 1, per_chunk: int = 2) -> MemorySource:
        """Lines of one file, some to a chunk."""
        chunks, offset = [], 0
        for first in range(0, len(lines), per_chunk):
            data = "".join(f"{line}\n" for line in lines[first : first + per_chunk]).encode()
            span = Span(file_id, offset, offset + len(data), first, len(lines[first : first + per_chunk]))
            chunks.append(Chunk(stream or Stream("memory"), span, data, time.time()))
            offset += len(data)
        return cls(chunks)

    def read(self, limit: int) -> Sequence[Chunk]:
        """The next chunk."""
        return [self._chunks.pop(0)] if self._chunks and limit else []

    def gone(self) -> Sequence[int]:
        """No file ever vanishes."""
        return ()

    def finished(self) -> bool:
        """All chunks were handed on."""
        return not self._chunks

    def status(self) -> SourceStatus:
        """Chunks count as files."""
        return SourceStatus(len(self._chunks), sum(len(c.data) for c in self._chunks))

    def close(self) -> None:
        """Nothing is open."""


class MemorySink:
    """Keeps rows in memory, each batch once, as an exactly-once sink does."""

    def __init__(self, limits: SinkLimits = LIMITS) -> None:
        self.limits = limits
        self.batches: list[Batch] = []
        self._seen: set[tuple[str, int]] = set()

    def open(self) -> None:
        """Nothing to open."""

    def write(self, batch: Batch) -> None:
        """Take the batch unless it is a repeat."""
        if (batch.collector, batch.seq) not in self._seen:
            self._seen.add((batch.collector, batch.seq))
            self.batches.append(batch)

    def close(self) -> None:
        """Nothing to close."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table in the order in which they came."""
        return [row for b in self.batches if table in b.tables for row in b.tables[table].to_pylist()]

    def lines(self) -> dict[int, list[int]]:
        """Line numbers of the rows by file."""
        found: dict[int, list[int]] = defaultdict(list)
        for table in ROW_TABLES:
            for row in self.rows(table):
                found[row["file_id"]].append(row["line"])
        return {file_id: sorted(lines) for file_id, lines in found.items()}

    def ledger(self) -> list[dict[str, Any]]:
        """The ledger's rows."""
        return self.rows(LEDGER)


class FlakySink(MemorySink):
    """Fails when it is told to: `plan(n)` is asked before the n-th write and says `unavailable`, `lost` or `rejected`.

    `lost`: the batch is stored, and yet the write fails, as when the answer is lost on its way.
    """

    def __init__(self, plan: Callable[[int], str], limits: SinkLimits = LIMITS) -> None:
        super().__init__(limits)
        self._plan = plan
        self.writes = 0

    def write(self, batch: Batch) -> None:
        """Write, or fail as planned."""
        self.writes += 1
        outcome = self._plan(self.writes)
        if outcome == "unavailable":
            raise Unavailable("the sink is away", retry_after=0.0)
        if outcome == "rejected":
            raise Rejected("the sink does not want this")
        super().write(batch)
        if outcome == "lost":
            raise Unavailable("the answer was lost", retry_after=0.0)
