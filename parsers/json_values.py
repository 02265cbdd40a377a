"""The values that are cut out of lines of one layout, all keys at once: with quotes or bare, missing or there, JSON's or not.

A step for each key costs as much as the work of a small chunk; hence tables with a row for each key and a column for each line.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from parsers.json_joints import LITERAL
from parsers.json_marks import QUOTE, Bools, Positions
from parsers.json_numbers import short_numbers
from parsers.json_slices import Slices
from parsers.values import MISSING

_BARE = re.compile(LITERAL)
_NULL = int.from_bytes(b"null", "little")
_LAST, _LAST_FOUR = np.uint64(56), np.uint64(32)
Words = npt.NDArray[np.uint64]


def cut_out(
    data: bytes, starts: Positions, stops: Positions, tails: Words, good: Bools
) -> tuple[list[Slices], npt.NDArray[np.int32]]:
    """The values between `starts` and `stops`, a row for each key, and how many quotes stand around those of each line.

    `tails`: the eight bytes that end with each, its quote included. Lines in which one is none of JSON's are cleared in `good`. All but
    `data` is changed.
    """
    text = np.frombuffer(data, np.uint8)
    quoted = text.take(starts, mode="clip") == QUOTE
    good &= ((tails >> _LAST == QUOTE) == quoted).all(axis=0)
    quotes = np.add.reduce(quoted, axis=0, dtype=np.int32)
    quotes *= 2
    # Most keys have quotes in every line or in none.
    around = quoted[:, :1] if (quoted == quoted[:, :1]).all() else quoted
    width = around.astype(np.int32)
    starts += width
    stops -= width
    tails <<= around.astype(np.uint64) << np.uint64(3)
    lengths = stops - starts
    if int(lengths.min(initial=0)) < 0:  # a quote alone
        good &= (lengths >= 0).all(axis=0)
        np.maximum(stops, starts, out=stops)
        np.maximum(lengths, 0, out=lengths)
    values = [Slices(data, *one) for one in zip(starts, stops, [None] * len(starts), tails, strict=True)]
    unsure = np.flatnonzero(~quoted.all(axis=1) | (lengths <= len(MISSING)).any(axis=1))
    if len(unsure):
        found = _unsure(data, starts[unsure], lengths[unsure], tails[unsure], quoted[unsure], good)
        for i, (there, read) in zip(unsure.tolist(), found, strict=True):
            values[i] = Slices(data, starts[i], stops[i], there, tails[i], read)
    return values, quotes


def _unsure(  # noqa: PLR0917  what is known of each value
    data: bytes, starts: Positions, lengths: Positions, tails: Words, quoted: Bools, good: Bools
) -> list[tuple[Bools | None, tuple[Words, Bools] | None]]:
    """Of keys that may have none or numbers: which lines have one, and the numbers."""
    missing = lengths == len(MISSING)
    missing &= tails >> _LAST == ord(MISSING)
    bare = ~quoted
    null = lengths == len("null")
    null &= bare
    null &= tails >> _LAST_FOUR == _NULL
    missing |= null
    bare &= ~null
    gaps, numeric = missing.any(axis=1).tolist(), bare.any(axis=1)
    there = ~missing
    read: dict[int, tuple[Words, Bools]] = {}
    which = np.flatnonzero(numeric)
    if len(which):
        if len(which) < len(starts):
            starts, lengths, tails, bare = starts[which], lengths[which], tails[which], bare[which]
        numbers, whole = short_numbers(tails, lengths)
        fit = np.frombuffer(data, np.uint8).take(starts, mode="clip") != ord("0")
        fit |= lengths == 1
        fit &= whole
        fit |= ~bare
        if not fit.all():
            for key, line in np.argwhere(~fit).tolist():
                start = int(starts[key, line])
                fit[key, line] = _BARE.fullmatch(data, start, start + int(lengths[key, line])) is not None
            good &= fit.all(axis=0)
        read = {key: (numbers[i], whole[i]) for i, key in enumerate(which.tolist())}
    return [(there[i] if gaps[i] else None, read.get(i)) for i in range(len(gaps))]
