"""One line of JSON to texts by key: the reader for what the columnar one leaves, and the definition of what is right.

Envoy's JSON escapes what clients send, with one fault: bytes of a value that is no UTF-8 are printed as a backslash and three octal
digits, which no JSON parser takes. Envoy Gateway's default is a text format that looks like JSON and escapes nothing, so its lines are
read as text: only what can stand in one place counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from parsers import defaults
from parsers.fields import ENCODING, FIELDS
from parsers.format_string import Format, Operator
from parsers.json_keys import Keys
from parsers.strict import NOWHERE, StrictReader

MAX_DEPTH = 32
"""Objects and lists inside each other; deeper lines are refused."""

MAX_LINE = 1 << 20
"""Bytes of a line that is read."""


@dataclass(frozen=True, slots=True)
class Object:
    """What a line tells: `texts` by key (nested keys joined with `.`, no null), `keys` in order, why it is doubtful ('' if it is not)."""

    texts: dict[str, str]
    keys: tuple[str, ...]
    doubt: str = ""


# Escapes one after the other, so that the second backslash of `\\377` is not taken for the beginning of an octal one.
_ESCAPE = re.compile(rb"\\(?:([0-3][0-7]{2})|.)", re.DOTALL)


def _unescape_octal(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return found[0]
    byte = int(found[1], 8)
    # What JSON cannot hold as it is stays escaped, in the way JSON knows.
    return bytes([byte]) if byte >= 0x80 else b"\\u%04x" % byte


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


class _Number(str):
    """A number, as printed."""

    __slots__ = ()


_TEXTS = {str, _Number, type(None)}


class _Pairs(list[tuple[str, Any]]):
    """An object as its members in order, so that a key that stands twice shows."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def read_object(line: bytes, keys: Keys) -> Object | None:
    """Read one line (without its newline); None for what is no JSON object, is too deep, or too long. Numbers stay as printed.

    Where a key stands twice neither value is taken, and nothing behind the first value that a client chose: a text format without
    escapes may have printed the line. The row is then doubtful (`fields`).
    """
    line = line.strip(b" \t\r")
    if not line.startswith(b"{") or len(line) > MAX_LINE:
        return None
    return read_gateway(line) or _read_json(line, keys)


def _read_json(line: bytes, keys: Keys) -> Object | None:
    doubt = ""
    if b"\\" in line:
        line = _ESCAPE.sub(_unescape_octal, line)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text, doubt = line.decode(errors="replace"), ENCODING
    found = _decoded(text)
    if found is None:
        return None
    members = _flat(found)
    names = [key for key, _ in members]
    texts = {key: value for key, value in members if value is not None}
    if len(set(names)) != len(names):
        return Object(_proved(members, names, keys), tuple(dict.fromkeys(names)), FIELDS)
    # Only an escape can make half of a surrogate pair.
    for key, value in texts.items() if b"\\u" in line else ():
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            texts[key], doubt = value.encode(errors="replace").decode(), ENCODING
    return Object(texts, tuple(names), doubt)


def _decoded(text: str) -> _Pairs | None:
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return None
    try:
        found, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if end == len(text) and isinstance(found, _Pairs) else None


def _depth(text: str) -> int:
    """Brackets open at once."""
    depth = deepest = 0
    for c in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if c in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _flat(pairs: _Pairs, prefix: str = "") -> list[tuple[str, str | None]]:
    """Members by their full name, values as text."""
    if all(type(value) in _TEXTS for _, value in pairs):
        return [(f"{prefix}{key}", value) for key, value in pairs]
    members: list[tuple[str, str | None]] = []
    for key, value in pairs:
        if isinstance(value, _Pairs):
            members += _flat(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, str):
            members.append((f"{prefix}{key}", value))
        else:
            members.append((f"{prefix}{key}", _json(value)))
    return members


def _json(value: Any) -> str:
    """As JSON without blanks, numbers as printed."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{_json(k)}:{_json(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


_OURS = {"timestamp", "response_code", "response_flags", "bytes_received", "bytes_sent", "duration_ms"}
"""Columns whose values no client chooses."""


def _proved(members: list[tuple[str, str | None]], names: list[str], keys: Keys) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in members:
        meaning = keys.meaning(key)
        if names.count(key) > 1 or meaning is None or meaning.column not in _OURS:
            break
        if value is not None:
            texts[key] = value
    return texts


GATEWAY_KEYS = tuple(json.loads(next(d.text for d in defaults.JSON_DEFAULTS if d.name == "envoy-gateway")))
"""The keys of Envoy Gateway's default, in order; a line of it has each of them."""
GATEWAY_KEY = "x-envoy-origin-path"
_GATEWAY_BEGINS = b'{"start_time":"'


@cache
def _gateway() -> StrictReader:
    """Its format as the text that it is."""
    found = next(d for d in defaults.JSON_DEFAULTS if d.name == "envoy-gateway")
    template = found.format.json or {}
    parts: list[str | Operator] = []
    for key, value in template.items():
        parts += ['{"' if not parts else '","', f'{key}":"', *value]
    merged: list[str | Operator] = []
    for part in [*parts, '"}']:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return StrictReader(Format(found.text, tuple(merged)))


def is_gateways(line: bytes) -> bool:
    """Whether a line begins as Envoy Gateway's default text does."""
    return line.startswith(_GATEWAY_BEGINS) and b'"x-envoy-origin-path":"' in line


def read_gateway(line: bytes) -> Object | None:
    """A line of Envoy Gateway's default text; None for any other line. Of a doubtful line only what is proved is there."""
    if not is_gateways(line):
        return None
    found = _gateway().spans(line)
    if found is None:
        return None
    spans, doubt = found
    texts: dict[str, str] = {}
    for name, span in zip(GATEWAY_KEYS, spans, strict=True):
        if span == NOWHERE:
            continue
        value = line[span[0] : span[1]]
        try:
            texts[name] = value.decode()
        except UnicodeDecodeError:
            texts[name], doubt = value.decode(errors="replace"), doubt or ENCODING
    return Object(texts, GATEWAY_KEYS, doubt)
