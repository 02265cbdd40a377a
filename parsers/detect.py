"""Which of the known formats lines were printed with, and whether a line looks like an access log at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from parsers.defaults import TEXT_DEFAULTS
from parsers.format_string import Format, compile_format
from parsers.strict import NOWHERE, Spans, StrictReader

SAMPLE_LINES = 64
SAMPLE_BYTES = 64 << 10
MAX_LINE_BYTES = 1 << 20

_BEGINNING = re.compile(
    rb'\[[^\]\[]{0,64}\] (?:\[[0-9]+\] )?"'  # [TIME] "
    rb"|\[[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[0-9.Z]*\] (?:[A-Za-z0-9,-]+ ){1,3}"  # [TIME] without a request line
    rb'|"(?:[A-Z-]+ [^"]*(?:HTTP/[0-9.]+|-))" [0-9]{1,3} '  # "METHOD PATH PROTOCOL" CODE, the time cut off
)
# ztunnel's lines in text; nothing but it has this scope.
_ZTUNNEL = re.compile(rb'[0-9]{4}-[0-9T:.-]+Z?[ \t]+[a-z]+[ \t]+access[ \t]+"?connection [a-z]+')
_QUOTE = ord('"')
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


REJECTED, TOO_LONG, BINARY = "format", "too_long", "binary"
"""Why a line is rejected: it is an access log that does not fit, longer than MAX_LINE_BYTES, or no text."""
ACCESS, JSON, ZTUNNEL, MESSAGE = "access", "json", "ztunnel", "message"
"""What else a line can be."""


def sort_of(line: bytes) -> str:
    """What a line is that its stream's format does not fit: one of the names above."""
    if len(line) > MAX_LINE_BYTES:
        return TOO_LONG
    if line.startswith(b"{"):
        return JSON
    if looks_like_access_log(line):
        return ACCESS
    if _ZTUNNEL.match(line):
        return ZTUNNEL
    return BINARY if is_binary(line) else MESSAGE


def looks_like_access_log(line: bytes) -> bool:
    """It begins as the known formats do."""
    return _BEGINNING.match(line) is not None


def is_binary(line: bytes) -> bool:
    """A NUL, or more than a tenth of control characters: no text."""
    found = len(_BINARY.findall(line, 0, 4096))
    return found > 0 and (b"\0" in line or found * 10 > min(len(line), 4096))


@lru_cache(128)
def strict_reader(format: Format) -> StrictReader:
    """The strict reader of a text format, made once."""
    return StrictReader(format)


@lru_cache(1)
def known() -> tuple[Format, ...]:
    """The known text formats, today's first; of formats that print the same shape only the first."""
    shapes: set[bytes] = set()
    found: list[Format] = []
    for default in TEXT_DEFAULTS:
        pattern = strict_reader(default.format).pattern
        if pattern not in shapes:
            shapes.add(pattern)
            found.append(default.format)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a line can be read: with which format, and where its fields stand; `doubt` is '' where that is sure."""

    format: Format
    spans: Spans
    doubt: str


def fit(line: bytes, formats: Iterable[Format]) -> Fit | None:
    """How a line of an unknown stream can be read; None: not at all.

    A line that fits a format exactly was printed with it. Else any format it can be read with may be the one, and only what all of
    these readings say is proved.
    """
    fits: list[Fit] = []
    for one in formats:
        found = strict_reader(one).spans(line)
        if found is None:
            continue
        if strict_reader(one).exact(line):
            return Fit(one, *found)
        fits.append(Fit(one, *found))
        # Quotes of a client, or a further field of a format that is not known: the line does not tell.
        longer = _longer(line, one)
        if longer is not None:
            fits.append(longer)
    return _without_quotes(line, common(fits)) if fits else None


def _without_quotes(line: bytes, found: Fit) -> Fit:
    """A value within quotes where no format has them is one of another format, which quotes it."""
    quoted = [end - start > 1 and line[start] == line[end - 1] == _QUOTE for start, end in found.spans]
    if not any(quoted):
        return found
    spans = [NOWHERE if q else span for q, span in zip(quoted, found.spans, strict=True)]
    return Fit(found.format, spans, found.doubt or REJECTED)


def _longer(line: bytes, format: Format) -> Fit | None:
    """The line read as the format with one more quoted field."""
    longer = _with_a_quoted_field_more(format)
    found = strict_reader(longer).spans(line) if longer is not None else None
    return Fit(longer, *found) if longer is not None and found is not None else None


@lru_cache(64)
def _with_a_quoted_field_more(format: Format) -> Format | None:
    """The format with one more field, where it ends with a quoted one."""
    text = format.text.rstrip("\r\n")
    return compile_format(f'{text} "%FIELD%"') if text.endswith('"') else None


def rival(line: bytes, own: Format, formats: tuple[Format, ...]) -> Fit | None:
    """How else than as its stream's own format a line may have been printed, if the own one does not fit it exactly: a rolling upgrade
    mixes formats, and a client can make one look like another.
    """
    rivals = [f for f in _by_quotes(formats).get(line.count(b'"'), ()) if f is not own]
    if not rivals or strict_reader(own).exact(line):
        return None
    for one in rivals:
        found = strict_reader(one).spans(line) if strict_reader(one).exact(line) else None
        if found is not None:
            return Fit(one, *found)
    return None


@lru_cache(64)
def _by_quotes(formats: tuple[Format, ...]) -> dict[int, list[Format]]:
    """The formats with so many quotes, in their order."""
    found: dict[int, list[Format]] = {}
    for one in formats:
        found.setdefault(strict_reader(one).quotes, []).append(one)
    return found


def common(fits: Sequence[Fit]) -> Fit:
    """What all of these readings of a line say."""
    first = fits[0]
    if len(fits) == 1:
        return first
    named = [dict(zip(_names(f.format), f.spans, strict=True)) for f in fits[1:]]
    spans = [
        span if all(other.get(name) == span for other in named) else NOWHERE
        for name, span in zip(_names(first.format), first.spans, strict=True)
    ]
    return Fit(first.format, spans, first.doubt or REJECTED)


def _names(format: Format) -> list[str]:
    return [f.column or f.key for f in strict_reader(format).fields]


def choose(lines: Sequence[bytes], formats: Sequence[Format]) -> Format | None:
    """The format most of the lines fit exactly; where none does, the only one that most of them can be read with."""
    exact: Counter[Format] = Counter()
    possible: Counter[Format] = Counter()
    for line in lines:
        if not looks_like_access_log(line) and formats is known():
            continue
        for one in formats:
            reader = strict_reader(one)
            if reader.exact(line):
                exact[one] += 1
                break
            if not exact and reader.spans(line) is not None and _longer(line, one) is None:
                possible[one] += 1
    if exact:
        # Equal votes go to the format that comes first: it is today's.
        return max(formats, key=lambda f: (exact[f], -formats.index(f)))
    best = possible.most_common(2)
    return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else None
