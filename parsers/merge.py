"""Rows of several readers to one batch per table, in the order of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from logproc.columns import TABLES
from logproc.model import ROW_TABLES, LineNumbers, Parsed
from parsers.arrow import Array, Batch, pa, pc


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
    if len(pieces) == 1:
        rows, batch = pieces[0].rows, pieces[0].batch
    else:
        rows, batch = np.concatenate([p.rows for p in pieces]), _concatenated(table, [p.batch for p in pieces])
    if np.all(rows[1:] > rows[:-1]):
        return batch, rows
    order = np.argsort(rows, kind="stable")
    arrays = [_taken(array, order) for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema), rows[order]


def _concatenated(table: str, batches: Sequence[Batch]) -> Batch:
    """All rows of the batches, one batch behind the other; null where a batch has no such column."""
    # Asked once: a batch makes its schema and each column anew.
    columns = [dict(zip(b.schema.names, b.columns, strict=True)) for b in batches]
    fields = [pa.field(c.name, c.arrow) for c in TABLES[table].columns if any(c.name in some for some in columns)]
    arrays = []
    for one in fields:
        found = [some.get(one.name) for some in columns]
        if all(a is None or a.null_count == len(a) for a in found):
            arrays.append(pa.nulls(sum(b.num_rows for b in batches), one.type))
            continue
        parts: list[Array] = [
            pa.nulls(b.num_rows, one.type) if a is None else a for a, b in zip(found, batches, strict=True)
        ]
        arrays.append(pa.concat_arrays([a if a.type == one.type else a.cast(one.type) for a in parts]))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _taken(array: Array, order: LineNumbers) -> Array:
    """`array.take(order)`; values of a fixed width by their bytes, which is several times as fast where some are null."""
    if array.null_count == len(array):
        return array
    if isinstance(array, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(_taken(array.indices, order), array.dictionary, safe=False)
    width = _width(array.type)
    if not width or array.offset:
        return pc.take(array, pa.array(order), boundscheck=False)
    bitmap, data = array.buffers()
    values = np.frombuffer(data, f"V{width}" if width > 8 else f"u{width}", len(array)).take(order, mode="clip")
    if array.null_count:
        known = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=len(array), bitorder="little")
        bitmap = pa.py_buffer(np.packbits(known.take(order, mode="clip"), bitorder="little"))
    else:
        bitmap = None
    return pa.Array.from_buffers(array.type, len(array), [bitmap, pa.py_buffer(values)], array.null_count)


def _width(type: Any) -> int:
    """How many bytes a value has; 0 where that differs or is none."""
    fixed = pa.types.is_primitive(type) or pa.types.is_fixed_size_binary(type)
    return type.bit_width // 8 if fixed else 0
