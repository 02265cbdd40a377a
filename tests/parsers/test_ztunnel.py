"""ztunnel's lines: both sides of a connection, text with tabs or blanks, and what is odd."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import detect, ztunnel
from parsers.fields import SCHEMA

HEAD = "2026-11-20T10:00:00.123456Z\tinfo\taccess\tconnection complete"
OUTBOUND = (
    '\tsrc.addr=10.0.0.5:40000\tsrc.workload="web-1"\tsrc.namespace=shop\tsrc.identity="spiffe://cluster.local/ns/shop/sa/web"'
    '\tdst.addr=10.0.0.9:15008\tdst.hbone_addr=10.0.0.9:8080\tdst.service="db.shop.svc.cluster.local"\tdst.workload="db-1"'
    '\tdirection="outbound"\tbytes_sent=100\tbytes_recv=2000\tduration="12ms"'
)


def read(*lines: str | bytes) -> list[dict[str, Any]]:
    batch = ztunnel.read([line.encode() if isinstance(line, str) else line for line in lines])
    assert batch.schema.equals(SCHEMA)
    batch.validate(full=True)
    return [{k: v for k, v in row.items() if v is not None} for row in batch.to_pylist()]


def test_a_line_of_the_clients_side() -> None:
    assert read(HEAD + OUTBOUND) == [
        {
            "timestamp": datetime(2026, 11, 20, 10, 0, 0, 123456, UTC),
            "log_type": "l4",
            "direction": "outbound",
            "bytes_received": 100,
            "bytes_sent": 2000,
            "duration_ms": 12,
            "downstream_remote_address": "10.0.0.5",
            "downstream_remote_port": 40000,
            "upstream_host": "10.0.0.9:15008",
            "upstream_service": "db.shop.svc.cluster.local",
            "extra": [
                ("dst.hbone_addr", "10.0.0.9:8080"),
                ("dst.workload", "db-1"),
                ("src.identity", "spiffe://cluster.local/ns/shop/sa/web"),
                ("src.namespace", "shop"),
                ("src.workload", "web-1"),
            ],
        }
    ]


def test_both_sides_count_the_clients_bytes_as_received() -> None:
    server = (
        OUTBOUND.replace('"outbound"', '"inbound"')
        .replace("bytes_sent=100", "bytes_sent=2000")
        .replace("recv=2000", "recv=100")
    )
    client_row, server_row = read(HEAD + OUTBOUND, HEAD + server)
    assert (
        (client_row["bytes_received"], client_row["bytes_sent"])
        == (server_row["bytes_received"], server_row["bytes_sent"])
        == (100, 2000)
    )


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_tabs_become_blanks_when_copied(separator: str) -> None:
    assert read((HEAD + OUTBOUND).replace("\t", separator)) == read(HEAD + OUTBOUND)


def test_an_error_tells_why_the_connection_ended() -> None:
    (row,) = read(HEAD.replace("info", "error") + OUTBOUND + '\terror="closed: \\"no\\" \\\\ \\u{e9}\\n"')
    assert row["connection_termination_details"] == 'closed: "no" \\ é\n'
    assert "doubt" not in row


def test_other_messages_say_so() -> None:
    (row,) = read(
        '2026-11-20T10:00:00Z\twarn\taccess\tconnection failed\tsrc.addr=[::1]:5\tdst.addr=[::1]:6\tdirection="inbound"\terror="x"'
    )
    assert dict(row["extra"]) == {"message": "connection failed"}
    assert (row["downstream_remote_address"], row["downstream_remote_port"]) == ("::1", 5)
    assert "bytes_sent" not in row


@pytest.mark.parametrize(
    ("tail", "doubt"),
    [
        ('\tsrc.workload="open', "fields"),
        ("\tword", "fields"),
        ('\tx="a"b', "fields"),
        ("\tbytes_sent=1", "fields"),
        ("\t=1", "fields"),
    ],
)
def test_what_stops_making_sense_keeps_what_stood_before(tail: str, doubt: str) -> None:
    (row,) = read(HEAD + OUTBOUND + tail)
    assert row["doubt"] == doubt
    assert row["upstream_host"] == "10.0.0.9:15008"
    if "bytes_sent" in tail:
        assert row.get("bytes_received") is None  # said twice


@pytest.mark.parametrize(
    ("key", "value"),
    [("bytes_sent", "many"), ("bytes_sent", "99999999999999999999"), ("duration", '"soon"'), ("bytes_recv", "-1")],
)
def test_what_is_no_number_is_doubted(key: str, value: str) -> None:
    (row,) = read(f'{HEAD}\tsrc.addr=1.2.3.4:5\tdirection="inbound"\t{key}={value}')
    assert row["doubt"] == "number"


@pytest.mark.parametrize(("text", "expected"), [("0ms", 0), ("1.5s", 1000), ("2s", 2000), ("1500µs", 1), ("999ns", 0)])
def test_durations(text: str, expected: int) -> None:
    assert read(f'{HEAD}\tduration="{text}"')[0]["duration_ms"] == expected


def test_bytes_that_are_no_utf8() -> None:
    (row,) = read(HEAD.encode() + b'\tsrc.workload="\xff"')
    assert row["doubt"] == "encoding"
    assert row["extra"] == [("src.workload", "�")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (HEAD + OUTBOUND, True),
        (HEAD, True),
        ("2026-11-20T10:00:00Z info access connection failed src.addr=1.2.3.4:5", True),
        ("2026-11-20T10:00:00Z\tinfo\tstate\tconnection complete", False),
        ("2026-11-20T10:00:00Z\tinfo\taccess\tsomething else", False),
        ("connection complete", False),
        ("", False),
    ],
)
def test_which_lines_are_told_to_be_ztunnels(line: str, expected: bool) -> None:
    assert (detect.sort_of(line.encode()) == detect.ZTUNNEL) is expected


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80) | st.text(max_size=40).map(lambda t: (HEAD + OUTBOUND + "\t" + t).encode())))
def test_every_line_is_one_row(lines: list[bytes]) -> None:
    assert len(read(*lines)) == len(lines)


def test_a_long_hostile_line_takes_linear_time() -> None:
    assert read(HEAD + '\ta="' + "\\" * 200_000)[0]["doubt"] == "fields"
    assert read(HEAD + "\ta=" * 100_000)[0]["doubt"] == "fields"
