"""Component and application lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.columns import MESSAGE_LOG_TABLE
from parsers.messages import MessageReader


def read(*lines: bytes, frame_times: list[bytes] | None = None) -> list[dict[str, Any]]:
    batch = MessageReader().read(lines, frame_times)
    assert batch.schema.names == ["timestamp", "level", "scope", "message", "doubt"]
    for field in batch.schema:
        assert field.type == MESSAGE_LOG_TABLE.column(field.name).arrow
    return batch.to_pylist()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "level", "scope", "message"),
    [
        ("2025-01-31T12:00:00.000001Z\tinfo\tads\tPUSH for node:a.b\tresources=3", "info", "ads", "PUSH for node:a.b\tresources=3"),
        ("2025-01-31T12:00:00.000001Z\tinfo\tEnvoy proxy is ready", "info", None, "Envoy proxy is ready"),
        ("2025-01-31T12:00:00.000001Z\tinfo\tstarted\tversion=1.2\tnode=x", "info", None, "started\tversion=1.2\tnode=x"),
        ("2025-01-31T12:00:00.000001Z\twarning\tenvoy config\tstream closed: 14", "warning", "envoy config", "stream closed: 14"),
        ("2025-01-31T12:00:00.000001Z\tdebug\tenvoy rbac external/envoy/a.cc:167\tno engine\tthread=30", "debug", "envoy rbac",
         "external/envoy/a.cc:167\tno engine\tthread=30"),
        ("2025-01-31T12:00:00.000001Z     info    ads     terminated", "info", "ads", "terminated"),
        ("2025-01-31T12:00:00.000001Z     info    Agent draining proxy", "info", None, "Agent draining proxy"),
        ("2025-01-31T12:00:00.000001Z info sds resource:default pushed", "info", "sds", "resource:default pushed"),
        ("2025-01-31T12:00:00.000001Z critical envoy lua script log: x", "critical", "envoy lua", "script log: x"),
        ("2025-01-31T12:00:00.000001Z trace envoy http [external/envoy/a.cc:4] [C5] done", "trace", "envoy http",
         "[external/envoy/a.cc:4] [C5] done"),
        ("2025-01-31T12:00:00.000001Z info x509 cert - Issuer", "info", None, "x509 cert - Issuer"),
        ("2025-01-31T12:00:00.000001Z\terror", "error", None, ""),
        ("2025-01-31T12:00:00.000001Z\terror\tlast line\r", "error", None, "last line"),
        ("[2025-01-31 12:00:00.000001][34][debug][pool] [external/envoy/a.cc:254] [Tags: x] done", "debug", "pool",
         "[external/envoy/a.cc:254] [Tags: x] done"),
        ("[2025-01-31 12:00:00.000001][000008][info][main] starting", "info", "main", "starting"),
        ("[2025-01-31 12:00:00.000001][15][info][config] ./src/auth.h:72] Loaded {", "info", "config", "./src/auth.h:72] Loaded {"),
        ("[2025-01-31 12:00:00.000001][6][warning][config]", "warning", "config", ""),
        ("[2025-01-31 12:00:00.000001][6][warning] no logger", "warning", None, "no logger"),
        ('{"level":"info","time":"2025-01-31T12:00:00.000001Z","scope":"ads","msg":"PUSH"}', "info", "ads", "PUSH"),
        ('{"level":"warn","time":"2025-01-31T12:00:00.000001Z","msg":"odd","n":3,"who":"me"}', "warn", None, "odd\tn=3\twho=me"),
        ('{"severity":"ERROR","ts":1738324800.000001,"logger":"a","message":"m"}', "ERROR", "a", "m"),
    ],
)  # fmt: skip
def test_known_shapes(line: str, level: str, scope: str | None, message: str) -> None:
    assert read(line.encode()) == [
        {
            "timestamp": at("2025-01-31T12:00:00.000001"),
            "level": level,
            "scope": scope,
            "message": message,
            "doubt": None,
        }
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2025-01-31T12:00:00Z\tinfo\tx", at("2025-01-31T12:00:00")),
        ("2025-01-31T12:00:00.123456789Z\tinfo\tx", at("2025-01-31T12:00:00.123456")),
        ("2025-01-31T12:00:00.5+02:00\tinfo\tx", at("2025-01-31T10:00:00.5")),
        ("[2025-01-31 12:00:00][1][info][main] x", at("2025-01-31T12:00:00")),
        ("2025-02-30T12:00:00Z\tinfo\tx", None),
        ('{"time":1738324800123,"msg":"x"}', at("2025-01-31T12:00:00.123")),
        ('{"time":"yesterday","msg":"x"}', None),
    ],
)
def test_times(line: str, expected: datetime | None) -> None:
    # The line beside it must not change how this one is read.
    assert [row["timestamp"] for row in read(line.encode(), b"2025-01-01T00:00:00Z\tinfo\tx")] == [
        expected,
        at("2025-01-01T00:00:00"),
    ]


def test_a_line_without_time_has_the_runtimes() -> None:
    rows = read(
        b"plain words",
        b"2025-01-31T12:00:00Z\tinfo\tx",
        frame_times=[b"2025-02-01T00:00:00.123456789Z", b"2025-02-01T00:00:00Z"],
    )
    assert [row["timestamp"] for row in rows] == [at("2025-02-01T00:00:00.123456"), at("2025-01-31T12:00:00")]
    assert rows[0]["message"] == "plain words"
    assert (rows[0]["level"], rows[0]["scope"]) == (None, None)


@pytest.mark.parametrize(
    ("frame_time", "line", "expected"),
    [
        (
            b"2025-06-12T10:00:01Z",
            b"I0612 10:00:00.123456       1 server.go:12] ready",
            at("2025-06-12T10:00:00.123456"),
        ),
        (
            b"2026-01-01T00:00:01Z",
            b"I1231 23:59:59.999999       1 server.go:12] ready",
            at("2025-12-31T23:59:59.999999"),
        ),
        (b"", b"I0612 10:00:00.123456       1 server.go:12] ready", None),
    ],
)
def test_glog_has_no_year_of_its_own(frame_time: bytes, line: bytes, expected: datetime | None) -> None:
    (row,) = read(line, frame_times=[frame_time] if frame_time else None)
    assert (row["timestamp"], row["level"], row["message"]) == (expected, "info", "server.go:12] ready")


def test_bytes_that_are_no_utf8_are_shown_and_doubted() -> None:
    rows = read(b"2025-01-31T12:00:00Z\tinfo\tbad \xff byte", "honest �".encode(), b"fine")
    assert [(row["message"], row["doubt"]) for row in rows] == [
        ("bad � byte", "encoding"),
        ("honest �", None),
        ("fine", None),
    ]
    assert rows[0]["level"] == "info"


@pytest.mark.parametrize(
    "line",
    [b'{"msg":"a","msg":"b"}', b'{"msg":', b"{", b"{}", b'{"other":1}', b'{"msg":3}', b'{"msg":' + b"[" * 100_000, b"", b"\0\0", b"I0612 x"],
)  # fmt: skip
def test_what_has_no_known_shape_is_a_message_as_a_whole(line: bytes) -> None:
    (row,) = read(line)
    assert row == {"timestamp": None, "level": None, "scope": None, "message": line.decode(), "doubt": None}


def test_no_lines() -> None:
    assert read() == []


@given(
    st.lists(
        st.binary(max_size=80)
        | st.text(max_size=80).map(lambda t: f"2025-01-31T12:00:00Z\tinfo\t{t}".encode("utf-8", "replace"))
    )
)
def test_every_line_is_one_row(lines: list[bytes]) -> None:
    batch = MessageReader().read(lines, None)
    batch.validate(full=True)
    assert batch.num_rows == len(lines)


@given(
    st.lists(
        st.sampled_from(
            [
                b"2025-01-31T12:00:00Z\tinfo\tads\tx",
                b"[2025-01-31 12:00:00.1][1][info][main] x",
                b'{"msg":"x"}',
                b"\xff",
                b"",
            ]
        )
    )
)
def test_a_line_reads_alike_alone_and_among_others(lines: list[bytes]) -> None:
    assert read(*lines) == [row for line in lines for row in read(line)]
