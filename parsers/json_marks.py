"""The lines of a chunk of JSON, and the marks in it that readers by column need: found for the whole chunk at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int32]
"""32 bits, as Arrow's offsets."""

QUOTE, COMMA, NEWLINE, BLANK = b'",\n '
_SLAB = 1 << 18
"""Bytes compared at a time: the results stay in the processor's cache."""
_WORD_PLACES = np.uint64(0x0001020304050607)
"""Times a word with one byte 1, its highest byte is that byte's number."""


@dataclass(slots=True)
class Lines:
    """The lines of a chunk: where each starts, where it begins behind its frame, where it ends; `single`: to be read one by one.

    `commas`: where a comma stands before a quote, which is once between two members of an object; `quotes`: how many there are in all.
    """

    data: bytes
    starts: Positions
    begins: Positions
    ends: Positions
    single: Bools
    commas: Positions
    quotes: int
    _members: tuple[Ints, Ints] | None = field(default=None, repr=False)
    _quotes: Ints | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: bytes, lines: int, words: int) -> Lines:
        """Lines behind frames of so many words; those that cannot be read by column are single."""
        text = np.frombuffer(data, np.uint8)
        controls, commas, quotes = _scan(text)
        ends = controls if len(controls) == lines else controls[text[controls] == NEWLINE]
        starts = np.empty(len(ends), np.int32)
        starts[:1] = 0
        np.add(ends[:-1], 1, out=starts[1:])
        begins, single = _behind_frame(data, starts, ends, words)
        return cls(data, starts, begins, ends, single | _suspects(data, ends, controls), commas, quotes)

    def line(self, row: int) -> bytes:
        """A line in its frame."""
        return self.data[self.starts[row] : self.ends[row]]

    def bare(self, row: int) -> bytes:
        """A line without its frame."""
        return self.data[self.begins[row] : self.ends[row]]

    def only(self, rows: Ints) -> tuple[bytes, Ints, Ints]:
        """These lines without their frames, and where each begins and ends in that."""
        begins, ends = self.begins[rows].astype(np.int64), self.ends[rows].astype(np.int64)
        if int(ends[-1] + 1 - begins[0]) == int((ends + 1 - begins).sum()):
            first = int(begins[0])
            return self.data[first : int(ends[-1]) + 1], begins - first, ends - first
        data = b"".join([self.data[a:b] for a, b in zip(begins.tolist(), (ends + 1).tolist(), strict=True)])
        after = np.cumsum(ends + 1 - begins)
        return data, after - (ends + 1 - begins), after - 1

    def divided(self, rows: Ints, commas: int) -> tuple[Ints, Positions]:
        """Which of these rows hold so many of `commas`, and where: a column for each comma."""
        if self._members is None:
            if commas and len(self.ends) == len(rows) and len(self.commas) == commas * len(rows):
                table = self.commas.reshape(-1, commas)
                if (table[:, 0] > self.begins).all() and (table[:, -1] < self.ends).all():
                    return rows, table
            first = np.searchsorted(self.commas, self.begins)
            self._members = first, np.searchsorted(self.commas, self.ends) - first
        first, counts = self._members
        rows = rows[counts[rows] == commas]
        return rows, self.commas[first[rows][:, None] + np.arange(commas)]

    def quotes_of(self, rows: Ints) -> Ints:
        """How many quotes each of these rows holds behind its frame."""
        if self._quotes is None:
            marks = np.flatnonzero(np.frombuffer(self.data, np.uint8) == QUOTE).astype(np.int32)
            self._quotes = np.searchsorted(marks, self.ends) - np.searchsorted(marks, self.begins)
        return self._quotes[rows]

    def hold(self, rows: Ints, quotes: npt.NDArray[np.signedinteger]) -> Bools:
        """Which of these rows hold as many quotes as is said, where each holds at least that many."""
        others = np.ones(len(self.ends), bool)
        others[rows] = False
        rest = np.flatnonzero(others).tolist()
        if len(rest) * 8 <= len(others):
            # None holds more where all of them together do not: then one sum proves every line.
            elsewhere = sum(self.line(row).count(b'"') for row in rest)
            if self.quotes - elsewhere == int(quotes.sum()):
                return np.ones(len(rows), bool)
        same: Bools = self.quotes_of(rows) == quotes
        return same


def _scan(text: Bytes) -> tuple[Positions, Positions, int]:
    """Where the control characters stand, where commas before quotes, and how many quotes there are."""
    hit, quote = np.empty(_SLAB, bool), np.empty(_SLAB + 1, bool)
    controls: list[Positions] = [np.empty(0, np.int32)]
    commas: list[Positions] = [np.empty(0, np.int32)]
    quotes = 0
    for start in range(0, len(text), _SLAB):
        slab, further = text[start : start + _SLAB], text[start : start + _SLAB + 1]
        size = len(slab)
        found, next_quote = hit[:size], quote[: len(further)]
        np.less(slab, BLANK, out=found)
        controls.append(_places(found, start))
        np.equal(further, QUOTE, out=next_quote)
        quotes += int(np.count_nonzero(next_quote[:size]))
        np.equal(slab, COMMA, out=found)
        pairs = len(further) - 1
        np.logical_and(found[:pairs], next_quote[1:], out=found[:pairs])
        found[pairs:] = False
        commas.append(_places(found, start))
    return np.concatenate(controls), np.concatenate(commas), quotes


def _places(mask: Bools, start: int) -> Positions:
    """`flatnonzero` for a mask with few hits: words of eight bytes first."""
    whole = len(mask) & ~7
    words = mask[:whole].view(np.uint64)
    hits = np.flatnonzero(words != 0)  # of booleans, which is ten times as fast as of words
    found = words[hits]
    if (found & (found - np.uint64(1))).any():
        return np.flatnonzero(mask).astype(np.int32) + np.int32(start)
    places = (hits * 8 + start).astype(np.int32)
    places += ((found * _WORD_PLACES) >> np.uint64(56)).astype(np.int32)
    if len(mask) == whole:
        return places
    return np.concatenate((places, np.flatnonzero(mask[whole:]).astype(np.int32) + np.int32(start + whole)))


def _behind_frame(data: bytes, starts: Positions, ends: Positions, words: int) -> tuple[Positions, Bools]:
    """Where each line begins behind so many words, and which lines have too few."""
    if words == 0:
        return starts, np.zeros(len(starts), bool)
    short = np.zeros(len(starts), bool)
    # Most frames of a chunk are as wide as its first one.
    width = len(b" ".join(data[starts[0] : ends[0]].split(b" ", words)[:words])) + 1
    near = starts <= len(data) - width
    blanks = windows(data, np.where(near, starts, 0), width).view(np.uint8).reshape(-1, width) == BLANK
    same = near & (ends - starts >= width) & blanks[:, -1] & (np.count_nonzero(blanks, axis=1) == words)
    begins = starts + np.int32(width)
    for row in np.flatnonzero(~same).tolist():
        at, end = int(starts[row]), int(ends[row])
        for _ in range(words):
            at = data.find(b" ", at, end) + 1
            if at == 0:
                short[row] = True
                at = int(starts[row])
                break
        begins[row] = at
    return begins, short


def windows(data: bytes, at: Any, width: int) -> Any:
    """The `width` bytes from each of these places on, as an array of void; before and behind `data` there are zeros."""
    kind = np.dtype(f"V{width}")
    last = len(data) - width
    inside = (at >= 0) & (at <= last)
    if last >= 0:
        view = np.ndarray((last + 1,), kind, data, strides=(1,))
        if inside.all():
            return view[at]
    found = np.zeros(len(at), kind)
    if inside.any():
        found[inside] = view[at[inside]]
    for i in np.flatnonzero(~inside).tolist():
        place = int(at[i])
        piece = data[max(place, 0) : max(place + width, 0)]
        found[i] = np.void((b"\0" * min(max(-place, 0), width) + piece).ljust(width, b"\0"))
    return found


def _suspects(data: bytes, ends: Positions, controls: Positions) -> Bools:
    """Lines with a backslash, a control character, or bytes that are no UTF-8."""
    found = np.zeros(len(ends), bool)
    text = np.frombuffer(data, np.uint8)
    at = data.find(b"\\")
    if at >= 0:
        found[np.searchsorted(ends, np.flatnonzero(text[at:] == ord("\\")) + at)] = True
    if len(controls) != len(ends):
        found[np.searchsorted(ends, controls[text[controls] != NEWLINE])] = True
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            high = np.unique(np.searchsorted(ends, np.flatnonzero(text >= 0x80)))
            starts = np.concatenate((np.zeros(1, np.int32), ends[:-1] + 1))
            for row in high.tolist():
                try:
                    data[starts[row] : ends[row]].decode()
                except UnicodeDecodeError:
                    found[row] = True
    return found
