"""Rows of several readers to one batch per table, in the order of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from logproc.columns import TABLES
from logproc.model import ROW_TABLES, LineNumbers, Parsed


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table and the numbers of their lines."""

    table: str
    batch: pa.RecordBatch
    rows: LineNumbers


def parsed(pieces: Sequence[Piece], columnar: int) -> Parsed:
    """All pieces, one batch per table, rows ascending by line."""
    tables: dict[str, pa.RecordBatch] = {}
    rows: dict[str, LineNumbers] = {}
    for table in ROW_TABLES:
        some = [p for p in pieces if p.table == table and p.batch.num_rows]
        if some:
            tables[table], rows[table] = _merged(table, some)
    return Parsed(tables, rows, columnar)


def _merged(table: str, pieces: Sequence[Piece]) -> tuple[pa.RecordBatch, LineNumbers]:
    rows = pieces[0].rows if len(pieces) == 1 else np.concatenate([p.rows for p in pieces])
    batch = pieces[0].batch
    if len(pieces) > 1:
        columns = TABLES[table].columns
        names = [c.name for c in columns if any(c.name in p.batch.schema.names for p in pieces)]
        schema = pa.schema([pa.field(n, TABLES[table].column(n).arrow) for n in names])
        # Pieces with more rows first, so that the dictionaries of the few are mapped onto theirs.
        arrays = [_joined([p.batch for p in pieces], one) for one in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if np.all(rows[1:] > rows[:-1]):
        return batch, rows
    order = np.argsort(rows, kind="stable")
    return batch.take(pa.array(order)), rows[order]


def _joined(batches: Sequence[pa.RecordBatch], field: pa.Field) -> pa.Array:
    arrays = [
        b.column(field.name) if field.name in b.schema.names else pa.nulls(b.num_rows, field.type) for b in batches
    ]
    if all(a.null_count == len(a) for a in arrays):
        return pa.nulls(sum(len(a) for a in arrays), field.type)
    chunked = pa.chunked_array([a.cast(field.type) if a.type != field.type else a for a in arrays], field.type)
    if pa.types.is_dictionary(field.type):
        chunked = chunked.unify_dictionaries()
    found = chunked.combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
