"""How a format prints the time a request began: ISO 8601, or a strftime text of its own.

A `TimeLayout` reads one value or a whole column. Of a column, the part before the seconds is the same for many neighbours, so it is
read once per run of equal ones, and the rest is arithmetic on bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

EARLIEST, LATEST = 0, 9_214_646_400_000_000
"""1970 to 2261 in microseconds: what every store of ours can hold in nanoseconds too."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_PIECES = {
    "Y": rb"(?P<Y>[0-9]{4})",
    "m": rb"(?P<m>[0-9]{2})",
    "d": rb"(?P<d>[0-9]{2})",
    "e": rb"(?P<e>[ 0-9][0-9])",
    "b": rb"(?P<b>" + b"|".join(_MONTHS) + rb")",
    "y": rb"(?P<y>[0-9]{2})",
    "H": rb"(?P<H>[0-9]{2})",
    "M": rb"(?P<M>[0-9]{2})",
    "S": rb"(?P<S>[0-9]{2})",
    "s": rb"(?P<s>[0-9]{1,11})",
    "z": rb"(?P<z>[+-][0-9]{4})",
    "Z": rb"(?P<Z>UTC|GMT)",
    "a": rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
}
_SHORTHAND = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "h": "%b", "E4Y": "%Y"}
_ISO = rb"(?P<Y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})T(?P<H>[0-9]{2}):(?P<M>[0-9]{2}):(?P<S>[0-9]{2})(?:\.(?P<f>[0-9]{1,9}))?Z?"


@dataclass(frozen=True, slots=True)
class TimeLayout:
    """The shape of a printed time. `shape` matches every value; `holds_blank`: so it can span words."""

    shape: bytes
    pattern: re.Pattern[bytes]
    holds_blank: bool = False
    seconds: tuple[int, int] | None = (17, 20)
    """Where the two digits of the second and (else the width) the fraction begin; None: no part repeats, each value is read alone."""

    def micros(self, value: bytes) -> int | None:
        """Microseconds since 1970; None for what is no time, no date or out of range."""
        return _micros(self.pattern, value)

    def column(self, cells: Bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Read `(n, width)` bytes: microseconds, and which rows are times (the others hold anything)."""
        rows, width = cells.shape
        model = self._model(cells)
        if self.seconds is None or model is None:
            read = [self.micros(c.tobytes()) for c in cells]
            good = np.array([m is not None for m in read], bool)
            return np.array([m or 0 for m in read], np.int64), good
        second, fraction = self.seconds
        digits = 0
        while fraction + digits < width and 48 <= model[fraction + digits] <= 57:
            digits += 1
        after = fraction + digits if digits else second + 2
        same = np.ones(rows, bool)
        for left, right in ((0, second), (second + 2, fraction if digits else second + 2), (after, width)):
            for start in range(left, right, 8):
                # Eight bytes at a time; the last word overlaps the one before.
                begin = min(start, right - 8) if right - left >= 8 else start
                if right - begin >= 8:
                    word = _words(cells, begin)
                    same[1:] &= word[1:] == word[:-1]
                else:
                    same[1:] &= (cells[1:, begin:right] == cells[:-1, begin:right]).all(axis=1)
        same[0] = False
        starts = np.flatnonzero(~same)
        bases = np.empty(len(starts), np.int64)
        for i, row in enumerate(starts):
            base = _micros(self.pattern, _zeroed(cells[row].tobytes(), second, fraction, digits))
            bases[i] = -1 if base is None else base
        lengths = np.diff(starts, append=rows)
        base_rows = np.repeat(bases, lengths)
        good = base_rows >= 0
        value = np.zeros(rows, np.int64)
        for at, unit in (
            (second, 10_000_000),
            (second + 1, 1_000_000),
            *((fraction + i, 10 ** (5 - i)) for i in range(min(digits, 6))),
        ):
            digit = cells[:, at] - np.uint8(48)
            good &= digit <= (5 if at == second else 9)
            value += digit.astype(np.int64) * unit
        for at in range(fraction + 6, fraction + digits):
            good &= (cells[:, at] - np.uint8(48)) <= 9
        return base_rows + value, good

    def _model(self, cells: Bytes) -> bytes | None:
        """One of the first values that is a time: all others of this width are held against its shape."""
        for row in range(min(len(cells), 64)):
            value = bytes(cells[row])
            if self.pattern.fullmatch(value):
                return value
        return None


def _words(cells: Bytes, begin: int) -> npt.NDArray[np.uint64]:
    """Eight bytes of every row as one number, unaligned, without a copy."""
    return cells[:, begin : begin + 8].view(np.uint64)[:, 0]


def _zeroed(value: bytes, second: int, fraction: int, digits: int) -> bytes:
    zero = value[:second] + b"00" + value[second + 2 :]
    return zero[:fraction] + b"0" * digits + zero[fraction + digits :] if digits else zero


@lru_cache(4096)
def _micros(pattern: re.Pattern[bytes], value: bytes) -> int | None:
    found = pattern.fullmatch(value)
    if found is None:
        return None
    part = {k: v.decode() for k, v in found.groupdict().items() if v is not None}
    fraction = int((part.get("f") or "0")[:6].ljust(6, "0"))
    if "s" in part:
        total = int(part["s"]) * 1_000_000 + fraction
        return total if total < LATEST else None
    try:
        year = int(part["Y"]) if "Y" in part else 2000 + int(part["y"])
        month = _MONTHS.index(part["b"].encode()) + 1 if "b" in part else int(part["m"])
        day = int(part.get("d") or part["e"])
        moment = datetime(
            year, month, day, int(part["H"]), int(part.get("M", 0)), int(part.get("S", 0)), tzinfo=UTC
        )  # fmt: skip
    except ValueError:
        return None
    total = (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000 + fraction
    zone = part.get("z")
    if zone:
        offset = (int(zone[1:3]) * 60 + int(zone[3:])) * 60_000_000
        total += offset if zone[0] == "-" else -offset
    return total if EARLIEST <= total < LATEST else None


ISO = TimeLayout(re.sub(rb"\?P<.>", b"?:", _ISO), re.compile(_ISO))
"""Envoy's default: UTC with three decimals and `Z`; other decimals, and no `Z`, are read as well."""


@lru_cache(64)
def layout(strftime: str | None) -> TimeLayout | None:
    """The layout of `%START_TIME(strftime)%`; None where the text tells no full moment, so that it stays a text."""
    if not strftime:
        return ISO
    for short, long in _SHORTHAND.items():
        strftime = strftime.replace(f"%{short}", long)
    pattern, seen, at = b"", set[str](), 0
    while at < len(strftime):
        if strftime[at] != "%":
            pattern += re.escape(strftime[at].encode())
            at += 1
            continue
        found = re.compile(r"%([1-9]?f|[A-Za-z%])").match(strftime, at)
        piece = found[1] if found else ""
        at = found.end() if found else at + 1
        if piece == "%":
            pattern += b"%"
        elif piece.endswith("f"):
            width = piece[0] if len(piece) > 1 else "9"
            pattern += rb"(?P<f>[0-9]{%s})" % width.encode() if "f" not in seen else rb"[0-9]{%s}" % width.encode()
            seen.add("f")
        elif piece in _PIECES and (piece not in seen):
            pattern += _PIECES[piece]
            seen.add(piece)
        else:
            return None
    whole = {"H"} <= seen and bool({"d", "e"} & seen) and bool({"m", "b"} & seen) and bool({"Y", "y"} & seen)
    if not (whole or "s" in seen):
        return None
    shape = re.sub(rb"\?P<.>", b"?:", pattern)
    return TimeLayout(shape, re.compile(pattern), " " in strftime or "e" in seen, None)
