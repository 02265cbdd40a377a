"""Which lines of a chunk have their quotes where a format has them, found for all lines at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

QUOTE, NEWLINE, BLANK = 34, 10, 32
SLAB_BYTES = 1 << 18
"""Bytes compared at a time: the results stay in the second-level cache, which halves the cost per line."""
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Selected:
    """The lines that can be tokenized: `chunk` holds them; `lines` their numbers (None: all); `marks[i]` where in `chunk` the quotes
    of the i-th stand and, last, its newline."""

    chunk: pa.Buffer
    lines: Positions | None
    marks: Positions

    @property
    def starts(self) -> Positions:
        """Where in `chunk` each line begins."""
        ends = self.marks[:, -1]
        return np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]


def select(data: bytes, lines: int, quotes: int, opened: Sequence[int]) -> Selected:
    """The lines with `quotes` quotes that stand at the edges of words, without control characters and in UTF-8.

    `data` has `lines` newlines and ends with one. Quotes number `opened` of each line are turned into blanks in the chunk.
    """
    content = np.frombuffer(data, np.uint8)
    marks = _marks(content, with_quotes=quotes > 0)
    table: Positions | None = None
    if len(marks) == lines * (quotes + 1):
        table = marks.reshape(lines, quotes + 1)
        if not (content[table[:, -1]] == NEWLINE).all():
            table = None
    if table is not None and not _misplaced(content, table).any() and _is_plain(content, data, lines):
        return Selected(_open(data, table, opened), None, table)
    return _select_slowly(data, content, marks, quotes, opened)


def _select_slowly(data: bytes, content: Bytes, marks: Positions, quotes: int, opened: Sequence[int]) -> Selected:
    at = np.flatnonzero(content[marks] == NEWLINE)
    ends = marks[at]
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    counts = np.diff(at, prepend=-1) - 1
    good = (counts == quotes) & (ends - starts <= MAX_LINE_BYTES)
    first = at - counts
    kept = np.flatnonzero(good)
    table = marks[first[kept][:, None] + np.arange(quotes + 1)]
    good[kept] &= ~_misplaced(content, table)
    good[_lines_of(np.flatnonzero((content < BLANK) & (content != NEWLINE)), ends)] = False
    if not data.isascii():
        for line in _lines_of(np.flatnonzero(content >= 128), ends).tolist():
            try:
                data[starts[line] : ends[line]].decode()
            except UnicodeDecodeError:
                good[line] = False
    table = table[good[kept]]
    kept = np.flatnonzero(good)
    if len(kept) == 0:
        return Selected(pa.py_buffer(b""), kept, table)
    runs = np.flatnonzero(np.diff(kept, prepend=-2) != 1)
    firsts, lasts = kept[runs], kept[np.append(runs[1:] - 1, len(kept) - 1)]
    view = memoryview(data)
    chunk = b"".join([view[a:b] for a, b in zip(starts[firsts].tolist(), (ends[lasts] + 1).tolist(), strict=True)])
    lengths = (ends - starts + 1)[kept]
    table = table - (starts[kept] - (np.cumsum(lengths) - lengths))[:, None]
    return Selected(_open(chunk, table, opened), kept, table)


def _open(data: bytes, table: Positions, opened: Sequence[int]) -> pa.Buffer:
    if not opened:
        return pa.py_buffer(data)
    content = np.frombuffer(data, np.uint8).copy()
    for column in opened:
        content[table[:, column]] = BLANK
    return pa.py_buffer(content)


def _marks(content: Bytes, *, with_quotes: bool) -> Positions:
    """Positions of all quotes and newlines."""
    mark, newline = np.empty(SLAB_BYTES, bool), np.empty(SLAB_BYTES, bool)
    found: list[Positions] = []
    for start in range(0, len(content), SLAB_BYTES):
        slab = content[start : start + SLAB_BYTES]
        size = len(slab)
        np.equal(slab, NEWLINE, out=mark[:size])
        if with_quotes:
            np.equal(slab, QUOTE, out=newline[:size])
            np.logical_or(mark[:size], newline[:size], out=mark[:size])
        positions = np.flatnonzero(mark[:size])
        positions += start
        found.append(positions)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _misplaced(content: Bytes, table: Positions) -> Mask:
    """Lines with a quote that neither begins a word (even ones) nor ends one (odd ones)."""
    wrong = np.zeros(len(table), bool)
    for column in range(table.shape[1] - 1):
        if column % 2 == 0:
            # Before the first byte of the chunk stands nothing, which numpy reads as its last: a newline.
            before = content[table[:, column] - 1]
            wrong |= (before != BLANK) & (before != NEWLINE)
        else:
            after = content[table[:, column] + 1]
            wrong |= (after != BLANK) & (after != NEWLINE)
    return wrong


def _is_plain(content: Bytes, data: bytes, lines: int) -> bool:
    """No control characters but the newlines, valid UTF-8, no line too long."""
    for start in range(0, len(content), SLAB_BYTES):
        lines -= int(np.count_nonzero(content[start : start + SLAB_BYTES] < BLANK))
    if lines != 0 or len(content) > MAX_LINE_BYTES:
        return lines == 0 and _no_long_line(content) and _is_utf8(data)
    return _is_utf8(data)


def _no_long_line(content: Bytes) -> bool:
    """Whether each window of the longest line holds a newline; a window without one may be part of a line that is long enough."""
    half = MAX_LINE_BYTES // 2
    return all((content[start : start + half] == NEWLINE).any() for start in range(0, len(content) - half + 1, half))


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines_of(positions: Positions, ends: Positions) -> Positions:
    """The numbers of the lines in which these bytes stand."""
    return np.unique(np.searchsorted(ends, positions)) if len(positions) else positions
