"""Envoy's format language: a text such as `[%START_TIME%] "%REQ(:METHOD)%" %RESPONSE_CODE%`, or a JSON template of such texts.

What enters is a format as it stands in a mesh config; what leaves is a `Format`, from which every reader is made.
Grammar (Envoy's substitution formatter): `%COMMAND%`, `%COMMAND(ARGUMENT)%`, `%COMMAND(ARGUMENT):LENGTH%`, `%%` for a percent sign;
an argument holds no `)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pyparsing as pp

from logproc.errors import ExpressionError
from parsers import operators
from parsers.operators import Kind, Meaning

MAX_DEPTH = 32
"""Objects inside objects of a JSON template; Envoy's own limit is far lower."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One command operator: `%COMMAND(argument):length%`, and where it stands in the format (`offset`, in characters)."""

    command: str
    argument: str | None = None
    length: int | None = None
    text: str = field(default="", compare=False)
    offset: int = field(default=0, compare=False)

    @property
    def meaning(self) -> Meaning:
        """Its column, kind and shape."""
        return operators.meaning(self.command, self.argument, self.length)

    @property
    def name(self) -> str:
        """The operator without its percent signs: the key under which `extra` keeps what has no column."""
        return self.text.strip("%")


Parts = tuple["str | Operator", ...]
Template = Mapping[str, Any]
"""Keys to `Parts`, to further templates, to lists of both, or to the literal numbers, booleans and null of the template."""


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """A compiled format, equal only to itself (it is a key where lines are many): `parts` of a text format, or the `json` template (then `parts` is empty)."""

    text: str
    parts: Parts = ()
    json: Template | None = None
    omit_empty_values: bool = False
    """A missing value prints as nothing instead of `-`; in JSON its key is left out."""
    name: str = ""

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All operators, in the order in which they stand."""
        return tuple(_operators(self.json if self.json is not None else self.parts))


def _operators(value: Any) -> list[Operator]:
    if isinstance(value, Operator):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [o for v in value for o in _operators(v)]
    return []


def _operator(_text: str, offset: int, found: pp.ParseResults) -> Operator:
    named = found.as_dict()
    length = named["length"]
    return Operator(named["command"], named["argument"], None if length is None else int(length), found[0], offset)


_OPERATOR_TEXT = r"%(?P<command>[A-Z][A-Z0-9_]*)(?:\((?P<argument>[^)]*)\))?(?::(?P<length>[0-9]+))?%"
# One expression: part by part a format takes 3 ms, and a command that starts reads all that are known.
_OPERATOR = pp.Regex(_OPERATOR_TEXT).set_parse_action(_operator)
_SIGN = pp.Literal("%").set_name("'%' at the operator's end")
_ARGUMENT = "(" - pp.Regex(r"[^)]*").set_name("an argument") - pp.Literal(")").set_name("')' after the argument")
_LENGTH = ":" - pp.Regex("[0-9]+").set_name("a number of characters")
_COMMAND = pp.Regex("[A-Z][A-Z0-9_]*").set_name("a command such as START_TIME, or %% for a percent sign")
_NO_OPERATOR = "%" - _COMMAND + pp.Optional(_ARGUMENT) + pp.Optional(_LENGTH) - _SIGN
"""Where `_OPERATOR` does not fit, this says at which place, and what was expected there."""
_PERCENT = pp.Literal("%%").set_parse_action(lambda: "%")
_LITERAL = pp.Regex("[^%]+")
# Blanks are part of a format: nothing is skipped.
_FORMAT = (
    (pp.ZeroOrMore(_LITERAL | _OPERATOR | _PERCENT | _NO_OPERATOR) + pp.StringEnd())
    .leave_whitespace()
    .parse_with_tabs()
)


@lru_cache(256)
def compile_format(text: str, *, omit_empty_values: bool = False, name: str = "", encoding: str = "auto") -> Format:
    """Read a format. `encoding`: `text`, `json`, or `auto`: JSON if it is an object. Raises ExpressionError with the place and what was expected there.

    Newlines at the end are dropped: Envoy's sink or Istio adds one, and lines are read without theirs.
    """
    if encoding == "json" or (encoding == "auto" and text.lstrip().startswith("{")):
        template = _object(text, must_be=encoding == "json")
        if template is not None:
            return Format(text, json=_template(template, text, 1), omit_empty_values=omit_empty_values, name=name)
    line = text.rstrip("\r\n")
    parts = _parts(line, text)
    if "\n" in line:
        hint = "lines are read one by one; with accessLogEncoding: JSON Envoy prints an object as one line"
        raise ExpressionError("format", text, line.index("\n"), "a format of one line", hint)
    return Format(text, parts, omit_empty_values=omit_empty_values, name=name)


def _object(text: str, *, must_be: bool) -> dict[str, Any] | None:
    """A JSON template; None for text in the shape of JSON, such as {"code":%RESPONSE_CODE%}, whose values have no quotes of their own."""
    try:
        found = json.loads(text, object_pairs_hook=_no_twins)
    except _TwinKeyError as twin:
        key = json.dumps(twin.key)
        raise ExpressionError(
            "format", text, text.rfind(key), "another key, this one is there twice", "give each key once"
        ) from None
    except (json.JSONDecodeError, RecursionError) as error:
        masked = re.sub(_OPERATOR_TEXT, lambda found: "1" * len(found[0]), text)
        if must_be or (re.match(r'\s*\{\s*"', text) and not _is_json(masked)):
            expected = getattr(error, "msg", "fewer objects inside one another").removeprefix("Expecting ")
            hint = 'a JSON template is one object whose values are strings, such as {"code": "%RESPONSE_CODE%"}'
            raise ExpressionError("format", text, getattr(error, "pos", 0), expected, hint) from None
        return None
    return found if isinstance(found, dict) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def named(format: Format, name: str) -> Format:
    """The same format under a name."""
    return replace(format, name=name)


class _TwinKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwinKeyError(key)
        found[key] = value
    return found


def _template(value: dict[str, Any], text: str, depth: int) -> Template:
    if depth > MAX_DEPTH:
        raise ExpressionError("format", text, 0, f"at most {MAX_DEPTH} objects inside one another")
    return {key: _template_value(v, text, depth) for key, v in value.items()}


def _template_value(value: Any, text: str, depth: int) -> Any:
    if isinstance(value, dict):
        return _template(value, text, depth + 1)
    if isinstance(value, list):
        return [_template_value(v, text, depth + 1) for v in value]
    if isinstance(value, str):
        try:
            return _parts(value, value)
        except ExpressionError as error:
            raise (
                error
                if value not in text
                else ExpressionError(error.what, text, text.index(value) + error.offset, error.expected, error.hint)
            ) from None
    return value


_HINTS = {
    "'%' at the operator's end": "close the operator with %, or write %% for a percent sign",
    "a command": "operators are written in capitals: %START_TIME%",
    "')' after the argument": "close the argument: %REQ(USER-AGENT)%",
    "a number of characters": "how many characters to keep: %REQ(USER-AGENT):64%",
}
"""What to do next, by what was expected."""


def _parts(format: str, whole: str) -> Parts:
    try:
        found = _FORMAT.parse_string(format)
    except pp.ParseBaseException as error:
        expected = str(error.msg).removeprefix("Expected ")
        hint = next((h for said, h in _HINTS.items() if said in expected), "")
        raise ExpressionError("format", whole, error.loc, expected, hint) from None
    parts: list[str | Operator] = []
    for part in found:
        if isinstance(part, Operator):
            _check(part, whole)
            parts.append(part)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    _check_neighbours(parts, whole)
    return tuple(parts)


_EXAMPLES = {
    "REQ": "USER-AGENT", "RESP": "CONTENT-TYPE", "TRAILER": "GRPC-STATUS", "DYNAMIC_METADATA": "NAMESPACE:KEY",
    "FILTER_STATE": "KEY", "ENVIRONMENT": "POD_NAME", "COMMON_DURATION": "DS_RX_BEG:DS_TX_END:ms", "CEL": "request.method",
}  # fmt: skip


def _check(operator: Operator, text: str) -> None:
    command, argument = operator.command, operator.argument
    start = operator.offset + 1 + len(command)
    if argument is None or argument == "":
        if command in operators.ARGUMENT_REQUIRED:
            raise ExpressionError(
                "format",
                text,
                start + (argument is not None),
                f"an argument: %{command}(...)%",
                f"say which one, such as %{command}({_EXAMPLES.get(command, 'NAME')})%",
            )
        return
    if command in operators.NO_ARGUMENT:
        raise ExpressionError("format", text, start, f"'%': {command} takes no argument", f"write %{command}%")
    if command in operators.HEADER_COMMANDS:
        fault = operators.header_argument_fault(argument)
        if fault is not None:
            raise ExpressionError(
                "format",
                text,
                start + 1 + fault,
                "the name of a header, or (MAIN?ALTERNATIVE) with one alternative",
                f"such as %{command}(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            )


def _check_neighbours(parts: list[str | Operator], text: str) -> None:
    for left, right in pairwise(parts):
        if isinstance(left, Operator) and isinstance(right, Operator) and not (_is_closed(left) or _is_closed(right)):
            raise ExpressionError(
                "format",
                text,
                right.offset,
                f"something between {left.text} and {right.text}: their values cannot be told apart",
                "put a blank, a comma or quotes between them",
            )


def _is_closed(operator: Operator) -> bool:
    """Its values are few or of fixed shape, so that a neighbour's end can be told without a mark between them."""
    return operator.meaning.kind in (Kind.PROTOCOL, Kind.TIME) and operator.length is None
