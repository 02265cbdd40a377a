"""A filter selects in the store what it selects in Arrow."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from logproc.columns import ACCESS_LOG_TABLE
from logproc.where import compile_filter
from logproc.where_sql import condition
from sinks import ddl
from sinks.connection import ONE_BLOCK, quoted
from tests.chdb_store import Database

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
ID = uuid.UUID("137068b0-3a6d-9e4b-91c4-9787a5af72e0")
TEXTS = [None, "a", "ab", "b/a", "/api/x y", "a'b", 'say "b"', "ü", "a\nb", "\\d", "100%", "_"]


def rows() -> pa.RecordBatch:
    made: list[dict[str, Any]] = []
    for n in range(len(TEXTS) * 7):
        made.append({
            "timestamp": NOW.replace(hour=n % 5), "received_at": NOW, "file_id": 1, "line": n, "path": TEXTS[n % len(TEXTS)] or "",
            "method": TEXTS[(n + 3) % len(TEXTS)], "response_code": [0, 200, 299, 404, 499, 500, 503][n % 7],
            "response_flags": [None, "UF", "UF,URX", "DC", "X1"][n % 5], "duration_ms": n * 97 % 2000, "bytes_sent": n * 1000,
            "upstream_service_time_ms": None if n % 3 else n, "request_id": ID.bytes if n % 4 == 0 else None, "weight": 1,
            "extra": [("k", TEXTS[n % len(TEXTS)] or ""), ("it's", "x")] if n % 2 else None, "upstream_port": n % 2 * 80 or None,
            "bytes_received": 0,
        })  # fmt: skip
    return pa.RecordBatch.from_pylist(made, schema=ACCESS_LOG_TABLE.schema)


@pytest.fixture(scope="module")
def store() -> Any:
    made = Database()
    ddl.apply(made.connection, made.name)
    made.connection.insert(quoted(made.name, "access_log"), rows(), ONE_BLOCK, "")
    yield made
    made.close()


@pytest.mark.parametrize(
    "text",
    [
        "code = 5xx", "code != 5xx", "code in (4xx, 200)", "code not in (4xx, 200)", "duration > 1.5s", "duration <= 970ms", "bytes_sent >= 10Ki",
        "method = a", "method != a", "not (method = a)", "method in ('a''b', ü)", "method not in (a, ab)", "method is null", "method is not null",
        "method > ab", "method <= 'b/a'", "method : 'a*'", "method : 'a?b'", "method !: '*b*'", "method ~ '^a.b$'", "method ~ '[ab]/'", r"method = '\d'",
        r"method ~ '\\d'", "method ~ '100%|_'", "method !~ a", "has_flag(UF)", "has_flag(UO, URX, X1)", "not has_flag(UF)", "flags = 'URX,UF'", "flags is null",
        "service_time > 3", "service_time is null", "not service_time > 3", f"request_id = {ID}", f"request_id != {ID}", "request_id is null",
        'extra["k"] = a', 'extra["k"] != a', '''extra["it's"] is null''', 'extra["none"] = a', "port = 80" if False else "upstream_port = 80",
        "upstream_port is null", "upstream_port != 80", "time >= '2026-11-21 02:00'", "time < 2h ago or time = now", "code > 70000", "code < 70000 and method = a",
        "(code = 2xx or method = a) and not (duration > 1s or has_flag(DC))", "not (method = a and code = 200)", "not (method = a or service_time > 50)",
    ],
)  # fmt: skip
def test_the_same_rows(store: Database, text: str) -> None:
    chosen = compile_filter(text, ACCESS_LOG_TABLE, now=NOW)
    batch = chosen.apply(rows())

    found = store.rows(f"SELECT line FROM {{db}}.access_log WHERE {condition(chosen, ACCESS_LOG_TABLE)} ORDER BY line")

    assert [r["line"] for r in found] == batch.column("line").to_pylist()
