"""Chunks of lines to typed rows with their line numbers, and what became of all lines.

The parser comes from outside: the engine knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.columns import REJECTED_LINE_TABLE, TABLES
from logproc.frames import Framed, Framer
from logproc.model import REJECTED_LINE, ROW_TABLES, Chunk, Frame, LineNumbers, Parser

FRAME_COLUMNS = ("k8s_pod", "k8s_container")
"""Columns that some frames tell, so that lines alone can fill them."""


@dataclass(slots=True)
class Totals:
    """What became of the lines so far."""

    lines: int = 0
    joined: int = 0
    doubtful: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROW_TABLES, 0))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one chunk by table, each with its number in a column `line`, ascending."""

    tables: Mapping[str, pa.RecordBatch]


class Reader:
    """Reads chunks of any number of streams; those of one stream come in order."""

    def __init__(self, parser: Parser, frame: Frame | None = None) -> None:
        self._parser = parser
        self._framer = Framer(frame)
        self.totals = Totals()

    def read(self, chunk: Chunk) -> Rows:
        """One row for each line, except for fragments that are part of a later one."""
        framed = self._framer.frame(chunk)
        self.totals.lines += chunk.span.lines
        self.totals.joined += sum(f.joined for f in framed)
        parsed = self._parser.parse([f.text for f in framed])
        numbers = np.concatenate([_numbers(f) for f in framed]) if framed else np.zeros(0, np.int64)
        cut = _cut(framed)
        tables: dict[str, pa.RecordBatch] = {}
        for table in ROW_TABLES:
            batch = parsed.tables.get(table)
            if batch is not None and batch.num_rows:
                rows = parsed.rows[table]
                tables[table] = _with_lines(_doubted(batch, rows, cut), numbers[rows])
        _add_oversized(framed, tables)
        for table, batch in tables.items():
            self.totals.rows[table] += batch.num_rows
            self.totals.doubtful += _doubtful(batch)
        return Rows(tables)


def schema(table: str) -> pa.Schema:
    """The columns that lines alone can fill, in the table's order, `line` first."""
    columns = [c for c in TABLES[table].columns if c.from_line or c.name in FRAME_COLUMNS]
    return pa.schema([pa.field("line", pa.uint64()), *(pa.field(c.name, c.arrow) for c in columns)])


def conform(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly these columns; those it does not have are null."""
    arrays = []
    for column in wanted:
        index = batch.schema.get_field_index(column.name)
        arrays.append(pa.nulls(batch.num_rows, column.type) if index < 0 else _cast(batch.column(index), column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _cast(array: Any, kind: pa.DataType) -> Any:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(kind):
        plain = array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array
        return plain.dictionary_encode().cast(kind)
    return array.cast(kind)


def _numbers(framed: Framed) -> LineNumbers:
    if framed.numbers is not None:
        return framed.numbers
    return np.arange(framed.span.first_line, framed.span.first_line + framed.text.lines, dtype=np.int64)


def _cut(framed: list[Framed]) -> LineNumbers:
    """Indices, over all texts, of lines whose end never came."""
    found, base = [], 0
    for f in framed:
        found += [base + i for i in f.partial]
        base += f.text.lines
    return np.array(found, np.int64)


def _doubted(batch: pa.RecordBatch, rows: LineNumbers, cut: LineNumbers) -> pa.RecordBatch:
    index = batch.schema.get_field_index("doubt")
    if not len(cut) or index < 0:
        return batch
    doubt: Any = batch.column(index)
    marked = pc.if_else(pa.array(np.isin(rows, cut)), pa.scalar("partial"), doubt.cast(pa.string()))
    return batch.set_column(index, batch.schema.field(index), _cast(marked, doubt.type))


def _with_lines(batch: pa.RecordBatch, numbers: LineNumbers) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(numbers, pa.uint64()), *batch.columns], ["line", *batch.schema.names])


def _add_oversized(framed: list[Framed], tables: dict[str, pa.RecordBatch]) -> None:
    """A row in `rejected_line` for each line that was too long to be read."""
    found = [o for f in framed for o in f.oversized]
    if not found:
        return
    wanted = schema(REJECTED_LINE)
    made = pa.RecordBatch.from_pydict(
        {
            "line": pa.array([o.line for o in found], pa.uint64()),
            "reason": pa.array(["too_long"] * len(found)),
            "length": pa.array([o.length for o in found], pa.uint64()),
            "raw": pa.array([o.raw for o in found], REJECTED_LINE_TABLE.column("raw").arrow),
        }
    )
    batches = [conform(b, wanted) for b in (tables.get(REJECTED_LINE), made) if b is not None]
    joined = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().sort_by("line")
    tables[REJECTED_LINE] = joined.combine_chunks().to_batches()[0]


def _doubtful(batch: pa.RecordBatch) -> int:
    index = batch.schema.get_field_index("doubt")
    if index < 0:
        return 0
    doubt: Any = batch.column(index)
    if pa.types.is_dictionary(doubt.type):
        empty = pc.index(doubt.dictionary, pa.scalar("", doubt.type.value_type)).as_py()
        doubt = doubt.indices if empty < 0 else doubt.cast(pa.string())
    missing = doubt.null_count
    if pa.types.is_string(doubt.type):
        missing += pc.sum(pc.equal(doubt, pa.scalar(""))).as_py() or 0
    return int(len(doubt) - missing)
