"""What stands in the cells of a format, as whole columns: literals cut off and checked, texts typed, shapes held."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from logproc.columns import MAP, TEXT
from parsers import derived, kernels, values
from parsers.arrow import Array, pa, pc
from parsers.cells import Cell
from parsers.derived import Columns
from parsers.fields import Field
from parsers.kernels import Mask
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE, NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.pieces import Pieces

Extra = list[tuple[int, str, Array]]
"""Columns without a name of their own: the operator's place in the format, its text, the values."""


def fill(columns: Columns, extra: Extra, cell: Cell, pieces: Pieces, good: Mask) -> None:
    """Add the columns of one cell; rows that do not fit are cleared in `good`."""
    one = cell.field
    if one is None:
        good &= pieces.equal(cell.prefix.encode())
        return
    if cell.prefix or cell.suffix:
        pieces, fits = pieces.inner(cell.prefix.encode(), cell.suffix.encode())
        good &= fits
    name, kind = one.column, one.kind
    if kind is Kind.TIME and one.layout is not None:
        columns[name], fits = pieces.times(one.layout)
        good &= fits
    elif kind is Kind.NUMBER and name:
        columns[name], digits = pieces.numbers(NUMBER_COLUMNS[name])
        if digits is not None:
            good &= digits
    elif kind is Kind.ADDRESS and name:
        columns[name], columns[PORT_COLUMN[name]] = pieces.addresses(values.address)
    elif kind is Kind.REQUEST_ID and name:
        columns[name], other = pieces.uuids()
        if other is not None:
            columns["request_id_other"] = other
    else:
        _fill_text(columns, extra, one, pieces, good)


def _fill_text(columns: Columns, extra: Extra, one: Field, pieces: Pieces, good: Mask) -> None:
    name = one.column
    if name and (one.kind is Kind.PATH or name == "trace_id"):
        columns[name] = pieces.texts()
        return
    array = pieces.words()
    if name and one.kind is Kind.FLAGS:
        columns[name] = derived.words(array, values.flags)
    elif name and one.kind is Kind.CLUSTER:
        columns[name] = derived.words(array, derived.cluster_name)
    else:
        good &= _shaped(array, one)
        if name:
            columns[name] = array
        else:
            extra.append((one.operator.offset, one.key, array))


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
