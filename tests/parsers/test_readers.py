"""The readers on single lines: what is proved is filled, nothing is guessed, forged fields are never believed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from logproc.model import ACCESS_LOG, CRI, PLAIN, Frame, Parsed, Text
from parsers import compile_format, open_parser, parse_lines
from parsers.columnar import ColumnarReader
from parsers.defaults import TEXT_DEFAULTS, by_name
from parsers.format_string import Format
from parsers.grammar import read_line
from tests.parsers.lines import TEXTS, render

ISTIO = TEXT_DEFAULTS[0].format


def only_row(parsed: Parsed, table: str = ACCESS_LOG) -> dict[str, Any]:
    rows = parsed.tables[table].to_pylist()
    assert len(rows) == 1
    return {k: v for k, v in rows[0].items() if v is not None}


def access(line: str, format: str | Format = ISTIO) -> dict[str, Any]:
    return only_row(parse_lines([line], format))


def test_a_clients_line_fills_every_column() -> None:
    row = access(render(ISTIO, {"response_flags": "URX,UF"}))

    assert row.pop("timestamp").isoformat() == "2026-11-21T10:15:42.123000+00:00"
    assert row.pop("request_id").hex() == TEXTS["request_id"].replace("-", "")
    assert row == {
        "log_type": "http",
        "method": "GET",
        "authority": "reviews:9080",
        "path": "/reviews/7?full=1",
        "path_template": "/reviews/{n}",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "response_flags": "UF,URX",
        "response_code_details": "via_upstream",
        "bytes_received": 12,
        "bytes_sent": 4183,
        "duration_ms": 35,
        "upstream_service_time_ms": 27,
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/134.0",
        "upstream_cluster": "outbound|9080|v2|reviews.shop.svc.cluster.local",
        "direction": "outbound",
        "upstream_port": 9080,
        "upstream_subset": "v2",
        "upstream_service": "reviews.shop.svc.cluster.local",
        "upstream_host": "10.244.1.14:9080",
        "upstream_local_address": "10.244.2.19",
        "upstream_local_port": 38918,
        "downstream_local_address": "10.96.94.35:9080",
        "downstream_remote_address": "10.244.2.19",
        "downstream_remote_port": 39764,
        "route_name": "default",
    }


def test_a_servers_line_takes_service_and_subset_from_the_sni() -> None:
    row = access(
        render(
            ISTIO,
            {
                "upstream_cluster": "inbound|9080||",
                "requested_server_name": "outbound_.9080_.v2_.reviews.shop.svc.cluster.local",
            },
        )
    )

    assert (row["direction"], row["upstream_port"]) == ("inbound", 9080)
    assert (row["upstream_service"], row["upstream_subset"]) == ("reviews.shop.svc.cluster.local", "v2")


def test_a_connection_is_tcp() -> None:
    missing = dict.fromkeys(
        ("method", "path", "protocol", "user_agent", "request_id", "authority", "upstream_service_time_ms"), "-"
    )
    row = access(render(ISTIO, missing | {"response_code": "0"}))

    assert row["log_type"] == "tcp"
    assert row["response_code"] == 0
    assert {"method", "path", "protocol", "request_id"}.isdisjoint(row)


def test_a_bad_request_without_method_is_http() -> None:
    assert access(render(ISTIO, {"method": "-", "path": "-", "response_code": "400"}))["log_type"] == "http"


def test_missing_is_null_and_empty_is_empty() -> None:
    row = access(
        render(ISTIO, {"user_agent": "", "x_forwarded_for": "-", "request_id": "", "upstream_service_time_ms": ""})
    )

    assert row["user_agent"] == ""
    assert row["request_id_other"] == ""
    assert "x_forwarded_for" not in row
    assert "upstream_service_time_ms" not in row
    assert "doubt" not in row


def test_the_alt_stat_names_semicolon_is_cut_off() -> None:
    row = access(render(ISTIO, {"upstream_cluster": "outbound|80||web.shop.svc.cluster.local;"}))

    assert row["upstream_cluster"] == "outbound|80||web.shop.svc.cluster.local"


@pytest.mark.parametrize("name", [d.name for d in TEXT_DEFAULTS])
def test_each_default_is_detected_and_read(name: str) -> None:
    fmt = by_name(name)
    assert fmt is not None
    line = render(fmt)

    row = access(line, "auto")

    reference = read_line(fmt, line)
    assert reference.failure is None
    assert reference.doubt == "" == row.get("doubt", "")
    assert row["upstream_host"] == "10.244.1.14:9080"
    assert row["bytes_sent"] == 4183
    assert row["duration_ms"] == 35


FORGERIES = [
    ("path", '/x HTTP/1.1" 200 - via_upstream - "-" 1 2 3 4 "-" "ua" "id" "host" "1.2.3.4:80" a b c d e f'),
    ("path", '/x" 200 -'),
    ("path", '/x HTTP/1.1" 404 NR route_not_found - "-" 0 0 0 - "'),
    ("user_agent", 'x" "00000000-0000-0000-0000-000000000000" "evil" "6.6.6.6:1'),
    ("user_agent", '"'),
    ("user_agent", '" "'),
    ("x_forwarded_for", '1.1.1.1" "curl" "id'),
    ("request_id", 'a" "b" "c'),
    ("authority", 'evil" "6.6.6.6:66" outbound|1||evil 6.6.6.6:1 6.6.6.6:2 6.6.6.6:3 - default'),
    ("requested_server_name", "a b"),
    ("requested_server_name", 'x" "6.6.6.6:66" outbound|1||evil 6.6.6.6:1 6.6.6.6:2 6.6.6.6:3 -'),
    ("requested_server_name", '" outbound|1||evil 6.6.6.6:1 6.6.6.6:2 6.6.6.6:3 sni'),
]


@pytest.mark.parametrize("format", [d.format for d in TEXT_DEFAULTS], ids=lambda f: str(f.name))
@pytest.mark.parametrize(("field", "text"), FORGERIES)
@pytest.mark.parametrize("configured", [True, False])
def test_a_forged_line_never_shows_a_wrong_value(format: Format, field: str, text: str, configured: bool) -> None:
    texts = TEXTS | {field: text}
    clean, forged = render(format), render(format, texts)

    parsed = parse_lines([clean] * 3 + [forged], format if configured else "auto")

    row = parsed.tables[ACCESS_LOG].to_pylist()[-1]
    assert len(parsed.tables[ACCESS_LOG]) == 4
    for name in TEXTS:
        if row.get(name) is None or name in ("timestamp", "request_id"):
            continue
        expected = texts[name]
        if name in ("upstream_local_address", "downstream_remote_address"):
            expected = expected.rpartition(":")[0]
        assert str(row[name]) == expected, name
    columns = {operator.meaning.column for operator in format.operators}
    assert row["method"] == ("GET" if "method" in columns else None)
    if row["doubt"] is None and field in columns and field != "request_id":
        assert row[field] == text


def test_what_stands_before_and_after_a_forgery_is_kept() -> None:
    row = access(render(ISTIO, {"user_agent": 'x" "y'}))

    assert row["doubt"] == "quotes"
    assert (row["path"], row["response_code"], row["upstream_service_time_ms"]) == ("/reviews/7?full=1", 200, 27)
    assert (row["upstream_host"], row["route_name"], row["upstream_subset"]) == ("10.244.1.14:9080", "default", "v2")
    assert {"x_forwarded_for", "user_agent", "request_id", "authority"}.isdisjoint(row)


def test_a_quote_that_can_only_be_a_value_is_no_doubt() -> None:
    row = access(render(ISTIO, {"user_agent": 'say "hi"!'}))

    assert row["user_agent"] == 'say "hi"!'
    assert "doubt" not in row


def test_raw_blanks_in_a_path_stay_in_it() -> None:
    assert access(render(ISTIO, {"path": "/a b HTTP/1.1 c"}))["path"] == "/a b HTTP/1.1 c"


@pytest.mark.parametrize(
    ("texts", "doubt", "gone"),
    [
        ({"duration_ms": "99999999999"}, "number", "duration_ms"),
        ({"response_code": "70000"}, "number", "response_code"),
        ({"upstream_service_time_ms": "soon"}, "number", "upstream_service_time_ms"),
        ({"timestamp": "2026-02-30T10:00:00.000Z"}, "time", "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59.999Z"}, "time", "timestamp"),
        ({"route_name": "my route"}, "fields", "route_name"),
    ],
)
def test_a_value_that_is_none_is_null_and_doubtful(texts: dict[str, str], doubt: str, gone: str) -> None:
    row = access(render(ISTIO, texts))

    assert row["doubt"] == doubt
    assert gone not in row
    assert row["method"] == "GET"


def test_large_numbers_that_fit_are_read() -> None:
    row = access(render(ISTIO, {"bytes_sent": "18446744073709551615", "duration_ms": "4294967295"}))

    assert (row["bytes_sent"], row["duration_ms"]) == (18446744073709551615, 4294967295)
    assert "doubt" not in row


@pytest.mark.parametrize("fraction", ["", ".1", ".123456", ".123456789"])
def test_times_have_any_fraction(fraction: str) -> None:
    row = access(render(ISTIO, {"timestamp": f"2026-11-21T10:15:42{fraction}Z"}))

    assert row["timestamp"].microsecond == int((fraction[1:7] or "0").ljust(6, "0"))


def test_ids_that_are_none_stand_among_others() -> None:
    ids = ["5c82d8bc-2a15-9a25-81bf-c567fe990e6d", "-", "my-own-id", "5c82d8bc-2a15-9a25-81bf-c567fe990e6z", ""]

    table = parse_lines([render(ISTIO, {"request_id": i}) for i in ids], ISTIO).tables[ACCESS_LOG]

    assert table.column("request_id").to_pylist() == [UUID(ids[0]).bytes, *[None] * 4]
    assert table.column("request_id_other").to_pylist() == [None, None, *ids[2:]]


def test_paths_that_are_missing_have_no_template() -> None:
    paths = ["/a/1", "-", "/a/2", "/b"]

    table = parse_lines([render(ISTIO, {"path": p}) for p in paths], ISTIO).tables[ACCESS_LOG]

    assert table.column("path_template").to_pylist() == ["/a/{n}", None, "/a/{n}", "/b"]


def test_a_custom_start_time() -> None:
    fmt = compile_format("%START_TIME(%d/%b/%Y:%H:%M:%S.%3f %z)% %DURATION%")

    row = access("21/Nov/2026:11:15:42.123 +0100 35", fmt)

    assert row["timestamp"].isoformat() == "2026-11-21T10:15:42.123000+00:00"
    assert row["duration_ms"] == 35


def test_bytes_that_are_no_utf8_are_replaced_and_doubted() -> None:
    line = render(ISTIO, {"user_agent": "caf\N{LATIN SMALL LETTER E WITH ACUTE}"}).encode("latin-1")

    row = only_row(parse_lines([line], ISTIO))

    assert row["user_agent"] == "caf\N{REPLACEMENT CHARACTER}"
    assert row["doubt"] == "encoding"


def test_other_writing_is_read_by_column() -> None:
    line = render(ISTIO, {"path": "/\N{GREEK SMALL LETTER ALPHA}", "user_agent": "\N{SNOWMAN} 1"})

    parsed = parse_lines([line], ISTIO)

    assert parsed.columnar == 1
    assert only_row(parsed)["user_agent"] == "\N{SNOWMAN} 1"


def test_operators_without_a_column_are_extra() -> None:
    fmt = compile_format('%REQ(X-TEAM)% "%REQ(X-NOTE)%" %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DURATION% %DURATION%')

    assert access('red "a b" 2 7 7', fmt)["extra"] == [
        ("REQ(X-TEAM)", "red"),
        ("REQ(X-NOTE)", "a b"),
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", "2"),
        ("DURATION", "7"),
    ]
    assert access('- "-" - 7 -', fmt).get("extra") is None


@pytest.mark.parametrize(
    "text",
    [
        "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %DURATION%",
        'time="%START_TIME%" method=%REQ(:METHOD)% path="%REQ(:PATH)%" code=%RESPONSE_CODE% took=%DURATION%ms',
        '{"t":"%START_TIME%","m":"%REQ(:METHOD)%","p":"%REQ(:PATH)%","c":%RESPONSE_CODE%,"d":%DURATION%}',
        "%START_TIME%|%REQ(:METHOD)%|%REQ(:PATH)%|%RESPONSE_CODE%|%DURATION%",
        '"%REQ(:METHOD)% %REQ(:PATH)%" [%START_TIME%] code=%RESPONSE_CODE% (%DURATION%)',
    ],
)
def test_custom_formats_of_all_shapes(text: str) -> None:
    fmt = compile_format(text)

    row = access(render(fmt), fmt)

    assert (row["method"], row["path"], row["response_code"], row["duration_ms"]) == (
        "GET",
        "/reviews/7?full=1",
        200,
        35,
    )
    assert row["timestamp"].microsecond == 123000


def test_lines_go_by_column_unless_they_cannot() -> None:
    clean, forged = render(ISTIO), render(ISTIO, {"user_agent": '"'})

    parsed = parse_lines([clean, forged, clean], ISTIO)

    assert parsed.columnar == 2
    assert parsed.tables[ACCESS_LOG].column("user_agent").to_pylist() == [TEXTS["user_agent"], '"', TEXTS["user_agent"]]


def test_the_words_of_a_frame_are_no_fields() -> None:
    line = render(ISTIO)
    cri = f"2026-11-21T10:15:43.000000001Z stdout F {line}\n".encode()
    kubectl = Frame("kubectl", ("prefix",))

    framed = open_parser().parse([Text("a", CRI, cri, 1)])
    prefixed = open_parser().parse([Text("b", kubectl, f"[pod/web-1/istio-proxy] {line}\n".encode(), 1)])

    assert framed.columnar == prefixed.columnar == 1
    assert only_row(framed) == access(line)
    assert only_row(prefixed) == access(line) | {"k8s_pod": "web-1", "k8s_container": "istio-proxy"}


def test_misplaced_quotes_are_not_taken_for_others() -> None:
    """As many quotes and words as the format has, but around another field."""
    line = render(ISTIO).replace('200 - via_upstream - "-"', '200 "-" via_upstream - -')

    found = ColumnarReader(ISTIO, PLAIN).read(f"{line}\n".encode(), 1)

    assert len(found.lines) == 0
    assert found.refused.tolist() == [0]


def test_a_control_character_does_not_make_up_for_a_missing_quote() -> None:
    clean = render(ISTIO).encode()
    at = clean.index(b'"', 40)
    lines = [clean, clean[:at] + b"\t" + clean[at + 1 :], clean.replace(b"via", b"v\ta"), clean]

    found = ColumnarReader(ISTIO, PLAIN).read(b"\n".join(lines) + b"\n", 4)

    assert found.lines.tolist() == [0, 3]
    assert found.rest == lines[1:3]


@pytest.mark.parametrize("time", ["15:42:60.123", "15:42:4:.123", "15:42:42.1z3", "15:42:42,123", "15:61:42.123", "15:42:42.12\N{DEGREE SIGN}"])  # fmt: skip
def test_a_time_among_others_that_is_none_is_seen(time: str) -> None:
    clean = render(ISTIO)
    other = render(ISTIO, {"timestamp": f"2026-11-21T{time}Z"})

    found = ColumnarReader(ISTIO, PLAIN).read(f"{clean}\n{other}\n{clean}\n".encode(), 3)

    assert found.lines.tolist() == [0, 2]


def test_the_reference_says_where_a_line_stops_fitting() -> None:
    failure = read_line(ISTIO, render(ISTIO, {"response_code": "2x0"})).failure

    assert failure is not None
    assert render(ISTIO, {"response_code": "2x0"})[failure.offset :].startswith("x0")
