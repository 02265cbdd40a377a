"""For a line that fits no format: the format that comes nearest, and the place at which the line stops fitting it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from parsers.detect import strict_reader
from parsers.fields import Field
from parsers.format_string import Format
from parsers.operators import METHOD_SHAPE, NUMBER_SHAPE, PROTOCOL_SHAPE, Kind


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a line stops fitting: `offset` in characters, what was `expected`, and the operator it is about ('' none)."""

    offset: int
    expected: str
    operator: str = ""


def nearest(line: bytes, formats: Sequence[Format]) -> tuple[Format, Failure]:
    """The one of these text formats of which a line (which fits none) holds most fields, and where it stops; of equals the first."""
    found = [(one, *_stop(line, one)) for one in formats]
    best, _, failure = max(found, key=lambda f: f[1])
    return best, Failure(len(line[: failure.offset].decode(errors="replace")), failure.expected, failure.operator)


_ENOUGH = 3
"""Parts of a block, such as a literal, a field and a literal."""

_Parts = tuple["str | Field", ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """Parts that stand together, and an expression for their beginnings: `prefixes[k]` is the first k + 1 of them."""

    parts: _Parts
    prefixes: tuple[re.Pattern[bytes], ...]
    quoted: bool
    """A quote is open where it begins."""


@lru_cache(64)
def _blocks(format: Format) -> tuple[tuple[_Block, Field | None], ...]:
    """The blocks of a format, each with the free field before it."""
    found: list[tuple[_Block, Field | None]] = []
    before: Field | None = None
    parts: list[str | Field] = []
    quotes = 0
    for part in (*strict_reader(format).parts, None):
        if part is not None and (isinstance(part, str) or part.shape is not None):
            parts.append(part)
            continue
        found.append((_block(parts, quoted=quotes % 2 == 1, last=part is None), before))
        quotes += sum(p.count('"') for p in parts if isinstance(p, str))
        before, parts = part, []
    return tuple(found)


def _block(parts: list[str | Field], *, quoted: bool, last: bool) -> _Block:
    patterns = [re.escape(p.encode()) if isinstance(p, str) else b"(?:" + (p.shape or b"") + b")" for p in parts]
    if last:
        parts, patterns = [*parts, ""], [*patterns, rb"\Z"]
    return _Block(tuple(parts), tuple(re.compile(p) for p in accumulate(patterns)), quoted)


def _stop(line: bytes, format: Format) -> tuple[int, Failure]:
    """How many fields stand before the first part that is not there, and at which byte (not character) what was expected."""
    at = held = 0
    for block, before in _blocks(format):
        held += before is not None
        start = at if before is None else _start(line, at, block)
        stop, fitting = start, 0
        for count in range(len(block.prefixes), 0, -1):
            found = block.prefixes[count - 1].match(line, start)
            if found is not None:
                stop, fitting = found.end(), count
                break
        held += sum(isinstance(p, Field) for p in block.parts[:fitting])
        if fitting < len(block.parts):
            return held, _failure(line, stop, block.parts[:fitting], block.parts[fitting], before)
        at = stop
    return held, Failure(at, "the end of the line")


def _start(line: bytes, at: int, block: _Block) -> int:
    """Where a block that follows a free field begins: the first place at which enough of it stands to be told from a value."""
    # A value within quotes seldom has quotes of its own, so what follows it is looked for up to the next one.
    limit = line.find(b'"', at) if block.quoted else -1
    limit = limit if limit >= 0 else len(line)
    for count in range(min(_ENOUGH, len(block.prefixes)), 0, -1):
        found = block.prefixes[count - 1].search(line, at)
        if found is not None and found.start() <= limit:
            return found.start()
    # Nothing ends the free field.
    return limit


def _failure(line: bytes, at: int, fitting: _Parts, missing: str | Field, before: Field | None) -> Failure:
    last = fitting[-1] if fitting else before
    if isinstance(last, Field) and last.shape == NUMBER_SHAPE and fitting and line[at - 1 : at] in (b" ", b'"'):
        # An empty text fits a number, but what stands here is neither a number nor nothing.
        missing = last
    if isinstance(missing, Field):
        text = missing.operator.text
        return Failure(at, f"{text}: {_expected(missing)}", text)
    operator = last.operator.text if isinstance(last, Field) else ""
    literal = missing.encode()
    there = next((i for i in range(len(literal)) if not line.startswith(literal[: i + 1], at)), len(literal))
    expected = repr(literal[there:].decode(errors="replace")) if literal else "the end of the line"
    return Failure(at + there, f"{expected} after {operator}" if operator else expected, operator)


_KINDS = {
    Kind.TIME: "a time such as 2026-11-21T10:15:42.123Z",
    Kind.FLAGS: "response flags or -",
    Kind.CLUSTER: "a cluster",
    Kind.ADDRESS: "an address",
}
_SHAPES = {
    NUMBER_SHAPE: "a number or -",
    METHOD_SHAPE: "a method",
    PROTOCOL_SHAPE: "HTTP/1.0, HTTP/1.1, HTTP/2, HTTP/3 or -",
}


def _expected(field: Field) -> str:
    return _SHAPES.get(field.shape or b"") or _KINDS.get(field.kind, "a word")


_ESCAPE = re.compile(r"\\(?:[0-3][0-7]{2}|.)", re.DOTALL)
_SAID = {
    "Unterminated string starting at": "the closing quote of the string that begins here",
    "Extra data": "the end of the line",
    "Invalid control character at": "no control character within a string",
    "Invalid \\escape": "an escape that JSON knows",
    "Expecting value": "a value",
}


def json_failure(line: bytes) -> Failure | None:
    """Where a line stops being a JSON object; None where it is one."""
    text = line.decode(errors="replace")
    # Envoy prints bytes that are no UTF-8 as octal escapes, which JSON does not have.
    masked = _ESCAPE.sub(lambda m: "octa" if len(m[0]) == 4 else m[0], text)
    try:
        found = json.loads(masked)
    except json.JSONDecodeError as error:
        expected = _SAID.get(error.msg.removesuffix(": "), error.msg.removeprefix("Expecting "))
        return Failure(error.pos, expected)
    except RecursionError:
        return Failure(0, "fewer objects inside one another")
    return None if isinstance(found, dict) else Failure(0, "'{', the beginning of a JSON object")
