"""Whole numbers, many at once, by arithmetic on words of eight bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.signedinteger]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

MAX_DIGITS = 16

_ONES = int.from_bytes(b"\x01" * 8, "little")
_HIGH, _ZEROS, _SIX = np.uint64(_ONES * 0xF0), np.uint64(_ONES * 0x30), np.uint64(_ONES * 0x06)
_LEFT = np.array([8 * (8 - n) if n < 8 else 0 for n in range(MAX_DIGITS + 1)], np.uint64)
_FILL = np.array([_ONES * 0x30 & ((1 << 8 * (8 - n)) - 1) if n < 8 else 0 for n in range(MAX_DIGITS + 1)], np.uint64)


def whole_numbers(words: Words, start: Ints, stop: Ints) -> Bools:
    """Which of the texts are whole numbers as JSON has them, of at most MAX_DIGITS digits. `words[i]` are the eight bytes from i on."""
    length = stop - start
    size = np.clip(length, 1, MAX_DIGITS)
    head = words[start]
    good: Bools = _digits((head << _LEFT[size]) | _FILL[size])
    good &= length == size
    if (size > 8).any():
        good &= (size <= 8) | _digits(words[stop - 8])
    good &= (size == 1) | ((head & np.uint64(0xFF)) != ord("0"))
    return good


def _digits(word: Words) -> Bools:
    """Which words are eight digits."""
    result: Bools = (word & _HIGH) == _ZEROS
    result &= ((word + _SIX) & _HIGH) == _ZEROS
    return result
