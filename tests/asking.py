"""A small embedded store with rows that are easy to count, and a session of commands over it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.session import Session

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
"""The rows lie in the ten minutes from here; recent, because the tables drop what is a month old."""

COLUMNS = (
    "timestamp, k8s_namespace, app, version, log_type, direction, upstream_service, upstream_subset, upstream_cluster,"
    " method, path_template, response_code, response_flags, response_code_details, duration_ms, upstream_service_time_ms, weight"
)


def select(count: int, every_ms: int, **columns: str) -> str:
    """An INSERT of `count` rows, one each `every_ms` from NOON; `columns` are SQL expressions of `number`, 0 to count - 1."""
    defaults = {
        "timestamp": f"toDateTime64('{NOON:%Y-%m-%d %H:%M:%S}', 6, 'UTC') + toIntervalMillisecond(number * {every_ms})",
        "k8s_namespace": "'shop'", "app": "''", "version": "''", "log_type": "'http'", "direction": "''",
        "upstream_service": "''", "upstream_subset": "''", "upstream_cluster": "''", "method": "'GET'", "path_template": "'/'",
        "response_code": "200", "response_flags": "''", "response_code_details": "'via_upstream'", "duration_ms": "number % 100",
        "upstream_service_time_ms": "NULL", "weight": "1",
    }  # fmt: skip
    values = ", ".join(f"{(defaults | columns)[name.strip()]} AS c_{name.strip()}" for name in COLUMNS.split(","))
    return f"INSERT INTO access_log ({COLUMNS}) SELECT {values} FROM numbers({count})"


CLIENT = "'reviews.shop.svc.cluster.local'"
ROWS = (
    # 1,000 requests of page to reviews, one each 600 ms; every tenth to v2, every hundredth fails to connect.
    select(
        1000,
        600,
        app="'page'",
        direction="'outbound'",
        upstream_service=CLIENT,
        upstream_subset="if(number % 10 = 0, 'v2', 'v1')",
        upstream_cluster=f"concat('outbound|80|', c_upstream_subset, '|', {CLIENT})",
        response_code="if(number % 100 = 5, 503, 200)",
        response_flags="if(number % 100 = 5, 'UF,URX', '')",
        response_code_details="if(number % 100 = 5, 'upstream_reset_before_response_started{connection_failure}', 'via_upstream')",
        upstream_service_time_ms="if(number % 100 = 5, NULL, c_duration_ms)",
    ),
    # The server's lines of those that arrived; 20 of them the application answers with 500.
    select(
        990,
        600,
        app="'reviews'",
        version="if(number % 10 = 0, 'v2', 'v1')",
        direction="'inbound'",
        upstream_cluster="'inbound|9080||'",
        path_template="'/reviews/{n}'",
        response_code="if(number < 20, 500, 200)",
        duration_ms="if(number < 20, 5000, 10)",
        upstream_service_time_ms="c_duration_ms - 3",
    ),
    # Sampled lines: each stands for ten.
    select(10, 600, k8s_namespace="'bank'", app="'ledger'", direction="'inbound'", weight="10", duration_ms="7"),
    # Connections, one of four refused by the circuit breaker; no pod is known.
    select(
        8,
        600,
        k8s_namespace="''",
        log_type="'tcp'",
        direction="'outbound'",
        upstream_service="'db.shop.svc.cluster.local'",
        upstream_cluster="'outbound|5432||db.shop.svc.cluster.local'",
        response_code="0",
        response_flags="if(number % 4 = 0, 'UO', if(number = 1, 'NEWFLAG', ''))",
        duration_ms="60000",
    ),
    # Long before.
    select(5, 600, timestamp=f"toDateTime64('{NOON - timedelta(days=1):%Y-%m-%d %H:%M:%S}', 6, 'UTC')", app="'old'"),
)


def open_session(folder: Path) -> Iterator[Session]:
    """A session whose LOGPROC_STORE has the rows."""
    store = folder / "store"
    with Session({"LOGPROC_STORE": str(store)}, home=folder) as logproc:
        assert logproc("schema", "apply").code == 0
        for statement in ROWS:
            said = logproc("query", statement)
            assert (said.code, said.err) == (0, "")
        yield logproc
