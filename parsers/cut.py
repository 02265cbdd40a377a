"""Pieces of lines as Arrow columns, without an object for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logproc.columns import TEXT
from logproc.model import LineNumbers
from parsers.arrow import Array, pa

Positions = npt.NDArray[np.int64]
Cut = tuple[Positions, Positions]
"""Where a piece begins and ends in each line, as positions in the chunk."""


def lines_of(chunk: bytes, cuts: Sequence[Cut], rows: LineNumbers | None) -> Array:
    """The pieces of all lines, line by line, as strings that follow one another."""
    pieces, width = _pieces(chunk, cuts, rows)
    return pieces.take(pa.array(np.arange(0, len(pieces), 2, dtype=np.int32))) if width else pieces


def columns_of(chunk: bytes, cuts: Sequence[Cut], rows: LineNumbers | None) -> list[Array]:
    """The pieces of all lines as one column for each cut."""
    pieces, width = _pieces(chunk, cuts, rows)
    return [pieces.take(pa.array(np.arange(2 * i, len(pieces), 2 * width, dtype=np.int32))) for i in range(width)]


def _pieces(chunk: bytes, cuts: Sequence[Cut], rows: LineNumbers | None) -> tuple[Array, int]:
    """An array over the chunk's own bytes: every second value is a piece, the others are what stands between."""
    width = len(cuts)
    if not width:
        return pa.array([], TEXT), 0
    count = len(cuts[0][0]) if rows is None else len(rows)
    ends = np.empty(2 * width * count + 1, np.int32)
    table = ends[:-1].reshape(count, 2 * width)
    for i, (left, right) in enumerate(cuts):
        table[:, 2 * i] = left if rows is None else left[rows]
        table[:, 2 * i + 1] = right if rows is None else right[rows]
    ends[-1] = ends[-2] if count else 0
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(chunk)), width
