"""The runtime's time in front of each line, for all lines of a chunk at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
"""Nanoseconds since 1970; NO_TIME where a line does not begin with a time."""

NO_TIME: int = int(np.iinfo(np.int64).min)

_LENGTH = len("2026-11-21T10:00:00.123456789+00:00 ")
_SECONDS = len("2026-11-21T10:00:00")
_PUNCTUATION = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"}
_DIGITS = [i for i in range(_SECONDS) if i not in _PUNCTUATION]


def line_starts(data: bytes) -> npt.NDArray[np.int64]:
    """Where each line begins; `data` ends with a newline. One more: where the next would begin."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10).astype(np.int64) + 1
    return np.concatenate((np.zeros(1, np.int64), ends))


def line_times(data: bytes, starts: npt.NDArray[np.int64]) -> Times:
    """The RFC 3339 time that each line begins with, with up to nine decimals and any zone."""
    count = len(starts) - 1
    if count <= 0:
        return np.zeros(0, np.int64)
    content = np.frombuffer(data + b"\0" * _LENGTH, np.uint8)
    heads = content[starts[:-1, None] + np.arange(_LENGTH)]
    good = np.ones(count, bool)
    for place, character in _PUNCTUATION.items():
        good &= heads[:, place] == ord(character)
    digits = heads[:, _DIGITS]
    good &= ((digits >= 48) & (digits <= 57)).all(axis=1)
    found = np.full(count, NO_TIME, np.int64)
    if not good.any():
        return found
    which = np.flatnonzero(good)
    which = np.flatnonzero(good)
    heads = heads[which]
    # Lines of one chunk share few distinct seconds.
    seconds, second_of = np.unique(
        np.ascontiguousarray(heads[:, :_SECONDS]).view(f"S{_SECONDS}").ravel(), return_inverse=True
    )
    try:
        whole = seconds.astype("datetime64[s]").astype(np.int64)
    except ValueError:  # the thirteenth month
        whole = np.array([_second(s) for s in seconds.tolist()], np.int64)
    fraction, zone_at = _fraction(heads)
    zone, zoned = _zone(heads, zone_at)
    stamped = whole[second_of]
    times = np.where((stamped == NO_TIME) | ~zoned, NO_TIME, stamped * 10**9 + fraction - zone * 10**9)
    found[which] = times
    return found


def _second(text: bytes) -> int:
    try:
        return int(np.datetime64(text.decode(), "s").astype(np.int64))
    except ValueError:
        return int(NO_TIME)


def _fraction(heads: npt.NDArray[np.uint8]) -> tuple[Any, Any]:
    """Nanoseconds, and where the zone begins."""
    rows = len(heads)
    nanoseconds, at = np.zeros(rows, np.int64), np.full(rows, _SECONDS, np.int64)
    dotted = heads[:, _SECONDS] == ord(".")
    going = dotted.copy()
    at[dotted] += 1
    for i in range(9):
        digit = heads[:, _SECONDS + 1 + i].astype(np.int64) - 48
        going &= (digit >= 0) & (digit <= 9)
        nanoseconds += np.where(going, digit * 10 ** (8 - i), 0)
        at[going] += 1
    return nanoseconds, at


def _zone(heads: npt.NDArray[np.uint8], at: Any) -> tuple[Any, Any]:
    """Seconds east of UTC, and whether there is a zone with a blank after it."""
    rows = np.arange(len(heads))
    sign = heads[rows, at]
    utc = (sign == ord("Z")) & (heads[rows, np.minimum(at + 1, _LENGTH - 1)] == 32)
    if utc.all():
        return np.zeros(len(heads), np.int64), utc
    east = np.zeros(len(heads), np.int64)
    good = utc.copy()
    for i in np.flatnonzero(~utc).tolist():
        text = heads[i, at[i] : at[i] + 7].tobytes()
        if text[:1] in (b"+", b"-") and text[3:4] == b":" and text[6:7] == b" " and (text[1:3] + text[4:6]).isdigit():
            east[i] = (int(text[1:3]) * 3600 + int(text[4:6]) * 60) * (1 if text[:1] == b"+" else -1)
            good[i] = True
    return east, good
