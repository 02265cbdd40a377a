"""The grammar of the filter language: text to the nodes of `logproc.where`, each value read as its column's type asks.

The grammar decides at every word which way to go on (no backtracking over a value), so an error is reported where the text goes wrong.
"""

from __future__ import annotations

import difflib
import math
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyparsing as pp

from logproc import when
from logproc.columns import Table
from logproc.errors import ExpressionError
from logproc.where import ALIASES, And, Between, Equals, Field, HasFlag, IsNull, Matches, Node, Not, Or, Ordered

WHAT = "filter"
SCALES: dict[str, dict[str, Decimal]] = {
    "duration": {k: Decimal(v) for k, v in {"us": "0.001", "µs": "0.001", "ms": "1", "s": "1000", "m": "60000", "min": "60000", "h": "3600000", "d": "86400000"}.items()},
    "bytes": {
        prefix + unit: Decimal(factor)
        for prefix, factor in {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}.items()
        for unit in ("", "B")
        if prefix + unit
    },
}  # fmt: skip
"""Units after a number, by what the column counts: milliseconds, bytes (k = 1000, Ki = 1024, as Kubernetes has it)."""

_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*(?:\.\d+)?|\.\d+))([A-Za-zµ]*)")
_CODE_CLASS = re.compile(r"([1-9])xx", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str
    offset: int
    ago: bool = False


@dataclass(frozen=True, slots=True)
class _Name:
    text: str
    offset: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _Condition:
    name: _Name
    operator: str
    values: tuple[_Literal, ...]


@dataclass(frozen=True, slots=True)
class _Negation:
    part: Any


@dataclass(frozen=True, slots=True)
class _Join:
    all: bool
    parts: tuple[Any, ...]


@cache
def _grammar() -> pp.ParserElement:
    """The language, as the docstring of `logproc.where` describes it."""

    def word(text: str) -> pp.ParserElement:
        return pp.CaselessKeyword(text).suppress()

    def literal(text: str, offset: int, tokens: pp.ParseResults) -> _Literal:
        first = tokens[0]
        offset = _skip_blanks(text, offset)
        quote = first[0] if first[0] in "'\"" else ""
        return _Literal(first[1:-1].replace(quote * 2, quote) if quote else first, offset, len(tokens) > 1)

    is_, not_, in_, null = word("is"), word("not"), word("in"), word("null")
    keyword = pp.MatchFirst([pp.CaselessKeyword(k) for k in ("and", "or", "not", "in", "is", "null")])

    quoted = pp.Regex(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"").set_name("a value")
    bare = ~keyword + pp.Regex(r"[^\s()'\",=<>!~][^\s()'\",]*").set_name("a value")
    value = (bare + pp.Optional(pp.CaselessKeyword("ago")) | quoted).set_name("a value").add_parse_action(literal)
    values = (
        pp.Literal("(").suppress().set_name("'('")
        - pp.DelimitedList(value).set_name("a value")
        - pp.Literal(")").suppress().set_name("',' or ')'")
    )

    key = (
        pp.Literal("[").suppress()
        - quoted.copy().set_name("a key in quotes").add_parse_action(literal)
        - pp.Literal("]").suppress().set_name("']'")
    )
    name = (~keyword + pp.Regex(r"[A-Za-z_][A-Za-z0-9_]*") + pp.Optional(key)).set_name("a column")
    name.add_parse_action(lambda text, at, t: _Name(t[0], _skip_blanks(text, at), t[1].text if len(t) > 1 else None))

    null_test = is_ - (
        (not_ + null).add_parse_action(lambda: ["is not null"]) | null.copy().add_parse_action(lambda: ["is null"])
    ).set_name("null or not null")
    operator = pp.one_of("= == != <> < <= > >= : !: ~ =~ !~").set_name("an operator (= != < <= > >= in : ~ is)")
    membership = (
        in_.copy().add_parse_action(lambda: ["in"]) - values
        | (not_ + in_).add_parse_action(lambda: ["not in"]) - values
    )
    condition = name - (null_test | membership | operator - value).set_name("an operator (= != < <= > >= in : ~ is)")
    condition.add_parse_action(lambda t: _Condition(t[0], t[1], tuple(t[2:])))

    function = pp.CaselessKeyword("has_flag").add_parse_action(lambda text, at, t: _Name(t[0], _skip_blanks(text, at)))
    has_flag = function - values
    has_flag.add_parse_action(lambda t: _Condition(t[0], "has_flag", tuple(t[1:])))

    start = "a column, has_flag(...), not, or '('"
    expression = pp.Forward()
    expression.set_name(start)
    group = pp.Literal("(").suppress() - expression - pp.Literal(")").suppress().set_name("and, or, or ')'")
    primary = (group | has_flag | condition).set_name(start)
    negation = pp.Forward()
    negation.set_name(start)
    negation <<= ((not_ - negation).add_parse_action(lambda t: _Negation(t[0])) | primary).set_name(start)
    conjunction = negation + pp.ZeroOrMore(word("and") - negation)
    conjunction.add_parse_action(lambda t: _Join(True, tuple(t)) if len(t) > 1 else t[0])
    expression <<= conjunction + pp.ZeroOrMore(word("or") - conjunction)
    expression.add_parse_action(lambda t: _Join(False, tuple(t)) if len(t) > 1 else t[0])
    return (expression - pp.StringEnd().set_name("and, or, or the end")).parse_with_tabs()


def read(text: str, table: Table, now: datetime) -> Node:
    """The node that a text means over the columns of a table. Raises ExpressionError."""
    try:
        tree = _grammar().parse_string(text)[0]
        return _Reader(text, table, now).node(tree)
    except pp.ParseBaseException as error:
        offset = _skip_blanks(text, error.loc)
        expected = error.msg.removeprefix("Expected ")
        if expected == "a value" and text[offset : offset + 1] in ("'", '"'):
            expected = "a value with its closing quote"
        raise ExpressionError(WHAT, text, offset, expected) from None
    except RecursionError:
        raise ExpressionError(WHAT, text, 0, "fewer parentheses and nots inside each other") from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Gives each condition the meaning that its column's type asks for."""

    text: str
    table: Table
    now: datetime

    def node(self, tree: Any) -> Node:
        if isinstance(tree, _Negation):
            return Not(self.node(tree.part))
        if isinstance(tree, _Join):
            parts = tuple(self.node(part) for part in tree.parts)
            return And(parts) if tree.all else Or(parts)
        return self._condition(tree)

    def _condition(self, condition: _Condition) -> Node:
        operator, values = condition.operator, condition.values
        if operator == "has_flag":
            return self._has_flag(condition)
        field, kind = self._field(condition.name)
        if operator in ("is null", "is not null"):
            return IsNull(field) if operator == "is null" else Not(IsNull(field))
        operator = {"==": "=", "<>": "!=", "=~": "~"}.get(operator, operator)
        if operator in ("!=", "not in", "!:", "!~"):
            return Not(self._positive(field, kind, {"!=": "=", "not in": "in", "!:": ":", "!~": "~"}[operator], values))
        return self._positive(field, kind, operator, values)

    def _has_flag(self, condition: _Condition) -> Node:
        if "response_flags" not in {c.name for c in self.table.columns}:
            self._fail(condition.name.offset, f"a column of {self.table.name}, which has no response_flags")
        return HasFlag(Field("response_flags"), tuple(v.text for v in condition.values))

    def _field(self, name: _Name) -> tuple[Field, pa.DataType]:
        known = {c.name: c.arrow for c in self.table.columns}
        column = name.text.lower()
        if column not in known:
            column = ALIASES.get(column, column)
        if column not in known:
            near = difflib.get_close_matches(
                name.text.lower(), [*known, *(a for a, c in ALIASES.items() if c in known)], 1
            )
            self._fail(
                name.offset,
                f"a column of {self.table.name}",
                f"did you mean {near[0]}?" if near else f"its columns: {', '.join(known)}",
            )
        kind = known[column]
        if pa.types.is_map(kind):
            if name.key is None:
                self._fail(name.offset + len(name.text), f'a key: {column}["name"]')
            return Field(column, name.key), pa.string()
        if name.key is not None:
            self._fail(name.offset + len(name.text), "an operator", f"{column} has no keys")
        return Field(column), kind

    def _positive(self, field: Field, kind: pa.DataType, operator: str, values: tuple[_Literal, ...]) -> Node:
        number = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
        identifier = pa.types.is_fixed_size_binary(kind)
        if operator in (":", "~"):
            if number or identifier:
                self._fail(
                    values[0].offset,
                    f"another operator: {field.column} is no text",
                    "patterns (: and ~) are for text columns",
                )
            return Matches(field, self._pattern(values[0], glob=operator == ":"))
        if number:
            ranges = [self._range(field.column, kind, value) for value in values]
            return Between(field, tuple(_interval(operator, low, high) for low, high in ranges))
        if identifier:
            if operator not in ("=", "in"):
                self._fail(values[0].offset, f"=, != or in: {field.column} has no order")
            return Equals(field, tuple(self._uuid(value) for value in values))
        texts = tuple(_sorted_flags(v.text) if field.column == "response_flags" else v.text for v in values)
        if operator in ("=", "in"):
            return Equals(field, texts)
        return Ordered(field, operator, texts[0])

    def _pattern(self, value: _Literal, *, glob: bool) -> str:
        pattern = value.text
        if glob:
            pieces = (".*" if p == "*" else "." if p == "?" else re.escape(p) for p in re.split(r"([*?])", value.text))
            pattern = f"(?s)^{''.join(pieces)}$"
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            reason = str(error).removeprefix("Invalid regular expression: ")
            self._fail(
                value.offset,
                f"a regular expression ({reason})",
                "the syntax is RE2's: no look-ahead, no back-references",
            )
        return pattern

    def _range(self, column: str, kind: pa.DataType, value: _Literal) -> tuple[Decimal, Decimal]:
        """The closed range of numbers that a literal stands for: one number, or a class of codes."""
        if pa.types.is_timestamp(kind):
            instant = self._instant(value)
            return instant, instant
        if column == "response_code" and (code := _CODE_CLASS.fullmatch(value.text)):
            first = Decimal(code[1]) * 100
            return first, first + 99
        measure = (
            "duration"
            if column.endswith("_ms")
            else "bytes"
            if column.startswith("bytes_") or column == "length"
            else ""
        )
        scales = SCALES.get(measure, {})
        found = _NUMBER.fullmatch(value.text)
        if not found or value.ago or (found[2] and found[2] not in scales):
            examples = {"duration": "a duration (250, 500ms, 1.5s, 2m)", "bytes": "a number of bytes (512, 10k, 1.5Mi)"}
            number = "a code (503, 5xx)" if column == "response_code" else "a number"
            self._fail(value.offset, examples.get(measure, number))
        amount = Decimal(found[1].replace("_", "")) * (scales[found[2]] if found[2] else 1)
        return amount, amount

    def _instant(self, value: _Literal) -> Decimal:
        """Microseconds since 1970."""
        try:
            at = self.now - when.duration(value.text) if value.ago else when.instant(value.text, self.now)
        except (ValueError, OverflowError):
            self._fail(value.offset, "a time (2026-11-21, '2026-11-21 04:37', 2026-11-21T04:37:00Z, 15m ago, now)")
        return Decimal((at - _EPOCH) // timedelta(microseconds=1))

    def _uuid(self, value: _Literal) -> bytes:
        try:
            return uuid.UUID(value.text).bytes
        except ValueError:
            self._fail(value.offset, "a UUID", "a request id that is none is in request_id_other")

    def _fail(self, offset: int, expected: str, hint: str = "") -> NoReturn:
        raise ExpressionError(WHAT, self.text, offset, expected, hint)


def _interval(operator: str, low: Decimal, high: Decimal) -> tuple[int | None, int | None]:
    """The integers x for which `x operator [low, high]` holds."""
    match operator:
        case "<":
            return None, math.ceil(low) - 1
        case "<=":
            return None, math.floor(high)
        case ">":
            return math.floor(high) + 1, None
        case ">=":
            return math.ceil(low), None
        case _:
            return math.ceil(low), math.floor(high)


def _skip_blanks(text: str, offset: int) -> int:
    """Where the next word begins: pyparsing reports the place before the blanks."""
    return len(text) - len(text[offset:].lstrip())


def _sorted_flags(text: str) -> str:
    return ",".join(sorted(text.split(",")))
