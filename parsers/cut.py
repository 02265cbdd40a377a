"""Pieces of lines as Arrow columns, without an object for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from logproc.model import LineNumbers
from parsers.arrow import Array, pa

Positions = npt.NDArray[np.int32]
Cut = tuple[Positions, Positions]
"""Where a piece begins and ends in each line, as positions in the chunk."""


def lines_of(chunk: bytes, cuts: Sequence[Cut], rows: LineNumbers | None) -> Array:
    """The pieces of all lines, line by line, as strings that follow one another."""
    count = len(cuts[0][0]) if rows is None else len(rows)
    ends = np.empty(2 * len(cuts) * count + 1, np.int32)
    table = ends[:-1].reshape(count, 2 * len(cuts))
    for i, (left, right) in enumerate(cuts):
        table[:, 2 * i] = left if rows is None else left[rows]
        table[:, 2 * i + 1] = right if rows is None else right[rows]
    return _every_second(chunk, ends)


def column_of(chunk: bytes, one: Cut, rows: LineNumbers | None) -> Array:
    """One piece of each line as a column of strings."""
    left, right = one if rows is None else (one[0][rows], one[1][rows])
    ends = np.empty(2 * len(left) + 1, np.int32)
    ends[0:-1:2], ends[1::2] = left, right
    return _every_second(chunk, ends)


def _every_second(chunk: bytes, ends: npt.NDArray[np.int32]) -> Array:
    """The strings between each even and the next odd end; what stands between is no one's."""
    ends[-1] = ends[-2] if len(ends) > 1 else 0
    pieces = pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(chunk))
    return pieces.take(_evens(len(ends) // 2))


@lru_cache(4)
def _evens(count: int) -> Array:
    return pa.array(np.arange(0, 2 * count, 2, dtype=np.int32))
