"""Lines cut short or without their time: doubtful, and every value that is there is right."""

from __future__ import annotations

import pytest

from logproc.model import ACCESS_LOG, REJECTED_LINE
from parsers import parse_lines
from parsers.defaults import TEXT_DEFAULTS
from parsers.format_string import Format
from tests.parsers.lines import TEXTS, render

FORMATS = [d.format for d in TEXT_DEFAULTS]
TIMED = [f for f in FORMATS if f.name != "istio-1.0-tcp"]


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: str(f.name))
def test_wherever_a_line_is_cut_no_value_is_wrong(format: Format) -> None:
    line = render(format, {"requested_server_name": "reviews.example"})
    whole = parse_lines([line], format).tables[ACCESS_LOG].to_pylist()[0]
    seen = 0
    for end in range(40, len(line)):
        parsed = parse_lines([line[:end]])
        if ACCESS_LOG not in parsed.tables:
            continue
        seen += 1
        row = parsed.tables[ACCESS_LOG].to_pylist()[0]
        derived = {"doubt", "extra", "log_type"}
        if row["doubt"] == "partial":
            wrong = {k for k, v in row.items() if v is not None and k not in derived and whole[k] != v}
            assert not wrong, line[:end]
        else:
            # Shorter formats end where longer ones go on.
            same = ("timestamp", "method", "path", "response_code", "response_flags", "response_code_details")
            assert all(row[k] in (None, whole[k]) for k in same), line[:end]
    assert seen > 15


@pytest.mark.parametrize("format", TIMED, ids=lambda f: str(f.name))
@pytest.mark.parametrize("head", ["", "[...] ", "[21/Nov/2026:10:15:42 +0000] ", "web-0  "])
def test_without_its_time_a_line_keeps_all_else(format: Format, head: str) -> None:
    line = render(format)
    whole = parse_lines([line], format).tables[ACCESS_LOG].to_pylist()[0]

    row = parse_lines([head + line.partition("] ")[2]]).tables[ACCESS_LOG].to_pylist()[0]

    assert row["doubt"] == "time"
    assert row["timestamp"] is None
    differing = {k for k in whole if row[k] != whole[k]} - {
        "doubt",
        "timestamp",
        "extra",
        "requested_server_name",
        "route_name",
    }
    assert not differing
    assert not head.startswith("[") or dict(row["extra"])["TIME"] == head[1:-2]


def test_quotes_of_a_client_prove_nothing_in_a_cut_line() -> None:
    texts = TEXTS | {"user_agent": 'x" "00000000-0000-0000-0000-000000000000" "evil" "6.6.6.6:1'}
    line = render(FORMATS[0], texts)
    for end in range(40, len(line)):
        parsed = parse_lines([line[:end]])
        if ACCESS_LOG not in parsed.tables:
            continue
        row = parsed.tables[ACCESS_LOG].to_pylist()[0]
        assert row["doubt"]
        for name in ("path", "response_code", "bytes_sent", "duration_ms"):
            assert str(row[name]) in ("None", texts[name])


@pytest.mark.parametrize(
    "line",
    [
        '[2026-11-21T10:15:42.123Z] "GET /broken HTTP/1.1" 200 gone',
        '[2026-11-21T10:15:42.123Z] "GET /metrics HTTP/1.1" 200 - "-" "Prometheus/2" 0 67 12 12 "127.0.0.1" "svc" "cluster" "127.0.0.1:9100" "router" - default',
        '[2026-11-21T10:15:42.123Z] "HEAD /status/503" 503 retry_attempts=4 flags=URX details=via_upstream',
    ],
)
def test_a_line_of_another_format_is_not_taken_for_a_cut_one(line: str) -> None:
    assert list(parse_lines([line]).tables) == [REJECTED_LINE]


@pytest.mark.parametrize("format", TIMED, ids=lambda f: str(f.name))
def test_a_field_in_brackets_behind_the_time_is_kept(format: Format) -> None:
    line = render(format)
    whole = parse_lines([line], format).tables[ACCESS_LOG].to_pylist()[0]

    row = parse_lines([line.replace("] ", "] [170] ", 1)]).tables[ACCESS_LOG].to_pylist()[0]

    assert dict(row.pop("extra"))["FIELD"] == "170"
    whole.pop("extra")
    assert row == whole


def test_of_a_quoted_field_more_nothing_is_taken_for_another_one() -> None:
    """A further field of an unknown format, or quotes of a client: one line alone does not tell."""
    envoy = next(f for f in FORMATS if f.name == "envoy")

    row = parse_lines([render(envoy) + ' "192.0.2.1"']).tables[ACCESS_LOG].to_pylist()[0]

    assert row["doubt"]
    assert row["upstream_host"] is None
    assert (row["path"], row["duration_ms"]) == (TEXTS["path"], 35)


def test_a_value_in_quotes_where_no_known_format_has_them_is_left_out() -> None:
    line = render(next(f for f in FORMATS if f.name == "istio-1.2"), {"requested_server_name": '"-"'})
    row = parse_lines([line]).tables[ACCESS_LOG].to_pylist()[0]

    assert row["doubt"] == "format"
    assert row["requested_server_name"] is None
    assert row["downstream_remote_address"] is not None
