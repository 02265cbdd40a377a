"""Flat JSON objects, one a line, with their keys in any order, cut into keys and values by arithmetic on bytes: no Python per line.

In a flat object without backslashes every quote is structural, so quotes pair up, and the two bytes after a closing quote tell what it
closed: `:"` a key before a string, `:x` a key before another value, `,"` or `}` and newline a value. Keys are recognised by their bytes
(`json_key_table`). Lines that are anything else (escapes, nesting, blanks, literals, long numbers, keys that stand twice) are left to
the reader of single lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parsers.json_key_table import MAX_KEYS, KeyTable
from parsers.json_marks import WORD, quotes_in
from parsers.json_numbers import whole_numbers
from parsers.json_slices import Slices
from parsers.values import MISSING

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_BEFORE, _AFTER = 16, 32
"""Bytes around the text, so that eight bytes can be loaded before and behind every quote."""
_KEY_STRING, _COMMA, _END = 0x223A, 0x222C, 0x0A7D  # :"  ,"  }\n
_COLON = 0x3A
_NULL = int.from_bytes(b"null", "little")
_OPEN = 0x227B  # {"
_LAST = np.uint64(56)
_BLOCK = 1 << 20
"""Bytes that are cut into members at a time: what is in work then stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Flat:
    """What was read: `columns[key]` has one text for each of `rows`, numbers as printed; null for no value, `null` and `-`.

    `rows` are the numbers of the lines read, ascending; `unread` those of the others; `seen[i, j]`: row j has the key `names[i]`.
    """

    rows: Ints
    unread: Ints
    columns: dict[str, Slices]
    names: tuple[str, ...]
    seen: Bools

    def filter(self, mask: Bools) -> Flat:
        """Only the rows where `mask` is true."""
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return Flat(self.rows[mask], self.unread, columns, self.names, self.seen[:, mask])


@dataclass(frozen=True, slots=True)
class _Members:
    """Members of objects: the number of the key, the line, whether there is a value (no `null`), where it stands, its last eight bytes."""

    key: Ints
    line: Ints
    filled: Bools
    start: Ints
    stop: Ints
    tail: Words

    def filter(self, mask: Bools) -> _Members:
        return _Members(
            self.key[mask], self.line[mask], self.filled[mask], self.start[mask], self.stop[mask], self.tail[mask]
        )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Lines with their quotes: all quotes, and of each line the number of its first one, how many pairs, where it begins and ends."""

    quotes: Ints
    first: Ints
    counts: Ints
    begins: Ints
    ends: Ints


def blocks(begins: npt.NDArray[np.signedinteger], ends: npt.NDArray[np.signedinteger], size: int) -> list[Ints]:
    """The numbers of lines from `begins` to `ends` in runs of about `size` bytes."""
    before = np.cumsum(ends - begins, dtype=np.int64)
    return np.split(np.arange(len(begins)), np.flatnonzero(np.diff(before // size)) + 1)


class FlatReader:
    """Reads flat objects; remembers their keys."""

    def __init__(self) -> None:
        self._table = KeyTable()

    def read(self, data: bytes, begins: Ints, ends: Ints) -> Flat:
        """Read the objects at `[begins[i], ends[i])` of `data`, where `data[ends[i]]` is a newline.

        `data` must be valid UTF-8, and the given lines hold no backslash and no other control character than the newline.
        """
        if len(self._table.names) >= MAX_KEYS:
            self._table = KeyTable()  # full of what is long gone, or of what somebody invents
        padded = b"".join((bytes(_BEFORE), data, bytes(_AFTER)))
        begins, ends = begins + _BEFORE, ends + _BEFORE
        bad = np.zeros(len(begins), bool)
        found = [self._block(padded, rows, begins, ends, bad) for rows in blocks(begins, ends, _BLOCK)]
        members = _Members(
            *(
                np.concatenate([getattr(one, part) for one in found])
                for part in ("key", "line", "filled", "start", "stop", "tail")
            )
        )
        return _columns(padded, self._table.names, members, begins, bad)

    def _block(self, padded: bytes, rows: Ints, begins: Ints, ends: Ints, bad: Bools) -> _Members:
        """The members of some neighbouring lines; those that are no flat objects are told in `bad`."""
        begins, ends = begins[rows], ends[rows]
        quotes = quotes_in(np.frombuffer(padded, np.uint8)[begins[0] : ends[-1]])
        quotes += begins[0]
        first = np.searchsorted(quotes, begins)
        counts = np.searchsorted(quotes, ends) - first
        whole = (counts % 2 == 0) & (counts != 0)
        if not whole.all():
            bad[rows[~whole]] = True
            rows, first, counts, begins, ends = (one[whole] for one in (rows, first, counts, begins, ends))
            if len(rows) == 0:
                return _Members(rows, rows, whole[:0], rows, rows, rows.astype(np.uint64))
        members, wrong = self._members(padded, _Pairs(quotes, first, counts // 2, begins, ends))
        bad[rows[wrong]] = True
        return _Members(members.key, rows[members.line], members.filled, members.start, members.stop, members.tail)

    def _members(self, padded: bytes, lines: _Pairs) -> tuple[_Members, Ints]:
        """The members of lines, and the lines that are no flat objects."""
        quotes, counts, begins, ends = lines.quotes, lines.counts, lines.begins, lines.ends
        words, pairs = _loads(padded, np.uint64), _loads(padded, np.uint16)
        last = np.cumsum(counts) - 1
        first = last - counts + 1
        quote = np.repeat(lines.first - 2 * first, counts) + 2 * np.arange(int(counts.sum()))
        opened, closed = quotes[quote], quotes[quote + 1]
        line = np.repeat(np.arange(len(counts)), counts)

        mark = pairs[closed + 1]
        string_key = mark == _KEY_STRING
        value = np.empty_like(string_key)
        value[1:] = string_key[:-1]
        value[first] = False
        wrong = np.where(value, (mark != _COMMA) & (mark != _END), (mark & 0xFF) != _COLON)
        wrong[last] |= (mark[last] == _COMMA) | string_key[last]
        wrong[first] |= (opened[first] - 1 != begins) | (pairs[opened[first] - 1] != _OPEN)

        keys = np.flatnonzero(~value)
        string = string_key[keys]
        start = closed[keys] + 2 + string
        # The quote after the key is the value's own first one; behind another value it opens the next key.
        stop = np.append(quotes, (0, 0))[quote[keys] + 2 + string]
        others = np.flatnonzero(~string)
        final = np.zeros(len(opened), bool)
        final[last] = True
        final = final[keys[others]]
        stop[others] = np.where(final, ends[line[keys[others]]], stop[others]) - 1
        closing = (pairs[stop[others]] & 0xFF) == np.where(final, ord("}"), ord(","))
        null = (stop[others] - start[others] == len("null")) & ((words[start[others]] & np.uint64(0xFFFFFFFF)) == _NULL)
        number = whole_numbers(words[start[others]], words[start[others] + 8], stop[others] - start[others])
        wrong[keys[others[~((null | number) & closing)]]] = True

        names = self._names(padded, words, opened[keys], closed[keys])
        wrong[keys[names == len(self._table.names)]] = True
        string[others] = number
        return _Members(names, line[keys], string, start, stop, words[stop - WORD]), np.unique(line[wrong])

    def _names(self, padded: bytes, words: Words, opened: Ints, closed: Ints) -> Ints:
        table = self._table
        found = table.find(words, opened, closed)
        unknown = np.flatnonzero(found == len(table.names))
        if len(unknown):
            texts = {padded[a + 1 : b] for a, b in zip(opened[unknown].tolist(), closed[unknown].tolist(), strict=True)}
            before = len(table.names)
            table.add(sorted(texts))
            if len(table.names) > before:
                return table.find(words, opened, closed)
        return found


def _columns(padded: bytes, names: list[str], members: _Members, begins: Ints, bad: Bools) -> Flat:
    lines = len(bad)
    if bad.any():
        members = members.filter(~bad[members.line])
    cell = members.key * lines + members.line
    seen = np.zeros(len(names) * lines, bool)
    seen[cell] = True
    if np.count_nonzero(seen) != len(cell):
        twice = (np.bincount(cell, minlength=len(seen)).reshape(-1, lines) > 1).any(axis=0)
        return _columns(padded, names, members, begins, bad | twice)
    place = np.full(len(names) * lines, -1, np.int32)
    place[cell[members.filled]] = np.flatnonzero(members.filled)
    rows = np.flatnonzero(~bad)
    grid, presence = place.reshape(-1, lines), seen.reshape(-1, lines)
    if len(rows) < lines:
        grid, presence = grid[:, rows], presence[:, rows]
    used = np.flatnonzero(presence.any(axis=1)).tolist()
    nowhere = begins[rows].astype(np.int32)
    columns = {names[i]: _column(padded, members, grid[i], nowhere) for i in used}
    return Flat(rows, np.flatnonzero(bad), columns, tuple(columns), presence[used])


def _column(padded: bytes, members: _Members, at: npt.NDArray[np.int32], nowhere: npt.NDArray[np.int32]) -> Slices:
    """The values of the members `at`; null, and nothing at the place `nowhere`, where that is below 0. Of `-` too."""
    there = at >= 0
    starts, stops = members.start.take(at).astype(np.int32), members.stop.take(at).astype(np.int32)
    if not there.all():
        starts, stops = np.where(there, starts, nowhere), np.where(there, stops, nowhere)
    tails = members.tail.take(at)
    there &= (stops - starts != len(MISSING)) | (tails >> _LAST != ord(MISSING))
    return Slices(padded, starts, stops, None if there.all() else there, tails)


def _loads(padded: bytes, dtype: Any) -> Any:
    """Element i holds the bytes of `padded` from i on, as an unsigned little-endian number."""
    kind = np.dtype(dtype).newbyteorder("<")
    return np.ndarray((len(padded) - kind.itemsize + 1,), kind, padded, strides=(1,))
