"""The values of one key as slices of the chunk: typed as they stand where all have the usual shape, copied into strings where not.

What a method here cannot tell for every row it leaves (None) to the kernels of strings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logproc.columns import TEXT, WORD
from parsers import kernels
from parsers.arrow import Array, pa
from parsers.json_marks import Bools, Ints, Positions, windows
from parsers.json_numbers import Words, short_numbers
from parsers.start_time import TimeLayout

_BEFORE = np.array([64 - 8 * n for n in range(9)], np.uint64)
"""By length: the bits of the word that ends with a text that are no part of it."""
_ONES = int.from_bytes(b"\x01" * 8, "little")
_COLONS, _LOW = np.uint64(_ONES * 0x3A), np.uint64(_ONES * 0x7F)
_SURE_TAIL = 7
"""Bytes of a value that its tail has for certain."""
_PORT_DIGITS, _LONGEST_NUMBER, _UUID_BYTES = 5, 20, 36
MOST_LONG = 8
"""Numbers of more digits than a tail has are read one by one if no more than one of so many is such."""
_LONGEST_FIXED = 64
"""Bytes of values of one width that are copied side by side without Arrow."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Row i is `data[starts[i]:stops[i]]`, valid UTF-8; null where `there` is false (None: no null).

    `tails`: the last seven or eight bytes before `stops` as a number, the last one the highest. `read`: the numbers of those that are
    digits enough to stand in `tails`, and which are, where that is known.
    """

    data: bytes
    starts: Positions
    stops: Positions
    there: Bools | None
    tails: Words
    read: tuple[Words, Bools] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def filter(self, mask: Bools) -> Slices:
        """Only the rows where `mask` is true."""
        there = None if self.there is None else self.there[mask]
        read = None if self.read is None else (self.read[0][mask], self.read[1][mask])
        return Slices(self.data, self.starts[mask], self.stops[mask], there, self.tails[mask], read)

    def texts(self) -> Array:
        """As strings."""
        rows = len(self)
        if self.there is not None and not self.there.any():
            return pa.nulls(rows, TEXT)
        cells = self._cells(_LONGEST_FIXED)
        if cells is not None:
            offsets = np.arange(0, (rows + 1) * cells.shape[1], cells.shape[1], dtype=np.int32)
            return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(cells))
        return _cut(self.data, self.starts, self.stops, self.there)

    def words(self) -> Array:
        """As a dictionary of strings."""
        there = self.there
        if there is not None and not there.any():
            return pa.nulls(len(self), WORD)
        lengths = self.stops - self.starts
        if there is not None:
            lengths = np.where(there, lengths, 0)
        if 0 <= int(lengths.max(initial=-1)) <= _SURE_TAIL:
            return _short_words(self.tails >> _BEFORE[lengths], there)
        return self.texts().dictionary_encode()

    def numbers(self, bits: int) -> Array | None:
        """As unsigned numbers."""
        values, good = self.read or short_numbers(self.tails, self.stops - self.starts)
        there = self.there
        wrong = ~good if there is None else there & ~good
        if wrong.any():
            rest = np.flatnonzero(wrong)
            if len(rest) > len(self) // MOST_LONG:
                return None
            for row in rest.tolist():
                text = self.data[self.starts[row] : self.stops[row]]
                if not text.isdigit() or len(text) > _LONGEST_NUMBER or int(text) >= 1 << bits:
                    return None
                values[row] = int(text)
        if there is not None:
            values[~there] = 0
        if bits < 32 and int(values.max(initial=0)) >= 1 << bits:
            return None
        whole = values.astype(f"u{bits // 8}")
        if there is None:
            return pa.Array.from_buffers(kernels.INTEGER[bits], len(self), [None, pa.py_buffer(whole)])
        return kernels.masked(whole, kernels.INTEGER[bits], there)

    def times(self, layout: TimeLayout) -> npt.NDArray[np.int64] | None:
        """As microseconds since 1970."""
        cells = self._cells(_LONGEST_FIXED)
        if cells is None:
            return None
        found, good = layout.column(cells)
        return found if good.all() else None

    def addresses(self, read: Callable[[str], tuple[str | None, int | None]]) -> tuple[Array, Array]:
        """`name:port` as names (dictionary) and ports. What is not plainly that is left to `read`, value by value."""
        there = self.there
        if there is not None and not there.any():
            return pa.nulls(len(self), WORD), pa.nulls(len(self), pa.uint16())
        tail = self.tails
        other = tail ^ _COLONS
        colons = ~(((other & _LOW) + _LOW) | other | _LOW)
        # The highest bit that is set is the last colon's; a float's exponent tells its place.
        last = ((colons >> np.uint64(7)).astype(np.float64).view(np.int64) >> 52) - 1023
        digits = ((56 - last) >> 3).astype(np.int32)
        ports, plain = short_numbers(tail, digits)
        ends = self.stops - (digits + np.int32(1))
        plain &= (colons != 0) & (digits <= _PORT_DIGITS) & (ports <= kernels.MAX_PORT) & (ends > self.starts)
        if not plain.all():
            ends = np.where(plain, ends, self.stops)
        names = _cut(self.data, self.starts, ends, there).dictionary_encode()
        return kernels.addresses(names, ports, plain, there, lambda rows: self._only(rows).texts(), read)

    def uuids(self) -> tuple[Array, Array | None]:
        """UUIDs as 16 bytes; the second array has the values that are none (None where all are)."""
        there = self.there
        fits = self.stops - self.starts == _UUID_BYTES
        if there is not None:
            fits &= there
        rows = None if fits.all() else np.flatnonzero(fits)
        starts = self.starts if rows is None else self.starts[rows]
        cells = windows(self.data, starts, _UUID_BYTES).view(np.uint8).reshape(-1, _UUID_BYTES)
        ids, known = kernels.uuid_cells(cells, rows, len(self))
        if known is None or (known if there is None else known | ~there).all():
            return ids, None
        return ids, kernels.with_null_texts(self.texts(), known)

    def _only(self, rows: Ints) -> Slices:
        """These rows."""
        there = None if self.there is None else self.there[rows]
        return Slices(self.data, self.starts[rows], self.stops[rows], there, self.tails[rows])

    def _cells(self, longest: int) -> npt.NDArray[np.uint8] | None:
        """The bytes of values of one width, no longer than that, row by row."""
        if self.there is not None or len(self) == 0:
            return None
        width = int(self.stops[0] - self.starts[0])
        if not 0 < width <= longest or (self.stops - self.starts != width).any():
            return None
        cells: npt.NDArray[np.uint8] = windows(self.data, self.starts, width).view(np.uint8).reshape(-1, width)
        return cells


def _cut(data: bytes, starts: Positions, stops: Positions, there: Bools | None) -> Array:
    """Slices that follow each other, as strings: an array of them and of what lies between by turns, of which Arrow takes every other."""
    rows = len(starts)
    bounds = np.empty(2 * rows, np.int32)
    bounds[0::2], bounds[1::2] = starts, stops
    pieces = pa.StringArray.from_buffers(max(2 * rows - 1, 0), pa.py_buffer(bounds), pa.py_buffer(data))
    bitmap = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    places = pa.py_buffer(np.arange(0, 2 * rows, 2, dtype=np.int32))
    return pieces.take(pa.Array.from_buffers(pa.int32(), rows, [bitmap, places]))


def _short_words(keys: Words, there: Bools | None) -> Array:
    """A dictionary of words of up to eight bytes, which one number holds: no word has a zero byte."""
    if there is None and (keys == keys[0]).all():
        return kernels.word(np.zeros(len(keys), np.int32), pa.array([_text(int(keys[0]))], TEXT))
    found = pa.array(keys).dictionary_encode()
    texts = pa.array([_text(key) for key in found.dictionary.to_pylist()], TEXT)
    return kernels.word(kernels.codes(found), texts, there)


def _text(key: int) -> str:
    return key.to_bytes(8, "little").rstrip(b"\0").decode()
