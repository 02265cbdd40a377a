"""Rows of several readers to one batch per table, in the order of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from logproc.columns import TABLES
from logproc.model import ROW_TABLES, LineNumbers, Parsed
from parsers.arrow import Array, Batch, pa


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table and the numbers of their lines."""

    table: str
    batch: Batch
    rows: LineNumbers


def parsed(pieces: Sequence[Piece], columnar: int) -> Parsed:
    """All pieces, one batch per table, rows ascending by line."""
    tables: dict[str, Batch] = {}
    rows: dict[str, LineNumbers] = {}
    for table in ROW_TABLES:
        some = [p for p in pieces if p.table == table and p.batch.num_rows]
        if some:
            tables[table], rows[table] = _merged(table, some)
    return Parsed(tables, rows, columnar)


def _merged(table: str, pieces: Sequence[Piece]) -> tuple[Batch, LineNumbers]:
    rows = pieces[0].rows if len(pieces) == 1 else np.concatenate([p.rows for p in pieces])
    batch = pieces[0].batch
    if len(pieces) > 1:
        names = {n for p in pieces for n in p.batch.schema.names}
        schema = pa.schema([pa.field(c.name, c.arrow) for c in TABLES[table].columns if c.name in names])
        arrays = [_joined([p.batch for p in pieces], one) for one in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if np.all(rows[1:] > rows[:-1]):
        return batch, rows
    order = np.argsort(rows, kind="stable")
    places = pa.array(order)
    columns = [_taken(batch.column(i), places) for i in range(batch.num_columns)]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema), rows[order]


def _taken(array: Array, order: Array) -> Array:
    """`array.take(order)`, cheaper where nothing has to move."""
    if array.null_count == len(array):
        return array
    if isinstance(array, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(array.indices.take(order), array.dictionary, safe=False)
    return array.take(order)


def _joined(batches: Sequence[Batch], field: Any) -> Array:
    arrays = [
        b.column(field.name) if field.name in b.schema.names else pa.nulls(b.num_rows, field.type) for b in batches
    ]
    if all(a.null_count == len(a) for a in arrays):
        return pa.nulls(sum(len(a) for a in arrays), field.type)
    return pa.concat_arrays([a.cast(field.type) if a.type != field.type else a for a in arrays])
