"""JSON objects with the same keys in the same order and nesting, which is what one configuration prints, cut at their commas all at once.

Between two members stands a comma before a quote, and nowhere else as long as no string ends with a comma. So each line of a layout has
the same number of them, and from their places follows where every value must stand. Values of any text (paths, times, numbers) are cut
out; what stands between two of them, keys and values with few distinct texts, is one piece. Pieces repeat from line to line, so each
distinct one is looked at once: it must be the keys, byte for byte, with whole values between them. The pieces and the values cut out
leave no byte of a line over. That no string holds a quote of its own, the number of quotes shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import TEXT, WORD
from parsers import kernels
from parsers.arrow import pa
from parsers.json_marks import QUOTE, Bools, Ints, Lines, Positions, windows
from parsers.json_numbers import Words, whole_numbers
from parsers.json_object import MAX_DEPTH
from parsers.json_slices import Slices
from parsers.values import MISSING

MAX_MEMBERS = 256
"""Members of an object that is read here."""

_KEY = re.compile(rb'"([^"\\]{1,64}+)":')
_VALUE = re.compile(rb'(?:"[^"\\]*+"|[-+.0-9A-Za-z]++)(}*+)(,?)')
_LITERAL = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false"
_BARE = re.compile(_LITERAL)
_WORD = b'("[^"]*"|null|%s)' % _LITERAL
_NULL = int.from_bytes(b"null", "little")
_BYTE, _FOUR = np.uint64(0xFF), np.uint64(0xFFFFFFFF)
PROBED = 2
"""Keys by which lines of other layouts are told apart."""
PROBED_LINES = 64
KNOWN_PIECES = 1 << 14
"""Pieces of a layout that are remembered from chunk to chunk."""
ENOUGH = 1024
"""Lines that show how often pieces repeat."""
OFTEN = 4
"""Lines to a distinct piece, at least, so that looking at pieces pays; values of pieces with fewer are cut out from then on."""


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
    columns: dict[str, Any]
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
        return Found(self.layout, self.rows[mask], columns, self.quotes[mask])


class LayoutReader:
    """Reads lines of one layout. `is_word` tells for each key whether its values have few distinct texts."""

    def __init__(self, layout: Layout, is_word: Callable[[str], bool]) -> None:
        self.layout = layout
        counts = [literal.count(b',"') for literal in layout.literals]
        self.possible = counts == [0, *[1] * (len(counts) - 2), 0]
        """Whether commas before quotes tell its members apart: no key ends with a comma."""
        self._sizes = np.array([len(literal) for literal in layout.literals], np.int32)
        # Where the comma stands in each literal: behind the brackets that close objects.
        self._commas = np.array([literal.find(b',"') for literal in layout.literals], np.int32)
        self._cut_at([i for i, key in enumerate(layout.keys) if not is_word(key)])

    def _cut_at(self, values: list[int]) -> None:
        """Cut out the values of these keys."""
        self._values = np.array(values, np.int64)
        self._pieces = _pieces(self.layout, values)
        self._known: list[dict[bytes, _Piece | None]] = [{} for _ in self._pieces]

    def read(self, lines: Lines, rows: Ints) -> Found:
        """Which of these lines have this layout, if none of their strings holds a quote, and the values of those.

        They must be valid UTF-8, without backslashes and control characters.
        """
        rows, commas = self._probed(lines, *lines.divided(rows, len(self.layout.keys) - 1))
        edges = np.empty((len(rows), len(self.layout.keys) + 1), np.int32)
        edges[:, 0] = lines.begins[rows]
        np.subtract(commas, self._commas[1:-1], out=edges[:, 1:-1])
        edges[:, -1] = lines.ends[rows] - self._sizes[-1]
        starts = edges[:, self._values] + self._sizes[self._values]
        stops = edges[:, self._values + 1]
        text = np.frombuffer(lines.data, np.uint8)
        quoted = text.take(starts, mode="clip") == QUOTE
        starts += quoted
        stops -= quoted
        bounds = np.empty((len(rows), 2 * len(self._values) + 2), np.int32)
        bounds[:, 0], bounds[:, -1] = edges[:, 0], lines.ends[rows]
        bounds[:, 1:-1:2], bounds[:, 2:-1:2] = starts, stops
        good = (bounds[:, 1:] >= bounds[:, :-1]).all(axis=1)
        if not good.all():
            rows, bounds, quoted = rows[good], bounds[good], quoted[good]
            starts, stops = starts[good], stops[good]
        codes, texts = _distinct(lines.data, bounds)
        places = np.zeros(len(texts), np.int32)
        for i in range(len(self._pieces)):
            places[codes[:, i]] = i
        found = [
            self._known[place].get(text) or self._piece(place, text)
            for place, text in zip(places.tolist(), texts, strict=True)
        ]
        cut = _cut(lines.data, starts, stops, quoted)
        good = cut.good
        # A text at a place that is not its own is one of the last place where it stands, and no line needs it elsewhere.
        if None in found or not (places[codes] == np.arange(len(self._pieces), dtype=np.int32)).all():
            known = np.array([piece is not None for piece in found], bool)
            good = good & ((places[codes] == np.arange(len(self._pieces))) & known[codes]).all(axis=1)
        if not good.all():
            rows, codes = rows[good], codes[good]
            cut = cut.filter(good)
        marks = np.array([0 if piece is None else piece.quotes for piece in found], np.int32)
        quotes = marks[codes].sum(axis=1, dtype=np.int32)
        columns: dict[str, Any] = {
            self.layout.keys[key]: cut.slices(lines.data, i) for i, key in enumerate(self._values)
        }
        for i, piece in enumerate(self._pieces):
            some = np.flatnonzero(places == i)
            read = [found[code] for code in some.tolist()]
            code = np.ascontiguousarray(codes[:, i])
            for number, key in enumerate(piece.keys):
                words = [None if one is None else one.words[number] for one in read]
                columns[self.layout.keys[key]] = _words(code, some, words, len(texts))
        self._adapt(places, len(rows))
        return Found(self.layout, rows, columns, quotes)

    def _probed(self, lines: Lines, rows: Ints, commas: Positions) -> tuple[Ints, Positions]:
        """The lines whose first keys are this layout's, told by these before anything else of them is looked at."""
        every = max(1, len(rows) // PROBED_LINES)
        if self._begin(lines, rows[::every], commas[::every]).all():
            return rows, commas
        good = self._begin(lines, rows, commas)
        return rows[good], commas[good]

    def _begin(self, lines: Lines, rows: Ints, commas: Positions) -> Bools:
        good = np.ones(len(rows), bool)
        for i, literal in enumerate(self.layout.literals[:-1][:PROBED]):
            at = lines.begins[rows] if i == 0 else commas[:, i - 1] - self._commas[i]
            good &= windows(lines.data, at, len(literal)) == np.void(literal)
        return good

    def _piece(self, place: int, text: bytes) -> _Piece | None:
        """What a piece at a place tells; None where it is none of this layout's."""
        known = self._known[place]
        if text not in known:
            if len(known) >= KNOWN_PIECES:
                known.clear()
            known[text] = self._pieces[place].read(text)
        return known[text]

    def _adapt(self, places: npt.NDArray[np.int32], rows: int) -> None:
        """Cut out the values of pieces that hardly repeat."""
        if rows < ENOUGH:
            return
        many = [i for i, count in enumerate(np.bincount(places).tolist()) if count * OFTEN > rows]
        keys = {key for i in many for key in self._pieces[i].keys}
        if keys:
            self._cut_at(sorted(keys | set(self._values.tolist())))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text between two values: its own values in the order of their keys, and its quotes."""

    words: tuple[str | None, ...]
    quotes: int


@dataclass(frozen=True, slots=True)
class _PieceReader:
    """Reads the pieces of one place. `keys`: the numbers of the keys whose values stand in it."""

    keys: tuple[int, ...]
    pattern: re.Pattern[bytes]

    def read(self, text: bytes) -> _Piece | None:
        """The piece; None for any other text."""
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        return _Piece(tuple(_word(value) for value in found.groups()), text.count(b'"'))


def _word(value: bytes) -> str | None:
    if value in (b"null", b'"-"'):
        return None
    return (value[1:-1] if value.startswith(b'"') else value).decode()


def _pieces(layout: Layout, values: Sequence[int]) -> list[_PieceReader]:
    """What stands before, between and behind the values that are cut out, with the quotes around these."""
    found: list[_PieceReader] = []
    first = 0
    for place, value in enumerate([*values, len(layout.keys)]):
        keys = tuple(range(first, value))
        literals = [re.escape(one) for one in layout.literals[first : value + 1]]
        before, behind = b'"?' if place else b"", b'"?' if value < len(layout.keys) else b""
        found.append(_PieceReader(keys, re.compile(before + _WORD.join(literals) + behind)))
        first = value + 1
    return found


def _distinct(data: bytes, bounds: Positions) -> tuple[npt.NDArray[np.int32], list[bytes]]:
    """The pieces `[bounds[i, 0], bounds[i, 1])`, `[bounds[i, 2], bounds[i, 3])` and so on as numbers of distinct texts, line by line."""
    rows, width = bounds.shape
    if rows == 0:
        return np.empty((0, width // 2), np.int32), []
    flat = bounds.reshape(-1)
    every = pa.StringArray.from_buffers(len(flat) - 1, pa.py_buffer(flat), pa.py_buffer(data))
    places = pa.py_buffer(np.arange(0, len(flat), 2, dtype=np.int32))
    found = every.take(pa.Array.from_buffers(pa.int32(), len(flat) // 2, [None, places])).dictionary_encode()
    return kernels.codes(found).reshape(rows, -1), found.dictionary.cast(pa.binary()).to_pylist()


def _words(code: npt.NDArray[np.int32], codes: Ints, words: Sequence[str | None], size: int) -> Any:
    """A dictionary column: of each row's code, one of `codes`, the word; there are `size` codes in all."""
    distinct = pa.array(words, TEXT).dictionary_encode()
    if len(distinct.dictionary) == 0:
        return pa.nulls(len(code), WORD)
    table = np.empty(size, np.int32)
    table[codes] = kernels.codes(distinct)
    there = kernels.valid(distinct)
    if there is None:
        return kernels.word(table[code], distinct.dictionary)
    known = np.zeros(size, bool)
    known[codes] = there
    return kernels.word(table[code], distinct.dictionary, known[code])


@dataclass(frozen=True, slots=True)
class _Cut:
    """Values by line and key: where they start and stop without their quotes, whether they are there, their first bytes; by line whether
    all of them are values.
    """

    starts: Positions
    stops: Positions
    there: Bools
    heads: Words
    good: Bools

    def filter(self, mask: Bools) -> _Cut:
        """Only the lines where `mask` is true."""
        return _Cut(self.starts[mask], self.stops[mask], self.there[mask], self.heads[mask], self.good[mask])

    def slices(self, data: bytes, number: int) -> Slices:
        """The values of one key."""
        there = np.ascontiguousarray(self.there[:, number])
        return Slices(
            data,
            np.ascontiguousarray(self.starts[:, number]),
            np.ascontiguousarray(self.stops[:, number]),
            None if there.all() else there,
            np.ascontiguousarray(self.heads[:, number]),
        )


def _cut(data: bytes, starts: Positions, stops: Positions, quoted: Bools) -> _Cut:
    heads = windows(data, starts.reshape(-1), 8).view("<u8").reshape(starts.shape)
    lengths = stops - starts
    null = (heads & _FOUR) == _NULL
    null &= lengths == len("null")
    null &= ~quoted
    dash = (heads & _BYTE) == ord(MISSING)
    dash &= lengths == 1
    bare = ~(quoted | null)
    good = np.ones(len(starts), bool)
    for i in np.flatnonzero(bare.any(axis=0)).tolist():
        good &= _literals(data, starts[:, i], stops[:, i], heads[:, i], bare[:, i])
    return _Cut(starts, stops, ~(null | dash), heads, good)


def _literals(data: bytes, starts: Positions, stops: Positions, head: Words, which: Bools) -> Bools:
    """Whether those of the values that are told are numbers, `true` or `false`."""
    lengths = stops - starts
    following = head
    if (lengths > 8).any():
        following = windows(data, starts + np.int32(8), 8).view("<u8")
    good = whole_numbers(head, following, lengths)
    good |= ~which
    for row in np.flatnonzero(~good & (lengths > 0)).tolist():
        good[row] = _BARE.fullmatch(data, starts[row], stops[row]) is not None
    return good
