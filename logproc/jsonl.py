"""Rows as JSON lines: what `parse --output jsonl` prints and what `stdout:` writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.model import ROW_TABLES, LineNumbers

Encoded = list[str | None]

_FROM_JSON_STRING = json.JSONEncoder(ensure_ascii=False).encode


def rows_as_json(table: str, rows: pa.RecordBatch, lines: LineNumbers | None = None) -> list[str]:
    """One JSON object for each row, without newline: `table`, `line`, then the columns that are not null, in order.

    `line` is the column of that name, or `lines` where the rows have none. Times are RFC 3339 in UTC with microseconds, a
    request id is text, `extra` an object without escapes of its own; bytes are text with U+FFFD in place of what is no UTF-8.
    """
    head = f'{{"table":"{table}"'
    objects = [head] * rows.num_rows
    if lines is None and "line" in rows.schema.names:
        lines = rows.column("line").to_numpy(zero_copy_only=False)
    if lines is not None:
        objects = [f'{head},"line":{n}' for n in lines.tolist()]
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if field.name == "line" or column.null_count == len(column):
            continue
        key = f",{json.dumps(field.name)}:"
        values = _encoded(column)
        if column.null_count:
            objects = [o if v is None else o + key + v for o, v in zip(objects, values, strict=True)]
        else:
            objects = [o + key + v for o, v in zip(objects, values, strict=True)]  # type: ignore[operator]
    return [o + "}" for o in objects]


def in_line_order(tables: Mapping[str, pa.RecordBatch], order: Mapping[str, LineNumbers]) -> Iterator[str]:
    """The rows of all tables as JSON in ascending `order`: per table one number for each row, its place among all rows."""
    names = [n for n in ROW_TABLES if n in tables and tables[n].num_rows]
    if not names:
        return
    objects = [o for n in names for o in rows_as_json(n, tables[n])]
    places = np.argsort(np.concatenate([order[n] for n in names]), kind="stable")
    for place in places.tolist():
        yield objects[place]


def _encoded(column: pa.Array[Any]) -> Encoded:
    """The values as JSON texts, None for null."""
    kind = column.type
    if isinstance(column, pa.DictionaryArray):
        # Each distinct value is encoded once.
        texts = _encoded(column.dictionary)
        return [None if i is None else texts[i] for i in column.indices.to_pylist()]
    encode = _encoder(kind)
    return [None if v is None else encode(v) for v in _readable(column).to_pylist()]


def _readable(column: pa.Array[Any]) -> pa.Array[Any]:
    if isinstance(column.type, pa.TimestampType):
        # In microseconds %S has six decimals.
        times: Any = column.cast(pa.timestamp("us"))
        texts: pa.Array[Any] = pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ")
        return texts
    return column


def _encoder(kind: pa.DataType) -> Callable[[Any], str]:
    if pa.types.is_integer(kind):
        return str
    if pa.types.is_timestamp(kind):
        return lambda text: f'"{text}"'
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return _uuid
    if pa.types.is_binary(kind):
        return lambda data: _FROM_JSON_STRING(data.decode("utf-8", "replace"))
    if pa.types.is_map(kind):
        return lambda pairs: _FROM_JSON_STRING(dict(pairs))
    return _FROM_JSON_STRING


def _uuid(data: bytes) -> str:
    h = data.hex()
    return f'"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"'
