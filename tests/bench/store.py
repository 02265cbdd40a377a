"""The store: bytes a row takes, rows per second that go in, milliseconds that questions take, each beside a table of plain text."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from logproc.columns import ACCESS_LOG_TABLE
from sinks import chdb, ddl, server
from sinks.connection import ONE_BLOCK, Connection
from sinks.tables import VIEW
from tests.bench import day
from tests.bench.data import FOLDER, LOGPROC
from tests.bench.measure import Run, in_turn, median, own_cpu, python, run

STORE = FOLDER / "day-store"
INSERT_ROWS = 1_000_000
TYPED, TEXT = "logproc.access_log", "logproc.access_text"

_TEXT_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {TEXT} ("
    + ", ".join(f"`{c.name}` String" for c in ACCESS_LOG_TABLE.columns)
    + ") ENGINE = MergeTree ORDER BY timestamp"
)

# Each as one would ask the typed table, and the table of text. {begin}, {end}: an hour at noon; {id}: a request id of that hour.
QUERIES: dict[str, tuple[float, str, str]] = {
    "top error flags by cluster, 1 h": (
        25,
        "SELECT upstream_cluster, response_flags, count() AS n FROM {t} WHERE timestamp >= '{noon}' AND timestamp < '{one}' AND response_flags != '' GROUP BY 1, 2 ORDER BY n DESC LIMIT 20",
        "",
    ),
    "p50/p95/p99 by app, 1 h": (
        30,
        "SELECT app, quantiles(0.5, 0.95, 0.99)(duration_ms) FROM {t} WHERE timestamp >= '{noon}' AND timestamp < '{one}' GROUP BY app",
        "duration_ms",
    ),
    "p50/p95/p99 by app, 24 h": (80, "SELECT app, quantiles(0.5, 0.95, 0.99)(duration_ms) FROM {t} GROUP BY app", "duration_ms"),
    "one request id, 24 h": (40, "SELECT timestamp, app, path, response_code, duration_ms FROM {t} WHERE request_id = '{id}'", ""),
    "canary split by version, 6 h": (
        80,
        "SELECT upstream_service, upstream_subset, count() AS n, countIf(response_code >= 500) AS failed, quantile(0.99)(duration_ms) FROM {t} WHERE timestamp >= '{noon}' AND timestamp < '{six}' AND direction = 'outbound' AND upstream_subset != '' GROUP BY 1, 2 ORDER BY 1, 2",
        "duration_ms response_code",
    ),
    "requests a second by minute, all services, 24 h": (
        15,
        "SELECT minute, sum(n) / 60 AS rps FROM logproc.traffic_1m GROUP BY minute ORDER BY minute",
        "SELECT toStartOfMinute(toDateTime(substring(timestamp, 1, 19))) AS minute, count() / 60 AS rps FROM {t} GROUP BY minute ORDER BY minute",
    ),
    "last 100 rows of an app": (
        25,
        "SELECT timestamp, method, path, response_code, response_flags, duration_ms FROM {t} WHERE app = '{app}' AND timestamp >= '{one}' AND timestamp < '{two}' ORDER BY timestamp DESC LIMIT 100",
        "",
    ),
}  # fmt: skip


def main(repeats: int) -> None:
    """Print all tables."""
    facts = day.facts()
    text = facts["bytes"] / facts["rows"]
    print(f"\nStore: {facts['rows']:,} rows of one day of a mesh of 40 services; as text {text:.1f} bytes a line\n")
    _print_inserts(repeats)
    run(python("store:build"))
    _print_sizes(run(python("store:sizes")).said, text)
    _print_queries(run(python("store:queries")).said)


# Storage


def build() -> None:
    """The store of all rows, merged: the typed table with its rollup, and the same rows as text."""
    done = STORE / "done"
    if done.exists():
        return
    connection = chdb.connect(STORE, create=True)
    ddl.apply(connection)
    for number, batch in enumerate(day.batches()):
        connection.insert(TYPED, batch, _settings(number, "typed"), "")
    connection.command(_TEXT_TABLE)
    columns = ", ".join(f"ifNull(toString({c.name}), '')" for c in ACCESS_LOG_TABLE.columns)
    connection.command(f"INSERT INTO {TEXT} SELECT {columns} FROM {TYPED}")
    for table in (TYPED, "logproc.traffic_1m", TEXT):
        connection.command(f"OPTIMIZE TABLE {table} FINAL")
    connection.close()
    done.touch()


def sizes() -> None:
    """Print bytes by column and table."""
    connection = chdb.connect(STORE)
    parts = "WHERE database = 'logproc' AND active"
    rows = connection.query(
        f"SELECT table, sum(rows) AS n, sum(bytes_on_disk) AS b FROM system.parts {parts} GROUP BY table"
    ).to_pylist()
    columns = connection.query(
        f"SELECT column, sum(column_bytes_on_disk) AS b FROM system.parts_columns {parts} AND table = 'access_log' GROUP BY column ORDER BY b DESC"
    ).to_pylist()
    index = connection.query(
        "SELECT sum(data_compressed_bytes) AS b FROM system.data_skipping_indices WHERE database = 'logproc' AND table = 'access_log'"
    ).to_pylist()
    said = {"tables": {r["table"]: [r["n"], r["b"]] for r in rows}, "columns": {r["column"]: r["b"] for r in columns}, "index": index[0]["b"]}  # fmt: skip
    print(json.dumps(said))


def _print_sizes(said: dict[str, Any], text: float) -> None:
    rows, size = said["tables"]["access_log"]
    columns = {name: b / rows for name, b in said["columns"].items()}
    print("\nBytes a row after OPTIMIZE FINAL\n\n| table | bytes a row | under raw text |\n|--|--|--|")
    for name, table in (
        ("access_log", "access_log"),
        ("the same in plain String columns, ORDER BY timestamp", "access_text"),
    ):
        of_row = said["tables"][table][1] / rows
        print(f"| {name} | {of_row:.1f} | {text / of_row:.1f}x |")
    print(f"| traffic_1m, by row of access_log | {said['tables']['traffic_1m'][1] / rows:.2f} | |")
    largest = sorted(columns.items(), key=lambda c: -c[1])[:5]
    print(f"\nThe five largest columns: {', '.join(f'{n} {b:.2f}' for n, b in largest)}; the rest {size / rows - sum(b for _, b in largest):.2f} (indexes {said['index'] / rows:.2f})")  # fmt: skip


# Inserts


def _settings(number: int, name: str) -> dict[str, Any]:
    return ONE_BLOCK | {"insert_deduplication_token": f"{name}-{number}"}


def insert(kind: str) -> None:
    """Insert a million rows; print rows, seconds and CPU seconds. `kind`: rows, rollup, text, http or http-text."""
    batches = list(day.batches(INSERT_ROWS))
    if kind.endswith("text"):
        batches = [_as_text(b) for b in batches]
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, _connected(kind, Path(folder) / "store") as connection:
        connection.command(_TEXT_TABLE)
        if kind in {"rows", "http-rows"}:
            connection.command(f"DROP VIEW logproc.{VIEW}")
        if not kind.startswith("http"):  # `serve` lets nobody stop them
            # What merges cost shows in the figures of `collect`; here they would fall into one run and not into another.
            connection.command("SYSTEM STOP MERGES")
        table = TEXT if kind.endswith("text") else TYPED
        connection.insert(table, batches[0].slice(0, 1000), _settings(-1, kind), "bench-first")
        wall, cpu = time.perf_counter(), own_cpu() + _children_cpu()
        for number, batch in enumerate(batches):
            connection.insert(table, batch, _settings(number, kind), f"bench-{number}")
        print(
            json.dumps(
                {
                    "rows": sum(b.num_rows for b in batches),
                    "wall": time.perf_counter() - wall,
                    "cpu": own_cpu() + _children_cpu() - cpu,
                }
            )
        )


def _children_cpu() -> float:
    """CPU seconds so far of the processes that this one has started and that still run."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12]) if int(fields[1]) == os.getpid() else 0
    return total / os.sysconf("SC_CLK_TCK")


@contextmanager
def _connected(kind: str, store: Path) -> Iterator[Connection]:
    if not kind.startswith("http"):
        connection = chdb.connect(store, create=True)
        ddl.apply(connection)
        yield connection
        connection.close()
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serving = subprocess.Popen(
        [*LOGPROC, "serve", "--store", str(store), "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE
    )
    try:
        assert serving.stderr is not None
        serving.stderr.readline()
        yield server.connect(server.Url.parse(f"clickhouse://default@127.0.0.1:{port}/logproc"))
    finally:
        serving.terminate()
        serving.wait(30)


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    from logproc.output import as_text

    plain = as_text(batch)
    texts = [c.cast(pa.string()).fill_null("") for c in plain.columns]
    return pa.RecordBatch.from_arrays(texts, plain.schema.names)


def _print_inserts(repeats: int) -> None:
    kinds = {"rows": "without the rollup", "rollup": "with the rollup", "http": "with the rollup, over HTTP (serve)"}
    texts = {"text": "plain String columns, embedded", "http-text": "plain String columns, over HTTP"}
    runs = in_turn({k: python("store:insert", k) for k in (*kinds, *texts)}, repeats)
    print(
        "Inserts of batches of 100,000 rows, one writer, merges stopped; CPU of the inserting process (HTTP: the server's is not in it)\n"
    )
    print("| insert | rows/s wall | spread | CPU us a row | CPU of the text table |\n|--|--|--|--|--|")
    for kind, name in (kinds | texts).items():
        rates = [r.said["rows"] / r.said["wall"] for r in runs[kind]]
        cpu = _cpu(runs[kind])
        base = _cpu(runs["http-text" if kind.startswith("http") else "text"])
        print(
            f"| {name} | {median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {cpu:.1f} | {base / cpu:.1f}x |"
        )


def _cpu(runs: list[Run]) -> float:
    return median([r.said["cpu"] / r.said["rows"] * 1e6 for r in runs])


# Questions


def _filled(sql: str, table: str, values: dict[str, str]) -> str:
    for name, value in {"t": table, **values}.items():
        sql = sql.replace(f"{{{name}}}", value)
    return sql


def queries() -> None:
    """Print the median milliseconds of five warm runs for each question, and what was found."""
    connection = chdb.connect(STORE)
    found = connection.query(
        f"SELECT toString(request_id) AS id FROM {TYPED} WHERE timestamp >= '2026-11-20 12:30:00' AND request_id != toUUID('00000000-0000-0000-0000-000000000000') LIMIT 1"
    ).to_pylist()
    app = connection.query(f"SELECT app FROM {TYPED} GROUP BY app ORDER BY count() LIMIT 1 OFFSET 20").to_pylist()
    values = {"noon": "2026-11-20 12:00:00", "one": "2026-11-20 13:00:00", "two": "2026-11-20 14:00:00", "six": "2026-11-20 18:00:00", "id": found[0]["id"], "app": app[0]["app"]}  # fmt: skip
    said = {}
    for name, (_, typed, text) in QUERIES.items():
        if text.startswith("SELECT"):
            plain = _filled(text, TEXT, values)
        else:
            plain = _filled(typed, TEXT, values)
            for number in text.split():
                plain = plain.replace(f"({number}", f"(toUInt32({number})")
        said[name] = [_milliseconds(connection, _filled(typed, TYPED, values)), _milliseconds(connection, plain)]
    print(json.dumps(said))


def _milliseconds(connection: Connection, sql: str) -> list[float]:
    """Wall and CPU (of all threads), the median of five runs after a first one."""
    wall, cpu = [], []
    for _ in range(6):
        began, used = time.perf_counter(), own_cpu()
        # The cache remembers which granules a filter has met: it would time the second asking of the very same question.
        assert connection.query(sql, settings={"use_query_condition_cache": 0}).num_rows
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (own_cpu() - used))
    return [statistics.median(wall[1:]), statistics.median(cpu[1:])]


def _print_queries(said: dict[str, Any]) -> None:
    print("\nQuestions, median ms of 5 warm runs; CPU is that of all threads\n")
    print(
        "| question | wall | CPU | probed on a quiet machine, wall | text table: wall | CPU | times less CPU |\n|--|--|--|--|--|--|--|"
    )
    for name, ((wall, cpu), (text_wall, text_cpu)) in said.items():
        print(
            f"| {name} | {wall:.0f} | {cpu:.0f} | {QUERIES[name][0]:.0f} | {text_wall:.0f} | {text_cpu:.0f} | {text_cpu / cpu:.1f} |"
        )


if __name__ == "__main__":
    sys.exit("run `make bench ONLY=store`")
