"""Which lines of a chunk have as many quotes as a format, and where, found for all lines at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int32]
"""32 bits, as Arrow's offsets: half the memory to go through. A chunk is far smaller than that."""
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

QUOTE, NEWLINE, BLANK = 34, 10, 32
SLAB_BYTES = 1 << 18
"""Bytes compared at a time: the results stay in the second-level cache, which halves the cost per line."""
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Selected:
    """Lines with the right number of quotes, in UTF-8 and without control characters.

    `chunk` holds them, `lines` are their numbers (None: all). `starts`, `ends`: where each begins, and its newline;
    `quotes[i]`: where the i-th quote of each stands.
    """

    chunk: bytes
    lines: Indices | None
    starts: Positions
    ends: Positions
    quotes: Positions
    all_starts: Positions
    all_ends: Positions
    """The same of all lines, in the data they came from."""


def select(data: bytes, lines: int, quotes: int) -> Selected:
    """The lines of `data` (it has `lines` newlines and ends with one) that have exactly `quotes` quotes each."""
    content = np.frombuffer(data, np.uint8)
    controls, marks = _positions(content)
    if len(controls) == lines and len(marks) == lines * quotes and (content[controls] == NEWLINE).all():
        starts = _starts(controls)
        table = np.ascontiguousarray(marks.reshape(lines, quotes).T)
        if (
            (quotes == 0 or bool((table[0] >= starts).all() and (table[-1] < controls).all()))
            and bool((controls - starts <= MAX_LINE_BYTES).all())
            and _is_utf8(data)
        ):
            return Selected(data, None, starts, controls, table, starts, controls)
    return _select_slowly(data, content, controls, marks, quotes)


def _select_slowly(data: bytes, content: Bytes, controls: Positions, marks: Positions, quotes: int) -> Selected:
    is_end = content[controls] == NEWLINE
    ends = controls[is_end]
    starts = _starts(ends)
    first = np.searchsorted(marks, starts)
    counts = np.diff(first, append=len(marks))
    good = (counts == quotes) & (ends - starts <= MAX_LINE_BYTES)
    good[np.searchsorted(ends, controls[~is_end])] = False
    if not data.isascii():
        for line in np.unique(np.searchsorted(ends, np.flatnonzero(content >= 128))).tolist():
            if not _is_utf8(data[starts[line] : ends[line]]):
                good[line] = False
    kept = np.flatnonzero(good)
    if len(kept) == 0:
        nothing = np.empty(0, np.int32)
        return Selected(b"", kept, nothing, nothing, np.empty((quotes, 0), np.int32), starts, ends)
    runs = np.flatnonzero(np.diff(kept, prepend=-2) != 1)
    firsts, lasts = kept[runs], kept[np.append(runs[1:] - 1, len(kept) - 1)]
    view = memoryview(data)
    chunk = b"".join([view[a:b] for a, b in zip(starts[firsts].tolist(), (ends[lasts] + 1).tolist(), strict=True)])
    new_ends = np.cumsum((ends - starts + 1)[kept], dtype=np.int32) - np.int32(1)
    table = marks[first[kept] + np.arange(quotes)[:, None]] + (new_ends - ends[kept])
    return Selected(chunk, kept, _starts(new_ends), new_ends, table, starts, ends)


def _starts(ends: Positions) -> Positions:
    starts = np.empty(len(ends), np.int32)
    starts[:1] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    return starts


def _positions(content: Bytes) -> tuple[Positions, Positions]:
    """Positions of all control characters, the newlines among them, and of all quotes."""
    mask = np.empty(SLAB_BYTES, bool)
    controls: list[Positions] = []
    quotes: list[Positions] = []
    for start in range(0, len(content), SLAB_BYTES):
        slab = content[start : start + SLAB_BYTES]
        size = len(slab)
        here = mask[:size]
        np.less(slab, BLANK, out=here)
        controls.append(_sparse(here) + np.int32(start))
        np.equal(slab, QUOTE, out=here)
        quotes.append(np.flatnonzero(here).astype(np.int32) + np.int32(start))
    nothing = np.empty(0, np.int32)
    return np.concatenate(controls or [nothing]), np.concatenate(quotes or [nothing])


_WORD_PLACES = np.uint64(0x0001020304050607)
"""Times a word with one byte 1, its highest byte is that byte's number."""


def _sparse(mask: Mask) -> Positions:
    """`flatnonzero` for a mask with few hits: words of eight bytes first."""
    whole = len(mask) & ~7
    words = mask[:whole].view(np.uint64)
    hits = np.flatnonzero(words != 0)  # of booleans, which is ten times as fast as of words
    found = words[hits]
    if (found & (found - np.uint64(1))).any() or len(mask) != whole:
        return np.flatnonzero(mask).astype(np.int32)
    return (hits * 8).astype(np.int32) + ((found * _WORD_PLACES) >> np.uint64(56)).astype(np.int32)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
