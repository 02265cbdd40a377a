"""The rollup compared with the rows it is made of, and mended by adding the difference."""

from __future__ import annotations

from collections.abc import Sequence

from logproc.model import ACCESS_LOG
from sinks.connection import Connection, quoted
from sinks.tables import ROLLUP, ROLLUP_COLUMNS, rollup_select

_SUMS = ("n", "bytes_in", "bytes_out", "duration_sum")
_HOUR = 3600


def stale_hours(connection: Connection, database: str, hours: Sequence[int]) -> list[int]:
    """Those of the hours (microseconds since 1970) in which the rollup counts other than `access_log` has."""
    if not hours:
        return []
    starts = ", ".join(str(h // 1_000_000) for h in hours)
    answer = connection.query(
        "SELECT hour FROM ("
        f"SELECT toUnixTimestamp(toStartOfHour(timestamp)) AS hour, toInt64(sum(weight)) AS n FROM {quoted(database, ACCESS_LOG)} "
        f"WHERE toUnixTimestamp(toStartOfHour(timestamp)) IN ({starts}) GROUP BY hour UNION ALL "
        f"SELECT toUnixTimestamp(toStartOfHour(minute)) AS hour, -toInt64(sum(n)) AS n FROM {quoted(database, ROLLUP)} "
        f"WHERE toUnixTimestamp(toStartOfHour(minute)) IN ({starts}) GROUP BY hour"
        ") GROUP BY hour HAVING sum(n) != 0 ORDER BY hour"
    )
    return [h * 1_000_000 for h in answer["hour"].to_numpy().tolist()]


def mend(connection: Connection, database: str, hours: Sequence[int]) -> None:
    """Make the rollup of these hours (microseconds since 1970) what `access_log` says, in one insert.

    Only while nobody else writes to these hours: an insert that has reached one table and not the other would be taken for a
    difference. Sums are added to modulo 2^64, so that a difference can be negative too; a maximum can only rise.
    """
    for hour in hours:
        second = hour // 1_000_000
        rows = rollup_select(
            database, f"timestamp >= toDateTime({second}, 'UTC') AND timestamp < toDateTime({second + _HOUR}, 'UTC')"
        )
        keys = [c.name for c in ROLLUP_COLUMNS if c.clickhouse.find("AggregateFunction") < 0]
        plus = ", ".join([*keys, *(f"{s} AS {s}" for s in _SUMS), "duration_max", "duration_hist"])
        minus = ", ".join(
            [
                *keys,
                *(f"toUInt64(toUInt64(0) - {s})" for s in _SUMS),
                "toUInt32(0)",
                "mapApply((k, v) -> (k, toUInt64(toUInt64(0) - v)), duration_hist)",
            ]
        )
        sums = ", ".join(
            [
                *(f"sum({s}) AS {s}" for s in _SUMS),
                "max(duration_max) AS duration_max",
                "sumMap(duration_hist) AS duration_hist",
            ]
        )
        names = ", ".join([*keys, *_SUMS, "duration_max", "duration_hist"])
        connection.command(
            f"INSERT INTO {quoted(database, ROLLUP)} ({names}) SELECT * FROM ("
            f"SELECT {', '.join(keys)}, {sums} FROM ("
            f"SELECT {plus} FROM ({rows}) UNION ALL "
            f"SELECT {minus} FROM {quoted(database, ROLLUP)} "
            f"WHERE minute >= toDateTime({second}, 'UTC') AND minute < toDateTime({second + _HOUR}, 'UTC')"
            f") GROUP BY {', '.join(keys)}) WHERE {' OR '.join(f'{s} != 0' for s in _SUMS)} SETTINGS insert_deduplicate = 0"
        )
