"""What people would write themselves: each side's requests, both sides beside each other, what a flag means."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from logproc.response_flags import RESPONSE_FLAGS
from sinks import ddl
from sinks.connection import literal
from sinks.tables import Layout
from sinks.views import VIEWS
from tests.chdb_store import Database

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)


def request(number: int) -> uuid.UUID:
    return uuid.UUID(int=number + 1)


def line(n: int, direction: str, request_id: object, at: float, ms: int, **more: object) -> dict[str, object]:
    address = more.pop("address", "10.0.0.2:80")
    return {
        "timestamp": f"2026-11-20 10:00:{at:09.6f}", "file_id": 1 if direction == "outbound" else 2, "line": n, "log_type": "http",
        "direction": direction, "request_id": request_id, "duration_ms": ms, "weight": 1,
        "upstream_host" if direction == "outbound" else "downstream_local_address": address,
        "app": "page" if direction == "outbound" else "reviews", "response_code": 200, **more,
    }  # fmt: skip


LINES = [
    line(0, "outbound", request(0), 1, 12, path="/a"), line(0, "inbound", request(0), 1.001, 9),
    # Asked twice of the same address under one id: the first beside the first.
    line(1, "outbound", request(1), 2, 20), line(1, "inbound", request(1), 2.001, 18),
    line(2, "outbound", request(1), 3, 40), line(2, "inbound", request(1), 3.001, 33),
    # The same id to another service.
    line(3, "outbound", request(1), 2.5, 7, address="10.0.0.9:80"), line(3, "inbound", request(1), 2.6, 6, address="10.0.0.9:80"),
    # One side only.
    line(4, "outbound", request(4), 4, 1, response_flags="UF", response_code=503), line(5, "inbound", request(5), 5, 2),
    # Ids that are no UUIDs, and none at all.
    line(6, "outbound", uuid.UUID(int=0), 6, 5, request_id_other="abc"), line(6, "inbound", uuid.UUID(int=0), 6.001, 4, request_id_other="abc"),
    line(7, "outbound", uuid.UUID(int=0), 7, 5), line(8, "inbound", uuid.UUID(int=0), 7, 5),
    # Around the minute.
    line(9, "outbound", request(9), 59.9999, 5), {**line(9, "inbound", request(9), 0, 3), "timestamp": "2026-11-20 10:01:00.000100"},
    {**line(10, "outbound", request(10), 8, 5), "log_type": "tcp"},
]  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[Database]:
    made = Database()
    ddl.apply(made.connection, made.name)
    for row in LINES:
        values = ", ".join(
            literal(v) if isinstance(v, str) else f"'{v}'" if isinstance(v, uuid.UUID) else str(v) for v in row.values()
        )
        made.command(f"INSERT INTO {{db}}.access_log ({', '.join(row)}) VALUES ({values})")
    yield made
    made.close()


def hops(store: Database, table: str = "hop", where: str = "1") -> list[tuple[Any, ...]]:
    rows = store.rows(f"SELECT * FROM {{db}}.{table} WHERE {where} ORDER BY timestamp")
    return [(r["seen_by"], r["client_ms"], r["server_ms"], r["network_ms"]) for r in rows]


def test_hop_puts_both_sides_beside_each_other(store: Database) -> None:
    assert hops(store) == [
        ("both", 12, 9, 3), ("both", 20, 18, 2), ("both", 7, 6, 1), ("both", 40, 33, 7), ("client", 1, None, None), ("server", None, 2, None),
        ("both", 5, 4, 1), ("both", 5, 3, 2),
    ]  # fmt: skip
    (alone,) = store.rows("SELECT * FROM {db}.hop WHERE seen_by = 'client'")
    assert (alone["client_code"], alone["server_code"], alone["client_flags"], alone["server_app"]) == (
        503,
        None,
        "UF",
        "",
    )


def test_hop_between_reads_a_time_alone_and_the_other_side_a_little_around_it(store: Database) -> None:
    window = "hop_between(since = '2026-11-20 10:00:01', until = '2026-11-20 10:00:05')"
    assert hops(store, window) == hops(
        store, where="timestamp >= '2026-11-20 10:00:01' AND timestamp < '2026-11-20 10:00:05'"
    )
    border = "hop_between(since = '2026-11-20 10:00:30', until = '2026-11-20 10:01:00')"
    assert hops(store, border) == [("both", 5, 3, 2)]
    assert hops(store, border.replace("10:00:30", "10:02:00").replace("10:01:00", "10:03:00")) == []


def test_a_request_id_reaches_the_index(store: Database) -> None:
    plan = "\n".join(
        r["explain"]
        for r in store.rows(f"EXPLAIN indexes = 1 SELECT * FROM {{db}}.hop WHERE request_id = '{request(1)}'")
    )

    assert "i_request_id" in plan
    assert len(hops(store, where=f"request_id = '{request(1)}'")) == 3


def test_each_side(store: Database) -> None:
    assert store.value("SELECT count() AS n FROM {db}.client_request") == 8
    assert store.value("SELECT count() AS n FROM {db}.server_request") == 8
    assert store.rows("SELECT DISTINCT direction, log_type FROM {db}.server_request") == [
        {"direction": "inbound", "log_type": "http"}
    ]


def test_flags_explain_themselves(store: Database) -> None:
    rows = store.rows("SELECT * FROM {db}.response_flag")

    assert [r["short"] for r in rows] == list(RESPONSE_FLAGS)
    assert all(r["long"] == RESPONSE_FLAGS[r["short"]].long and r["meaning"] and r["look_at"] for r in rows)
    assert store.rows(
        "SELECT short, count() AS n FROM {db}.access_log ARRAY JOIN splitByChar(',', toString(response_flags)) AS short JOIN {db}.response_flag USING short GROUP BY 1"
    ) == [{"short": "UF", "n": 1}]


def test_every_table_view_and_column_has_a_comment(store: Database) -> None:
    where = f"WHERE database = '{store.name}'"
    assert (
        store.rows(
            f"SELECT table, name FROM system.columns {where} AND comment = '' AND table NOT IN ('traffic_1m_mv', 'hop_between')"
        )
        == []
    )
    assert store.rows(f"SELECT name FROM system.tables {where} AND comment = '' AND name != 'traffic_1m_mv'") == []
    described = store.rows("DESCRIBE {db}.hop")
    assert all(r["comment"] for r in described)


def test_the_form_for_a_cluster_can_be_read_by_the_engine(store: Database) -> None:
    """There is no cluster to run it on: the engine reads each statement, and says it back."""
    layout = Layout({"access_log": 14}, "main")
    statements = ddl.create("mesh", layout)
    for upgrade in ddl.UPGRADES:
        statements += upgrade.statements("mesh", layout)
    for statement in statements:
        said = store.value(f"SELECT formatQuerySingleLine({literal(statement)}) AS said")
        assert "ON CLUSTER main" in said, said
    text = "\n".join(statements)
    for table in ("access_log", "message_log", "rejected_line", "ledger", "traffic_1m"):
        assert f"CREATE TABLE IF NOT EXISTS `mesh`.`{table}_local` ON CLUSTER `main`" in text
        assert f"ENGINE = Distributed(`main`, `mesh`, `{table}_local`, " in text
    assert text.count("cityHash64(file_id)") == 4
    assert text.count("replicated_deduplication_window_seconds = 604800") == 5
    assert "TTL toDateTime(timestamp) + toIntervalDay(14)" in text
    assert "TO `mesh`.`traffic_1m_local`" in text
    assert len([s for s in statements if "CREATE VIEW" in s]) == len(VIEWS)
