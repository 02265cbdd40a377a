"""Many batches of one partition as one, so that a store has few large inserts: which go together, and their tables joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from logproc import ledger
from logproc.model import LEDGER, ROW_TABLES, Batch, SpanCounts


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is stored at once: so many rows or bytes as on the topic, or what has come in so many seconds."""

    rows: int = 200_000
    bytes: int = 32 << 20
    seconds: float = 2.0


class Overlap:
    """Tells whether a batch has lines that one before it has too: a repeat, or a file read again.

    What is stored is asked of the store before an insert, and batches of one insert cannot be asked about each other.
    """

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._corrections: set[tuple[int, int]] = set()

    def add(self, batch: Batch) -> bool:
        """Take the batch, unless it overlaps: then False, and nothing is taken."""
        if any(self._has(counts) for counts in batch.spans):
            return False
        for counts in batch.spans:
            span = counts.span
            if span.lines:
                self._ends[span.file_id] = max(self._ends.get(span.file_id, 0), span.first_line + span.lines)
            else:
                self._corrections.add((span.file_id, span.first_line))
        return True

    def _has(self, counts: SpanCounts) -> bool:
        span = counts.span
        if not span.lines:
            return (span.file_id, span.first_line) in self._corrections
        return span.first_line < self._ends.get(span.file_id, 0)


def merged(batches: Sequence[Batch], via: str) -> Batch:
    """One batch of all rows, in their order; its ledger has adjoining spans of a file as one row."""
    first = batches[0]
    spans: list[SpanCounts] = []
    ledgers: list[pa.RecordBatch] = []
    for collector, group in groupby(batches, key=lambda b: b.collector):
        of_collector = list(group)
        stored = ledger.merged(c for b in of_collector if _is_stored(b) for c in b.spans)
        spans += stored
        if stored:
            head = of_collector[0]
            ledgers.append(ledger.table(collector, head.seq, _node(head), head.sealed_at, stored))
        ledgers += (other for b in of_collector if (other := _not_stored(b)).num_rows)
    tables = {name: _joined(b.tables[name] for b in batches if name in b.tables) for name in ROW_TABLES}
    tables[LEDGER] = _joined(ledgers) if ledgers else first.tables[LEDGER].slice(0, 0)
    return Batch(
        first.collector,
        first.seq,
        first.sealed_at,
        tuple(spans),
        {name: rows for name, rows in tables.items() if rows is not None},
        raw_bytes=sum(b.raw_bytes for b in batches),
        merged=tuple(source for b in batches for source in _sources(b)),
        via=via,
    )


def _sources(batch: Batch) -> tuple[tuple[str, int], ...]:
    """The note that a batch is dead is not the batch: that one's token has to stay free, for the case that it is stored later."""
    return batch.sources if _is_stored(batch) else tuple((f"{collector}/dead", seq) for collector, seq in batch.sources)


def _is_stored(batch: Batch) -> bool:
    """False for the note that a batch is a dead letter: its spans are not stored by it."""
    rows = batch.tables[LEDGER]
    return not rows.num_rows or "stored" in rows.column("state").to_pylist()


def _not_stored(batch: Batch) -> pa.RecordBatch:
    """Rows that say `lost` or `dead`; they are kept as they came."""
    rows = batch.tables[LEDGER]
    return rows.filter(pa.array([state != "stored" for state in rows.column("state").to_pylist()], pa.bool_()))


def _node(batch: Batch) -> str:
    nodes = batch.tables[LEDGER].column("k8s_node")
    return str(nodes[0].as_py() or "") if len(nodes) else ""


def _joined(parts: Iterable[pa.RecordBatch]) -> pa.RecordBatch | None:
    found = list(parts)
    if len(found) < 2:
        return found[0] if found else None
    # One block is one record batch, and a record batch has one dictionary for each column.
    (whole,) = pa.Table.from_batches(found).unify_dictionaries().combine_chunks().to_batches()
    return whole


def cut(sizes: Iterator[tuple[int, int, Batch | None]], limits: Limits) -> int:
    """How many of the messages, given by rows, bytes and batch, are stored together: at least one."""
    overlap, rows, size, count = Overlap(), 0, 0, 0
    for more_rows, more_bytes, batch in sizes:
        if count and (rows + more_rows > limits.rows or size + more_bytes > limits.bytes):
            break
        if batch is not None and not overlap.add(batch):
            break
        rows, size, count = rows + more_rows, size + more_bytes, count + 1
    return max(count, 1)
