"""Flat JSON objects with the same keys in the same order, which is what one configuration prints: Arrow's CSV tokenizer reads them.

The colon is the delimiter and the quote quotes, so a string after a key is one cell, its own colons included, with what follows it up to
the next key's colon: `"authority":"a:80","method":"GET"}` is `"authority"`, `a:80,"method"` and `GET}`. A cell must end with exactly what
the layout has there, and no value holds a quote. The quotes that the tokenizer drops are looked up where they must stand, at places
that follow from the lengths of the cells; so a string `null` is told from `null`, and nothing can hide between a string and the comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import TEXT, WORD
from parsers import kernels
from parsers.arrow import pa, pa_csv
from parsers.json_numbers import whole_numbers
from parsers.values import MISSING

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NULL = "null"

_MEMBER = re.compile(rb'"([^"\\]{1,64}+)":(?:"[^"\\]*+"|[-+.0-9A-Za-z]++)([,}])')
_TOKENS = {
    "delimiter": ":",
    "quote_char": '"',
    "double_quote": False,
    "escape_char": False,
    "newlines_in_values": False,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of an object in their order."""

    keys: tuple[str, ...]

    @classmethod
    def of_line(cls, line: bytes) -> Layout | None:
        """The layout of a line without frame and newline; None for what is not flat, or has a key twice."""
        keys, at = list[str](), 1
        if not line.startswith(b'{"'):
            return None
        while at < len(line):
            found = _MEMBER.match(line, at)
            if found is None:
                return None
            keys.append(found[1].decode(errors="replace"))
            at = found.end()
            if found[2] == b"}":
                break
        return cls(tuple(keys)) if at == len(line) and len(set(keys)) == len(keys) else None


@dataclass(frozen=True, slots=True)
class _Value:
    """The cell of a key's value, what stands behind the value in it, and how many bytes come after the value, with the next colon."""

    key: str
    cell: int
    suffix: str
    after: int


class LayoutReader:
    """Reads lines of one layout. `is_word` tells for each key whether its values are worth a dictionary."""

    def __init__(self, layout: Layout, is_word: Callable[[str], bool]) -> None:
        self._constants: list[tuple[int, str]] = []
        self._values: list[_Value] = []
        literals = ['{"' + layout.keys[0] + '"', *(f',"{key}"' for key in layout.keys[1:]), "}"]
        cell = -1
        for i, literal in enumerate(literals):
            # A key can hold colons of its own, as `:authority` does.
            first, *further = literal.split(":")
            cell += 1
            if i:
                last = i + 1 == len(literals)
                self._values.append(_Value(layout.keys[i - 1], cell, first, len(literal.encode()) + (not last)))
            else:
                self._constants.append((cell, first))
                self._first = len(literal.encode()) + 1
            for text in further:
                cell += 1
                self._constants.append((cell, text))
        self.possible = not any(text.startswith('"') for _, text in self._constants)
        self._names = [str(i) for i in range(cell + 1)]
        types: dict[str, Any] = {str(c): WORD for c, _ in self._constants}
        types |= {str(v.cell): WORD if is_word(v.key) else TEXT for v in self._values}
        self._options = pa_csv.ConvertOptions(check_utf8=False, strings_can_be_null=False, column_types=types)

    def read(self, data: bytes, begins: Ints, ends: Ints) -> tuple[Bools, dict[str, Any]] | None:
        """Which of the lines of `data` have this layout, and the columns of those: text or dictionary, null for `null` and `-`.

        None where a quote without another one makes a cell of the newline: which line is which is not known then. Line i is the object at `[begins[i], ends[i])` and a newline. No line holds a backslash or another control character.
        """
        refused: list[int] = []

        def refuse(row: Any) -> str:
            refused.append(row.number - 1)
            return "skip"

        table = pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._names),
            pa_csv.ParseOptions(**_TOKENS, ignore_empty_lines=False, invalid_row_handler=refuse),
            self._options,
        )
        if table.num_rows + len(refused) != len(begins):
            return None
        taken = np.ones(len(begins), bool)
        taken[refused] = False
        good = np.ones(table.num_rows, bool)
        for cell, constant in self._constants:
            array = _one(table, cell)
            good &= np.array([t == constant for t in array.dictionary.to_pylist()], bool)[kernels.codes(array)]
        text, limit = np.frombuffer(data, np.uint8), len(data) - 1
        at = begins[taken] + self._first
        columns: dict[str, Any] = {}
        for value in self._values:
            array = _one(table, value.cell)
            cut = _cut_words if isinstance(array, pa.DictionaryArray) else _cut_texts
            quoted = text[np.minimum(at, limit)] == ord('"')
            found = cut(array, value.suffix, quoted)
            good &= found.fits
            if found.bare is None:
                good &= text[np.minimum(at + found.lengths + 1, limit)] == ord('"')
            else:
                closed = text[np.minimum(at + found.lengths + 1, limit)] == ord('"')
                good &= np.where(quoted, closed, found.bare)
            if found.null is not None:
                good &= ~(quoted & found.null)
            at += found.lengths
            at += quoted
            at += quoted
            at += value.after
            columns[value.key] = found.array
        good &= at == ends[taken]
        if not good.all():
            rows = pa.array(np.flatnonzero(good))
            columns = {key: array.take(rows) for key, array in columns.items()}
            taken[taken] = good
        return taken, columns


@dataclass(frozen=True, slots=True)
class _Cut:
    """The values of a column of cells: which cells fit, their values' lengths, which are the word `null` (None: none), and, unless all are
    quoted, which may stand without quotes.
    """

    array: Any
    fits: Bools
    lengths: Ints
    null: Bools | None
    bare: Bools | None


def _one(table: Any, number: int) -> Any:
    column = table.column(number)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


_BARE = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def _cut_words(array: Any, suffix: str, quoted: Bools) -> _Cut:
    """The values before `suffix`, distinct value by distinct value."""
    texts: list[str] = array.dictionary.to_pylist()
    size, marks, code = len(suffix), suffix.count('"'), kernels.codes(array)
    fits = np.array([t.endswith(suffix) and t.count('"') == marks for t in texts], bool)
    cut = [t[: len(t) - size] for t in texts]
    lengths = kernels.printed_lengths(array) - len(suffix.encode())
    null = np.array([c == NULL for c in cut], bool)
    bare = None if quoted.all() else np.array([_BARE.fullmatch(c) is not None for c in cut], bool)[code]
    words = kernels.mapped(array, [None if c in (NULL, MISSING) else c for c in cut])
    return _Cut(words, fits[code], lengths, null[code] if null.any() else None, bare)


def _cut_texts(array: Any, suffix: str, quoted: Bools) -> _Cut:
    """The values before `suffix`; of values without quotes only whole numbers and `null` are good."""
    rows, end = len(array), suffix.encode()
    ends, data = kernels.parts(array)
    starts, stops = ends[:-1], ends[1:] - len(end)
    fits = stops >= starts
    if not fits.all():
        stops = np.maximum(stops, starts)
    lengths = stops - starts
    fits &= _stands(data, stops, end)
    used = data[ends[0] : ends[-1]]
    marks = used == ord('"')
    if np.count_nonzero(marks) != rows * suffix.count('"'):
        fits &= np.diff(np.concatenate((np.zeros(1, np.int64), np.cumsum(marks)))[ends - ends[0]]) == suffix.count('"')
    first = data[np.minimum(starts, len(data) - 1)]
    missing = (lengths == 1) & (first == ord(MISSING))
    four = np.flatnonzero((lengths == len(NULL)) & (first == ord(NULL[0])))
    null = None
    if len(four):
        null = np.zeros(rows, bool)
        null[four] = _stands(data, starts[four], NULL.encode())
        missing |= null
    bare = None
    if not quoted.all():
        bare = np.zeros(rows, bool) if null is None else null.copy()
        rest = np.flatnonzero(~(quoted | bare) & (starts <= len(data) - 8))
        if len(rest):
            bare[rest] = whole_numbers(_words(data), starts[rest], stops[rest])
    bounds = np.empty(2 * rows, np.int32)
    bounds[0::2], bounds[1::2] = starts, stops
    pieces = pa.StringArray.from_buffers(max(2 * rows - 1, 0), pa.py_buffer(bounds), array.buffers()[2])
    bitmap = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    places = pa.py_buffer(np.arange(0, 2 * rows, 2, dtype=np.int32))
    return _Cut(
        pieces.take(pa.Array.from_buffers(pa.int32(), rows, [bitmap, places])),
        fits,
        lengths.astype(np.int64),
        null,
        bare,
    )


def _stands(data: npt.NDArray[np.uint8], at: Any, literal: bytes) -> Bools:
    """Whether `literal` stands in `data` at each of these places."""
    found = np.ones(len(at), bool)
    if len(literal) < 8 or len(data) < 8:
        for i, byte in enumerate(literal):
            found &= data[np.minimum(at + i, len(data) - 1)] == byte
        return found
    words = _words(data)
    for i in range(0, len(literal), 8):
        begin = min(i, len(literal) - 8)  # the last word overlaps the one before it
        found &= words[np.minimum(at + begin, len(data) - 8)] == int.from_bytes(literal[begin : begin + 8], "little")
    return found


def _words(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Element i holds the eight bytes from i on."""
    return np.ndarray((len(data) - 7,), np.dtype("<u8"), data, strides=(1,))
