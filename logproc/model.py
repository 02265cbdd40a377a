"""The nouns every part shares, and the three protocols. Imports nothing of ours.

Intervals are half-open, offsets count bytes of the uncompressed file, lines are physical lines counted from 0 by their ``\\n`` alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ACCESS_LOG = "access_log"
MESSAGE_LOG = "message_log"
REJECTED_LINE = "rejected_line"
LEDGER = "ledger"
ROW_TABLES = (ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE)
"""The tables one of which each line becomes a row of; `ledger` tells which lines are stored."""

LineNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stream:
    """One container log across the rotations of its file; for a plain file only `path` is known."""

    path: str
    k8s_namespace: str = ""
    k8s_pod: str = ""
    k8s_container: str = ""
    k8s_pod_uid: str = ""
    restart: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """What stays the same when the file is rotated; of a plain file its path."""
        return (self.k8s_pod_uid or self.path, self.k8s_container, self.restart)


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading of a file goes on: the byte and the line that come next."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Whole physical lines of one file: bytes `[start, end)`, lines `[first_line, first_line + lines)`."""

    file_id: int
    start: int
    end: int
    first_line: int
    lines: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a source hands on: the bytes of one span.

    `data` has exactly `span.lines` newlines and ends with one; where the file's last line has none and is taken as it is,
    one is added to `data` (`span.end` stays the file's size).
    """

    stream: Stream
    span: Span
    data: bytes
    read_at: float = 0.0
    """Unix seconds at which the bytes were read."""
    oversized: tuple[tuple[int, int], ...] = ()
    """Lines of which `data` has only the first 64 KiB: their index in `data` and their true length without the newline."""
    last: bool = False
    """Nothing more comes from this stream. The chunk may have no lines."""
    lost: bool = False
    """The span was deleted before it could be read: `data` is empty, and the ledger says `lost`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a runtime puts in front of a line: words, each followed by one blank.

    `fields` names them: ``time``, ``stream`` (stdout, stderr), ``tag`` (F, P), ``prefix`` (``[pod/NAME/CONTAINER]``), ``pod``, ``container``.
    """

    name: str
    fields: tuple[str, ...] = ()


PLAIN = Frame("plain")
CRI = Frame("cri", ("time", "stream", "tag"))


@dataclass(frozen=True, slots=True)
class Text:
    """Lines of one stream as a parser gets them: `data` has exactly `lines` newlines and ends with one.

    CRI partial lines are joined before (all tags are F). `stream` is what a parser remembers detection by.
    """

    stream: Hashable
    frame: Frame
    data: bytes
    lines: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """One row for each line of the texts, in order, each in one of the ROW_TABLES.

    `tables[t]` has those columns of `columns.TABLES[t]` which the line tells (not its place, not its pod unless the frame says so);
    `rows[t]` the index of each row's line counted over all texts, ascending, int64. A table without rows may be absent.
    `columnar` counts the lines that took the fast path.
    """

    tables: Mapping[str, pa.RecordBatch]
    rows: Mapping[str, LineNumbers]
    columnar: int = 0


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of a span's lines. `joined_runs`: half-open runs of line numbers that are fragments of a later line's row."""

    span: Span
    stream: Stream
    access_rows: int = 0
    message_rows: int = 0
    rejected_rows: int = 0
    joined: int = 0
    left_out: int = 0
    joined_runs: tuple[tuple[int, int], ...] = ()
    min_time: int = 0
    """Microseconds since 1970 of the earliest and the latest `timestamp` of its rows; 0 where it has none."""
    max_time: int = 0
    doubtful_time: bool = False
    """The `timestamp` of a row of it is `received_at`: read again it has another one, so `min_time` cannot be trusted to find it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sealed once, never re-cut or re-made: `(collector, seq)` names these rows for ever.

    `tables` holds the non-empty ones of ROW_TABLES and `ledger`, with every column of `columns.TABLES`, in that order.
    `encoded` is their Arrow IPC streams one after the other, as on disk and on the topic; empty where no sink needs it.
    """

    collector: str
    seq: int
    sealed_at: int
    """Microseconds since 1970; the rows' `received_at`."""
    spans: tuple[SpanCounts, ...]
    tables: Mapping[str, pa.RecordBatch]
    encoded: bytes = b""
    raw_bytes: int = 0
    merged: tuple[tuple[str, int], ...] = ()
    """The batches, `(collector, seq)` in order, that were put together to be stored at once; empty: it is one batch."""
    via: str = ""
    """What it came through, where that was a topic: `topic-partition`."""

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """The batches in it, in order: what the token of an insert is made of."""
        return self.merged or ((self.collector, self.seq),)


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """How batches for a sink are cut: sealed when `rows` lines, `bytes` raw bytes or `seconds` of age are reached."""

    rows: int = 100_000
    bytes: int = 4 << 20
    seconds: float = 1.0
    durable: bool = True
    """False: nothing is kept on disk before sending (`null:`)."""
    exactly_once: bool = True
    """False: a batch sent again after a crash shows twice (`stdout:`)."""
    keeps: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a table keeps its rows, known once the sink is open: older ones are left out. Absent: for ever."""


@dataclass(frozen=True, slots=True)
class StreamLag:
    """How far the reading of one stream is behind its writer."""

    stream: Stream
    bytes: int
    seconds: float
    """Since when the oldest unread byte has been there."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How far a source is behind: unread bytes and files, and bytes known to be lost."""

    files: int = 0
    lag_bytes: int = 0
    lost_bytes: int = 0
    open_files: int = 0
    lost_lines: int = 0
    held_files: int = 0
    """Files that are deleted on disk and held open because they are not read to their end, and the space they take."""
    held_bytes: int = 0
    lag_seconds: float = 0.0
    """The largest one of a stream."""
    streams: tuple[StreamLag, ...] = ()
    """Those that are behind, the furthest first; how many are named is bounded."""


class Source(Protocol):
    """Where chunks come from. One thread calls it."""

    @property
    def idle_seconds(self) -> float:
        """How long the caller waits after a read that found nothing."""
        ...

    def read(self, limit: int) -> Sequence[Chunk]:
        """Up to about `limit` bytes that are there now; empty when nothing is new. Hardly blocks (50 ms).

        With `limit` 0 nothing is read, but what has newly appeared is noticed and held, so that it cannot vanish unread.
        """
        ...

    def gone(self) -> Sequence[int]:
        """Files (file_id) that vanished some minutes ago and were not named before: their positions are of no use."""
        ...

    def finished(self) -> bool:
        """Everything was read and nothing more can come."""
        ...

    def status(self) -> SourceStatus:
        """How far it is."""
        ...

    def close(self) -> None:
        """Close files. Positions are the spool's, not the source's."""
        ...


class Parser(Protocol):
    """Bytes to typed columns. Never raises on data; one thread calls it."""

    def parse(self, texts: Sequence[Text]) -> Parsed:
        """Read all lines of all texts at once."""
        ...


class Sink(Protocol):
    """Where batches go. One thread calls it."""

    limits: SinkLimits

    def open(self) -> None:
        """Connect and check. Raises ConfigError (never works), Unavailable (not now)."""
        ...

    def write(self, batch: Batch) -> None:
        """Store the batch. Returning means durable. Raises Unavailable: the caller sends the same again, for ever; Rejected: it goes to the dead letters."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


@runtime_checkable
class NodeSink(Sink, Protocol):
    """A sink that sends each node its own way, which has to stay the same while batches are under way."""

    def bind(self, node: str, kept: Path | None) -> None:
        """Called before `open`: the node that sends, and the file of the state folder in which the way is remembered."""
        ...


@dataclass(slots=True)
class Counts:
    """The collector's running totals; `lines == access + message + rejected + joined + left_out` at every seal."""

    lines: int = 0
    bytes: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROW_TABLES, 0))
    joined: int = 0
    left_out: int = 0
    doubtful: int = 0
    batches: int = 0
