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
_SLAB = 1 << 17
"""Bytes compared at a time: the results stay in the processor's cache."""
WORD = 8


@dataclass(slots=True)
class Lines:
    """The lines of a chunk: where each starts, where it begins behind its frame, where it ends; `single`: to be read one by one.

    `marks`: where a comma stands before a quote, which is once between two members of an object, and where a control character;
    `newlines`: which of the marks are the ends of the lines; `quotes`: how many there are in all.
    """

    data: bytes
    starts: Positions
    begins: Positions
    ends: Positions
    single: Bools
    marks: Positions
    newlines: Ints
    quotes: int
    _members: tuple[Ints, Ints] | None = field(default=None, repr=False)
    _quotes: Ints | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: bytes, words: int) -> Lines:
        """All lines behind frames of so many words; those that cannot be read by column are single."""
        text = np.frombuffer(data, np.uint8)
        marks, quotes = _scan(text)
        kinds = text.take(marks)
        newlines = np.flatnonzero(kinds == NEWLINE)
        ends = marks.take(newlines)
        starts = np.empty(len(ends), np.int32)
        starts[:1] = 0
        np.add(ends[:-1], 1, out=starts[1:])
        begins, single = _behind_frame(data, starts, ends, words)
        controls = marks[(kinds < BLANK) & (kinds != NEWLINE)]
        return cls(data, starts, begins, ends, single | _suspects(data, ends, controls), marks, newlines, quotes)

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
        """Which of these rows, none of them single, hold so many commas before quotes, and where: a column for each row."""
        if self._members is None:
            if len(rows) == len(self.ends) and (commas + 1) * len(rows) == len(self.marks):
                table = self.marks.reshape(-1, commas + 1)
                regular = np.arange(commas, len(self.marks), commas + 1)
                if (self.newlines == regular).all() and (table[:, 0] > self.begins).all():
                    return rows, table.T[:commas]
            if self.begins is self.starts:
                first = np.concatenate((np.zeros(1, np.int64), self.newlines[:-1] + 1))
            else:
                first = np.searchsorted(self.marks, self.begins)
            self._members = first, self.newlines - first
        first, counts = self._members
        rows = rows[counts[rows] == commas]
        return rows, self.marks[first[rows] + np.arange(commas)[:, None]]

    def quotes_of(self, rows: Ints) -> Ints:
        """How many quotes each of these rows holds behind its frame."""
        if self._quotes is None:
            marks = quotes_in(np.frombuffer(self.data, np.uint8)).astype(np.int32)
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


def _scan(text: Bytes) -> tuple[Positions, int]:
    """Where commas before quotes and control characters stand, and how many quotes there are."""
    hit, comma, quote = np.empty(_SLAB, bool), np.empty(_SLAB, bool), np.empty(_SLAB + 1, bool)
    marks: list[Positions] = [np.empty(0, np.int32)]
    quotes = 0
    for start in range(0, len(text), _SLAB):
        slab, further = text[start : start + _SLAB], text[start : start + _SLAB + 1]
        size, pairs = len(slab), len(further) - 1
        found, next_quote, commas = hit[:size], quote[: len(further)], comma[:pairs]
        np.equal(further, QUOTE, out=next_quote)
        quotes += int(np.count_nonzero(next_quote[:size]))
        np.equal(slab[:pairs], COMMA, out=commas)
        np.logical_and(commas, next_quote[1:], out=commas)
        np.less(slab, BLANK, out=found)
        np.logical_or(found[:pairs], commas, out=found[:pairs])
        marks.append(np.add(np.flatnonzero(found), start, dtype=np.int32, casting="unsafe"))
    return np.concatenate(marks), quotes


def quotes_in(text: Bytes) -> Ints:
    """Where the quotes stand."""
    # Where less than a tenth is true numpy skips over the false ones word by word, else it takes each one's turn: hence more of these.
    mask = np.zeros(len(text) + len(text) // 2, bool)
    np.equal(text, QUOTE, out=mask[: len(text)])
    return np.flatnonzero(mask)


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


def words_at(data: bytes, places: Positions) -> npt.NDArray[np.uint64]:
    """The eight bytes from each of these places on as a number, the last byte the highest: a row for each row of places in a line."""
    view = np.ndarray((max(len(data) - WORD + 1, 0),), np.dtype("<u8"), data, strides=(1,))
    # Line after line, so that the processor has the bytes of a line when it comes to its next place.
    by_line = np.ascontiguousarray(places.T, np.intp)
    found: npt.NDArray[np.uint64] = np.ascontiguousarray(view[by_line].T)
    return found


def _suspects(data: bytes, ends: Positions, controls: Positions) -> Bools:
    """Lines with a backslash, one of `controls`, or bytes that are no UTF-8."""
    found = np.zeros(len(ends), bool)
    text = np.frombuffer(data, np.uint8)
    at = data.find(b"\\")
    if at >= 0:
        found[np.searchsorted(ends, np.flatnonzero(text[at:] == ord("\\")) + at)] = True
    if len(controls):
        found[np.searchsorted(ends, controls)] = True
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
