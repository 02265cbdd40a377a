"""JSON objects with the same keys in the same order and nesting, which is what one configuration prints, cut at their commas all at once.

Between two members stands a comma before a quote, and nowhere else as long as no string ends with a comma. So each line of a layout has
the same number of them, and from their places follows where every key and every value must stand. A line is read where the keys are there,
byte for byte, and every value is a whole string or a whole literal; then its literals and values leave no byte over. That no string holds
a quote of its own, the number of quotes shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parsers.json_marks import QUOTE, Bools, Ints, Lines, Positions, windows
from parsers.json_numbers import Words, whole_numbers
from parsers.json_object import MAX_DEPTH
from parsers.json_slices import Slices

MAX_MEMBERS = 256
"""Members of an object that is read here."""

_KEY = re.compile(rb'"([^"\\]{1,64}+)":')
_VALUE = re.compile(rb'(?:"[^"\\]*+"|[-+.0-9A-Za-z]++)(}*+)(,?)')
_BARE = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false")
_NULL, _DASH = int.from_bytes(b"null", "little"), int.from_bytes(b'"-"', "little")
_BYTE, _THREE, _FOUR = np.uint64(0xFF), np.uint64(0xFFFFFF), np.uint64(0xFFFFFFFF)
_ONE_BYTE, _SEVEN_BYTES = np.uint64(8), np.uint64(56)
PROBED = 2
"""Keys by which lines of other layouts are told apart."""
BLOCK = 1 << 18
"""Bytes in work at a time: what is read of the lines then stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of an object in their order, nested ones joined with `.`, and the text before each value and behind the last."""

    keys: tuple[str, ...]
    literals: tuple[bytes, ...]

    @classmethod
    def of_line(cls, line: bytes) -> Layout | None:
        """The layout of a line without frame and newline; None for what has lists, empty objects, blanks or a key twice."""
        walk = _Walk(line)
        while walk.step() and len(walk.keys) <= MAX_MEMBERS:
            pass
        keys = walk.keys
        return cls(tuple(keys), tuple(walk.literals)) if walk.ended and len(set(keys)) == len(keys) else None


class _Walk:
    """A line from member to member; `ended`: it is an object and nothing else."""

    def __init__(self, line: bytes) -> None:
        self.keys: list[str] = []
        self.literals: list[bytes] = []
        self.ended = False
        self._line, self._path = line, list[str]()
        self._begin, self._at = 0, 1 if line.startswith(b'{"') else len(line)

    def step(self) -> bool:
        """Read a key and its value, or the brace that opens an object; whether there is more."""
        line = self._line
        key = _KEY.match(line, self._at)
        if key is None:
            return False
        name, at = key[1].decode(errors="replace"), key.end()
        if line.startswith(b"{", at):
            self._path.append(name)
            self._at = at + 1
            return len(self._path) < MAX_DEPTH
        value = _VALUE.match(line, at)
        if value is None:
            return False
        self.keys.append(".".join([*self._path, name]))
        self.literals.append(line[self._begin : at])
        self._begin, self._at, closed = value.start(1), value.end(), len(value[1])
        if not value[2]:
            self.ended = closed == len(self._path) + 1 and self._at == len(line)
            self.literals.append(line[self._begin :])
            return False
        if closed > len(self._path):
            return False
        del self._path[len(self._path) - closed :]
        return True


@dataclass(frozen=True, slots=True)
class Found:
    """Lines of a layout: their numbers, the values of each key (null for `null` and `-`), how many quotes each line has if it has no others."""

    layout: Layout
    rows: Ints
    columns: dict[str, Slices]
    quotes: npt.NDArray[np.int32]

    def filter(self, mask: Bools) -> Found:
        """Only the lines where `mask` is true."""
        if mask.all():
            return self
        columns = {key: values.filter(mask) for key, values in self.columns.items()}
        return Found(self.layout, self.rows[mask], columns, self.quotes[mask])


class LayoutReader:
    """Reads lines of one layout. `wants_head` tells for each key whether its values are words or numbers."""

    def __init__(self, layout: Layout, wants_head: Callable[[str], bool]) -> None:
        self.layout = layout
        counts = [literal.count(b',"') for literal in layout.literals]
        self.possible = counts == [0, *[1] * (len(counts) - 2), 0]
        """Whether commas before quotes tell its members apart: no key ends with a comma."""
        self._heads = np.array([i for i, key in enumerate(layout.keys) if wants_head(key)], np.int64)
        self._sizes = np.array([len(literal) for literal in layout.literals], np.int32)[:, None]
        # Where the comma stands in each literal: behind the brackets that close objects.
        self._commas = np.array([literal.find(b',"') for literal in layout.literals], np.int32)[:, None]
        self._quotes = sum(literal.count(b'"') for literal in layout.literals)
        self._before, self._last = _Literals(layout.literals[:-1]), _Literals(layout.literals[-1:])
        self._probes = [_Literals([literal]) for literal in layout.literals[:-1][:PROBED]]

    def read(self, lines: Lines, rows: Ints) -> Found:
        """Which of these lines have this layout, if none of their strings holds a quote, and the values of those.

        They must be valid UTF-8, without backslashes and control characters.
        """
        keys = self.layout.keys
        rows, commas = self._probed(lines, *lines.divided(rows, len(keys) - 1))
        cut = _Cut.empty(len(keys), len(self._heads), len(rows))
        step = max(16, BLOCK // (8 * self._before.words * len(keys)))
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            self._cut(lines, rows[part], commas[:, part], cut.part(part))
        for i in np.flatnonzero(cut.bare.any(axis=1)).tolist():
            cut.good &= _literals(lines.data, cut.starts[i], cut.stops[i], cut.bare[i])
        if not cut.good.all():
            rows, cut = rows[cut.good], cut.part(cut.good)
        heads = dict(zip(self._heads.tolist(), cut.heads, strict=True))
        columns = {
            key: Slices(
                lines.data, cut.starts[i], cut.stops[i], None if cut.there[i].all() else cut.there[i], heads.get(i)
            )
            for i, key in enumerate(keys)
        }
        return Found(self.layout, rows, columns, 2 * cut.quoted + np.int32(self._quotes))

    def _probed(self, lines: Lines, rows: Ints, commas: Positions) -> tuple[Ints, Positions]:
        """The lines whose first keys are this layout's, told by these before anything else of them is looked at."""
        good = np.ones(len(rows), bool)
        for i, literal in enumerate(self._probes):
            at = lines.begins[rows] if i == 0 else commas[i - 1] - self._commas[i]
            good &= literal.end(lines.data, at + self._sizes[i]).reshape(-1)
        return (rows, commas) if good.all() else (rows[good], commas[:, good])

    def _cut(self, lines: Lines, rows: Ints, commas: Positions, cut: _Cut) -> None:
        """Fill `cut` for some lines, few enough that all of it stays in the processor's cache."""
        literals = np.empty((len(cut.starts) + 1, len(rows)), np.int32)
        literals[0] = lines.begins[rows]
        np.subtract(commas, self._commas[1:-1], out=literals[1:-1])
        np.maximum(lines.ends[rows] - self._sizes[-1], 0, out=literals[-1])
        starts = np.add(literals[:-1], self._sizes[:-1], out=cut.starts)
        stops = literals[1:]
        words, values = self._before.windows(lines.data, starts, 16)
        good = self._before.match(words)
        good &= self._last.end(lines.data, literals[-1:] + self._sizes[-1])

        head, following = np.ascontiguousarray(values[..., 0]), values[..., 1]
        quoted = (head & _BYTE) == QUOTE
        null = (head & _FOUR) == _NULL
        null &= stops - starts == len("null")
        dash = (head & _THREE) == _DASH
        known = null | quoted
        np.logical_not(known, out=cut.bare)
        if len(self._heads):
            some = self._heads
            inner = head[some] >> _ONE_BYTE
            inner |= following[some] << _SEVEN_BYTES
            cut.heads[:] = np.where(quoted[some], inner, head[some])
        starts += quoted
        np.subtract(stops, quoted, out=cut.stops)
        # What is quoted must end with a quote, and that be another one than the first.
        text = np.frombuffer(lines.data, np.uint8)
        closed = text.take(cut.stops, mode="clip") == QUOTE
        closed |= ~quoted
        closed &= cut.stops >= starts
        np.logical_not(null | dash, out=cut.there)
        good &= closed.all(axis=0)
        cut.good[:] = good
        np.add.reduce(quoted, axis=0, dtype=np.int32, out=cut.quoted)


@dataclass(slots=True)
class _Cut:
    """Values by key and line: where they start and stop without their quotes, whether they are there, whether they are to be literals
    other than `null`, the first bytes of words and numbers; by line whether it fits, and how many values are quoted.
    """

    starts: Positions
    stops: Positions
    there: Bools
    bare: Bools
    heads: Words
    good: Bools
    quoted: npt.NDArray[np.int32]

    @classmethod
    def empty(cls, keys: int, heads: int, rows: int) -> _Cut:
        """Room for so many."""
        return cls(
            np.empty((keys, rows), np.int32), np.empty((keys, rows), np.int32), np.empty((keys, rows), bool),
            np.empty((keys, rows), bool), np.empty((heads, rows), np.uint64), np.empty(rows, bool), np.empty(rows, np.int32),
        )  # fmt: skip

    def part(self, rows: slice | Bools) -> _Cut:
        """Some lines; of a slice what is written here is written there."""
        return _Cut(
            self.starts[:, rows], self.stops[:, rows], self.there[:, rows],
            self.bare[:, rows], self.heads[:, rows], self.good[rows], self.quoted[rows],
        )  # fmt: skip


class _Literals:
    """Texts that must end at places, compared as words of eight bytes."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        self.words = -(-max(map(len, literals)) // 8)
        size = 8 * self.words
        filled = b"".join(literal.rjust(size, b"\0") for literal in literals)
        kept = b"".join((b"\xff" * len(literal)).rjust(size, b"\0") for literal in literals)
        self._expected = np.frombuffer(filled, "<u8").reshape(-1, 1, self.words)
        self._mask = np.frombuffer(kept, "<u8").reshape(-1, 1, self.words)

    def windows(self, data: bytes, at: Positions, further: int) -> tuple[Words, Words]:
        """The words before each place, and `further` bytes behind it as words."""
        size = 8 * self.words
        found = windows(data, (at - np.int32(size)).reshape(-1), size + further).view("<u8")
        found = found.reshape(*at.shape, self.words + further // 8)
        return found[..., : self.words], found[..., self.words :]

    def match(self, words: Words) -> Bools:
        """In which rows of `(literals, rows, words)` every literal stands."""
        same = (words & self._mask) == self._expected
        if same.all():
            return np.ones(same.shape[1], bool)
        found: Bools = same.all(axis=(0, 2))
        return found

    def end(self, data: bytes, at: Positions) -> Bools:
        """Before which places, one row for each literal, it stands."""
        return self.match(self.windows(data, at.reshape(1, -1), 0)[0])


def _literals(data: bytes, starts: Positions, stops: Positions, which: Bools) -> Bools:
    """Whether those of the values that are told are numbers, `true` or `false`."""
    first = windows(data, starts, 16).view("<u8").reshape(-1, 2)
    good = whole_numbers(first[:, 0], first[:, 1], stops - starts)
    good |= ~which
    for row in np.flatnonzero(~good & (stops > starts)).tolist():
        good[row] = _BARE.fullmatch(data, starts[row], stops[row]) is not None
    return good
