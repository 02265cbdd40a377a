"""Keys of JSON objects to numbers, many at once: by length, first and last eight bytes, and for longer ones what lies between."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MAX_KEY = 64
"""Bytes of a key that is recognised."""
MAX_KEYS = 1024
"""Different keys known at a time. Keys come from configuration, so that there are few."""


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


_DROPPED = np.array([8 * max(9 - n, 0) for n in range(MAX_KEY + 2)], np.uint64)
"""By length of a key with one quote: the bits of a word of eight bytes that are no part of it."""
_SLOTS = 1 << 12
_SLOT_SHIFT = np.uint64(64 - 12)
_MULTIPLIERS = tuple(np.uint64(0x9E3779B97F4A7C15 + 2 * i) for i in range(64))
_TAIL_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_MIDDLES = range(8, MAX_KEY - 8, 8)


class KeyTable:
    """Keys and their numbers, in the order in which they were met. Finds many at once by a table without collisions."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[bytes, int] = {}
        self._build()

    def add(self, keys: Iterable[bytes]) -> list[int] | None:
        """Learn keys; their numbers, or None where one of them is beyond the limits (it stays unknown)."""
        numbers: list[int] = []
        complete = True
        for key in keys:
            if key not in self._numbers:
                if len(self.names) >= MAX_KEYS or not 0 < len(key) <= MAX_KEY:
                    complete = False
                    continue
                self._numbers[key] = len(self.names)
                self.names.append(key.decode())
            numbers.append(self._numbers[key])
        self._build()
        return numbers if complete else None

    def _build(self) -> None:
        # The last row stands for "not known": no key has its size.
        keys = [*self._numbers, b""]
        self._sizes = np.array([len(k) + 1 for k in keys], np.int64)
        self._heads = np.array([_word(k[:8]) << 8 * max(0, 8 - len(k)) & (1 << 64) - 1 for k in keys], np.uint64)
        self._tails = np.array([_word(k[-8:]) for k in keys], np.uint64)
        self._middles = [
            np.array([_word(k[at : at + 8]) if at < len(k) - 8 else 0 for k in keys], np.uint64) for at in _MIDDLES
        ]
        for multiplier in _MULTIPLIERS:
            self._multiplier = multiplier
            slots = self._slot(self._heads[:-1], self._tails[:-1], self._sizes[:-1])
            if len(np.unique(slots)) == len(slots):
                break
        # With very many keys two can share a slot: the one that is found, lines with the other are read one by one.
        self._slots = np.full(_SLOTS, len(keys) - 1, np.int64)
        self._slots[slots] = np.arange(len(slots))

    def _slot(self, heads: Words, tails: Words, sizes: Ints) -> Ints:
        mixed = heads * self._multiplier
        mixed += tails * _TAIL_MULTIPLIER
        mixed += sizes.view(np.uint64) * self._multiplier
        mixed >>= _SLOT_SHIFT
        return mixed.view(np.int64)

    def find(self, words: Words, opened: Ints, closed: Ints) -> Ints:
        """The number of the key between each pair of quotes; `len(names)` where it is not known.

        `words[i]` are the eight bytes from i on.
        """
        sizes = closed - opened
        dropped = _DROPPED[np.minimum(sizes, MAX_KEY + 1)]
        heads, tails = words[opened + 1], words[closed - 8]
        heads <<= dropped
        tails >>= dropped
        found = self._slots[self._slot(heads, tails, sizes)]
        same = self._heads[found] == heads
        same &= self._tails[found] == tails
        same &= self._sizes[found] == sizes
        (long,) = np.nonzero(sizes > 17)
        for at, middles in zip(_MIDDLES, self._middles, strict=True):
            if len(long) == 0:
                break
            same[long] &= words[opened[long] + 1 + at] == middles[found[long]]
            long = long[sizes[long] > 17 + at]
        if not same.all():
            found[~same] = len(self.names)
        return found
