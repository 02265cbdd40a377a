"""JSON access logs: every era, every order, and what clients try."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.columns import ACCESS_LOG_TABLE
from logproc.model import CRI, PLAIN, Frame
from parsers import compile_format
from parsers.json_lines import FEW, JsonReader

TODAY: dict[str, Any] = {
    "authority": "reviews:9080",
    "bytes_received": 12,
    "bytes_sent": 345,
    "connection_termination_details": None,
    "downstream_local_address": "10.96.0.7:9080",
    "downstream_remote_address": "10.244.0.5:40000",
    "duration": 7,
    "method": "GET",
    "path": "/reviews/1?x=y",
    "protocol": "HTTP/1.1",
    "request_id": "0c43f670-82f9-9c30-9473-808ca54ecd55",
    "requested_server_name": None,
    "response_code": 503,
    "response_code_details": "upstream_reset_before_response_started{overflow}",
    "response_flags": "URX,UF",
    "route_name": "default",
    "start_time": "2026-11-20T10:00:00.123Z",
    "upstream_cluster": "outbound|9080|v2|reviews.default.svc.cluster.local;",
    "upstream_host": "10.244.0.9:9080",
    "upstream_local_address": "10.244.0.5:50000",
    "upstream_service_time": "6",
    "upstream_transport_failure_reason": None,
    "user_agent": "Mozilla/5.0 (X11, like Gecko: yes)",
    "x_forwarded_for": "192.0.2.1,10.0.0.1",
}
READ: dict[str, Any] = {
    "timestamp": datetime(2026, 11, 20, 10, 0, 0, 123000, UTC),
    "log_type": "http",
    "authority": "reviews:9080",
    "bytes_received": 12,
    "bytes_sent": 345,
    "downstream_local_address": "10.96.0.7:9080",
    "downstream_remote_address": "10.244.0.5",
    "downstream_remote_port": 40000,
    "duration_ms": 7,
    "method": "GET",
    "path": "/reviews/1?x=y",
    "path_template": "/reviews/{n}",
    "protocol": "HTTP/1.1",
    "request_id": uuid.UUID("0c43f670-82f9-9c30-9473-808ca54ecd55").bytes,
    "response_code": 503,
    "response_code_details": "upstream_reset_before_response_started{overflow}",
    "response_flags": "UF,URX",
    "route_name": "default",
    "upstream_cluster": "outbound|9080|v2|reviews.default.svc.cluster.local",
    "direction": "outbound",
    "upstream_port": 9080,
    "upstream_subset": "v2",
    "upstream_service": "reviews.default.svc.cluster.local",
    "upstream_host": "10.244.0.9:9080",
    "upstream_local_address": "10.244.0.5",
    "upstream_local_port": 50000,
    "upstream_service_time_ms": 6,
    "user_agent": "Mozilla/5.0 (X11, like Gecko: yes)",
    "x_forwarded_for": "192.0.2.1,10.0.0.1",
}
MANY = FEW + 8


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def tables(
    lines: list[bytes], frame: Frame = PLAIN, reader: JsonReader | None = None
) -> list[tuple[str, dict[str, Any]] | None]:
    """Table and row of each line; None for those that were left to others."""
    parsed = (reader or JsonReader()).read(b"".join(line + b"\n" for line in lines), len(lines), frame)
    found: list[tuple[str, dict[str, Any]] | None] = [None] * len(lines)
    for table, batch in parsed.tables.items():
        batch.validate(full=True)
        assert list(parsed.rows[table]) == sorted(parsed.rows[table])
        for field in batch.schema:
            if table == "access_log" and not field.name.startswith("k8s"):
                assert field.type == ACCESS_LOG_TABLE.column(field.name).arrow
        for line, row in zip(parsed.rows[table].tolist(), batch.to_pylist(), strict=True):
            assert found[line] is None
            found[line] = (table, {k: v for k, v in row.items() if v is not None})
    return found


def read(line: bytes, reader: JsonReader | None = None) -> dict[str, Any]:
    """The row of one access log, read alone and, the same, among many like it."""
    (alone,) = tables([line], reader=reader)
    assert all(row == alone for row in tables([line] * MANY, reader=reader))
    assert alone is not None
    assert alone[0] == "access_log"
    return alone[1]


def as_strings(values: dict[str, Any]) -> dict[str, Any]:
    return {k: "-" if v is None else str(v) for k, v in values.items()}


@pytest.mark.parametrize(
    "values",
    [
        TODAY,
        as_strings(TODAY),
        {k: v for k, v in TODAY.items() if v is not None},
        dict(reversed(TODAY.items())),
        {k.replace("_", "-"): v for k, v in TODAY.items()},
        {"".join([k.split("_")[0], *(w.title() for w in k.split("_")[1:])]): v for k, v in TODAY.items()},
    ],
    ids=["today", "strings", "absent", "order", "dashes", "camel"],
)
def test_every_era_tells_the_same(values: dict[str, Any]) -> None:
    assert read(compact(values)) == READ
    assert read(json.dumps(values).encode()) == READ


def test_many_lines_of_one_configuration_are_read_by_column() -> None:
    lines = [compact(TODAY | {"duration": i, "x_forwarded_for": None if i % 3 else "192.0.2.1"}) for i in range(100)]
    parsed = JsonReader().read(b"\n".join(lines) + b"\n", 100, PLAIN)
    assert parsed.columnar == 100
    assert parsed.tables["access_log"].column("duration_ms").to_pylist() == list(range(100))


def test_a_clients_quotes_do_not_send_lines_to_the_slow_reader() -> None:
    agent = 'say \\"hi\\", "x\\\\'
    lines = [compact(TODAY | {"user_agent": agent, "route": '"' * (i % 3)}) for i in range(100)]
    assert JsonReader().read(b"\n".join(lines) + b"\n", 100, PLAIN).columnar == 100
    assert all(row is not None and row[1]["user_agent"] == agent for row in tables(lines))


def test_keys_in_another_order_on_every_line_are_read_by_column() -> None:
    keys = list(TODAY)
    lines = [compact({k: TODAY[k] for k in keys[i % 24 :] + keys[: i % 24]}) for i in range(100)]
    assert JsonReader().read(b"\n".join(lines) + b"\n", 100, PLAIN).columnar == 100
    assert all(row == ("access_log", READ) for row in tables(lines))


@pytest.mark.parametrize(
    ("key", "value", "column", "expected"),
    [
        ("method", "-", "method", None),
        ("user_agent", "", "user_agent", ""),
        ("user_agent", "null", "user_agent", "null"),
        ("user_agent", 'say "hi" \\ \u00e9 \u007f', "user_agent", 'say "hi" \\ \u00e9 \u007f'),
        ("user_agent", " both ends ", "user_agent", " both ends "),
        ("user_agent", ':"null",', "user_agent", ':"null",'),
        ("path", "null", "path", "null"),
        ("path", "", "path", ""),
        ("path", "/a\nb/1", "path_template", "/a\nb/{n}"),
        ("path", '","method":"PUT', "path", '","method":"PUT'),
        ("response_flags", "-", "response_flags", None),
        ("response_flags", ["UF"], "response_flags", '["UF"]'),
        ("bytes_sent", 12345678901234567890, "bytes_sent", 12345678901234567890),
        ("bytes_sent", 1234567890123, "bytes_sent", 1234567890123),
        ("duration", 4294967295, "duration_ms", 4294967295),
        ("request_id", "mine", "request_id_other", "mine"),
        ("request_id", "mine", "request_id", None),
        ("start_time", "[2026-11-20T10:00:00.123Z] ", "timestamp", READ["timestamp"]),
        ("start_time", "2026-11-20T12:00:00.123+02:00", "timestamp", READ["timestamp"]),
        ("start_time", 1795168800.123, "timestamp", READ["timestamp"]),
        ("start_time", "1795168800.123", "timestamp", READ["timestamp"]),
        ("downstream_remote_address", "[2001:db8::1]:80", "downstream_remote_address", "2001:db8::1"),
        ("downstream_remote_address", "envoy://internal_client_address/", "downstream_remote_address", "envoy://internal_client_address/"),
        ("upstream_cluster", "kube_default_reviews_9080", "direction", None),
        ("response_code", None, "response_code", None),
    ],
)  # fmt: skip
def test_values(key: str, value: Any, column: str, expected: Any) -> None:
    row = read(compact(TODAY | {key: value}))
    assert row.get(column) == expected
    assert "doubt" not in row


@pytest.mark.parametrize(
    ("key", "value", "column", "doubt"),
    [
        ("response_code", "abc", "response_code", "number"),
        ("response_code", 99999, "response_code", "number"),
        ("response_code", -1, "response_code", "number"),
        ("duration", 1.5, "duration_ms", "number"),
        ("duration", "12ms", "duration_ms", "number"),
        ("duration", True, "duration_ms", "number"),
        ("start_time", "yesterday", "timestamp", "time"),
        ("start_time", "2026-02-30T10:00:00Z", "timestamp", "time"),
    ],
)
def test_what_is_no_value_of_its_column_is_kept_and_doubted(key: str, value: Any, column: str, doubt: str) -> None:
    row = read(compact(TODAY | {key: value}))
    assert column not in row
    assert row["doubt"] == doubt
    assert dict(row["extra"])[key] == (value if isinstance(value, str) else json.dumps(value))


def test_tcp() -> None:
    none = dict.fromkeys(("method", "path", "protocol", "authority", "user_agent", "request_id"))
    assert read(compact(TODAY | none | {"response_code": 0}))["log_type"] == "tcp"
    assert read(compact(TODAY | none | {"response_code": 0, "protocol": "HTTP/1.1"}))["log_type"] == "http"
    assert read(compact(TODAY | {"response_code": 0}))["log_type"] == "http"


def test_keys_without_a_column_are_kept() -> None:
    row = read(
        compact(
            TODAY
            | {"z": "1", "a": 2, "none": None, "dash": "-", "b": {"c": {"d": 3}, "e": [1, {"f": None}]}, "yes": True}
        )
    )
    assert row["extra"] == [("a", "2"), ("b.c.d", "3"), ("b.e", '[1,{"f":null}]'), ("yes", "true"), ("z", "1")]


def test_of_two_keys_for_one_column_the_first_that_tells_counts() -> None:
    row = read(compact(TODAY | {"x-envoy-original-path": "/original", "url": "/url"}))
    assert row["path"] == "/reviews/1?x=y"
    assert row["extra"] == [("url", "/url"), ("x-envoy-original-path", "/original")]
    row = read(compact(TODAY | {"path": None, "url": "/url"}))
    assert row["path"] == "/url"
    assert "extra" not in row


def test_bytes_that_envoy_writes_in_octal() -> None:
    line = compact(TODAY).replace(b"like Gecko: yes", rb"\303\251\377 \\377 \n")
    row = read(line)
    assert row["user_agent"] == "Mozilla/5.0 (X11, é� \\377 \n)"
    assert row["doubt"] == "encoding"


@pytest.mark.parametrize(("raw", "shown"), [(b"\xff", "�"), (rb"\ud800", "?"), (rb"\ud83d\ude00", "😀")])
def test_what_is_no_text(raw: bytes, shown: str) -> None:
    row = read(compact(TODAY).replace(b"like Gecko: yes", raw))
    assert row["user_agent"] == f"Mozilla/5.0 (X11, {shown})"
    assert row.get("doubt") == (None if shown == "😀" else "encoding")


def test_of_a_key_that_stands_twice_neither_is_taken() -> None:
    line = compact(TODAY)[:-1] + b',"response_code":200,"start_time":"2026-11-20T10:00:00.123Z"}'
    row = read(line)
    assert row["doubt"] == "fields"
    assert "response_code" not in row
    assert "timestamp" not in row


@pytest.mark.parametrize(
    "line",
    [
        b'{"level":"info","time":"2026-11-20T10:00:00Z","msg":"GET","method":"GET","status":200,"path":"/"}',
        b'{"msg":"x"}',
        b"{}",
        b"{",
        b"[1]",
        b"",
        b"null",
        b"plain",
        b'{"a":1}{"b":2}',
        b'{"method":"GET","path":"/"}',
    ],
)
def test_what_is_no_access_log_is_left_to_others(line: bytes) -> None:
    assert tables([line]) == [None]
    assert tables([line] * MANY) == [None] * MANY


@pytest.mark.parametrize(
    "values",
    [
        {"protocol": "HTTP/1.1", "duration": "4", "upstreamCluster": "a", "upstreamHost": "10.0.0.1:80"},
        {"response_flags": "UF", "upstream_transport_failure_reason": "x", "attempt_count": 2},
        {"level": "info", "responseCode": 200, "responseFlags": "-", "method": "GET"},
        {"start": "2026-11-20T10:00:00Z", "status": 200, "url": "/"},
    ],
)
def test_few_keys_are_enough(values: dict[str, Any]) -> None:
    assert read(compact(values))


@pytest.mark.parametrize(
    "line",
    [
        compact(TODAY)[:-20],
        compact(TODAY)[:-1] + b",}",
        compact(TODAY).replace(b"like Gecko", b'like "Gecko'),
        compact(TODAY) + b"x",
    ],
)
def test_a_broken_access_log_is_kept_as_it_is(line: bytes) -> None:
    ((table, row),) = tables([line])  # type: ignore[misc]
    assert (table, row["raw"], row["length"], row["reason"]) == ("rejected_line", line, len(line), "format")
    assert [r[0] for r in tables([line, *[compact(TODAY)] * MANY]) if r] == ["rejected_line", *["access_log"] * MANY]


@pytest.mark.parametrize(
    "piece",
    [
        b'"duration":7x',
        b'"duration":07',
        b'"duration":+7',
        b'"duration": "7"x',
        b'"duration":"7"x',
        b'"duration":nul',
        b'"duration":-',
        b'"duration":',
    ],
)
def test_what_is_no_value_of_json_breaks_its_line_among_others(piece: bytes) -> None:
    broken = compact(TODAY).replace(b'"duration":7', piece)
    others = [compact(TODAY | {"duration": value}) for value in (7, None, "7", 123)]
    found = [row and row[0] for row in tables([broken, *others] * MANY)]
    assert found == ["rejected_line", *["access_log"] * 4] * MANY


@pytest.mark.parametrize("depth", [40, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    line = compact(TODAY)[:-1] + b',"a":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    (row,) = tables([line])
    assert row is not None
    assert row[0] == "rejected_line"


def test_brackets_in_values_are_no_nesting() -> None:
    assert read(compact(TODAY | {"user_agent": "[{" * 500 + '"\\'}))["user_agent"] == "[{" * 500 + '"\\'


GATEWAY = {
    "start_time": "2026-11-20T10:00:00.123Z", "method": "GET", "x-envoy-origin-path": "/get", "protocol": "HTTP/2", "response_code": "429",
    "response_flags": "RL", "response_code_details": "request_rate_limited", "connection_termination_details": "-",
    "upstream_transport_failure_reason": "-", "bytes_received": "0", "bytes_sent": "18", "duration": "1",
    "x-envoy-upstream-service-time": "-", "x-forwarded-for": "192.0.2.1", "user-agent": "curl/8.9.1",
    "x-request-id": "0c43f670-82f9-9c30-9473-808ca54ecd55", ":authority": "www.example.org", "upstream_host": "-",
    "upstream_cluster": "httproute/a/b/rule/0", "upstream_local_address": "-", "downstream_local_address": "10.42.0.22:10443",
    "downstream_remote_address": "192.0.2.1:62217", "requested_server_name": "www.example.org", "route_name": "httproute/a/b/rule/0/match/0",
}  # fmt: skip


def gateway(**values: str) -> bytes:
    """A line as Envoy Gateway prints it: nothing is escaped."""
    return (
        "{" + ",".join(f'"{k}":"{values.get(k.replace("-", "_").strip(":"), v)}"' for k, v in GATEWAY.items()) + "}"
    ).encode()


def test_envoy_gateway() -> None:
    row = read(gateway())
    assert row["path"] == "/get"
    assert row["authority"] == "www.example.org"
    assert row["response_code"] == 429
    assert row["response_flags"] == "RL"
    assert row["downstream_remote_port"] == 62217
    assert "upstream_host" not in row
    assert "doubt" not in row


@pytest.mark.parametrize("agent", ['say "hi"', "back\\slash", 'x","foo":"bar', '"', '","', 'x"}', "{", "a\\"])
def test_envoy_gateways_text_holds_what_a_client_sent_if_that_can_be_proved(agent: str) -> None:
    row = read(gateway(user_agent=agent))
    assert row == read(gateway()) | {"user_agent": agent}


@pytest.mark.parametrize(
    "agent",
    [
        'x","response_code":"200',
        'x","x-request-id":"evil',
        'x","user-agent":"y',
        'a","x-request-id":"b",":authority":"c","upstream_host":"d',
    ],
)
def test_envoy_gateways_text_that_a_client_forged_is_doubted_and_never_wrong(agent: str) -> None:
    row = read(gateway(user_agent=agent))
    honest = read(gateway()) | {"user_agent": agent}
    assert all(honest.get(k) == v for k, v in row.items() if k != "doubt")
    assert row["timestamp"] == READ["timestamp"]
    if row != honest:
        assert row["doubt"]


def test_a_template_outranks_the_names() -> None:
    reader = JsonReader(
        compile_format(
            '{"a":"%REQ(:METHOD)%","b":{"c":"%DURATION%"},"method":"%RESPONSE_CODE%","t":"[%START_TIME%] ","x":"%TRACE_ID%-%SPAN_ID%"}'
        )
    )
    row = read(b'{"a":"PUT","b":{"c":7},"method":201,"t":"[2026-11-20T10:00:00.123Z] ","x":"1-2","duration":9}', reader)
    assert row["method"] == "PUT"
    assert row["duration_ms"] == 7
    assert row["response_code"] == 201
    assert row["timestamp"] == READ["timestamp"]
    assert row["extra"] == [("duration", "9"), ("x", "1-2")]


def test_lines_that_a_template_does_not_fit_are_read_by_their_names() -> None:
    reader = JsonReader(compile_format('{"a":"%REQ(:METHOD)%","b":"%DURATION%","c":"%RESPONSE_CODE%"}'))
    lines = [b'{"a":"PUT","b":7,"c":201}', compact(TODAY), b'{"msg":"x"}'] * MANY
    found = tables(lines, reader=reader)
    assert found[0] == ("access_log", {"log_type": "http", "method": "PUT", "duration_ms": 7, "response_code": 201})
    assert found == [found[0], ("access_log", READ), None] * MANY


def test_a_template_with_a_time_of_its_own() -> None:
    reader = JsonReader(
        compile_format('{"t":"%START_TIME(%d/%b/%Y:%H:%M:%S)%","m":"%REQ(:METHOD)%","c":"%RESPONSE_CODE%"}')
    )
    assert read(b'{"t":"20/Nov/2026:10:00:00","m":"GET","c":200}', reader)["timestamp"] == datetime(
        2026, 11, 20, 10, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("frame", "prefix", "further"),
    [
        (CRI, b"2026-11-20T10:00:01.123456789Z stdout F ", {}),
        (CRI, b"2026-11-20T10:00:01+02:00 stderr F ", {}),
        (
            Frame("kubectl", ("prefix",)),
            b"[pod/web-1/istio-proxy] ",
            {"k8s_pod": "web-1", "k8s_container": "istio-proxy"},
        ),
    ],
)
def test_frames(frame: Frame, prefix: bytes, further: dict[str, str]) -> None:
    lines = [prefix + compact(TODAY)] * MANY + [prefix + json.dumps(TODAY).encode(), prefix + b"no json", b"short"]
    found = tables(lines, frame)
    assert found[: MANY + 1] == [("access_log", READ | further)] * (MANY + 1)
    assert found[MANY + 1 :] == [None, None]


def test_a_broken_line_has_the_runtimes_time() -> None:
    ((_, row),) = tables([b"2026-11-20T10:00:01.5Z stdout F " + compact(TODAY)[:-5]], CRI)  # type: ignore[misc]
    assert row["timestamp"] == datetime(2026, 11, 20, 10, 0, 1, 500000, UTC)


def test_carriage_returns_and_blanks_around_an_object() -> None:
    assert all(
        row == ("access_log", READ) for row in tables([compact(TODAY) + b"\r", b" " + compact(TODAY) + b" \r"] * MANY)
    )


def test_ztunnel() -> None:
    line = compact({
        "level": "info", "time": "2026-11-20T10:00:00.123Z", "scope": "access", "message": "connection complete", "src.addr": "10.0.0.1:5",
        "src.workload": "a", "dst.addr": "10.0.0.2:15008", "direction": "outbound", "bytes_sent": 1, "bytes_recv": 2, "duration": "3ms",
    })  # fmt: skip
    row = read(line)
    assert (row["log_type"], row["bytes_received"], row["bytes_sent"], row["duration_ms"]) == ("l4", 1, 2, 3)
    assert row["extra"] == [("src.workload", "a")]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["-", "null", "", "a:b,c", '"', '","x":"', "\\", "\n", " "]
)
values = (
    texts
    | st.none()
    | st.integers(-5, 10**21)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.lists(st.integers(), max_size=2)
)
objects = st.dictionaries(
    st.sampled_from([*TODAY, "url", "extra", "a.b", ":x", "nested"]),
    values | st.dictionaries(texts, values, max_size=2),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(objects, st.booleans(), st.randoms(use_true_random=False)), min_size=1, max_size=6),
    st.sampled_from([1, FEW]),
)
def test_how_lines_are_cut_into_chunks_never_shows(several: list[tuple[dict[str, Any], bool, Any]], times: int) -> None:
    lines = []
    for members, blanks, random in several:
        whole = TODAY | members if random.random() < 0.7 else members
        keys = list(whole)
        if random.random() < 0.5:
            random.shuffle(keys)
        lines.append(
            json.dumps(
                {k: whole[k] for k in keys},
                separators=None if blanks else (",", ":"),
                ensure_ascii=random.random() < 0.3,
            ).encode()
        )
    lines *= times
    assert tables(lines) == [row for line in lines[: len(several)] for row in tables([line])] * times


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            k: texts | st.none() for k in ("method", "authority", "user_agent", "path", "route_name", "x_forwarded_for")
        },
    )
)
def test_texts_are_read_as_they_were_printed(members: dict[str, str | None]) -> None:
    row = read(compact(TODAY | members))
    for key, value in (TODAY | members).items():
        if key in members:
            assert row.get(key) == (None if value == "-" else value)


@given(
    st.lists(
        st.binary(max_size=60).map(lambda b: b.replace(b"\n", b""))
        | st.sampled_from([compact(TODAY), compact(TODAY)[:-1], b'{"a":"b"}']),
        max_size=60,
    )
)
def test_no_line_raises_or_is_read_twice(lines: list[bytes]) -> None:
    tables(lines)


NESTED: dict[str, Any] = {
    "ts": TODAY["start_time"],
    "request": {"method": "GET", "path": "/a,b", "headers": {"user-agent": "curl", "x": None}},
    "response": {"code": 200, "flags": "-", "ratio": 0.25, "ok": True},
    "response_flags": "UF",
    "upstream_cluster": "outbound|80||a.b",
    "duration": 7,
}


def test_nested_objects_of_one_configuration_are_read_by_column() -> None:
    lines = [compact(NESTED | {"duration": i}) for i in range(100)]
    assert JsonReader().read(b"\n".join(lines) + b"\n", 100, PLAIN).columnar == 100
    row = read(compact(NESTED))
    assert (row["method"], row["path"], row["duration_ms"]) == ("GET", "/a,b", 7)
    assert row["extra"] == [
        ("request.headers.user-agent", "curl"),
        ("response.ok", "true"),
        ("response.ratio", "0.25"),
        ("ts", TODAY["start_time"]),
    ]


def test_a_few_configurations_mixed_line_by_line_are_read_by_column() -> None:
    kinds = [compact(TODAY), compact(dict(reversed(TODAY.items()))), compact(as_strings(TODAY)), compact(NESTED)]
    lines = kinds * MANY
    assert JsonReader().read(b"\n".join(lines) + b"\n", len(lines), PLAIN).columnar == len(lines)
    assert tables(lines) == [tables([line])[0] for line in kinds] * MANY


def test_words_that_never_repeat_are_read_the_same() -> None:
    reader = JsonReader()
    lines = [compact(TODAY | {"route_name": f"route-{i}", "authority": f"host-{i}"}) for i in range(1200)]
    expected = [("access_log", READ | {"route_name": f"route-{i}", "authority": f"host-{i}"}) for i in range(1200)]
    assert tables(lines, reader=reader) == expected
    assert tables(lines, reader=reader) == expected  # their values are cut out from now on


def test_every_byte_of_every_key_counts() -> None:
    usual = compact(TODAY)
    keys = [compact(TODAY).replace(f'"{key}":'.encode(), f'"{key[:-1]}X":'.encode()) for key in TODAY]
    ends = [usual[:at] + b"X" + usual[at + 1 :] for at in range(len(usual)) if usual[at] in b'{}:,"']
    odd = keys + ends
    found = tables([usual] * MANY + odd)
    assert found[MANY:] == [tables([line])[0] for line in odd]


def test_keys_that_end_with_other_characters() -> None:
    """Where a usual key would end, such a line can be cut within a character."""
    usual = compact(TODAY)
    odd = [usual.replace(f'"{key}"'.encode(), f'"{key}{end}"'.encode()) for key in TODAY for end in ("é", "xé", "xxé")]
    found = tables([usual] * MANY + odd)
    assert found[MANY:] == [tables([line])[0] for line in odd]


@pytest.mark.parametrize(
    "odd", [b'{"a":}', b'{"a":7', b'"a":7}', b'{"b":7}', b'{"aa":7}', b'{"a":""}', b'{"a":"}', b'{"a":null}', b"{}"]
)
def test_lines_shorter_than_what_is_looked_at_around_a_value(odd: bytes) -> None:
    reader = JsonReader(compile_format('{"a":"%DURATION%"}'))
    (alone,) = tables([odd], reader=reader)
    usual = ("access_log", {"duration_ms": 7})
    lines = [b'{"a":7}', odd, *[b'{"a":7}'] * MANY, odd]
    assert tables(lines, reader=reader) == [usual, alone, *[usual] * MANY, alone]


def test_frames_of_any_width_and_short_ones() -> None:
    widths = [b"2026-11-20T10:00:01.5Z stderr F ", b"2026-11-20T10:00:01.123456789Z stdout F ", b"x y "]
    lines = [widths[i % 3] + compact(TODAY) for i in range(3 * MANY)]
    found = tables(lines, CRI)
    assert found[0] == found[1] == ("access_log", READ)
    assert found == [tables([line], CRI)[0] for line in lines[:3]] * MANY


mutations = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from(
        [b"", b'"', b",", b'",', b',"', b"{", b"}", b":", b"\\", b" ", b"0", b"-", b"null", b"\xff", b"\x01", b"\r"]
    ),
    st.integers(0, 2),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(objects, st.lists(mutations, max_size=2), st.sampled_from([0, 0, 1, 2])), min_size=1, max_size=5
    ),
    st.integers(0, 3),
)
def test_a_line_is_read_the_same_among_many_and_alone(
    several: list[tuple[dict[str, Any], list[tuple[int, bytes, int]], int]], common: int
) -> None:
    """Whatever reader a line meets among others, it gives what the reader of single lines gives."""
    lines = []
    for members, changes, shape in several:
        whole = (TODAY, dict(reversed(TODAY.items())), NESTED)[shape] | members
        line = compact(whole)
        for place, piece, dropped in changes:
            at = place % (len(line) + 1)
            line = line[:at] + piece + line[at + dropped :]
        lines.append(line)
    alone = [tables([line])[0] for line in lines]
    usual = compact(TODAY)
    chunk = (lines + [usual] * common) * FEW
    assert tables(chunk) == (alone + [("access_log", READ)] * common) * FEW


def test_hostile_keys_do_not_exhaust_the_table() -> None:
    reader = JsonReader()
    for start in range(0, 3000, 100):
        tables([compact(TODAY | {f"key{n}": 1}) for n in range(start, start + 100)], reader=reader)
    assert tables([compact(TODAY)] * MANY, reader=reader) == [("access_log", READ)] * MANY


def test_no_lines() -> None:
    parsed = JsonReader().read(b"", 0, PLAIN)
    assert parsed.tables == {}
    assert isinstance(pa.table({}), pa.Table)
