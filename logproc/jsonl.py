"""Rows as JSON lines: what `parse --output jsonl` prints and what `stdout:` writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.model import ROW_TABLES, LineNumbers

_TEXT = pa.large_string()
_TIME_LENGTH = 26
_UUID_LENGTH = 36
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
"""Digits between two dashes."""
_HEX = np.frombuffer(b"".join(f"{n:02x}".encode() for n in range(256)), np.uint16)
"""The two digits of each octet."""

_FROM_JSON_STRING = json.JSONEncoder(ensure_ascii=False).encode


def rows_as_json(table: str, rows: pa.RecordBatch, lines: LineNumbers | None = None) -> list[str]:
    """One JSON object for each row, without newline: `table`, `line`, then the columns that are not null, in order.

    `line` is the column of that name, or `lines` where the rows have none. Times are RFC 3339 in UTC with microseconds, a
    request id is text, `extra` an object without escapes of its own; bytes are text with U+FFFD in place of what is no UTF-8.
    """
    texts: list[str] = _objects(table, rows, lines, "}").to_pylist()
    return texts


def json_lines(tables: Mapping[str, pa.RecordBatch], order: Mapping[str, LineNumbers], more: str = "") -> memoryview:
    """The rows of all tables as the objects of `rows_as_json`, each with its newline, in UTF-8.

    They stand in ascending `order`: per table one number for each row, its place among all rows. `more` stands at the end of each
    object, as in `,"file":"a.log"`.
    """
    names = [n for n in ROW_TABLES if n in tables and tables[n].num_rows]
    if not names:
        return memoryview(b"")
    objects: Any = [_objects(n, tables[n], None, more + "}\n") for n in names]
    found = objects[0] if len(objects) == 1 else pa.concat_arrays(objects)
    places = np.concatenate([order[n] for n in names])
    if not (np.diff(places) > 0).all():
        found = found.take(pa.array(np.argsort(places, kind="stable")))
    # The texts of an array stand one behind the other: this is the output, without a string for each row.
    _, ends, text = found.buffers()
    return memoryview(text)[: int(np.frombuffer(ends, np.int64)[len(found)])]


def _objects(table: str, rows: pa.RecordBatch, lines: LineNumbers | None, end: str) -> Any:
    """One text for each row; `end` closes the object."""
    if lines is None and "line" in rows.schema.names:
        lines = rows.column("line").to_numpy(zero_copy_only=False)
    parts = _Parts(f'{{"table":"{table}"')
    if lines is not None:
        parts.add(',"line":', pa.array(lines).cast(_TEXT))
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if field.name != "line" and column.null_count < len(column):
            _add_member(parts, f",{json.dumps(field.name)}:", column)
    return parts.joined(end, rows.num_rows)


class _Parts:
    """What the text of each row is made of: arrays, and literals between them."""

    def __init__(self, literal: str) -> None:
        self._parts: list[Any] = []
        self._literal = literal

    def add(self, before: str, texts: Any, behind: str = "") -> None:
        """One text for each row; null stands for an empty one."""
        if self._literal + before:
            self._parts.append(_text(self._literal + before))
        self._parts.append(texts)
        self._literal = behind

    def joined(self, end: str, count: int) -> Any:
        """The text of each of `count` rows."""
        if not self._parts:
            return pa.repeat(_text(self._literal + end), count)
        return pc.binary_join_element_wise(
            *self._parts, _text(self._literal + end), _text(""), null_handling="replace"
        )  # fmt: skip


def _text(text: str) -> Any:
    return pa.scalar(text, _TEXT)


def _add_member(parts: _Parts, key: str, column: pa.Array[Any]) -> None:
    """Key and value for each row; nothing, not even the key, for null."""
    if isinstance(column, pa.DictionaryArray):
        if len(column.dictionary) > len(column):
            _add_member(parts, key, column.dictionary_decode())
        else:  # each distinct value is encoded once
            parts.add("", _with_key(key, *_values(column.dictionary)).take(column.indices))
        return
    before, texts, behind = _values(column)
    if column.null_count:
        parts.add("", _with_key(key, before, texts, behind))
    else:
        parts.add(key + before, texts, behind)


def _with_key(key: str, before: str, texts: Any, behind: str) -> Any:
    return pc.binary_join_element_wise(_text(key + before), texts, _text(behind), _text(""))


def _values(column: pa.Array[Any]) -> tuple[str, Any, str]:
    """The values as JSON, null for null, and what stands before and behind each of them."""
    kind: pa.DataType = column.type
    if pa.types.is_integer(kind):
        return "", column.cast(_TEXT), ""
    if isinstance(kind, pa.TimestampType):
        return '"', _times(column), 'Z"'
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return '"', _uuids(column), '"'
    if pa.types.is_string(kind):
        return '"', _escaped(column.cast(_TEXT)), '"'
    encode = _encoder(kind)
    return "", pa.array([None if v is None else encode(v) for v in column.to_pylist()], _TEXT), ""


def _escaped(texts: Any) -> Any:
    """As they stand between the quotes of JSON: few have anything to escape, so only these are encoded one by one."""
    data = texts.buffers()[2]
    octets = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    if not ((octets < ord(" ")) | (octets == ord('"')) | (octets == ord("\\"))).any():
        return texts
    wrong: Any = pc.fill_null(pc.match_substring_regex(texts, r'[\x00-\x1f"\\]'), False)
    made = [_FROM_JSON_STRING(t)[1:-1] for t in texts.filter(wrong).to_pylist()]
    return pc.replace_with_mask(texts, wrong, pa.array(made, _TEXT))


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
    """As 8-4-4-4-12 hexadecimal digits, all rows at once."""
    count = len(column)
    data: Any = column.buffers()[1]
    octets = np.frombuffer(data, np.uint8)[16 * column.offset : 16 * (column.offset + count)].reshape(count, 16)
    digits = _HEX.take(octets).view(np.uint8)
    text = np.full((count, _UUID_LENGTH), ord("-"), np.uint8)
    for dashes, (first, last) in enumerate(_UUID_GROUPS):
        text[:, first + dashes : last + dashes] = digits[:, first:last]
    offsets = np.arange(count + 1, dtype=np.int64) * _UUID_LENGTH
    made = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets.data), pa.py_buffer(text.data))
    return pc.if_else(pc.is_valid(column), made, pa.scalar(None, _TEXT))
