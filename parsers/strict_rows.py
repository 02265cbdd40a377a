"""What the strict reader found, as columns of access_log: only what is proved, the rest null, and why in `doubt`."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from logproc.columns import ACCESS_LOG_TABLE, MAP, TEXT
from parsers import derived, kernels, values
from parsers.arrow import Array, pa, pc
from parsers.derived import Columns
from parsers.fields import ENCODING, NUMBER, TIME, Field
from parsers.kernels import Mask
from parsers.operators import NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.strict import StrictReader

MISSING = 45
"""`-`"""
_TYPES = {c.name: c.arrow for c in ACCESS_LOG_TABLE.columns}


def columns(reader: StrictReader, lines: Sequence[bytes], spans: array[int], doubts: list[str]) -> Columns:
    """Typed columns of lines that fit the format.

    `spans`: of each line and field its two places, one behind the other: as tuples the garbage collector would go through them all.
    `doubts[i]` ('' where sure) is extended by what a value has wrong.
    """
    found: Columns = {}
    extra: list[tuple[str, list[str | None]]] = []
    texts, proved = _texts(lines, spans, len(reader.fields), doubts)
    for index, field in enumerate(reader.fields):
        if not field.column:
            extra.append((field.key, texts[index].to_pylist()))
        else:
            _fill(found, field, texts[index], doubts)
    if extra:
        keys = [key for key, _ in extra]
        rows = zip(*(column for _, column in extra), strict=True)
        maps = [[(k, v) for k, v in zip(keys, row, strict=True) if v is not None] or None for row in rows]
        found["extra"] = pa.array(maps, MAP)
    names = {f.column for f in reader.fields}
    derived.derive(
        found, len(lines), has_request=bool(names & {"method", "path", "protocol"}), has_code="response_code" in names
    )
    _forget_log_type(found, reader, proved)
    if any(doubts):
        found["doubt"] = pa.array([d or None for d in doubts], TEXT).dictionary_encode()
    return found


def _texts(lines: Sequence[bytes], spans: array[int], count: int, doubts: list[str]) -> tuple[list[Array], Mask]:
    """The values of each field, null where missing or not proved; and for each row and field whether it is proved.

    All lines are one buffer, and the values pieces of it, so that no value becomes an object.
    """
    rows = len(lines)
    data = b"".join(lines)
    table = np.frombuffer(spans, np.int64).reshape(rows, count, 2)
    proved = table[:, :, 0] >= 0
    lengths = np.fromiter(map(len, lines), np.int64, rows)
    base = (np.cumsum(lengths) - lengths)[:, None]
    # What is not proved is an empty piece behind the one before, so that all pieces follow one another.
    behind = np.maximum.accumulate(np.where(proved, table[:, :, 1], 0), axis=1)
    ends = np.empty(2 * rows * count + 1, np.int32)
    cuts = ends[:-1].reshape(rows, count, 2)
    cuts[:, :, 0] = np.where(proved, table[:, :, 0], behind) + base
    cuts[:, :, 1] = behind + base
    ends[-1] = ends[-2] if rows else 0
    content = np.frombuffer(data + b" ", np.uint8)
    there = proved & ~((cuts[:, :, 1] - cuts[:, :, 0] == 1) & (content[cuts[:, :, 0]] == MISSING))
    # One array of all values, column by column: its slices are the columns.
    pieces = pa.BinaryArray.from_buffers(pa.binary(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    places = np.arange(0, len(ends) - 1, 2).reshape(rows, count).T
    whole = pieces.take(pa.array(places.ravel(), mask=~there.T.ravel()))
    try:
        texts = whole.cast(TEXT)
    except pa.ArrowInvalid:
        return [_as_text(whole.slice(i * rows, rows), doubts) for i in range(count)], proved
    return [texts.slice(i * rows, rows) for i in range(count)], proved


def _as_text(array: Array, doubts: list[str]) -> Array:
    """Bytes as text; what is no UTF-8 becomes U+FFFD and its row doubtful."""
    texts: list[str | None] = []
    for i, value in enumerate(array.to_pylist()):
        text = None if value is None else value.decode(errors="replace")
        if text is not None and text.encode() != value:
            doubts[i] = doubts[i] or ENCODING
        texts.append(text)
    return pa.array(texts, TEXT)


def _forget_log_type(found: Columns, reader: StrictReader, proved: Mask) -> None:
    """What follows from values that are not proved is not proved either; but a method is enough to know HTTP."""
    request = [i for i, f in enumerate(reader.fields) if f.column in ("method", "path", "protocol", "response_code")]
    unproved: Mask = ~np.all(proved[:, request], axis=1)
    if unproved.any():
        method = found.get("method")
        known = ~unproved if method is None else ~unproved | np.asarray(method.is_valid())
        found["log_type"] = kernels.with_nulls(found["log_type"], known)


def _fill(found: Columns, field: Field, array: Array, doubts: list[str]) -> None:
    name, kind = field.column, field.kind
    if kind is Kind.TIME and field.layout is not None:
        times, good = kernels.timestamp(array, field.layout)
        there = np.asarray(array.is_valid())
        _doubt(doubts, TIME, ~good & there)
        found[name] = times if good.all() else pc.if_else(pa.array(good), times, None)
    elif kind is Kind.NUMBER:
        found[name] = _number(array, name, doubts)
    elif kind is Kind.ADDRESS:
        found[name], found[PORT_COLUMN[name]] = kernels.address(array, values.address)
    elif kind is Kind.REQUEST_ID:
        found[name], other = kernels.uuid(array)
        if other is not None:
            found["request_id_other"] = other
    elif kind is Kind.PATH or name == "trace_id":
        found[name] = array
    else:
        words = array.dictionary_encode()
        if kind is Kind.FLAGS:
            words = derived.words(words, values.flags)
        elif kind is Kind.CLUSTER:
            words = derived.words(words, derived.cluster_name)
        found[name] = words


def _number(array: Array, name: str, doubts: list[str]) -> Array:
    numbers, good = kernels.number(array, NUMBER_COLUMNS[name])
    if good is None:
        return numbers
    # Too long to be sure, or no digits: one by one.
    limit = 1 << NUMBER_COLUMNS[name]
    read = [int(v) if v and v.isascii() and v.isdigit() else None for v in array.to_pylist()]
    known = [n if n is not None and n < limit else None for n in read]
    _doubt(doubts, NUMBER, ~good & np.array([n is None for n in known], bool))
    return pa.array(known, _TYPES[name])


def _doubt(doubts: list[str], why: str, which: Mask) -> None:
    for i in np.flatnonzero(which).tolist():
        doubts[i] = doubts[i] or why
