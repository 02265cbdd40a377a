"""One line taken apart for a person: which table it goes to, read as which format, and what each of its fields means.

The row is what the parser makes of the line; the fields beside it are the line's own texts, so that both can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logproc.columns import TABLES
from logproc.jsonl import rows_as_json
from logproc.model import ACCESS_LOG, PLAIN, REJECTED_LINE, ROW_TABLES, Text
from parsers import detect, incomplete, prefixes, resolve_format, values
from parsers.defaults import DEFAULTS, JSON_DEFAULTS, TEXT_DEFAULTS
from parsers.detect import strict_reader
from parsers.dispatch import MOST_PREFIXES, FormatParser
from parsers.fields import ENCODING, FIELDS, NUMBER, QUOTES, TIME
from parsers.flags import RESET_REASONS, RESPONSE_CODE_DETAILS, RESPONSE_FLAGS, Flag
from parsers.format_string import Format
from parsers.frames import FrameColumns
from parsers.nearest import Failure, json_failure, nearest
from parsers.operators import PORT_COLUMN, Kind
from parsers.strict import NOWHERE, Spans

JSON_FORMAT = "json"
"""Stands for JSON access lines, whose keys say what they are."""
ZTUNNEL_FORMAT = "ztunnel"

DOUBTS = {
    QUOTES: "a value holds quotes, so the line can be cut in more than one way; only what is the same in each is filled",
    FIELDS: "values hold blanks or marks of the format, or a key stands twice, so the line can be cut in more than one way; only what is the same in each is filled",
    ENCODING: "the line is no UTF-8; its wrong bytes are replaced",
    NUMBER: "where a number belongs stands something else, or one that is too large; that column stays empty",
    TIME: "the time cannot be read; the runtime's or the collector's takes its place",
    detect.REJECTED: "more than one known format can have printed it; only what is the same in each is filled",
    "partial": "the end of the line is missing",
}
"""Why a row is doubtful, in words."""

REASONS = {
    detect.REJECTED: "it begins like an access log and fits no known format",
    detect.TOO_LONG: f"it is longer than {detect.MAX_LINE_BYTES:,} bytes",
    detect.BINARY: "it is no text",
}
"""Why a line is rejected, in words."""

_DERIVED = {
    "path": ("path_template",),
    "upstream_cluster": ("direction", "upstream_port", "upstream_subset", "upstream_service"),
    "request_id": ("request_id_other",),
}
"""Columns that follow from another one's text."""

_L4_KEYS = {
    "timestamp": "time",
    "downstream_remote_address": "src.addr",
    "downstream_remote_port": "src.addr",
    "upstream_host": "dst.addr",
    "upstream_service": "dst.service",
    "direction": "direction",
    "bytes_received": "bytes_sent, bytes_recv",
    "bytes_sent": "bytes_sent, bytes_recv",
    "duration_ms": "duration",
    "connection_termination_details": "error",
}
"""ztunnel's keys behind the columns."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One field. `source`: the operator or JSON key ('' where the line names none), `column`: '' where it has none.

    `text` is what stands in the line, None where that is not proved; `values` are the columns it fills, `code_details` a sentence
    about a response-code detail, `unknown_flags` those that Envoy does not document.
    """

    source: str
    column: str
    text: str | None
    meaning: str
    values: Mapping[str, Any]
    flags: tuple[Flag, ...] = ()
    unknown_flags: tuple[str, ...] = ()
    code_details: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a line is. `failure`: where it stops fitting `nearest`, the format that was asked for or the one that comes nearest."""

    table: str
    row: Mapping[str, Any]
    line: str
    format: str = ""
    also: tuple[str, ...] = ()
    """Further known formats that print the same shape."""
    fields: tuple[Explained, ...] = ()
    frame: str = PLAIN.name
    frame_words: tuple[tuple[str, str], ...] = ()
    doubt: str = ""
    reason: str = ""
    failure: Failure | None = None
    nearest: str = ""

    @property
    def doubt_meaning(self) -> str:
        """The doubt in words."""
        return DOUBTS.get(self.doubt, self.doubt)


def explain(text: Text, format: str = "auto", *, partial: bool = False) -> Explanation:
    """Explain one line in its frame; `partial`: its end never came. Raises ConfigError for a format that is none."""
    configured = resolve_format(format)
    parser = FormatParser(configured)
    words, line = FrameColumns(text.frame).split(text.data.removesuffix(b"\n"))
    line = line.rstrip(b"\r")
    table, row = _row(parser, text)
    if table == ACCESS_LOG:
        line = _behind_prefixes(line, configured)
    doubt = "partial" if partial else str(row.get("doubt", ""))
    found, fields = _fields(parser, configured, line, table, row)
    failure, near = None, ""
    if row.get("reason") not in (detect.TOO_LONG, detect.BINARY):
        failure, near = _misfit(parser, configured, line, table, found)
    return Explanation(
        table,
        row,
        line.decode(errors="replace"),
        _name(found) if isinstance(found, Format) else found,
        _same_shape(found) if isinstance(found, Format) else (),
        tuple(fields),
        text.frame.name,
        # The tag of a joined line is F, whatever its last fragment had.
        tuple(
            (f, "P" if partial and f == "tag" else w.decode(errors="replace"))
            for f, w in zip(text.frame.fields, words, strict=False)
        ),
        doubt,
        str(row.get("reason", "")) if table == REJECTED_LINE else "",
        failure,
        near,
    )


def _behind_prefixes(line: bytes, configured: Format | None) -> bytes:
    """What an access line is without the prefixes it has of its own."""
    own = strict_reader(configured) if configured is not None and configured.json is None else None
    for _ in range(MOST_PREFIXES):
        if own is not None and own.spans(line) is not None:
            break
        found = prefixes.record(line) if line.startswith(b"{") else prefixes.split(line)
        if found is None:
            break
        line = found.line.rstrip(b"\r")
    return line


def _row(parser: FormatParser, text: Text) -> tuple[str, dict[str, Any]]:
    parsed = parser.parse([text])
    table = next(t for t in ROW_TABLES if t in parsed.tables and parsed.tables[t].num_rows)
    row: dict[str, Any] = json.loads(rows_as_json(table, parsed.tables[table])[0])
    del row["table"]
    return table, row


def _fields(
    parser: FormatParser, configured: Format | None, line: bytes, table: str, row: dict[str, Any]
) -> tuple[Format | str, list[Explained]]:
    """What the line was read as, and its fields."""
    if table != ACCESS_LOG:
        return "", _plain_fields(table, row, {})
    own = strict_reader(configured).spans(line) if configured is not None and configured.json is None else None
    if configured is not None and own is not None:
        return configured, _text_fields(configured, line, own[0], row)
    if line.lstrip().startswith(b"{"):
        return _json_fields(configured, line, row)
    choice = parser.detect([line]) if configured is None else None
    chosen = choice if isinstance(choice, Format) else None
    found = strict_reader(chosen).spans(line) if chosen is not None else None
    if chosen is not None and found is not None:
        return chosen, _text_fields(chosen, line, found[0], row)
    if detect.sort_of(line) == detect.ACCESS:
        fit = detect.fit(line, parser.known) or incomplete.read(line, parser.known)
        if fit is not None:
            return fit.format, _text_fields(fit.format, line, fit.spans, row)
    return ZTUNNEL_FORMAT, _plain_fields(table, row, _L4_KEYS)


def _text_fields(format: Format, line: bytes, spans: Spans, row: Mapping[str, Any]) -> list[Explained]:
    texts = [None if s == NOWHERE else line[s[0] : s[1]].decode(errors="replace") for s in spans]
    return [
        _explained(one.operator.text, one.column, one.kind, text, row)
        for one, text in zip(strict_reader(format).fields, texts, strict=True)
    ]


def _json_fields(
    configured: Format | None, line: bytes, row: Mapping[str, Any]
) -> tuple[Format | str, list[Explained]]:
    from parsers import ztunnel
    from parsers.json_keys import Keys
    from parsers.json_object import read_object

    template = configured if configured is not None and configured.json is not None else None
    keys = Keys(template.json if template is not None else None)
    found = read_object(line, keys)
    if found is None or ztunnel.is_object(found.keys):
        return ZTUNNEL_FORMAT, _plain_fields(ACCESS_LOG, row, _L4_KEYS)
    best: dict[str, tuple[int, str]] = {}
    for key in found.keys:
        meaning = keys.meaning(key)
        if meaning is not None and key in found.texts and found.texts[key] != values.MISSING:
            best[meaning.column] = min(best.get(meaning.column, (meaning.rank, key)), (meaning.rank, key))
    fields = []
    for key in found.keys:
        meaning = keys.meaning(key)
        # Of several keys for one column one fills it.
        fills = meaning is not None and best.get(meaning.column, (0, key))[1] == key
        column, kind = (meaning.column, meaning.kind) if meaning is not None and fills else ("", Kind.WORD)
        text = found.texts.get(key) if found.doubt == FIELDS else found.texts.get(key, "null")
        fields.append(_explained(key, column, kind, text, row))
    known = next((d.format for d in JSON_DEFAULTS if set(d.format.json or ()) == set(found.keys)), None)
    return template or known or JSON_FORMAT, fields


def _plain_fields(table: str, row: Mapping[str, Any], sources: Mapping[str, str]) -> list[Explained]:
    """The columns of a row whose line has no format, and what is in `extra`."""
    columns = {c.name: c for c in TABLES[table].columns}
    hidden = {"doubt", "extra", "log_type", "weight"}
    fields = [
        Explained(sources.get(name, ""), name, _text(value), columns[name].meaning, {name: value})
        for name, value in row.items()
        if name in columns and name not in hidden and not name.startswith("k8s_")
    ]
    return fields + [
        Explained(key, "extra", text, _kept(key), {}) for key, text in dict(row.get("extra", {})).items()
    ]  # fmt: skip


def _explained(source: str, column: str, kind: Kind, text: str | None, row: Mapping[str, Any]) -> Explained:
    key = source.strip("%")
    if not column:
        kept = key in dict(row.get("extra", {}))
        return Explained(source, "extra" if kept else "", text, _kept(key) if kept else "it has no column", {})
    names = (column, *([PORT_COLUMN[column]] if kind is Kind.ADDRESS else []), *_DERIVED.get(column, ()))
    filled = {n: row[n] for n in names if n in row}
    known, unknown = _flags(str(row.get(column, ""))) if kind is Kind.FLAGS else ((), ())
    said = _code_details(text) if column == "response_code_details" and text else ""
    return Explained(source, column, text, TABLES[ACCESS_LOG].column(column).meaning, filled, known, unknown, said)


def _kept(key: str) -> str:
    return f"it has no column, so it is kept as extra[{json.dumps(key)}]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _flags(text: str) -> tuple[tuple[Flag, ...], tuple[str, ...]]:
    names = [n for n in text.split(",") if n and n != values.MISSING]
    known = tuple(RESPONSE_FLAGS[n] for n in names if n in RESPONSE_FLAGS)
    return known, tuple(n for n in names if n not in RESPONSE_FLAGS)


def _code_details(text: str) -> str:
    """Who answered, and why."""
    if text in (values.MISSING, "null"):
        return ""
    found = values.details(text)
    known = RESPONSE_CODE_DETAILS.get(found.name)
    if known is None:
        return "not documented by Envoy: a filter or a newer release says it"
    said = f"the {known.answered_by} answered" if known.answered_by in ("proxy", "upstream") else known.answered_by
    if not found.args:
        return f"{said}: {known.meaning}"
    reason = RESET_REASONS.get(found.args.partition(",")[0]) if known.name.startswith("upstream_reset_") else None
    return f"{said}: {known.meaning} (here: {found.args}{f': {reason}' if reason else ''})"


def _misfit(
    parser: FormatParser, configured: Format | None, line: bytes, table: str, found: Format | str
) -> tuple[Failure | None, str]:
    """Where the line stops fitting what was asked for or comes nearest, and the name of that."""
    if configured is not None and configured is not found:
        if configured.json is None:
            return nearest(line, [configured])[1], _name(configured)
        if not (table == ACCESS_LOG and line.lstrip().startswith(b"{")):
            expected = Failure(0, "an object with the keys of the format")
            return json_failure(line) or expected, _name(configured)
    text = isinstance(found, Format) and found.json is None
    whole = table == ACCESS_LOG and not (text and detect.fit(line, parser.known) is None)
    if table != REJECTED_LINE and (whole or table != ACCESS_LOG):
        return None, ""
    if line.lstrip().startswith(b"{"):
        return json_failure(line) or Failure(
            0, "an object whose keys stand once and are not nested too deep"
        ), JSON_FORMAT
    near, failure = nearest(line, parser.known)
    return failure, _name(near)


def _name(format: Format) -> str:
    return format.name or "the given format"


def releases(name: str) -> str:
    """Who prints lines of that name; '' for a format that is not known by name."""
    return _PRINTED_BY.get(name) or next((d.releases for d in DEFAULTS if d.name == name), "")


_PRINTED_BY = {JSON_FORMAT: "a JSON object, read by its keys", ZTUNNEL_FORMAT: "Istio's ambient mode"}


def _same_shape(format: Format) -> tuple[str, ...]:
    """Further known formats whose lines look the same."""
    if not format.name:
        return ()
    if format.json is not None:
        same = [d.name for d in JSON_DEFAULTS if set(d.format.json or ()) == set(format.json)]
    else:
        pattern = strict_reader(format).pattern
        same = [d.name for d in TEXT_DEFAULTS if strict_reader(d.format).pattern == pattern]
    return tuple(name for name in same if name != format.name)
