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
        same = np.ones(rows, bool)
        same[0] = False
        good, value = np.ones(rows, bool), np.zeros(rows, np.uint64)
        for part in _parts(width, second, fraction, digits):
            word = np.ascontiguousarray(_words(cells, part.begin))
            if part.rest:
                same[1:] &= (word[1:] ^ word[:-1]) & part.rest == 0
            if part.mask:
                found = (word ^ _ZEROS) & part.mask
                good &= ((found + part.over) | found) & _HIGH == 0
                for shift, unit in part.units:
                    value += (found >> shift & _BYTE) * unit
        starts = np.flatnonzero(~same)
        bases = np.empty(len(starts), np.int64)
        for i, row in enumerate(starts):
            base = _micros(self.pattern, _zeroed(cells[row].tobytes(), second, fraction, digits))
            bases[i] = -1 if base is None else base
        lengths = np.diff(starts, append=rows)
        base_rows = np.repeat(bases, lengths)
        good &= base_rows >= 0
        return base_rows + value.view(np.int64), good

    def _model(self, cells: Bytes) -> bytes | None:
        """One of the first values that is a time: all others of this width are held against its shape."""
        for row in range(min(len(cells), 64)):
            value = bytes(cells[row])
            if self.pattern.fullmatch(value):
                return value
        return None


_WORD = 8
_ZEROS, _HIGH, _BYTE = np.uint64(0x3030303030303030), np.uint64(0x8080808080808080), np.uint64(0xFF)


@dataclass(frozen=True, slots=True)
class _Part:
    """Eight bytes of a time, from `begin`, as a number with the first byte lowest.

    `mask`: the bytes that are digits of its second or fraction and in no part before; `over`: added to a digit it sets the byte's
    highest bit where the digit is too large; `units`: how far each stands from the lowest bit, and the microseconds of its one.
    `rest`: the bytes that are none.
    """

    begin: int
    mask: np.uint64
    over: np.uint64
    units: tuple[tuple[np.uint64, np.uint64], ...]
    rest: np.uint64


@lru_cache(64)
def _parts(width: int, second: int, fraction: int, digits: int) -> tuple[_Part, ...]:
    """The parts of a time of so many bytes (at least eight); the last one overlaps the one before."""
    units = {second: 10_000_000, second + 1: 1_000_000}
    units |= {fraction + i: 10 ** (5 - i) if i < 6 else 0 for i in range(digits)}
    found: list[_Part] = []
    seen: set[int] = set()
    for start in range(0, width, _WORD):
        begin = min(start, width - _WORD)
        mask = over = rest = 0
        shifts: list[tuple[np.uint64, np.uint64]] = []
        for i in range(_WORD):
            at = begin + i
            if at not in units:
                rest |= 0xFF << (8 * i)
            elif at not in seen:
                seen.add(at)
                mask |= 0xFF << (8 * i)
                over |= (0x7A if at == second else 0x76) << (8 * i)  # at most 5, at most 9
                if units[at]:
                    shifts.append((np.uint64(8 * i), np.uint64(units[at])))
        found.append(_Part(begin, np.uint64(mask), np.uint64(over), tuple(shifts), np.uint64(rest)))
    return tuple(found)


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
