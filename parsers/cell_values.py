"""What stands in the cells of a format, as whole columns: literals cut off and checked, texts typed, shapes held."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from logproc.columns import MAP, TEXT, WORD
from parsers import derived, kernels, values
from parsers.arrow import Array, pa, pc
from parsers.cells import Cell
from parsers.derived import Columns
from parsers.fields import Field
from parsers.kernels import Mask
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE, NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.start_time import TimeLayout

_PLAIN_TEXT = (Kind.TIME, Kind.NUMBER, Kind.PATH, Kind.REQUEST_ID, Kind.ADDRESS)
"""Kinds whose values are mostly distinct, or become numbers: not worth a dictionary."""

Extra = list[tuple[int, str, Array]]
"""Columns without a name of their own: the operator's place in the format, its text, the values."""


def fill(columns: Columns, extra: Extra, cell: Cell, array: Array, good: Mask) -> None:
    """Add the columns of one cell; rows that do not fit are cleared in `good`."""
    one = cell.field
    if one is None:
        good &= np.asarray(pc.equal(array.cast(TEXT), cell.prefix).fill_null(False))
        return
    name, kind = one.column, one.kind
    if kind is Kind.TIME and one.layout is not None:
        there = kernels.valid(array)
        columns[name], fits = _time(array, cell, one.layout)
        good &= fits if there is None else fits & there
        return
    if cell.prefix or cell.suffix:
        array, cut = _stripped(array, cell)
        good &= cut
    if name and kind in _READ:
        _READ[kind](columns, name, array, good)
        return
    good &= _shaped(array, one)
    if name:
        columns[name] = array
    else:
        extra.append((one.operator.offset, one.key, array))


def _fill_number(columns: Columns, name: str, array: Array, good: Mask) -> None:
    columns[name], fits = kernels.number(array, NUMBER_COLUMNS[name])
    if fits is not None:
        good &= fits


def _fill_address(columns: Columns, name: str, array: Array, _good: Mask) -> None:
    columns[name], columns[PORT_COLUMN[name]] = kernels.address(array, values.address)


def _fill_request_id(columns: Columns, name: str, array: Array, _good: Mask) -> None:
    columns[name], other = kernels.uuid(array)
    if other is not None:
        columns["request_id_other"] = other


def _fill_flags(columns: Columns, name: str, array: Array, _good: Mask) -> None:
    columns[name] = derived.words(array, values.flags)


def _fill_cluster(columns: Columns, name: str, array: Array, _good: Mask) -> None:
    columns[name] = derived.words(array, derived.cluster_name)


_READ: dict[Kind, Callable[[Columns, str, Array, Mask], None]] = {
    Kind.NUMBER: _fill_number,
    Kind.ADDRESS: _fill_address,
    Kind.REQUEST_ID: _fill_request_id,
    Kind.FLAGS: _fill_flags,
    Kind.CLUSTER: _fill_cluster,
}


def cell_type(cell: Cell) -> Any:
    """The type in which a cell's texts are wanted: dictionary where few are distinct."""
    one = cell.field
    if one is None or (one.column and (one.kind in _PLAIN_TEXT or one.column == "trace_id")):
        return TEXT
    return WORD


def missing(array: Array, *, as_word: bool) -> Array:
    """`-` as null."""
    if not as_word:
        ends, data = kernels.parts(array)
        short = np.flatnonzero(np.diff(ends) == 1)
        return pc.if_else(pc.equal(array, "-"), None, array) if (data[ends[short]] == 45).any() else array
    words = array.dictionary_encode()
    at = pc.index(words.dictionary, "-").as_py()
    if at < 0:
        return words
    code = kernels.codes(words)
    return kernels.word(code, words.dictionary, code != at)


def _time(array: Array, cell: Cell, layout: TimeLayout) -> tuple[Array, Mask]:
    """The times of a cell with its brackets, which are checked as they stand."""
    prefix, suffix = cell.prefix.encode(), cell.suffix.encode()
    times, good = kernels.timestamp(array, layout, len(prefix), len(suffix))
    ends, data = kernels.parts(array)
    for i, byte in enumerate(prefix):
        good &= data[np.minimum(ends[:-1] + i, len(data) - 1)] == byte
    for i, byte in enumerate(suffix):
        good &= data[ends[1:] - len(suffix) + i] == byte
    return times, good


def _stripped(array: Array, cell: Cell) -> tuple[Array, Mask]:
    """A column without the literals around its values; null is a value without them, so it does not fit."""
    prefix, suffix = cell.prefix, cell.suffix
    if not isinstance(array, pa.DictionaryArray):
        return kernels.strip(array, prefix.encode(), suffix.encode())
    texts = array.dictionary.to_pylist()
    fits = [t.startswith(prefix) and t.endswith(suffix) and len(t) >= len(prefix) + len(suffix) for t in texts]
    cut = [t[len(prefix) : len(t) - len(suffix)] if f else None for t, f in zip(texts, fits, strict=True)]
    good = np.array([*fits, False])[np.where(np.asarray(array.is_valid()), kernels.codes(array), len(texts))]
    return kernels.mapped(array, [None if c == "-" else c for c in cut]), good


def _shaped(array: Array, one: Field) -> Any:
    """Whether every value has the field's shape; null is `-`."""
    if one.shape is None or one.shape in (NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE):
        return True  # as all cells
    shape = re.compile(one.shape)
    fits = [shape.fullmatch(v.encode()) is not None for v in array.dictionary.to_pylist()]
    missing_fits = shape.fullmatch(b"-") is not None
    if all(fits) and (missing_fits or array.null_count == 0):
        return True
    return np.where(np.asarray(array.is_valid()), np.array([*fits, False])[kernels.codes(array)], missing_fits)


def as_map(extra: Extra, rows: int) -> Array:
    """The columns without a name of their own as one map; a row with none of them is null."""
    width = len(extra)
    there = np.stack([np.asarray(a.is_valid()) for _, _, a in extra], axis=1)
    texts = pa.concat_arrays([a.cast(TEXT) for _, _, a in extra])
    index = np.arange(rows)[:, None] + np.arange(width) * rows
    items = texts.take(pa.array(index[there]))
    keys = pa.array([k for _, k, _ in extra], TEXT).take(
        pa.array(np.broadcast_to(np.arange(width), there.shape)[there])
    )
    counts = there.sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    found: Any = pa.MapArray.from_arrays(pa.array(offsets), keys, items)
    return found if counts.all() else pc.if_else(pa.array(counts > 0), found, pa.scalar(None, MAP))
