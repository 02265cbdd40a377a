"""What `audit --repair` does: of lines that are stored twice one row stays, and the ledger and the rollup say so.

Each step can be repeated: killed half-way it is run again from the start.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from logproc.model import ACCESS_LOG, LEDGER, ROW_TABLES
from sinks import rollup
from sinks.connection import Connection, literal, quoted

FILES_AT_A_TIME = 100
HOUR = 3600
OPEN_HOURS = 2
"""Hours that others may still write to: an insert that has reached the rows and not the rollup would be taken for a difference."""


@dataclass(slots=True)
class Repaired:
    """What was done."""

    rows: int = 0
    ledger_rows: int = 0
    hours: int = 0
    open_hours: int = 0
    """Hours of the rollup that differ and were left alone, because others may be writing to them."""


@dataclass(slots=True)
class _Cluster:
    """Runs of a file's ledger that overlap, as one run: lines `[first, stop)`, bytes `[start, end)`."""

    first: int
    stop: int
    start: int
    end: int
    runs: list[dict[str, Any]] = field(default_factory=list)


def repair(connection: Connection, database: str, files: Sequence[int], keep_from: int) -> Repaired:
    """Remove doubled rows and ledger rows of these files, and mend the rollup where it differs.

    Hours before `keep_from` (seconds since 1970) are left alone: there the rollup keeps what the rows' retention has dropped.
    """
    done = Repaired()
    for at in range(0, len(files), FILES_AT_A_TIME):
        group = files[at : at + FILES_AT_A_TIME]
        done.rows += _remove_doubled_rows(connection, database, group)
        for file_id in group:
            done.ledger_rows += _merge_runs(connection, database, file_id)
    done.hours, done.open_hours = _mend_rollup(connection, database, keep_from)
    return done


def _remove_doubled_rows(connection: Connection, database: str, files: Sequence[int]) -> int:
    """The row that came first stays; of a line that is in several tables the one in the first table."""
    ids = ", ".join(map(str, files))
    before = _count(connection, database, ids)
    for place, name in enumerate(ROW_TABLES):
        table = quoted(database, name)
        connection.command(
            f"DELETE FROM {table} WHERE file_id IN ({ids}) AND (_part, _part_offset) IN ("
            "SELECT p, o FROM (SELECT _part AS p, _part_offset AS o, "
            "row_number() OVER (PARTITION BY file_id, line ORDER BY received_at, _part, _part_offset) AS n "
            f"FROM {table} WHERE file_id IN ({ids})) WHERE n > 1)"
        )
        for other in ROW_TABLES[:place]:
            connection.command(
                f"DELETE FROM {table} WHERE file_id IN ({ids}) AND (file_id, line) IN "
                f"(SELECT file_id, line FROM {quoted(database, other)} WHERE file_id IN ({ids}))"
            )
    return before - _count(connection, database, ids)


def _count(connection: Connection, database: str, ids: str, lines: str = "") -> int:
    counts = [f"(SELECT count() FROM {quoted(database, t)} WHERE file_id IN ({ids}){lines})" for t in ROW_TABLES]
    return int(connection.query(f"SELECT {' + '.join(counts)} AS n")["n"][0].as_py())


def _merge_runs(connection: Connection, database: str, file_id: int) -> int:
    """Runs that overlap become one run, counted again. It is written before they go, so that no line is ever without one."""
    ledger = quoted(database, LEDGER)
    runs = connection.query(
        "SELECT collector, seq, first_line, lines, start, end, joined, left_out, access_rows + message_rows + rejected_rows AS rows "
        f"FROM {ledger} WHERE file_id = {file_id} AND state = 'stored' ORDER BY first_line, first_line + lines"
    ).to_pylist()
    corrections = [run for run in runs if not run["lines"]]
    removed = 0
    for cluster in _overlapping(run for run in runs if run["lines"]):
        inside = f" AND line >= {cluster.first} AND line < {cluster.stop}"
        lines = cluster.stop - cluster.first
        by_table = [
            int(connection.query(f"SELECT count() AS n FROM {quoted(database, t)} WHERE file_id = {file_id}{inside}")["n"][0].as_py())
            for t in ROW_TABLES
        ]  # fmt: skip
        corrected = sum(r["rows"] for r in corrections if cluster.first <= r["first_line"] < cluster.stop)
        by_table[1] -= corrected  # what a fragment becomes whose end never came is mostly a message
        rest = lines - sum(by_table)
        joined, left_out = (sum(r[name] for r in cluster.runs) for name in ("joined", "left_out"))
        without_row = min(rest, joined + left_out)
        kept_joined = round(without_row * joined / (joined + left_out)) if joined + left_out else 0
        # Lines that nothing explains stay counted as rows, so that the next audit still misses them.
        by_table[0] += rest - without_row
        last = max(cluster.runs, key=lambda r: r["lines"])
        connection.command(
            f"INSERT INTO {ledger} SELECT * REPLACE ("
            f"'repair' AS collector, toUInt64({time.time_ns()}) AS seq, toUInt64({cluster.first}) AS first_line, toInt64({lines}) AS lines, "
            f"toUInt64({cluster.start}) AS start, toUInt64({cluster.end}) AS end, "
            + ", ".join(
                f"toUInt64({max(n, 0)}) AS {c}"
                for n, c in zip(by_table, ("access_rows", "message_rows", "rejected_rows"), strict=True)
            )
            + f", toInt64({kept_joined}) AS joined, toUInt64({without_row - kept_joined}) AS left_out"
            f") FROM (SELECT * FROM {ledger} WHERE file_id = {file_id} AND {_identity(last)} LIMIT 1) SETTINGS insert_deduplicate = 0"
        )
        removed += _delete_runs(connection, ledger, file_id, cluster.runs) - 1
    return removed


def _delete_runs(connection: Connection, ledger: str, file_id: int, runs: Sequence[dict[str, Any]]) -> int:
    for at in range(0, len(runs), 500):
        either = " OR ".join(f"({_identity(run)})" for run in runs[at : at + 500])
        connection.command(f"DELETE FROM {ledger} WHERE file_id = {file_id} AND state = 'stored' AND ({either})")
    return len(runs)


def _identity(run: dict[str, Any]) -> str:
    return (
        f"collector = {literal(run['collector'])} AND seq = {run['seq']} AND first_line = {run['first_line']} AND lines = {run['lines']}"
    )  # fmt: skip


def _overlapping(runs: Iterable[dict[str, Any]]) -> Iterator[_Cluster]:
    """Groups of two or more runs, of which each overlaps the ones before it."""
    cluster: _Cluster | None = None
    for run in runs:
        stop = run["first_line"] + run["lines"]
        if cluster is not None and run["first_line"] < cluster.stop:
            cluster.runs.append(run)
            if stop > cluster.stop:
                cluster.stop, cluster.end = stop, run["end"]
            continue
        if cluster is not None and len(cluster.runs) > 1:
            yield cluster
        cluster = _Cluster(run["first_line"], stop, run["start"], run["end"], [run])
    if cluster is not None and len(cluster.runs) > 1:
        yield cluster


def _mend_rollup(connection: Connection, database: str, keep_from: int) -> tuple[int, int]:
    hours = connection.query(
        f"SELECT DISTINCT toUnixTimestamp(toStartOfHour(timestamp)) AS hour FROM {quoted(database, ACCESS_LOG)} "
        f"WHERE toUnixTimestamp(timestamp) >= {keep_from}"
    )["hour"].to_pylist()
    stale = rollup.stale_hours(connection, database, [int(hour or 0) * 1_000_000 for hour in hours])
    open_since = float("inf") if connection.only_writer else time.time() // HOUR * HOUR - (OPEN_HOURS - 1) * HOUR
    closed = [hour for hour in stale if hour / 1_000_000 < open_since]
    rollup.mend(connection, database, closed)
    return len(closed), len(stale) - len(closed)
