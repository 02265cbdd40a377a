"""Flat JSON objects, one a line, cut into keys and values by arithmetic on bytes: no Python per line.

Between `{"` and `}` of a flat object without backslashes every quote is structural, so quotes pair up, and the two bytes after a
closing quote tell what it closed: `:"` a key before a string, `:x` a key before another value, `,"` or `}` and newline a value.
Keys are recognised by their length, first eight and last eight bytes (what lies between is compared for longer ones), in any order.
Lines that are anything else (escapes, nesting, blanks, literals, long numbers, keys that stand twice) are left to the reader of
single lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_BEFORE, _AFTER = 16, 32
"""Bytes around the text, so that eight bytes can be loaded before and behind every quote."""

MAX_KEY = 64
"""Bytes of a key that is recognised."""
MAX_KEYS = 1024
"""Different keys known at a time. Keys come from configuration, so that there are few."""

_KEY_STRING, _COMMA, _END = 0x223A, 0x222C, 0x0A7D  # :"  ,"  }\n
_COLON, _NULL = 0x3A, 0x6C6C756E
_OPEN = 0x227B  # {"


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


_ONES = _word(b"\x01" * 8)
_HIGH, _ZEROS, _SIX = np.uint64(_ONES * 0xF0), np.uint64(_ONES * 0x30), np.uint64(_ONES * 0x06)
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_SLOT_SHIFT = np.uint64(64 - 12)


class KeyTable:
    """Keys and their numbers, in the order in which they were met. Finds many at once by a table without collisions."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[bytes, int] = {}
        self._heads = np.zeros(0, np.uint64)
        self._tails = np.zeros(0, np.uint64)
        self._lengths = np.zeros(0, np.int64)
        self._multipliers = (np.uint64(1), np.uint64(1))
        self._slots = np.zeros(1 << 12, np.int64)
        self._long: list[tuple[int, list[tuple[int, np.uint64]]]] = []

    def add(self, keys: list[bytes]) -> None:
        """Learn keys; those that are no UTF-8 or beyond the limits stay unknown."""
        for key in keys:
            if key in self._numbers or len(self.names) >= MAX_KEYS or not 0 < len(key) <= MAX_KEY:
                continue
            try:
                name = key.decode()
            except UnicodeDecodeError:
                continue
            self._numbers[key] = len(self.names)
            self.names.append(name)
        self._build()

    def _build(self) -> None:
        keys = list(self._numbers)
        shift = [max(0, 8 - len(k)) * 8 for k in keys]
        self._heads = np.array([_word(k[:8]) << s for k, s in zip(keys, shift, strict=True)], np.uint64)
        self._tails = np.array([_word(k[-8:]) for k in keys], np.uint64)
        self._lengths = np.array([len(k) for k in keys], np.int64)
        # Bytes 8 to length - 8 of longer keys are in neither word.
        self._long = [
            (n, [(at, np.uint64(_word(k[at : at + 8]))) for at in range(8, len(k) - 8, 8)])
            for n, k in enumerate(keys)
            if len(k) > 16
        ]
        self._slots = np.full(1 << 12, -1, np.int64)
        for first in _MULTIPLIERS:
            for second in range(0x9E3779B97F4A7C15, 0x9E3779B97F4A7C15 + 64, 2):
                self._multipliers = (np.uint64(first), np.uint64(second))
                slots = self._slot(self._heads, self._tails, self._lengths)
                if len(np.unique(slots)) == len(keys):
                    self._slots[slots] = np.arange(len(keys))
                    return
        # Too many keys for a table without collisions: of two in one slot the later is read line by line.
        self._slots[slots[::-1]] = np.arange(len(keys))[::-1]

    def _slot(self, heads: Words, tails: Words, lengths: Ints) -> Words:
        first, second = self._multipliers
        return (heads * first + tails * second + lengths.astype(np.uint64) * np.uint64(_MULTIPLIERS[3])) >> _SLOT_SHIFT

    def find(self, words: Words, opened: Ints, closed: Ints) -> Ints:
        """The number of the key between each pair of quotes; -1 where it is not known. `words[i]` are the eight bytes from i on."""
        if not self.names:
            return np.full(len(opened), -1, np.int64)
        lengths = closed - opened - 1
        fits = (lengths > 0) & (lengths <= MAX_KEY)
        if not fits.all():
            lengths = np.where(fits, lengths, 1)
        shift = np.maximum(8 - lengths, 0).astype(np.uint64) << np.uint64(3)
        heads = words[opened + 1] << shift
        tails = words[closed - 8] >> shift
        found = self._slots[self._slot(heads, tails, lengths)]
        same = (self._heads[found] == heads) & (self._tails[found] == tails) & (self._lengths[found] == lengths)
        found = np.where(same & fits & (found >= 0), found, -1)
        for number, middle in self._long:
            (which,) = np.nonzero(found == number)
            for at, word in middle:
                wrong = words[opened[which] + 1 + at] != word
                if wrong.any():
                    found[which[wrong]] = -1
        return found


@dataclass(frozen=True, slots=True)
class Flat:
    """What was read: `columns[key]` has one text (or null) for each of `rows`, numbers as printed.

    `rows` are the numbers of the lines read, ascending; `unread` those of the others; `seen[i, j]`: row j has the key `names[i]`.
    """

    rows: Ints
    unread: Ints
    columns: dict[str, pa.StringArray]
    names: tuple[str, ...]
    seen: Bools

    def filter(self, mask: Bools) -> Flat:
        """Only the rows where `mask` is true."""
        at = pa.array(np.flatnonzero(mask))
        columns = {name: cast("pa.StringArray", column.take(at)) for name, column in self.columns.items()}
        return Flat(self.rows[mask], self.unread, columns, self.names, self.seen[:, mask])


def read_flat(data: bytes, begins: Ints, ends: Ints, table: KeyTable) -> Flat:
    """Read the objects at `[begins[i], ends[i])` of `data`, where `data[ends[i]]` is a newline.

    `data` must be valid UTF-8, and the given lines hold no backslash and no other control character than the newline.
    Keys that are not in `table` yet are added to it.
    """
    padded = bytes(_BEFORE) + data + bytes(_AFTER)
    text = np.frombuffer(padded, np.uint8)
    words = _loads(padded, np.uint64)
    pairs = _loads(padded, np.uint16)
    begins, ends = begins + _BEFORE, ends + _BEFORE
    lines = len(begins)
    quotes = np.flatnonzero(text == ord('"'))
    bounds = np.searchsorted(quotes, np.stack([begins, ends], 1).ravel()).reshape(-1, 2)
    bad = ((bounds[:, 1] - bounds[:, 0]) % 2 != 0) | (bounds[:, 0] == bounds[:, 1]) | (pairs[begins] != _OPEN)
    if bad.any() or bounds[0, 0] or bounds[-1, 1] != len(quotes) or (bounds[1:, 0] != bounds[:-1, 1]).any():
        # Only the quotes of lines that can be read, so that they pair up.
        keep = np.zeros(len(quotes) + 1, np.int64)
        np.add.at(keep, bounds[~bad, 0], 1)
        np.add.at(keep, bounds[~bad, 1], -1)
        quotes = quotes[np.cumsum(keep[:-1]) > 0]
    (good,) = np.nonzero(~bad)
    counts = (bounds[good, 1] - bounds[good, 0]) // 2
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    opened, closed = quotes[0::2], quotes[1::2]
    line = np.repeat(good, counts)

    mark = pairs[closed + 1]
    string_key = mark == _KEY_STRING
    value = np.empty_like(string_key)
    value[1:] = string_key[:-1]
    value[first] = False
    wrong = np.where(value, (mark != _COMMA) & (mark != _END), (mark & 0xFF) != _COLON)
    wrong[last] |= (mark[last] == _COMMA) | string_key[last]

    (keys,) = np.nonzero(~value)
    string = string_key[keys]
    start = closed[keys] + np.where(string, 3, 2)
    following = np.append(opened, 0)[keys + 1]
    stop = np.where(string, np.append(closed, 0)[np.minimum(keys + 1, len(closed))], following - 1)
    final = np.zeros(len(opened), bool)
    final[last] = True
    final = final[keys] & ~string
    stop[final] = ends[line[keys[final]]] - 1
    (others,) = np.nonzero(~string)
    null, number = _literals(text, words, start[others], stop[others], final[others])
    wrong[keys[others[~(null | number)]]] = True

    names = _names(padded, words, opened[keys], closed[keys], table)
    wrong[keys[names < 0]] = True
    bad[line[wrong]] = True
    filled = string.copy()
    filled[others] = number
    return _columns(padded, table.names, names, line[keys], filled, start, stop, bad, lines)


def _loads(padded: bytes, dtype: Any) -> Any:
    """Element i holds the bytes of `padded` from i on, as an unsigned little-endian number."""
    kind = np.dtype(dtype).newbyteorder("<")
    return np.ndarray((len(padded) - kind.itemsize + 1,), kind, padded, strides=(1,))


_LEFT = np.array([8 * (8 - n) if n < 8 else 0 for n in range(17)], np.uint64)
_FILL = np.array([_ONES * 0x30 & ((1 << 8 * (8 - n)) - 1) if n < 8 else 0 for n in range(17)], np.uint64)


def _literals(text: npt.NDArray[np.uint8], words: Words, start: Ints, stop: Ints, final: Bools) -> tuple[Bools, Bools]:
    """Which of the unquoted values are `null`, and which whole numbers of at most 16 digits."""
    length = stop - start
    closing = text[stop] == np.where(final, ord("}"), ord(","))
    head = words[start]
    null = (length == 4) & ((head & np.uint64(0xFFFFFFFF)) == _NULL) & closing
    size = np.clip(length, 1, 16)
    digits = _digits((head << _LEFT[size]) | _FILL[size]) & (length == size)
    if (size > 8).any():
        digits &= (size <= 8) | _digits(words[stop - 8])
    return null, digits & closing & ((length == 1) | (text[start] != ord("0")))


def _digits(word: Words) -> Bools:
    result: Bools = ((word & _HIGH) == _ZEROS) & (((word + _SIX) & _HIGH) == _ZEROS)
    return result


def _names(padded: bytes, words: Words, opened: Ints, closed: Ints, table: KeyTable) -> Ints:
    found = table.find(words, opened, closed)
    (unknown,) = np.nonzero(found < 0)
    if len(unknown):
        before = len(table.names)
        table.add(list(dict.fromkeys(padded[a + 1 : b] for a, b in zip(opened[unknown], closed[unknown], strict=True))))
        if len(table.names) > before:
            found[unknown] = table.find(words, opened[unknown], closed[unknown])
    return found


def _columns(
    padded: bytes,
    names: list[str],
    number: Ints,
    line: Ints,
    filled: Bools,
    start: Ints,
    stop: Ints,
    bad: Bools,
    lines: int,
) -> Flat:
    if bad.any():
        keep = ~bad[line]
        number, line, filled, start, stop = number[keep], line[keep], filled[keep], start[keep], stop[keep]
    cell = number * lines + line
    seen = np.zeros(len(names) * lines, bool)
    seen[cell] = True
    if np.count_nonzero(seen) != len(cell):
        bad |= (np.bincount(cell, minlength=len(seen)).reshape(-1, lines) > 1).any(axis=0)
        keep = ~bad[line]
        return _columns(padded, names, number[keep], line[keep], filled[keep], start[keep], stop[keep], bad, lines)
    # Values and the bytes between them by turns: an array over the text as it stands, of which each column takes its elements.
    bounds = np.empty(2 * np.count_nonzero(filled), np.int32)
    bounds[0::2], bounds[1::2] = start[filled], stop[filled]
    pieces = pa.StringArray.from_buffers(max(len(bounds) - 1, 0), pa.py_buffer(bounds), pa.py_buffer(padded))
    place = np.full(len(names) * lines, -1, np.int32)
    place[cell[filled]] = np.arange(0, len(bounds), 2, dtype=np.int32)
    (rows,) = np.nonzero(~bad)
    table = place.reshape(-1, lines)
    if len(rows) < lines:
        table = table[:, rows]
    columns = {}
    used = np.unique(number).tolist()
    for column in used:
        at = table[column]
        absent = at < 0
        columns[names[column]] = pieces.take(pa.array(at, mask=absent) if absent.any() else pa.array(at))
    keys = seen.reshape(-1, lines)[used][:, rows]
    return Flat(rows, np.flatnonzero(bad), columns, tuple(names[i] for i in used), keys)
