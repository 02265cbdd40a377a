"""Lines of known formats with a field more, or not whole: without the time they begin with, or cut short, as pasted and over-long lines are.

A field in brackets behind the time, such as a connection's number, stands before all that a client can choose. A line that is not whole is doubtful whatever it says. Of one that is cut short only fields count whose end is there, and only where no value holds a
mark of the format: the quotes and blanks behind the cut, which would prove the rest, are missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from parsers import detect
from parsers.detect import Fit, strict_reader
from parsers.fields import TIME, Field
from parsers.format_string import Format, compile_format
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE
from parsers.strict import NOWHERE

PARTIAL = "partial"
"""The end of the line is missing."""
MOST_BYTES = 64 << 10
LEAST = "duration_ms"
"""The field that must be there whole: what is cut before it could be anything."""

_HEAD = "[%START_TIME%] "
_OTHER_TIME = "[%TIME%] "
"""No operator of Envoy: what stands there is kept as text."""
_WITHOUT_TIME = re.compile(rb'(?:\[(?![0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})[^\]\[\x00-\x1f]{0,64}\] )?(?=")')
_ONE_MORE = re.compile(rb"\[[^\]\[]{10,64}\] \[[^\]\[ \"]{0,64}\] ")
_ELLIPSIS = re.compile(rb"(?: ?(?:\.\.\.|\xe2\x80\xa6))+[ \t]*\Z")


def read(line: bytes, formats: Sequence[Format]) -> Fit | None:
    """How a line that fits none of the formats can be read if it is not whole; None: not at all."""
    if len(line) > MOST_BYTES:
        return None
    bracket = _WITHOUT_TIME.match(line)
    if bracket is None:
        found = (
            detect.fit(line, [m for f in formats if (m := _with_a_field_more(f)) is not None])
            if _ONE_MORE.match(line)
            else None
        )
        return found or _cut_short(line, formats)
    at = bracket.end()
    headless = {f: v for f in formats if (v := _without_time(f)) is not None}
    found = detect.fit(line[at:], [v.headless for v in headless.values()])
    if found is not None:
        found = Fit(found.format, found.spans, found.doubt or TIME)
    else:
        found = _cut_short(line[at:], [v.headless for v in headless.values()])
    if found is None or at == 0:
        return found
    with_bracket = next(v.bracketed for v in headless.values() if v.headless is found.format)
    spans = [s if s == NOWHERE else (s[0] + at, s[1] + at) for s in found.spans]
    return Fit(with_bracket, [(1, at - 2), *spans], found.doubt)


def _cut_short(line: bytes, formats: Sequence[Format]) -> Fit | None:
    line = _ELLIPSIS.sub(b"", line)
    cut = [found for f in formats if (found := _cut(line, f)) is not None]
    return detect.common(cut) if cut else None


@dataclass(frozen=True, slots=True)
class _Timeless:
    """A format without its time, and with any text within the brackets of the time."""

    headless: Format
    bracketed: Format


@lru_cache(64)
def _with_a_field_more(format: Format) -> Format | None:
    if not format.text.startswith(_HEAD):
        return None
    return compile_format(f"{_HEAD}[%FIELD%] {format.text.removeprefix(_HEAD)}")


@lru_cache(64)
def _without_time(format: Format) -> _Timeless | None:
    if not format.text.startswith(_HEAD):
        return None
    rest = format.text.removeprefix(_HEAD)
    return _Timeless(compile_format(rest, name=format.name), compile_format(_OTHER_TIME + rest, name=format.name))


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """All beginnings of a format in one expression, a group for each field; `least`: the number of the group that must be there."""

    pattern: re.Pattern[bytes]
    rests: tuple[re.Pattern[bytes], ...]
    """What can be left of a line in which so many fields are whole."""
    least: int


def _cut(line: bytes, format: Format) -> Fit | None:
    known = _beginnings(format)
    if known is None:
        return None
    found = known.pattern.match(line)
    whole = found.lastindex or 0 if found is not None else 0
    if found is None or whole < known.least or not known.rests[whole].match(line, found.end()):
        return None
    spans = [found.span(i + 1) if i < whole else NOWHERE for i in range(len(known.rests) - 1)]
    return Fit(format, spans, PARTIAL)


@lru_cache(128)
def _beginnings(format: Format) -> _Beginnings | None:
    parts = strict_reader(format).parts
    names = [p.column for p in parts if isinstance(p, Field)]
    if LEAST not in names or not all(isinstance(p, Field) != isinstance(q, Field) for p, q in pairwise(parts)):
        return None
    pattern, closing = b"", b""
    rests: list[re.Pattern[bytes]] = []
    quotes = 0
    for i, part in enumerate(parts):
        if isinstance(part, str):
            quotes += part.count('"')
            continue
        before = parts[i - 1] if i else ""
        after = parts[i + 1] if i + 1 < len(parts) else ""
        alone = quotes % 2 == 1 and str(before).endswith('"') and str(after).startswith('"')
        free = rb'[^"]*+' if alone else b'[^" ' + re.escape(str(after).encode()[:1]) + b"]*+"
        literal = re.escape(str(after).encode())
        lead = re.escape(str(before).encode()) if not rests else b""
        pattern += lead + b"(?:(" + _value(part, free) + b")" + (literal or rb"\Z")
        closing += b")?+"
        rests.append(re.compile(free + _some_of(str(after)) + rb"\Z"))
    rests.append(re.compile(rb"\Z"))
    return _Beginnings(re.compile(pattern + closing), tuple(rests), names.index(LEAST) + 1)


_ADDRESS = rb"-|[^\" ]*+(?<=[0-9\]/])"
"""Addresses end in digits, a bracket or a slash; what has another shape there is no line of this format."""
_ADDRESSES = {"upstream_host", "upstream_local_address", "downstream_local_address", "downstream_remote_address"}


def _value(field: Field, free: bytes) -> bytes:
    """A value without the marks that end it: it can end in one place only."""
    if field.column in _ADDRESSES:
        return rb"(?:" + _ADDRESS + rb")"
    if field.shape is None or field.shape in (NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE):
        return free
    return b"(?:" + field.shape + b")"


def _some_of(literal: str) -> bytes:
    """The literal, cut anywhere but at its end."""
    found = b""
    for character in reversed(literal[:-1]):
        found = b"(?:" + re.escape(character.encode()) + found + b")?"
    return found
