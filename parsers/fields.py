"""A text format as fields and literals: which column each operator fills, and what can stand in it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from logproc.columns import ACCESS_LOG_TABLE, TEXT, WORD
from parsers.format_string import Format, Operator
from parsers.operators import (
    METHOD_SHAPE,
    NO_BLANK,
    NO_BLANK_NO_QUOTE,
    NO_QUOTE,
    NUMBER_SHAPE,
    PORT_COLUMN,
    PROTOCOL_SHAPE,
    Kind,
)
from parsers.start_time import TimeLayout, layout

SCHEMA = pa.schema([pa.field(c.name, c.arrow) for c in ACCESS_LOG_TABLE.columns if c.from_line])
"""The columns of access_log that a line tells; every reader fills them all, with null where the format has none."""

QUOTES, FIELDS, ENCODING, NUMBER, TIME = "quotes", "fields", "encoding", "number", "time"
"""Why a row is doubtful: quotes inside values; blanks inside values or more fields than the format has; no UTF-8; no number; no time."""


@dataclass(frozen=True, slots=True)
class Field:
    """One operator of a format. `column` is '' where its value goes into `extra` under `key`.

    `shape` is the expression of all it can print, where that ends by itself before what follows; None: only what follows ends it.
    """

    operator: Operator
    column: str
    kind: Kind
    shape: bytes | None
    layout: TimeLayout | None = None

    @property
    def key(self) -> str:
        """The operator's text."""
        return self.operator.name

    @property
    def arrow(self) -> pa.DataType:
        """The type of its values as text: dictionary where few are distinct."""
        if not self.column:
            return WORD
        return ACCESS_LOG_TABLE.column(self.column).arrow if self.kind is not Kind.ADDRESS else TEXT


def fields(format: Format) -> tuple[str | Field, ...]:
    """The parts of a text format, its operators bound to columns. A column is filled once: by the first operator that means it."""
    taken: set[str] = set()
    found: list[str | Field] = []
    for at, part in enumerate(format.parts):
        if isinstance(part, str):
            found.append(part)
            continue
        before = format.parts[at - 1] if at else ""
        after = format.parts[at + 1] if at + 1 < len(format.parts) else ""
        quoted = isinstance(before, str) and before.endswith('"')
        found.append(_field(part, after[:1] if isinstance(after, str) else None, taken, quoted=quoted))
    return tuple(found)


def _field(operator: Operator, after: str | None, taken: set[str], *, quoted: bool) -> Field:
    meaning = operator.meaning
    shape, kind, column = meaning.shape, meaning.kind, meaning.column
    times = None
    if kind is Kind.TIME:
        times = layout(operator.argument)
        shape = times.shape if times else None
    if quoted and after == '"' and shape in (NO_BLANK, NO_BLANK_NO_QUOTE):
        shape = NO_QUOTE
    filled = {column, PORT_COLUMN.get(column, column)} if kind is Kind.ADDRESS else {column}
    if filled & taken or (kind is Kind.TIME and times is None):
        column, kind = "", Kind.WORD
    elif column:
        taken |= filled
    return Field(operator, column, kind, shape if _ends(shape, after) else None, times)


_ENDED_BY = {NO_BLANK: " ", NO_BLANK_NO_QUOTE: ' "', NO_QUOTE: '"'}
_CANNOT_FOLLOW = {
    NUMBER_SHAPE: b"0123456789-",
    METHOD_SHAPE: b"!#$%&'*+.^_`|~-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    PROTOCOL_SHAPE: b"",
}


def _ends(shape: bytes | None, after: str | None) -> bool:
    """Whether a value of this shape ends in one place only, before the character `after` ('' the line's end, None another operator)."""
    if shape is None or after is None:
        return shape == PROTOCOL_SHAPE
    if after == "" or len(after.encode()) > 1:
        return True
    if shape in _ENDED_BY:
        return after in _ENDED_BY[shape]
    return after.encode() not in _CANNOT_FOLLOW.get(shape, b"0123456789.Z")
