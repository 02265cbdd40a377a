"""Columns of rows as Python texts, each distinct value made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

Cells = list[str]


def values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """The values of a column; None in every row where the batch has no such column."""
    distinct, codes = _distinct(batch, name)
    return distinct if codes is None else _spread(distinct, codes)


def cells(batch: pa.RecordBatch, name: str, make: Callable[[Any], str]) -> Cells:
    """`make` of each value, called once for each distinct one where the column is a dictionary of words or has numbers."""
    distinct, codes = _distinct(batch, name)
    made = [make(v) for v in distinct]
    return made if codes is None else _spread(made, codes)


def pairs(batch: pa.RecordBatch, one: str, two: str, make: Callable[[Any, Any], str]) -> Cells:
    """`make` of each pair of values, once for each distinct pair."""
    first, first_codes = _distinct(batch, one)
    second, second_codes = _distinct(batch, two)
    if first_codes is None or second_codes is None:
        return [make(a, b) for a, b in zip(values(batch, one), values(batch, two), strict=True)]
    found, codes = np.unique(first_codes.astype(np.int64) * len(second) + second_codes, return_inverse=True)
    made = [make(first[i // len(second)], second[i % len(second)]) for i in found.tolist()]
    return _spread(made, codes)


def _distinct(batch: pa.RecordBatch, name: str) -> tuple[list[Any], Any]:
    """Distinct values and each row's place among them; without places where each row is taken as its own."""
    index = batch.schema.get_field_index(name)
    if index < 0:
        return [None], np.zeros(batch.num_rows, np.int64)
    column: Any = batch.column(index)
    if pa.types.is_integer(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist(), None
    distinct = [*column.dictionary.to_pylist(), None]
    return distinct, np.asarray(column.indices.fill_null(len(distinct) - 1))


def _spread(made: list[Any], codes: Any) -> list[Any]:
    array = np.empty(len(made), object)
    array[:] = made
    return list(array[codes].tolist())
