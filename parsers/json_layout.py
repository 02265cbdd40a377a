"""JSON objects with the same keys in the same order and nesting, which is what one configuration prints, cut at their commas all at once.

Between two members stands a comma before a quote, and nowhere else as long as no string ends with a comma. So each line of a layout has
the same number of them, and from their places follows where every value must stand. Values of any text (paths, times, numbers) are cut
out; what stands between two of them is a piece: the keys, byte for byte, and the values with few distinct texts between them, which
are read together with those of other pieces (`json_joints`). The pieces and the values cut out leave no byte of a line over. That no
string holds a quote of its own, the number of quotes shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from parsers import cut
from parsers.arrow import Array, pa
from parsers.json_joints import Joined, Joint, filled, grouped
from parsers.json_keys import Keys
from parsers.json_marks import WORD, Bools, Ints, Lines, Positions, windows, words_at
from parsers.json_object import MAX_DEPTH
from parsers.json_slices import Slices
from parsers.json_values import cut_out

MAX_MEMBERS = 256
"""Members of an object that is read here."""

_KEY = re.compile(rb'"([^"\\]{1,64}+)":')
_VALUE = re.compile(rb'(?:"[^"\\]*+"|[-+.0-9A-Za-z]++)(}*+)(,?)')
PROBED = 2
"""Keys by which lines of other layouts are told apart."""
PROBED_LINES = 64
ENOUGH = 1024
"""Lines that show how often texts repeat."""


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
    """Lines of a layout: their numbers, the values of each key (null for `null` and `-`), how many quotes each line has if it has no others.

    `typed`: columns of access_log that keys filled which have no values here.
    """

    layout: Layout
    rows: Ints
    columns: dict[str, Any]
    typed: dict[str, Array]
    quotes: npt.NDArray[np.int32]

    def filter(self, mask: Bools) -> Found:
        """Only the lines where `mask` is true."""
        if mask.all():
            return self
        at = pa.array(np.flatnonzero(mask))
        columns = {
            key: values.filter(mask) if isinstance(values, Slices) else values.take(at)
            for key, values in self.columns.items()
        }
        typed = {name: array.take(at) for name, array in self.typed.items()}
        return Found(self.layout, self.rows[mask], columns, typed, self.quotes[mask])


class LayoutReader:
    """Reads lines of one layout. `typed`: values with few distinct texts become columns at once, as `keys` tells what they mean."""

    def __init__(self, layout: Layout, keys: Keys, *, typed: bool) -> None:
        self.layout = layout
        counts = [literal.count(b',"') for literal in layout.literals]
        self.possible = counts == [0, *[1] * (len(counts) - 2), 0]
        """Whether commas before quotes tell its members apart: no key ends with a comma."""
        self._sizes = np.array([len(literal) for literal in layout.literals], np.int32)
        # Where the comma stands in each literal: behind the brackets that close objects.
        self._commas = np.array([literal.find(b',"') for literal in layout.literals], np.int32)
        self._fills = filled(layout.keys, keys, typed=typed)
        groups = [keys.group(key) for key in layout.keys]
        self._groups = [-1 if one is None else one for one in groups]
        self._cut_at([i for i, one in enumerate(groups) if one is None])

    def _cut_at(self, values: list[int]) -> None:
        """Cut out the values of these keys."""
        self._values = np.array(values, np.int64)
        bounds = [-1, *values, len(self.layout.keys)]
        self._pieces = [(before + 1, after) for before, after in pairwise(bounds)]
        """Of each piece the first and the last literal."""
        fixed = [first for first, last in self._pieces if first == last]
        self._fixed_quotes = sum(self.layout.literals[i].count(b'"') for i in fixed)
        words = [(i, *word) for i in fixed for word in _words(self.layout.literals[i], is_first=i == 0)]
        self._held, self._masks = (np.array([w[part] for w in words], np.uint64)[:, None] for part in (2, 3))
        # The words of literals between two values, which are compared, and then those that values end with.
        self._loaded = np.array([w[0] for w in words] + [i + 1 for i in values], np.int64)
        self._shifts = np.array([w[1] for w in words] + [-WORD] * len(values), np.int32)[:, None]
        self._joints = [self._joint(places) for places in grouped([range(*p) for p in self._pieces], self._groups)]

    def _joint(self, places: Sequence[int]) -> Joint:
        return Joint.of({place: self._pieces[place] for place in places}, self.layout.literals, self._fills)

    def read(self, lines: Lines, rows: Ints) -> Found:
        """Which of these lines have this layout, if none of their strings holds a quote, and the values of those.

        They must be valid UTF-8, without backslashes and control characters.
        """
        rows, edges = self._edges(lines, *self._probed(lines, *lines.divided(rows, len(self.layout.keys) - 1)))
        values, quotes, good = self._cut(lines.data, edges)
        joined = [joint.read(self._texts(lines.data, edges, joint)) for joint in self._joints]
        for one in joined:
            fit = one.good()
            if fit is not None:
                good &= fit
        if not good.all():
            rows, quotes = rows[good], quotes[good]
            values = [one.filter(good) for one in values]
            joined = [one.filter(good) for one in joined]
        keys = self.layout.keys
        columns: dict[str, Any] = {keys[key]: one for key, one in zip(self._values.tolist(), values, strict=True)}
        typed: dict[str, Array] = {}
        for one in joined:
            quotes += one.quotes()
            one.fill(columns, typed)
        self._adapt(joined, len(rows))
        return Found(self.layout, rows, columns, typed, quotes)

    def _probed(self, lines: Lines, rows: Ints, commas: Positions) -> tuple[Ints, Positions]:
        """The lines whose first keys are this layout's, told by these before anything else of them is looked at."""
        every = max(1, len(rows) // PROBED_LINES)
        if self._begin(lines, rows[::every], commas[:, ::every]).all():
            return rows, commas
        good = self._begin(lines, rows, commas)
        return rows[good], commas[:, good]

    def _begin(self, lines: Lines, rows: Ints, commas: Positions) -> Bools:
        good = np.ones(len(rows), bool)
        for i, literal in enumerate(self.layout.literals[:-1][:PROBED]):
            at = lines.begins[rows] if i == 0 else commas[i - 1] - self._commas[i]
            good &= windows(lines.data, at, len(literal)) == np.void(literal)
        return good

    def _edges(self, lines: Lines, rows: Ints, commas: Positions) -> tuple[Ints, Positions]:
        """Where the literals of each line must begin, one row for each literal; lines in which nothing stands between two are left out."""
        edges = np.empty((len(self._sizes), len(rows)), np.int32)
        edges[0] = lines.begins[rows]
        np.subtract(commas, self._commas[1:-1, None], out=edges[1:-1])
        np.subtract(lines.ends[rows], self._sizes[-1], out=edges[-1])
        good: Bools = np.logical_and.reduce(edges[1:] - edges[:-1] > self._sizes[:-1, None], axis=0)
        # Of each value the eight bytes before its end are looked at.
        good[:1] &= edges[1, :1] >= WORD
        return (rows, edges) if good.all() else (rows[good], edges[:, good])

    def _cut(self, data: bytes, edges: Positions) -> tuple[list[Slices], npt.NDArray[np.int32], Bools]:
        """The values that are cut out, how many quotes stand around them and in the literals between two of them, and which lines have
        these literals and values.
        """
        words = words_at(data, edges[self._loaded] + self._shifts)
        held, tails = words[: len(self._held)], words[len(self._held) :]
        held ^= self._held
        held &= self._masks
        good: Bools = np.bitwise_or.reduce(held, axis=0) == 0
        starts = edges[self._values] + self._sizes[self._values, None]
        values, quotes = cut_out(data, starts, edges[self._values + 1], tails, good)
        quotes += np.int32(self._fixed_quotes)
        return values, quotes, good

    def _texts(self, data: bytes, edges: Positions, joint: Joint) -> Array:
        """The texts of a joint."""
        bounds = [self._pieces[place] for place in joint.places]
        return cut.joined(data, [(edges[a], edges[b] + self._sizes[b]) for a, b in bounds]).dictionary_encode()

    def _adapt(self, joined: Sequence[Joined], rows: int) -> None:
        """Cut out the values of joints whose texts hardly repeat; where a joint has several pieces, read these on their own first."""
        if rows < ENOUGH:
            return
        for one in joined:
            many = one.many()
            if many and len(one.joint.places) > 1:
                self._joints.remove(one.joint)
                self._joints += [self._joint([place]) for place in one.joint.places]
            elif many:
                self._cut_at(sorted({*many, *self._values.tolist()}))
                return


def _words(literal: bytes, *, is_first: bool) -> list[tuple[int, int, int]]:
    """Words of eight bytes that hold a literal: where each begins in it, its bytes as a number, and which of them are the literal's."""
    short = WORD - len(literal)
    if short <= 0:
        begins = sorted({*range(0, -short, WORD), -short})
        return [(begin, int.from_bytes(literal[begin : begin + WORD], "little"), (1 << 64) - 1) for begin in begins]
    # The first one has the line behind it, the others have it before them.
    before = 0 if is_first else 8 * short
    mask = (1 << 8 * len(literal)) - 1
    return [(0 if is_first else -short, int.from_bytes(literal, "little") << before, mask << before)]
