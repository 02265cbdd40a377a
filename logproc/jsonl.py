"""Rows as JSON lines: what `parse --output jsonl` prints and what `stdout:` writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.model import ROW_TABLES, LineNumbers

_TEXT = pa.large_string()
_TIME_LENGTH = 26
_UUID_LENGTH = 38
_UUID_DIGITS = [i for i in range(1, 37) if i not in (9, 14, 19, 24)]
_HEX = np.frombuffer(b"".join(f"{n:02x}".encode() for n in range(256)), np.uint8).reshape(256, 2)

_FROM_JSON_STRING = json.JSONEncoder(ensure_ascii=False).encode


def rows_as_json(table: str, rows: pa.RecordBatch, lines: LineNumbers | None = None) -> list[str]:
    """One JSON object for each row, without newline: `table`, `line`, then the columns that are not null, in order.

    `line` is the column of that name, or `lines` where the rows have none. Times are RFC 3339 in UTC with microseconds, a
    request id is text, `extra` an object without escapes of its own; bytes are text with U+FFFD in place of what is no UTF-8.
    """
    if lines is None and "line" in rows.schema.names:
        lines = rows.column("line").to_numpy(zero_copy_only=False)
    head = f'{{"table":"{table}"'
    parts: list[Any] = [_text(head)]
    if lines is not None:
        parts += [_text(',"line":'), pa.array(lines).cast(_TEXT)]
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if field.name != "line" and column.null_count < len(column):
            parts.append(_member(f",{json.dumps(field.name)}:", column))
    if len(parts) == 1:
        return [head + "}"] * rows.num_rows
    # A missing value is an empty text, key and all.
    joined: Any = pc.binary_join_element_wise(*parts, _text("}"), _text(""), null_handling="replace")
    texts: list[str] = joined.to_pylist()
    return texts


def in_line_order(tables: Mapping[str, pa.RecordBatch], order: Mapping[str, LineNumbers]) -> Iterator[str]:
    """The rows of all tables as JSON in ascending `order`: per table one number for each row, its place among all rows."""
    names = [n for n in ROW_TABLES if n in tables and tables[n].num_rows]
    if not names:
        return
    objects = [o for n in names for o in rows_as_json(n, tables[n])]
    places = np.argsort(np.concatenate([order[n] for n in names]), kind="stable")
    for place in places.tolist():
        yield objects[place]


def _text(text: str) -> Any:
    return pa.scalar(text, _TEXT)


def _member(key: str, column: pa.Array[Any]) -> Any:
    """Key and value for each row; null for null."""
    if isinstance(column, pa.DictionaryArray):
        if len(column.dictionary) > len(column):
            return _member(key, column.dictionary_decode())
        # Each distinct value is encoded once.
        return _member(key, column.dictionary).take(column.indices)
    kind: pa.DataType = column.type
    if pa.types.is_integer(kind):
        return _with_key(key, column.cast(_TEXT), "")
    if isinstance(kind, pa.TimestampType):
        return _with_key(key + '"', _times(column), 'Z"')
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return _with_key(key, _uuids(column), "")
    encode = _encoder(kind)
    return pa.array([None if v is None else key + encode(v) for v in column.to_pylist()], _TEXT)


def _with_key(key: str, texts: Any, end: str) -> Any:
    return pc.binary_join_element_wise(_text(key), texts, _text(end), _text(""))


def _times(column: pa.Array[Any]) -> Any:
    times: Any = column.cast(pa.timestamp("us"))
    texts: Any = times.cast(pa.string())  # 2026-11-21 04:37:00.123000: a third of the time that strftime takes
    if len(texts) and pc.max(pc.binary_length(texts)).as_py() > _TIME_LENGTH:
        texts = pc.strftime(times, format="%Y-%m-%dT%H:%M:%S")  # years of other than four digits
    else:
        texts = pc.utf8_replace_slice(texts, 10, 11, "T")
    return texts.cast(_TEXT)


def _encoder(kind: pa.DataType) -> Callable[[Any], str]:
    if pa.types.is_binary(kind):
        return lambda data: _FROM_JSON_STRING(data.decode("utf-8", "replace"))
    if pa.types.is_map(kind):
        return lambda pairs: _FROM_JSON_STRING(dict(pairs))
    return _FROM_JSON_STRING


def _uuids(column: pa.Array[Any]) -> Any:
    """In quotes, as 8-4-4-4-12 hexadecimal digits, all rows at once."""
    count = len(column)
    data: Any = column.buffers()[1]
    octets = np.frombuffer(data, np.uint8)[16 * column.offset : 16 * (column.offset + count)].reshape(count, 16)
    text = np.full((count, _UUID_LENGTH), ord("-"), np.uint8)
    text[:, [0, -1]] = ord('"')
    text[:, _UUID_DIGITS] = _HEX[octets].reshape(count, 32)
    offsets = np.arange(count + 1, dtype=np.int64) * _UUID_LENGTH
    made = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()))
    return pc.if_else(pc.is_valid(column), made, pa.scalar(None, _TEXT))
