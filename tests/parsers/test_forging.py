"""Attacks: what a client writes into its request never shows as a wrong value, neither in a sure line nor in a doubtful one."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest

from logproc.model import ACCESS_LOG, PLAIN, Text
from parsers import compile_format, open_parser
from parsers.defaults import DEFAULTS, JSON_DEFAULTS, TEXT_DEFAULTS
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.grammar import read_line
from tests.parsers.lines import TEXTS, render

ISTIO = TEXT_DEFAULTS[0].format
OTHER = {
    "path": "/evil", "response_code": "404", "response_flags": "NR", "response_code_details": "route_not_found", "user_agent": "evil",
    "request_id": "00000000-0000-0000-0000-000000000000", "authority": "evil", "upstream_host": "6.6.6.6:66", "bytes_sent": "666",
    "upstream_cluster": "outbound|66||evil.example", "downstream_remote_address": "6.6.6.6:6666", "route_name": "evil",
}  # fmt: skip
CLIENT = ("path", "user_agent", "x_forwarded_for", "authority", "request_id", "requested_server_name")
CUSTOM = {
    "words": "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %DURATION% %REQ(USER-AGENT)% %UPSTREAM_HOST%",
    "pairs": 'time=%START_TIME% path="%REQ(:PATH)%" code=%RESPONSE_CODE% agent="%REQ(USER-AGENT)%" id=%REQ(X-REQUEST-ID)% took=%DURATION%',
    "bars": "%START_TIME%|%REQ(:PATH)%|%RESPONSE_CODE%|%REQ(USER-AGENT)%|%REQ(:AUTHORITY)%|%DURATION%|%UPSTREAM_CLUSTER%",
    "commas": "%REQ(X-FORWARDED-FOR)%,%REQ(USER-AGENT)%,%RESPONSE_CODE%,%DURATION%,%REQ(:AUTHORITY)%",
    "brackets": "[%START_TIME%] <%REQ(:PATH)%> (%REQ(USER-AGENT)%) [%RESPONSE_CODE%] {%REQUESTED_SERVER_NAME%} %DURATION%",
    "agent first": '"%REQ(USER-AGENT)%" "%REQ(:PATH)%" %RESPONSE_CODE% %DURATION% "%REQ(X-REQUEST-ID)%" %START_TIME%',
    "neighbours": "%START_TIME% %REQ(USER-AGENT)% %REQ(:PATH)% %REQ(:AUTHORITY)% %RESPONSE_CODE%",
    "shape of JSON": '{"time":"%START_TIME%","path":"%REQ(:PATH)%","agent":"%REQ(USER-AGENT)%","code":%RESPONSE_CODE%,"ms":%DURATION%}',
}


def attacks(format: Format, field: str) -> list[str]:
    """Texts for one field: marks of the format, and the rest of a line that says something else."""
    evil = render(format, OTHER)
    parts = fields(format)
    at = next(i for i, p in enumerate(parts) if isinstance(p, Field) and p.column == field)
    texts = TEXTS | OTHER
    behind = "".join(p if isinstance(p, str) else texts.get(p.column, "-") for p in parts[at + 1 :])
    before = "".join(p if isinstance(p, str) else texts.get(p.column, "-") for p in parts[:at])
    literals = [p for p in parts if isinstance(p, str)]
    request_end = ' HTTP/1.1" 404 NR '
    return [
        '"', '""', '" "', '"-"', "'", "\\", '\\"', "-", "", "a b", "[", "]", "[2001-01-01T00:00:00.000Z]", "{}", '{"a":"b"}', "|", ",",
        "\t", "\x1b[31m", "é", "%START_TIME%", "200", "HTTP/1.1", "- - -", '- - -" 0 ',
        "/x" + behind, "/x" + behind[: len(behind) // 2], behind, before, before + "x", evil, f"x {evil}", f"{evil} x", f'x" {evil}',
        *literals, *(f"x{one}y" for one in literals), "".join(literals),
        f"/x{request_end}", f"/x{request_end}0 0 0 0", f'/x{request_end}route_not_found - "-" 0 0 0 - "', f"/x HTTP/1.1 {request_end}",
        'x" "00000000-0000-0000-0000-000000000000" "evil" "6.6.6.6:66', 'evil" "6.6.6.6:66" outbound|66||evil 6.6.6.6:1 6.6.6.6:2 6.6.6.6:3 - evil',
        '","response_code":"404","x":"', '","user-agent":"evil', '"}', '","path":"/evil","path":"',
    ]  # fmt: skip


def rows(lines: list[bytes], configured: Format | None, *, alone: bool = False) -> list[dict[str, Any]]:
    """The access rows of lines, in order, {} for any other; `alone`: each is a stream of its own."""
    texts = [Text(i, PLAIN, line + b"\n", 1) for i, line in enumerate(lines)]
    whole = [Text("a", PLAIN, b"".join(line + b"\n" for line in lines), len(lines))]
    parsed = open_parser(configured or "auto").parse(texts if alone else whole)
    found: list[dict[str, Any]] = [{} for _ in lines]
    if ACCESS_LOG in parsed.tables:
        for row, number in zip(parsed.tables[ACCESS_LOG].to_pylist(), parsed.rows[ACCESS_LOG].tolist(), strict=True):
            found[number] = {k: v for k, v in row.items() if v is not None}
    return found


def wrong(row: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    """Values that differ from what was printed; of a sure row also those that are missing."""
    names = truth if "doubt" not in row and row else [n for n in row if n in truth]
    return {n: (row.get(n), truth.get(n)) for n in names if row.get(n) != truth.get(n)}


def truth_of(format: Format, field: str, text: str) -> dict[str, Any]:
    """What a line with this text says, without the line: all other texts are read in a tame one."""
    found = dict(tame_columns(format))
    for name in (
        field,
        "request_id_other" if field == "request_id" else "",
        "path_template" if field == "path" else "",
    ):
        found.pop(name, None)
    if text != "-" and field != "request_id":
        found[field] = text
    elif text != "-":
        found["request_id_other"] = text
    return found


@lru_cache(64)
def tame_columns(format: Format) -> dict[str, Any]:
    row = read_line(format, render(format)).columns
    return {k: v for k, v in row.items() if k not in ("timestamp", "extra", "log_type")}


ALL = {d.name: d.format for d in TEXT_DEFAULTS} | {name: compile_format(text) for name, text in CUSTOM.items()}
CASES = [
    (name, field, how)
    for name in ALL
    for field in CLIENT
    for how in ("configured", "remembered", "alone")
    if any(isinstance(p, Field) and p.column == field for p in fields(ALL[name]))
    and (how == "configured" or name not in CUSTOM)
    # Without any other line a further word at the end is what a later release prints there.
    and not (how == "alone" and field == "requested_server_name")
]


@pytest.mark.parametrize(("name", "field", "how"), CASES)
def test_no_attack_on_a_text_format_shows_a_wrong_value(name: str, field: str, how: str) -> None:
    fmt = ALL[name]
    # A request line's blanks around the path are no part of it.
    texts = [t for t in attacks(fmt, field) if field != "path" or t == t.strip()]
    lines = [render(fmt, {field: text}).encode() for text in texts]
    clean = [render(fmt).encode()] * (len(lines) + 3 if how == "remembered" else 0)

    found = rows([*clean, *lines], fmt if how == "configured" else None, alone=how == "alone")[len(clean) :]

    for text, row in zip(texts, found, strict=True):
        assert not wrong(row, truth_of(fmt, field, text)), (text, row)


def envoys_json(value: str | bytes) -> bytes:
    """A string as Envoy writes it: bytes that are no UTF-8 in octal."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    try:
        return json.dumps(raw.decode(), ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return b'"' + b"".join(b"\\%03o" % b if b >= 0x7F or b in b'"\\' else bytes([b]) for b in raw) + b'"'


def json_line(format: Format, texts: dict[str, str]) -> bytes:
    assert format.json is not None
    members = [
        json.dumps(key).encode() + b":" + envoys_json(texts.get(parts[0].meaning.column, "-"))
        for key, parts in format.json.items()
    ]
    return b"{" + b",".join(members) + b"}"


JSON_ATTACKS = [
    '"', '\\"', "\\", '","response_code":"404","x":"', '"}', '{"response_code":404}', "\\377", "\udcff", 'a\udcff"b', '\udcff","response_code":"404","x":"',
    "-", "null", "", "é", "\t", "\x7f", "[]", "}", '","path":"/evil', "\\u0022", '\\","x":"y',
]  # fmt: skip


@pytest.mark.parametrize("name", [d.name for d in JSON_DEFAULTS if d.name != "envoy-gateway"])
@pytest.mark.parametrize("many", [1, 30])
@pytest.mark.parametrize("configured", [True, False])
def test_no_attack_on_json_shows_a_wrong_value(name: str, many: int, configured: bool) -> None:
    fmt = next(d.format for d in DEFAULTS if d.name == name)
    for field in CLIENT:
        lines = [json_line(fmt, TEXTS | {field: text}) for text in JSON_ATTACKS for _ in range(many)]

        found = rows(lines, fmt if configured else None)

        for text, row in zip([t for t in JSON_ATTACKS for _ in range(many)], found, strict=True):
            shown = text.encode("utf-8", "surrogateescape").decode(errors="replace")
            truth = {"response_code": 200, "method": "GET", "duration_ms": 35, "upstream_host": TEXTS["upstream_host"]}
            other = "request_id_other" if field == "request_id" else field
            truth |= {} if text == "-" else {other: shown}
            assert row, text
            assert not wrong(row, truth), text
            assert ("doubt" in row) == (shown != text), text


GATEWAY = next(d.format for d in JSON_DEFAULTS if d.name == "envoy-gateway")


def gateway_line(texts: dict[str, str]) -> bytes:
    """Envoy Gateway's default: text in the shape of JSON, without escapes."""
    assert GATEWAY.json is not None
    members = [f'"{key}":"{texts.get(parts[0].meaning.column, "-")}"' for key, parts in GATEWAY.json.items()]
    return ("{" + ",".join(members) + "}").encode()


@pytest.mark.parametrize("field", [f for f in CLIENT if f != "requested_server_name"])
@pytest.mark.parametrize("many", [1, 30])
@pytest.mark.parametrize("configured", [True, False])
def test_no_attack_on_envoy_gateways_text_shows_a_wrong_value(field: str, many: int, configured: bool) -> None:
    whole = gateway_line(TEXTS | OTHER).decode()
    attacks = [
        *(a for a in JSON_ATTACKS if "\udcff" not in a), '","user-agent":"evil', '","protocol":"HTTP/1.1","response_code":"404', whole, f'","a":{whole}',
        '","x-request-id":"evil",":authority":"evil","upstream_host":"6.6.6.6:66","upstream_cluster":"x',
    ]  # fmt: skip
    lines = [gateway_line(TEXTS | {field: text}) for text in attacks for _ in range(many)]

    found = rows(lines, GATEWAY if configured else None)

    for text, row in zip([t for t in attacks for _ in range(many)], found, strict=True):
        truth = {"response_code": 200, "method": "GET", "duration_ms": 35, "upstream_host": TEXTS["upstream_host"]}
        other = "request_id_other" if field == "request_id" else field
        # What stands in the line, be it an escape of the client's own, is what the client sent.
        truth |= {} if text == "-" else {other: text}
        assert not wrong(row, truth), (text, row)
