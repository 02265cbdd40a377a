"""Every table as SQL, rendered from `logproc.columns`; the rollup; and how all of them are laid out on a server or a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from logproc.columns import LOW, TABLES, ZSTD, Table
from logproc.model import ACCESS_LOG, LEDGER, ROW_TABLES
from sinks.connection import literal, quoted

ROLLUP = "traffic_1m"
VIEW = "traffic_1m_mv"
VERSIONS = "schema_version"

RETENTION: Mapping[str, int] = {**dict.fromkeys(ROW_TABLES, 30), LEDGER: 60, ROLLUP: 400}
"""Days that a server's tables keep their rows unless told otherwise. The ledger outlives the rows by LEDGER_EXTRA days:
lines that come again while their rows are there, or have just gone, are still known."""
LEDGER_EXTRA = 30

_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"
_WINDOW = "non_replicated_deduplication_window = 10000"
# A week: a retry after the default of an hour would store the batch twice.
_REPLICATED_WINDOW = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"

_ONE_FILE = f"min_bytes_for_wide_part = {64 << 20}"
"""A part of one insert (200,000 access lines are 33 MB) is one file and not one for each column: 25 files to sync instead of 191, for which
it waited as long as for all else. What merges make of such parts has a file for each column again."""

_SUM = "SimpleAggregateFunction(sum, UInt64)"
_ROLLUP_PRIMARY = ("k8s_namespace", "app", "direction", "upstream_service", "upstream_subset", "version", "response_code", "response_flags", "minute")  # fmt: skip
_ROLLUP_KEYS = (*_ROLLUP_PRIMARY, "log_type")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the tables of one place are made.

    `days`: how long a table keeps its rows; 0 or absent: for ever. `cluster`: the name of the cluster that they are spread over.
    `path_index`: with the text index on `path`.
    """

    days: Mapping[str, int] = field(default_factory=dict)
    cluster: str = ""
    path_index: bool = False

    def stored(self, table: str) -> str:
        """The name of the table that has the rows: on a cluster `table` itself only passes on."""
        return f"{table}_local" if self.cluster and table not in {VIEW, VERSIONS} else table

    @property
    def on_cluster(self) -> str:
        """What follows the name of what is made, altered or dropped."""
        return f" ON CLUSTER {quoted(self.cluster)}" if self.cluster else ""


SERVER = Layout(RETENTION)


def retention(chosen: Mapping[str, int]) -> dict[str, int]:
    """Days for each table where some are chosen (0: for ever); the ledger's follow the rows' unless they are chosen too."""
    days = {**RETENTION, **chosen}
    if LEDGER not in chosen:
        rows = [days[table] for table in ROW_TABLES]
        days[LEDGER] = 0 if 0 in rows else max(rows) + LEDGER_EXTRA
    return days


def expiry(table: str, days: int) -> str:
    """The TTL expression of a table, "" for ever."""
    column = "minute" if table == ROLLUP else TABLES[table].time
    return f"{column if table == ROLLUP else f'toDateTime({column})'} + toIntervalDay({days})" if days else ""


@dataclass(frozen=True, slots=True)
class RollupColumn:
    """One column of the rollup: how it is stored and how it is made from the rows of `access_log`."""

    name: str
    clickhouse: str
    codec: str
    meaning: str
    made: str


ROLLUP_COLUMNS = (
    RollupColumn("minute", "DateTime('UTC')", "Delta(4), ZSTD(1)", "minute in which the requests began", "toStartOfMinute(timestamp)"),
    RollupColumn("k8s_namespace", LOW, ZSTD, "namespace of the pod that wrote the lines", "k8s_namespace"),
    RollupColumn("app", LOW, ZSTD, "its app", "app"),
    RollupColumn("version", LOW, ZSTD, "its version", "version"),
    RollupColumn("direction", LOW, ZSTD, "inbound (server's lines), outbound (client's lines), inbound-vip", "direction"),
    RollupColumn("upstream_service", LOW, ZSTD, "host in the cluster's name", "upstream_service"),
    RollupColumn("upstream_subset", LOW, ZSTD, "subset in the cluster's name", "upstream_subset"),
    RollupColumn("response_code", "UInt16", ZSTD, "HTTP status", "response_code"),
    RollupColumn("response_flags", LOW, ZSTD, "Envoy's response flags", "response_flags"),
    RollupColumn("log_type", LOW, ZSTD, "http, tcp, or l4 (ztunnel); empty for lines counted under version 1 of the schema", "log_type"),
    RollupColumn("n", _SUM, ZSTD, "lines, each by its weight", "sum(weight)"),
    RollupColumn("bytes_in", _SUM, ZSTD, "bytes received", "sum(bytes_received * weight)"),
    RollupColumn("bytes_out", _SUM, ZSTD, "bytes sent", "sum(bytes_sent * weight)"),
    RollupColumn("duration_sum", _SUM, ZSTD, "milliseconds in all", "sum(toUInt64(duration_ms) * weight)"),
    RollupColumn("duration_max", "SimpleAggregateFunction(max, UInt32)", ZSTD, "the longest, in milliseconds", "max(duration_ms)"),
    RollupColumn(
        "duration_hist", "SimpleAggregateFunction(sumMap, Map(UInt8, UInt64))", ZSTD,
        "lines by duration: bucket b holds durations from 2^(b/4) - 1 to 2^((b+1)/4) - 1 ms",
        "sumMap(map(toUInt8(floor(log2(duration_ms + 1) * 4)), toUInt64(weight)))",
    ),
)  # fmt: skip
ROLLUP_MEANING = f"{ACCESS_LOG} by minute: counts, sums and a histogram of durations; sum them once more when reading"
ROLLUP_PARTITION = "toYYYYMM(minute)"
ROLLUP_ORDER = f"({', '.join(_ROLLUP_KEYS)})"
ROLLUP_PRIMARY = f"({', '.join(_ROLLUP_PRIMARY)})"

VERSIONS_MEANING = "versions of the tables in this database; the highest holds"


def create_table(database: str, table: Table, layout: Layout = SERVER) -> list[str]:
    """What makes one of `columns.TABLES`; on a cluster two tables."""
    lines = [column_line(c.name, c.clickhouse, c.codec, c.meaning) for c in table.columns]
    lines += [*table.indexes, *(table.optional_indexes if layout.path_index else ())]
    # A part of an unpartitioned table mixes old and new rows for ever: there expired rows have to go one by one.
    drop = f"ttl_only_drop_parts = {1 if table.partition_by else 0}"
    return _create(
        database,
        table.name,
        lines,
        layout,
        settings=f"{drop}, {_ONE_FILE}",
        comment=table.meaning,
        partition=table.partition_by,
        primary=table.primary_key,
        order=table.order_by,
        shard="cityHash64(file_id)",
    )


def create_rollup(database: str, layout: Layout = SERVER) -> list[str]:
    """What makes the rollup: counts, sums and a histogram of durations by minute, mergeable over time and servers."""
    return _create(
        database,
        ROLLUP,
        [column_line(c.name, c.clickhouse, c.codec, c.meaning) for c in ROLLUP_COLUMNS],
        layout,
        engine="AggregatingMergeTree",
        comment=ROLLUP_MEANING,
        partition=ROLLUP_PARTITION,
        primary=ROLLUP_PRIMARY,
        order=ROLLUP_ORDER,
        shard="rand()",
    )


def column_line(name: str, clickhouse: str, codec: str, meaning: str) -> str:
    """A column as CREATE and ALTER TABLE have it."""
    return f"{quoted(name)} {clickhouse} CODEC({codec}) COMMENT {literal(meaning)}"


def rollup_select(database: str, where: str = "", table: str = ACCESS_LOG) -> str:
    """The rollup's rows made from `access_log`."""
    columns = ",\n  ".join(f"{c.made} AS {c.name}" if c.made != c.name else c.name for c in ROLLUP_COLUMNS)
    # `minute` groups by the expression, not by a column of that name.
    keys = ", ".join(c.name for c in ROLLUP_COLUMNS if c.name in _ROLLUP_KEYS)
    condition = f"\nWHERE {where}" if where else ""
    return f"SELECT\n  {columns}\nFROM {quoted(database, table)}{condition}\nGROUP BY {keys}"


def create_rollup_view(database: str, layout: Layout = SERVER) -> str:
    """CREATE MATERIALIZED VIEW that feeds the rollup with every insert."""
    select = rollup_select(database, table=layout.stored(ACCESS_LOG))
    to = quoted(database, layout.stored(ROLLUP))
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {quoted(database, VIEW)}{layout.on_cluster} TO {to} AS\n{select}"


def create_versions(database: str, layout: Layout = SERVER) -> str:
    """CREATE TABLE of the versions that the store went through; every server of a cluster has all of it."""
    lines = [
        "`version` UInt32 COMMENT 'number of the schema'",
        "`applied_at` DateTime('UTC') DEFAULT now() COMMENT 'when the store got it'",
    ]
    engine = "ReplicatedMergeTree('/clickhouse/tables/{uuid}/all', '{shard}-{replica}')"
    return _statement(
        quoted(database, VERSIONS) + layout.on_cluster,
        lines,
        [
            f"ENGINE = {engine if layout.cluster else 'MergeTree'}",
            "ORDER BY version",
            f"SETTINGS {_DURABLE}",
            f"COMMENT {literal(VERSIONS_MEANING)}",
        ],
    )


def settings_of(layout: Layout) -> str:
    """The settings that every table with tokens has: a window for them, and files synced before an insert returns.

    Also on the rollup: without its own window a repeated insert is dropped in `access_log` and counted twice there.
    """
    return f"{_REPLICATED_WINDOW if layout.cluster else _WINDOW}, {_DURABLE}"


def _create(
    database: str,
    table: str,
    lines: Sequence[str],
    layout: Layout,
    *,
    comment: str,
    order: str,
    shard: str,
    engine: str = "MergeTree",
    partition: str = "",
    primary: str = "",
    settings: str = "",
) -> list[str]:
    if layout.cluster:
        engine = f"Replicated{engine}('/clickhouse/tables/{{uuid}}/{{shard}}', '{{replica}}')"
    ttl = expiry(table, layout.days.get(table, 0))
    made = _statement(
        quoted(database, layout.stored(table)) + layout.on_cluster,
        lines,
        [
            f"ENGINE = {engine}",
            *([f"PARTITION BY {partition}"] if partition else []),
            *([f"PRIMARY KEY {primary}"] if primary else []),
            f"ORDER BY {order}",
            *([f"TTL {ttl}"] if ttl else []),
            f"SETTINGS {', '.join(s for s in (settings, settings_of(layout)) if s)}",
            f"COMMENT {literal(comment)}",
        ],
    )
    if not layout.cluster:
        return [made]
    places = f"{quoted(layout.cluster)}, {quoted(database)}, {quoted(layout.stored(table))}, {shard}"
    spread = (
        f"CREATE TABLE IF NOT EXISTS {quoted(database, table)}{layout.on_cluster} AS {quoted(database, layout.stored(table))}\n"
        f"ENGINE = Distributed({places})\nCOMMENT {literal(comment)}"
    )
    return [made, spread]


def _statement(name: str, lines: Sequence[str], clauses: Sequence[str]) -> str:
    body = ",\n".join(f"  {line}" for line in lines)
    return "\n".join([f"CREATE TABLE IF NOT EXISTS {name} (\n{body}\n)", *clauses])
