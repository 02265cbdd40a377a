"""Flat JSON objects with the same keys in the same order, which is what one configuration prints: Arrow's CSV tokenizer reads them.

The colon is the delimiter and the quote quotes, so a string after a key is one cell, its own colons included, with what follows it up to
the next key's colon: `"authority":"a:80","method":"GET"}` is `"authority"`, `a:80,"method"` and `GET}`. A cell must end with exactly what
the layout has there, and no value holds a quote: then the line can be read in one way only. What the tokenizer loses is whether there
were quotes around `null`; lines with such a string must be left out.
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
from parsers.values import MISSING

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NULL = "null"
NULL_STRING = re.compile(b':"null"')
"""What no line may hold that is read by a layout."""

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
    """The cell of a key's value, and what stands behind the value in it."""

    key: str
    cell: int
    suffix: str


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
                self._values.append(_Value(layout.keys[i - 1], cell, first))
            else:
                self._constants.append((cell, first))
            for text in further:
                cell += 1
                self._constants.append((cell, text))
        self.possible = not any(text.startswith('"') for _, text in self._constants)
        self._names = [str(i) for i in range(cell + 1)]
        types: dict[str, Any] = {str(c): WORD for c, _ in self._constants}
        types |= {str(v.cell): WORD if is_word(v.key) else TEXT for v in self._values}
        self._options = pa_csv.ConvertOptions(check_utf8=False, strings_can_be_null=False, column_types=types)

    def read(self, data: bytes, lines: int) -> tuple[Bools, dict[str, Any]]:
        """Which of the lines of `data` have this layout, and the columns of those: text or dictionary, null for `null` and `-`."""
        refused: list[int] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            refused.append(row.number - 1)
            return "skip"

        table = pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._names),
            pa_csv.ParseOptions(**_TOKENS, ignore_empty_lines=False, invalid_row_handler=refuse),
            self._options,
        )
        taken = np.ones(lines, bool)
        taken[refused] = False
        good = np.ones(table.num_rows, bool)
        for cell, text in self._constants:
            array = _one(table, cell)
            good &= np.array([t == text for t in array.dictionary.to_pylist()], bool)[kernels.codes(array)]
        columns: dict[str, Any] = {}
        for value in self._values:
            array = _one(table, value.cell)
            cut = _cut_words if isinstance(array, pa.DictionaryArray) else _cut_texts
            columns[value.key], fits = cut(array, value.suffix)
            if fits is not None:
                good &= fits
        if not good.all():
            at = pa.array(np.flatnonzero(good))
            columns = {key: array.take(at) for key, array in columns.items()}
            taken[taken] = good
        return taken, columns


def _one(table: pa.Table, number: int) -> Any:
    column = table.column(number)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _cut_words(array: Any, suffix: str) -> tuple[Any, Bools | None]:
    """The values before `suffix`, distinct value by distinct value, and which rows fit (None: all)."""
    texts: list[str] = array.dictionary.to_pylist()
    cut = [t[: len(t) - len(suffix)] for t in texts]
    fits = np.array(
        [t.endswith(suffix) and '"' not in c and c == c.strip(" ") for t, c in zip(texts, cut, strict=True)], bool
    )
    words = kernels.mapped(array, [None if c in (NULL, MISSING) else c for c in cut])
    return words, None if fits.all() else fits[kernels.codes(array)]


def _cut_texts(array: Any, suffix: str) -> tuple[Any, Bools | None]:
    """The values before `suffix`, and which rows fit (None: all)."""
    rows, end = len(array), suffix.encode()
    ends, data = kernels.parts(array)
    starts, stops = ends[:-1], ends[1:] - len(end)
    fits = stops >= starts
    if rows == 0 or not fits.any():
        return array, fits
    if len(end) >= 8:
        words = np.ndarray((len(data) - 7,), np.dtype("<u8"), data, strides=(1,))
        for at in range(0, len(end), 8):
            begin = min(at, len(end) - 8)  # the last word overlaps the one before it
            fits &= words[np.maximum(stops + begin, 0)] == int.from_bytes(end[begin : begin + 8], "little")
    else:
        for at, byte in enumerate(end):
            fits &= data[np.maximum(stops + at, 0)] == byte
    used = data[ends[0] : ends[-1]] == ord('"')
    if np.count_nonzero(used) != rows * suffix.count('"'):
        quotes = np.concatenate((np.zeros(1, np.int32), np.cumsum(used, dtype=np.int32)))
        fits &= np.diff(quotes[ends - ends[0]]) == suffix.count('"')
    length = stops - starts
    first = data[np.minimum(starts, len(data) - 1)]
    fits &= ((first != ord(" ")) & (data[np.maximum(stops - 1, 0)] != ord(" "))) | (length == 0)
    null = (length == 1) & (first == ord(MISSING))
    four = np.flatnonzero((length == len(NULL)) & (first == ord(NULL[0])))
    if len(four):
        null[four] = (data[starts[four][:, None] + np.arange(len(NULL))] == np.frombuffer(NULL.encode(), np.uint8)).all(
            axis=1
        )
    bounds = np.empty(2 * rows, np.int32)
    bounds[0::2], bounds[1::2] = starts, stops
    pieces: Any = pa.StringArray.from_buffers(2 * rows - 1, pa.py_buffer(bounds), array.buffers()[2])
    places = np.arange(0, 2 * rows, 2, dtype=np.int32)
    bitmap = pa.py_buffer(np.packbits(~null, bitorder="little")) if null.any() else None
    cut = pieces.take(pa.Array.from_buffers(pa.int32(), rows, [bitmap, pa.py_buffer(places)]))
    return cut, None if fits.all() else fits
