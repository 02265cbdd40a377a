"""The values of one key as slices of the chunk: typed as they stand where all have the usual shape, copied into strings where not.

What a method here cannot tell for every row it leaves (None) to the kernels of strings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logproc.columns import TEXT, WORD
from parsers import kernels
from parsers.arrow import Array, pa
from parsers.json_marks import Bools, Positions, windows
from parsers.json_numbers import Words, short_numbers
from parsers.start_time import TimeLayout

_KEPT = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""Of a word, its first n bytes."""
_ONES = int.from_bytes(b"\x01" * 8, "little")
_COLONS, _LOW = np.uint64(_ONES * 0x3A), np.uint64(_ONES * 0x7F)
_INTEGER = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}
_LONGEST_FIXED = 64
"""Bytes of values of one width that are copied side by side without Arrow."""
_HOST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")


@dataclass(frozen=True, slots=True)
class Slices:
    """Row i is `data[starts[i]:stops[i]]`, valid UTF-8; null where `there` is false (None: no null). `head`: its first eight bytes
    and what follows them, where that is known.
    """

    data: bytes
    starts: Positions
    stops: Positions
    there: Bools | None
    head: Words | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def filter(self, mask: Bools) -> Slices:
        """Only the rows where `mask` is true."""
        there = None if self.there is None else self.there[mask]
        head = None if self.head is None else self.head[mask]
        return Slices(self.data, self.starts[mask], self.stops[mask], there, head)

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
        if self.head is not None and len(self):
            lengths = self.stops - self.starts
            if there is not None:
                lengths = np.where(there, lengths, 0)
            if int(lengths.max()) <= 8:
                return _short_words(self.head & _KEPT[lengths], there)
        return self.texts().dictionary_encode()

    def numbers(self, bits: int) -> Array | None:
        """As unsigned numbers."""
        if self.head is None:
            return None
        values, good = short_numbers(self.head, self.stops - self.starts)
        if self.there is not None:
            good |= ~self.there
        if not good.all():
            return None
        if self.there is not None:
            values[~self.there] = 0
        if bits < 32 and int(values.max(initial=0)) >= 1 << bits:
            return None
        kind = _INTEGER[bits]
        known = np.ones(len(values), bool) if self.there is None else self.there
        return kernels.masked(values.astype(f"u{bits // 8}"), kind, known)

    def times(self, layout: TimeLayout) -> npt.NDArray[np.int64] | None:
        """As microseconds since 1970."""
        cells = self._cells(_LONGEST_FIXED)
        if cells is None:
            return None
        found, good = layout.column(cells)
        return found if good.all() else None

    def addresses(self) -> tuple[Array, Array] | None:
        """`name:port` as names (dictionary) and ports."""
        there = self.there
        if there is not None and not there.any():
            return pa.nulls(len(self), WORD), pa.nulls(len(self), pa.uint16())
        tail = windows(self.data, np.maximum(self.stops - 8, 0), 8).view("<u8")
        other = tail ^ _COLONS
        colons = ~(((other & _LOW) + _LOW) | other | _LOW)
        # The highest bit that is set is the last colon's; a float's exponent tells its place.
        last = ((colons >> np.uint64(7)).astype(np.float64).view(np.int64) >> 52) - 1023
        digits = (56 - last) >> 3
        good = (colons != 0) & (digits >= 1) & (digits <= 5)
        digits = np.where(good, digits, 1)
        ports, numeric = short_numbers(tail >> (64 - 8 * digits).astype(np.uint64), digits)
        ends = self.stops - (digits + 1).astype(np.int32)
        good &= numeric & (ports <= kernels.MAX_PORT) & (ends > self.starts)
        if not (good if there is None else good | ~there).all():
            return None
        if there is not None:
            ends = np.where(there, ends, self.starts)
        names = _cut(self.data, self.starts, ends, there).dictionary_encode()
        if not _HOST.issuperset("".join(names.dictionary.to_pylist())):
            return None
        known = np.ones(len(self), bool) if there is None else there
        return names, kernels.masked(ports.astype(np.uint16), pa.uint16(), known)

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
