"""Where the blanks, quotes and newlines of a chunk stand, found for all lines at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int32]
"""32 bits, as Arrow's offsets: half the memory to go through. A chunk is far smaller than that."""
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

QUOTE, NEWLINE, BLANK, EXCLAMATION = 34, 10, 32, 33
SLAB_BYTES = 1 << 17
"""Bytes compared at a time: the results stay in the second-level cache, which halves the cost per line."""
FALSE_BYTES = SLAB_BYTES // 4
"""False ones behind a slab's results: where less than a tenth is true numpy skips over them word by word, else it takes each byte's turn."""
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Selected:
    """Lines with the right number of quotes, in UTF-8 and without control characters.

    `marks`: where each blank, quote and newline of the chunk stands. A *rank* is a number into it: `ranks[0]` is that of the newline
    before each line (-1 for the first), `ranks[i]` that of its i-th quote, the last row that of its own newline. So the k-th blank
    after the i-th quote stands at `marks[ranks[i] + k]`, and two neighbouring rows tell how many blanks stand between.
    `lines`: the numbers of these lines. `all_starts`, `all_ends`: where every line of the chunk begins, and its newline.
    """

    data: bytes
    content: Bytes
    lines: Indices
    marks: Positions
    ranks: Indices
    all_starts: Positions
    all_ends: Positions
    _places: dict[tuple[int, int], Positions] = field(default_factory=dict, repr=False)

    def only(self, which: Mask) -> Selected:
        """The lines that `which` says."""
        if which.all():
            return self
        kept = np.flatnonzero(which)
        return replace(self, lines=self.lines[kept], ranks=self.ranks.take(kept, axis=1), _places={})

    def place(self, row: int, blank: int = 0) -> Positions:
        """Where the `blank`-th blank after the mark of a row of `ranks` stands; 0: that mark itself."""
        found = self._places.get((row, blank))
        if found is None:
            # Clipped, since numpy looks at each index a second time to raise; all are within.
            found = self.marks.take(self.ranks[row] + blank if blank else self.ranks[row], mode="clip")
            self._places[row, blank] = found
        return found

    def begin(self) -> Positions:
        """Where each line begins."""
        return self.all_starts.take(self.lines)

    def blanks(self, row: int) -> Indices:
        """How many blanks stand between the mark of this row and of the next one."""
        found: Indices = self.ranks[row + 1] - self.ranks[row] - 1
        return found


def select(data: bytes, lines: int, quotes: int) -> Selected:
    """The lines of `data` (it has `lines` newlines and ends with one) that have exactly `quotes` quotes each."""
    content = np.frombuffer(data, np.uint8)
    marks, kinds = _marks(content)
    width = quotes + 1
    others = np.flatnonzero(kinds != BLANK)
    numbers = np.arange(lines)
    if len(others) == lines * width and (kinds.take(others[quotes::width]) == NEWLINE).all():
        # Each newline stands behind as many other marks as a line has quotes: they are quotes, or control characters (see below).
        table = others.reshape(lines, width)
        newlines = table[:, -1]
    else:
        found = np.flatnonzero(kinds.take(others) == NEWLINE)
        newlines = others.take(found)
        first = np.empty(lines, np.int64)
        first[:1] = 0
        np.add(found[:-1], 1, out=first[1:])
        numbers = np.flatnonzero(found - first == quotes)
        table = others.take(first.take(numbers)[:, None] + np.arange(width))
    ends = marks.take(newlines)
    starts = np.empty(lines, np.int32)
    starts[:1] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    ranks = np.empty((width + 1, len(numbers)), np.int64)
    ranks[0] = newlines.take(np.maximum(numbers - 1, 0))
    ranks[0, :1] = np.where(numbers[:1] == 0, -1, ranks[0, :1])
    ranks[1:] = table.T
    fits = ends - starts <= MAX_LINE_BYTES
    if np.count_nonzero(kinds < BLANK) != lines:
        controls = np.flatnonzero((kinds < BLANK) & (kinds != NEWLINE))
        fits[np.searchsorted(newlines, controls)] = False
    if content.max(initial=0) >= 128 and not _is_utf8(data):
        for line in np.unique(np.searchsorted(ends, np.flatnonzero(content >= 128))).tolist():
            if not _is_utf8(data[starts[line] : ends[line]]):
                fits[line] = False
    return Selected(data, content, numbers, marks, ranks, starts, ends).only(fits.take(numbers))


def _marks(content: Bytes) -> tuple[Positions, Bytes]:
    """Positions and bytes of all blanks, quotes and control characters, the newlines among them."""
    mask = np.zeros(SLAB_BYTES + FALSE_BYTES, bool)
    places = np.empty(len(content) // 6 + SLAB_BYTES, np.int32)
    kinds = np.empty(len(places), np.uint8)
    count = 0
    for start in range(0, len(content), SLAB_BYTES):
        slab = content[start : start + SLAB_BYTES]
        here = mask[: len(slab)]
        # One comparison for blank and quote; `!`, which is between them, is rare and taken out again.
        np.less_equal(slab, QUOTE, out=here)
        mask[len(slab) : SLAB_BYTES] = False
        hits = np.flatnonzero(mask)
        end = count + len(hits)
        if end > len(places):
            places = np.concatenate((places, np.empty(len(content), np.int32)))
            kinds = np.concatenate((kinds, np.empty(len(content), np.uint8)))
        found = slab.take(hits, mode="clip", out=kinds[count:end])
        if (found == EXCLAMATION).any():
            wanted = found != EXCLAMATION
            hits = hits[wanted]
            end = count + len(hits)
            kinds[count:end] = found[wanted]
        np.add(hits, start, out=places[count:end], casting="unsafe")
        count = end
    return places[:count], kinds[:count]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
