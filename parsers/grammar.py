"""The reference reader: a pyparsing grammar of a line, generated from its format. It defines what is right; nothing hot uses it.

`read_line` reads one line and says of each field what it is, or where the line stops fitting and what was expected there. It shares
no code with the columnar and the strict reader but the format and the grammars of single values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyparsing as pp

from parsers import values
from parsers.fields import ENCODING, FIELDS, NUMBER, QUOTES, TIME, Field, fields
from parsers.format_string import Format
from parsers.operators import (
    METHOD_SHAPE,
    NO_BLANK,
    NO_BLANK_NO_QUOTE,
    NO_QUOTE,
    NUMBER_COLUMNS,
    NUMBER_SHAPE,
    PORT_COLUMN,
    PROTOCOL_SHAPE,
    Kind,
)
from parsers.times import micros

_TOKEN = pp.alphanums + "!#$%&'*+.^_`|~-"
_MISSING = pp.Literal("-")
_PLAIN_WORDS = {NO_BLANK: pp.Regex('[^" ][^ ]*'), NO_BLANK_NO_QUOTE: pp.CharsNotIn(' "'), NO_QUOTE: pp.CharsNotIn('"')}


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a line stops fitting its format: `offset` in characters, what was `expected`, and the operator it is about ('' a literal)."""

    offset: int
    expected: str
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a line says. `columns`: values that are not null; `fields`: each field with its text, None where it is not proved."""

    columns: dict[str, Any] = field(default_factory=dict)
    fields: tuple[tuple[Field, str | None], ...] = ()
    doubt: str = ""
    failure: Failure | None = None


def read_line(format: Format, line: str | bytes) -> Reading:
    """Read one line (without its newline) of a text format. Never raises on data: `failure` says where it does not fit."""
    text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
    grammar = _grammar(format)
    places = grammar.places(text)
    if isinstance(places, Failure):
        return Reading(failure=places)
    texts, sure = grammar.texts(text, places)
    doubt = "" if sure else QUOTES if text.count('"') > grammar.quotes else FIELDS
    pairs = tuple(zip(grammar.fields, texts, strict=True))
    return _reading(pairs, doubt)


_Place = tuple[int, int, Sequence[str]]
"""Start, end, and the texts of the fields between."""


class _Grammar:
    """Blocks of what Envoy prints by itself, as pyparsing expressions, and free fields between them."""

    def __init__(self, format: Format) -> None:
        parts = fields(format)
        self.fields = tuple(p for p in parts if isinstance(p, Field))
        self.quotes = sum(p.count('"') for p in parts if isinstance(p, str))
        self.blocks: list[pp.ParserElement] = []
        self.names: list[str] = []
        block: list[pp.ParserElement] = []
        for part in parts:
            if isinstance(part, str):
                block.append(pp.Literal(part).suppress().set_name(repr(part)))
            elif part.shape is not None:
                block.append(_value(part))
            else:
                self.names.append(part.operator.text)
                self.blocks.append(_sequence(block))
                block = []
        self.blocks.append(_sequence([*block, pp.StringEnd().set_name("the end of the line")]))

    def places(self, text: str) -> list[list[_Place]] | Failure:
        """Where each block can stand so that all others can stand too."""
        found: list[list[_Place]] = []
        reached = 0
        for number, block in enumerate(self.blocks):
            starts = [0] if number == 0 else range(reached, len(text) + 1)
            here = [p for s in starts if (p := _try(block, text, s)) is not None]
            if not here:
                return self._failure(number, text, starts)
            found.append(here)
            reached = min(end for _, end, _ in here)
        # Forwards and backwards: a place stays if one of the block before ends at or before it, and one of the next begins after it.
        for i in range(1, len(found)):
            least = min(end for _, end, _ in found[i - 1])
            found[i] = [p for p in found[i] if p[0] >= least]
        for i in range(len(found) - 2, -1, -1):
            most = max(start for start, _, _ in found[i + 1])
            found[i] = [p for p in found[i] if p[1] <= most]
        return found

    def texts(self, text: str, places: list[list[_Place]]) -> tuple[list[str | None], bool]:
        """The text of each field, None where blocks can stand in more than one place; and whether all stand in one."""
        found: list[str | None] = []
        for i, here in enumerate(places):
            if i:
                before = places[i - 1]
                found.append(text[before[0][1] : here[0][0]] if len(before) == len(here) == 1 else None)
            found += here[0][2] if len(here) == 1 else [None] * len(here[0][2])
        return found, all(len(here) == 1 for here in places)

    def _failure(self, number: int, text: str, starts: Sequence[int]) -> Failure:
        """The attempt that got furthest in the block."""
        best, most = Failure(starts[0] if starts else len(text), "more text"), -1
        for start in starts:
            try:
                self.blocks[number].parse_string(text[start:])
            except pp.ParseBaseException as error:
                if error.loc > most:
                    best, most = Failure(start + error.loc, str(error.msg).removeprefix("Expected ")), error.loc
        operator = re.match("%[^%]*%", best.expected)
        return Failure(
            best.offset, best.expected, operator[0] if operator else self.names[number - 1] if number else ""
        )


@lru_cache(64)
def _grammar(format: Format) -> _Grammar:
    return _Grammar(format)


def _sequence(block: list[pp.ParserElement]) -> pp.ParserElement:
    return (pp.And(block) if block else pp.Empty()).leave_whitespace().parse_with_tabs()


def _try(block: pp.ParserElement, text: str, start: int) -> _Place | None:
    try:
        end, tokens = block._parse(text, start)
    except pp.ParseBaseException:
        return None
    return start, end, list(tokens)


def _value(one: Field) -> pp.ParserElement:
    """The grammar of a value that Envoy alone makes."""
    if one.layout is not None:
        found: pp.ParserElement = pp.Regex((one.shape or b"").decode())
    elif one.shape == NUMBER_SHAPE:
        found = pp.Word(pp.nums) | _MISSING | pp.Empty().set_parse_action(lambda: "")
    elif one.shape == METHOD_SHAPE:
        found = pp.Word(_TOKEN)
    elif one.shape == PROTOCOL_SHAPE:
        found = pp.one_of("HTTP/1.0 HTTP/1.1 HTTP/2 HTTP/3 -")
    else:
        found = _PLAIN_WORDS[one.shape or b""] | pp.Empty().set_parse_action(lambda: "")
    return found.set_name(f"{one.operator.text}: {_EXPECTED.get(one.kind, 'a word')}")


_EXPECTED = {
    Kind.TIME: "a time",
    Kind.METHOD: "a method",
    Kind.PROTOCOL: "HTTP/1.1, HTTP/2, HTTP/3 or -",
    Kind.NUMBER: "a number or -",
    Kind.FLAGS: "response flags or -",
    Kind.CLUSTER: "a cluster",
    Kind.ADDRESS: "an address",
}


def _reading(pairs: tuple[tuple[Field, str | None], ...], doubt: str) -> Reading:
    columns: dict[str, Any] = {}
    extra: list[tuple[str, str]] = []
    for one, text in pairs:
        if text is None or text == "-":
            continue
        clean = text.encode("utf-8", "surrogateescape").decode(errors="replace")
        if clean != text:
            doubt = doubt or ENCODING
        if not one.column:
            extra.append((one.key, clean))
            continue
        found, wrong = _columns(one, clean)
        columns |= {k: v for k, v in found.items() if v is not None}
        doubt = doubt or wrong
    if extra:
        columns["extra"] = extra
    _derive(columns, pairs)
    return Reading(columns, pairs, doubt)


def _columns(one: Field, text: str) -> tuple[dict[str, Any], str]:  # noqa: PLR0911  one kind a line
    """The columns one text fills, and the doubt it brings."""
    name = one.column
    match one.kind:
        case Kind.TIME:
            time = (
                micros(text) if not one.operator.argument else one.layout.micros(text.encode()) if one.layout else None
            )
            time = time if time is not None and 0 <= time < 9_214_646_400_000_000 else None
            return {name: time}, TIME if time is None else ""
        case Kind.NUMBER:
            number = int(text) if re.fullmatch("[0-9]+", text) else None
            fits = number is not None and number < 1 << NUMBER_COLUMNS[name]
            return {name: number if fits else None}, NUMBER if not fits and text else ""
        case Kind.FLAGS:
            return {name: values.flags(text)}, ""
        case Kind.CLUSTER:
            return {name: text.removesuffix(";")}, ""
        case Kind.ADDRESS:
            host, port = values.address(text)
            return {name: host, PORT_COLUMN[name]: port}, ""
        case Kind.REQUEST_ID:
            found = values.request_id(text)
            return ({name: found} if found is not None else {"request_id_other": text}), ""
        case _:
            return {name: text}, ""


def _derive(columns: dict[str, Any], pairs: tuple[tuple[Field, str | None], ...]) -> None:
    if "path" in columns:
        columns["path_template"] = values.path_template(columns["path"])
    if "upstream_cluster" in columns:
        cluster = values.cluster(columns["upstream_cluster"])
        sni = values.sni(columns["requested_server_name"]) if "requested_server_name" in columns else None
        service, subset = cluster.service, cluster.subset
        if cluster.direction == "inbound":
            service, subset = (sni.service, sni.subset) if sni is not None else (cluster.service, None)
        found = {
            "direction": cluster.direction,
            "upstream_port": cluster.port,
            "upstream_service": service,
            "upstream_subset": subset,
        }
        columns |= {k: v for k, v in found.items() if v is not None}
    kind = _log_type(columns, {f.column: t for f, t in pairs if f.column})
    if kind is not None:
        columns["log_type"] = kind


def _log_type(columns: dict[str, Any], texts: dict[str, str | None]) -> str | None:
    request = [texts[n] for n in ("method", "path", "protocol") if n in texts]
    unproved = any(t is None for t in [*request, *([texts["response_code"]] if "response_code" in texts else [])])
    if unproved:
        return "http" if "method" in columns else None
    if request:
        return "tcp" if all(t == "-" for t in request) else "http"
    if "response_code" in texts:
        return "http" if columns.get("response_code", 0) > 0 else None
    return "tcp"
