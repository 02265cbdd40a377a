"""Whole numbers, many at once, by arithmetic on words of eight bytes: little-endian, so that the first character is the lowest byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.signedinteger]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

MAX_DIGITS = 16
WORD = 8

_ONES = int.from_bytes(b"\x01" * 8, "little")
_HIGH, _ZEROS, _SIX = np.uint64(_ONES * 0xF0), np.uint64(_ONES * 0x30), np.uint64(_ONES * 0x06)
_OVER_NINE, _SIGNS = np.uint64(_ONES * 0x76), np.uint64(_ONES * 0x80)
_LAST = np.array([0] + [(1 << 64) - (1 << (64 - 8 * n)) for n in range(1, WORD + 1)], np.uint64)
"""Of a word, its last n bytes."""
_LEFT = np.array([8 * max(8 - n, 0) for n in range(MAX_DIGITS + 1)], np.uint64)
_FILL = np.array([_ONES * 0x30 & ((1 << 8 * max(8 - n, 0)) - 1) for n in range(MAX_DIGITS + 1)], np.uint64)


def whole_numbers(head: Words, next: Words, length: Ints) -> Bools:
    """Which of the texts are whole numbers as JSON has them, of at most MAX_DIGITS digits, `head` and `next` being their first 16 bytes."""
    size = np.clip(length, 1, MAX_DIGITS)
    good: Bools = _digits(_right_aligned(head, size))
    good &= length == size
    if (size > WORD).any():
        good &= _digits(_right_aligned(next, np.maximum(size - WORD, 0)))
    good &= (size == 1) | ((head & np.uint64(0xFF)) != ord("0"))
    return good


def short_numbers(tail: Words, length: Ints) -> tuple[Words, Bools]:
    """The numbers of texts of one to eight digits, and which of the texts are such; `tail`: the eight bytes that end with the text."""
    value = tail ^ _ZEROS
    value &= _LAST.take(length, mode="clip")
    over = value + _OVER_NINE
    over |= value
    over &= _SIGNS
    good = over == 0
    good &= (length >= 1) & (length <= WORD)
    # Neighbouring digits to pairs, pairs to fours, fours to eight.
    for factor, shift, mask in ((2561, 8, 0x00FF00FF00FF00FF), (6553601, 16, 0x0000FFFF0000FFFF)):
        value *= np.uint64(factor)
        value >>= np.uint64(shift)
        value &= np.uint64(mask)
    value *= np.uint64(42949672960001)
    value >>= np.uint64(32)
    return value, good


def _right_aligned(head: Words, size: Any) -> Words:
    """The first `size` characters behind zeros."""
    word: Words = head << _LEFT[size]
    word |= _FILL[size]
    return word


def _digits(word: Words) -> Bools:
    """Which words are eight digits."""
    result: Bools = (word & _HIGH) == _ZEROS
    result &= ((word + _SIX) & _HIGH) == _ZEROS
    return result
