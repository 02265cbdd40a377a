"""Columns of rows as Python texts, each distinct value made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

Cells = list[str]


def values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """The values of a column; None in every row where the batch has no such column."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        return [None] * batch.num_rows
    column: Any = batch.column(index)
    return list(column.to_pylist())


def cells(batch: pa.RecordBatch, name: str, make: Callable[[Any], str]) -> Cells:
    """`make` of each value; it is called once for each distinct one where the column is a dictionary of words."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        return [make(None)] * batch.num_rows
    column: Any = batch.column(index)
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_integer(column.type):
            known: dict[Any, str] = {}
            found = []
            for value in column.to_pylist():
                text = known.get(value)
                if text is None:
                    text = known[value] = make(value)
                found.append(text)
            return found
        return [make(v) for v in column.to_pylist()]
    made = np.array([*(make(v) for v in column.dictionary.to_pylist()), make(None)], object)
    codes = np.asarray(column.indices.fill_null(len(made) - 1))
    return list(made[codes].tolist())


def pairs(batch: pa.RecordBatch, one: str, two: str, make: Callable[[Any, Any], str]) -> Cells:
    """`make` of each pair of values, once for each distinct pair."""
    known: dict[tuple[Any, Any], str] = {}
    found = []
    for pair in zip(values(batch, one), values(batch, two), strict=True):
        text = known.get(pair)
        if text is None:
            text = known[pair] = make(*pair)
        found.append(text)
    return found
