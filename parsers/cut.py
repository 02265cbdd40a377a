"""Pieces of lines as Arrow columns, without an object for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from parsers.arrow import Array, pa

Positions = npt.NDArray[np.int32]
Cut = tuple[Positions, Positions]
"""Where a piece begins and ends in each line, as positions in the chunk."""


def strings(data: bytes, left: Positions, right: Positions, missing: npt.NDArray[np.bool_] | None = None) -> Array:
    """`data[left:right]` of each line as a column of strings, null where `missing` says; the lines follow one another."""
    ends = np.empty(2 * len(left) + 1, np.int32)
    ends[0:-1:2], ends[1::2] = left, right
    ends[-1] = ends[-2] if len(ends) > 1 else 0
    pieces = pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))
    if missing is None:
        return pieces.take(_evens(len(left)))
    return pieces.take(pa.array(np.arange(0, 2 * len(left), 2, dtype=np.int32), mask=missing))


def joined(data: bytes, runs: Sequence[Cut]) -> Array:
    """For each line its pieces put together to one string."""
    count, width = len(runs[0][0]), len(runs)
    if width == 1:
        return strings(data, *runs[0])
    ends = np.empty(2 * width * count + 1, np.int32)
    table = ends[:-1].reshape(count, 2 * width)
    for i, (left, right) in enumerate(runs):
        table[:, 2 * i], table[:, 2 * i + 1] = left, right
    ends[-1] = ends[-2] if count else 0
    pieces = pa.StringArray.from_buffers(2 * width * count, pa.py_buffer(ends), pa.py_buffer(data))
    _, offsets, text = pieces.take(_evens(width * count)).buffers()
    whole = np.ascontiguousarray(np.frombuffer(offsets, np.int32)[: width * count + 1 : width])
    return pa.StringArray.from_buffers(count, pa.py_buffer(whole), text)


@lru_cache(4)
def _evens(count: int) -> Array:
    return pa.array(np.arange(0, 2 * count, 2, dtype=np.int32))
