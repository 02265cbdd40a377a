"""One field of many lines, typed from where it stands in the chunk, without cutting it out where that can be spared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import UUID
from parsers import cut, kernels
from parsers.arrow import Array, pa
from parsers.kernels import Bytes, Mask
from parsers.start_time import TimeLayout

Positions = npt.NDArray[np.int32]

_MISSING = 45
"""`-`"""
_WORD = 8
UUID_BYTES = 36


@dataclass(frozen=True, slots=True)
class Pieces:
    """`data[left:right]` of each line; `content` is `data` as numbers."""

    data: bytes
    content: Bytes
    left: Positions
    right: Positions

    def missing(self) -> Mask | None:
        """Which are Envoy's `-`; None where none is."""
        short = self.right - self.left == 1
        if not short.any():
            return None
        short &= self.content.take(self.left, mode="clip") == _MISSING
        return short if short.any() else None

    def are_none(self) -> bool:
        """Whether each is a `-` or nothing at all."""
        width = self.right - self.left
        dash = (width == 1) & (self.content.take(self.left, mode="clip") == _MISSING)
        return bool((dash | (width == 0)).all())

    def only(self, which: Any) -> Pieces:
        """Those of some lines."""
        return Pieces(self.data, self.content, self.left[which], self.right[which])

    def inner(self, prefix: bytes, suffix: bytes) -> tuple[Pieces, Mask]:
        """What stands between a prefix and a suffix that each must have, and which have them."""
        good = self.right - self.left >= len(prefix) + len(suffix)
        good &= _stands(self.content, self.left, prefix)
        if suffix:
            good &= _stands(self.content, self.right - np.int32(len(suffix)), suffix)
        left, right = self.left + np.int32(len(prefix)), self.right - np.int32(len(suffix))
        if not good.all():
            left, right = np.where(good, left, self.left), np.where(good, right, self.right)
        return Pieces(self.data, self.content, left, right), good

    def equal(self, text: bytes) -> Mask:
        """Which are this very text."""
        rest, good = self.inner(text, b"")
        good &= rest.right == rest.left
        return good

    def texts(self) -> Array:
        """As strings; `-` is null."""
        return cut.strings(self.data, self.left, self.right, self.missing())

    def words(self) -> Array:
        """As a dictionary array; `-` is null."""
        width = self.right - self.left
        if len(width) and width.max() <= _WORD and int(self.left[-1]) + _WORD <= len(self.content):
            return self._short_words(width)
        return self.texts().dictionary_encode()

    def _short_words(self, width: Positions) -> Array:
        """Texts of at most eight bytes are one number each."""
        keys = _words(self.content, self.left) & _FIRST[width]
        coded = pa.array(keys).dictionary_encode()
        texts = [int(v).to_bytes(_WORD, "little").rstrip(b"\0") for v in coded.dictionary.to_numpy()]
        code = kernels.codes(coded)
        values = pa.array([t.decode() for t in texts], pa.string())
        if b"-" not in texts:
            return kernels.word(code, values)
        return kernels.word(code, values, code != texts.index(b"-"))

    def times(self, layout: TimeLayout) -> tuple[Array, Mask]:
        """As microseconds, and which are times."""
        width = self.right - self.left
        rows = len(width)
        out, good = np.zeros(rows, np.int64), np.zeros(rows, bool)
        for size in np.unique(width).tolist() if rows and (width != width[0]).any() else width[:1].tolist():
            if size <= 0:
                continue
            which = np.flatnonzero(width == size)
            if len(which) == rows:
                out, good = layout.column(_cells(self.content, self.left, size))
            else:
                out[which], good[which] = layout.column(_cells(self.content, self.left[which], size))
        return kernels.times(out), good

    def numbers(self, bits: int) -> tuple[Array, Mask | None]:
        """Digits as unsigned integers; `-` and nothing at all are null. The mask (None: all) says which are one of these."""
        value, fit = _short_numbers(self.content, self.left, self.right)
        if bits == 16:
            fit &= value <= 0xFFFF
        unsigned = kernels.INTEGER[bits]
        if fit.all():
            return kernels.masked(value.astype(f"u{bits // 8}"), unsigned, fit), None
        rest = np.flatnonzero(~fit)
        others = self.only(rest)
        value[rest] = 0
        if others.are_none():
            return kernels.masked(value.astype(f"u{bits // 8}"), unsigned, fit), None
        numbers, good = kernels.number(others.texts(), bits)
        known = fit.copy()
        known[rest] = np.asarray(numbers.is_valid())
        value[rest] = np.asarray(numbers.fill_null(0))
        found = kernels.masked(value.astype(f"u{bits // 8}"), unsigned, known)
        if good is None:
            return found, None
        fit[rest] = good
        return found, fit

    def uuids(self) -> tuple[Array, Array | None]:
        """UUIDs as 16 bytes; the second array has the values that are none (None where all are)."""
        fits = self.right - self.left == UUID_BYTES
        if not fits.any():
            known, ids = fits, pa.nulls(len(fits), UUID)
        else:
            # The others read the first one that fits: cheaper than to leave them out and to put the rest in their places.
            left = self.left if fits.all() else np.where(fits, self.left, self.left[np.argmax(fits)])
            ids, known = kernels.uuids_where(_cells(self.content, left, UUID_BYTES), fits)
        if known.all():
            return ids, None
        missing = self.missing()
        if (known if missing is None else known | missing).all():
            return ids, None
        return ids, kernels.with_null_texts(self.texts(), known)

    def addresses(self, read: Callable[[str], tuple[str | None, int | None]]) -> tuple[Array, Array]:
        """`host:port` as host (dictionary) and port (uint16). What is not a plain `name:digits` is left to `read`, value by value."""
        there = self.missing()
        colon, port, plain = _ports(self.content, self.left, self.right)
        hosts = cut.strings(self.data, self.left, np.where(plain, colon, self.right), there).dictionary_encode()
        return kernels.addresses(
            hosts, port, plain, None if there is None else ~there, lambda rows: self.only(rows).texts(), read
        )


def _stands(content: Bytes, places: Positions, text: bytes) -> Mask:
    """At which places a text stands."""
    if len(text) == 1:
        one: Mask = content.take(places, mode="clip") == text[0]
        return one
    good = np.ones(len(places), bool)
    last = int(places.max(initial=0)) + len(text) + _WORD
    for start in range(0, len(text), _WORD):
        part = text[start : start + _WORD]
        if last <= len(content) and int(places.min(initial=0)) >= 0:
            words = _words(content, places + start if start else places)
            good &= words & _FIRST[len(part)] == int.from_bytes(part, "little")
            continue
        for i, byte in enumerate(part, start):
            good &= content.take(places + i, mode="clip") == byte
    return good


def _cells(content: Bytes, left: Positions, width: int) -> Bytes:
    """`width` bytes from each place, as a table of bytes."""
    windows = np.ndarray((max(len(content) - width + 1, 0),), f"V{width}", content, strides=(1,))
    found: Bytes = windows[left].view(np.uint8).reshape(len(left), width)
    return found


def _words(content: Bytes, places: Positions) -> npt.NDArray[np.uint64]:
    """The eight bytes from each place as one number, the first byte the lowest.

    Put together from the two aligned words they stand in: numpy reads what is not aligned at half the speed.
    """
    whole = len(content) // _WORD
    last = (whole - 1) * _WORD
    if last <= 0:
        return _unaligned(content)[places]
    words = content[: whole * _WORD].view(np.uint64)
    number = places.astype(np.int64)
    shift = ((number & 7) << 3).view(np.uint64)
    number >>= 3
    found = words.take(number, mode="clip") >> shift
    number += 1
    # By 64, where a word is aligned, numpy shifts all bits out.
    found |= words.take(number, mode="clip") << (np.uint64(64) - shift)
    if len(places) and places.max() >= last:
        late = np.flatnonzero(places >= last)
        found[late] = _unaligned(content)[places[late]]
    return found


def _unaligned(content: Bytes) -> npt.NDArray[np.uint64]:
    """The words from every place, no copy."""
    if len(content) < _WORD:
        content = np.concatenate((content, np.zeros(_WORD, np.uint8)))
    return np.ndarray((len(content) - _WORD + 1,), np.uint64, content, strides=(1,))


_FIRST = np.array([(1 << (8 * n)) - 1 for n in range(_WORD + 1)], np.uint64)
"""Of eight bytes read as a number, the first n."""
_LAST = np.array([0] + [(1 << 64) - (1 << (64 - 8 * n)) for n in range(1, _WORD + 1)], np.uint64)
"""Of eight bytes read as a number, the last n."""
_ZEROS = np.uint64(0x3030303030303030)
_OVER_NINE, _HIGH = np.uint64(0x7676767676767676), np.uint64(0x8080808080808080)
_COLONS, _ONES = np.uint64(0x3A3A3A3A3A3A3A3A), np.uint64(0x0101010101010101)
_PLACES = np.uint64(0x0001020304050607)
"""Times a word with one byte 1, its highest byte is that byte's number."""


def _before(content: Bytes, right: Positions) -> npt.NDArray[np.uint64]:
    """The eight bytes before each place; near the chunk's beginning some others."""
    return _words(content, np.maximum(right - np.int32(_WORD), 0))


def _digits(value: npt.NDArray[np.uint64]) -> Mask:
    """Which words have a byte below ten at every place."""
    found: Mask = ((value + _OVER_NINE) | value) & _HIGH == 0
    return found


def _as_number(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Eight digits, the first in the lowest byte: neighbours to pairs, pairs to fours, fours to eight."""
    for factor, shift, mask in (
        (2561, 8, 0x00FF00FF00FF00FF),
        (6553601, 16, 0x0000FFFF0000FFFF),
        (42949672960001, 32, 0xFFFFFFFF),
    ):
        value = ((value * np.uint64(factor)) >> np.uint64(shift)) & np.uint64(mask)
    return value


def _short_numbers(content: Bytes, left: Positions, right: Positions) -> tuple[npt.NDArray[np.uint64], Mask]:
    """Numbers of one to eight digits, eight bytes of each at a time, and which are such numbers."""
    width = right - left
    fit = (width >= 1) & (width <= _WORD) & (right >= _WORD)
    value = (_before(content, right) ^ _ZEROS) & _LAST.take(np.where(fit, width, 0))
    fit &= _digits(value)
    return _as_number(value), fit


def _ports(content: Bytes, left: Positions, right: Positions) -> tuple[Positions, npt.NDArray[np.uint64], Mask]:
    """Where the last colon stands that one to five digits follow, the number they are, and in which pieces."""
    word = _before(content, right)
    other = (word ^ _COLONS).byteswap()  # the last byte becomes the lowest, a colon 0
    found = (other - _ONES) & ~other & _HIGH
    lowest = found & (~found + np.uint64(1))
    digits = (((lowest >> np.uint64(7)) * _PLACES) >> np.uint64(56)).astype(np.int32)
    colon = right - digits - np.int32(1)
    fit = (found != 0) & (digits >= 1) & (digits <= 5) & (colon > left) & (right >= _WORD)
    value = (word ^ _ZEROS) & _LAST.take(np.where(fit, digits, 0))
    fit &= _digits(value)
    port = _as_number(value)
    fit &= port <= kernels.MAX_PORT
    return colon, port, fit
