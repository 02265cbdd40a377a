"""Label and field selectors, read before they are sent, so that a fault is shown where it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from logproc.errors import ExpressionError

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_BLANKS = re.compile(r"\s*")
_SET = re.compile(r"(in|notin)(?=\s*\()")
_LONGEST = 63


def check_labels(text: str) -> None:
    """`app=web,version!=v1,tier in (a, b),!canary`. Raises ExpressionError with the place of the fault."""
    at = 0
    while True:
        at = _requirement(text, _skip(text, at))
        at = _skip(text, at)
        if at == len(text):
            return
        if text[at] != ",":
            raise _fault(text, at, "',' or the end")
        at += 1


def check_fields(text: str) -> None:
    """`spec.nodeName=node-1,status.phase!=Failed`. Raises ExpressionError with the place of the fault."""
    at = 0
    for part in text.split(","):
        if not re.fullmatch(r"\s*[A-Za-z0-9_.-]+\s*(?:!=|==?)\s*[^,=]*", part):
            raise ExpressionError(
                "field selector", text, at, "FIELD=VALUE or FIELD!=VALUE", "for example spec.nodeName=node-1"
            )
        at += len(part) + 1


def text_of(selector: Mapping[str, Any]) -> str:
    """A workload's `spec.selector` (matchLabels, matchExpressions; a service's plain labels) as a text."""
    plain = "matchLabels" not in selector and "matchExpressions" not in selector
    labels = selector if plain else selector.get("matchLabels") or {}
    parts = [f"{k}={v}" for k, v in labels.items()]
    expressions = [] if plain else selector.get("matchExpressions") or []
    for expression in expressions:
        key, operator = expression["key"], expression["operator"]
        values = ",".join(expression.get("values") or ())
        parts.append(
            {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}.get(operator, f"!{key}")
        )
    return ",".join(parts)


def _requirement(text: str, at: int) -> int:
    if text[at : at + 1] == "!" and text[at + 1 : at + 2] != "=":
        return _key(text, _skip(text, at + 1))
    at = _skip(text, _key(text, at))
    found = _SET.match(text, at)
    if found:
        return _values(text, _skip(text, found.end()))
    for operator in ("==", "!=", "="):
        if text.startswith(operator, at):
            return _value(text, _skip(text, at + len(operator)))
    if at < len(text) and text[at] != ",":
        raise _fault(text, at, "an operator (= != in notin)")
    return at


def _key(text: str, at: int) -> int:
    found = _KEY.match(text, at)
    if not found:
        raise _fault(text, at, "a label's name")
    return found.end()


def _value(text: str, at: int) -> int:
    found = _VALUE.match(text, at)
    end = found.end() if found else at
    if end < len(text) and text[end] not in ",) \t":
        raise _fault(text, end, "letters, digits, '-', '_' or '.'")
    if end - at > _LONGEST:
        raise _fault(text, at, f"at most {_LONGEST} characters")
    return end


def _values(text: str, at: int) -> int:
    at += 1
    while True:
        at = _skip(text, _value(text, _skip(text, at)))
        if text[at : at + 1] == ")":
            return at + 1
        if text[at : at + 1] != ",":
            raise _fault(text, at, "',' or ')'")
        at += 1


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _fault(text: str, at: int, expected: str) -> ExpressionError:
    return ExpressionError(
        "label selector", text, at, expected, "for example app=web, app in (web, api), version!=v1, !canary"
    )
