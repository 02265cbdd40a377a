"""The schema as SQL, rendered from `logproc.columns`; and what a store has of it: version, differences, upgrades."""

from __future__ import annotations

from dataclasses import dataclass

from logproc.columns import LOW, TABLES, ZSTD, Table
from logproc.errors import ConfigError
from logproc.model import ACCESS_LOG
from sinks.connection import Connection, literal, quoted

DATABASE = "logproc"
ROLLUP = "traffic_1m"
VIEW = "traffic_1m_mv"
VERSIONS = "schema_version"

_WINDOW = "non_replicated_deduplication_window = 10000"
_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"

_SUM = "SimpleAggregateFunction(sum, UInt64)"
_ROLLUP_KEYS = ("k8s_namespace", "app", "direction", "upstream_service", "upstream_subset", "version", "response_code", "response_flags", "minute")  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What brings a store to `version` from the one before. Every statement can be run twice; none rewrites stored rows."""

    version: int
    meaning: str
    statements: tuple[str, ...]


UPGRADES: tuple[Upgrade, ...] = ()
"""In order, beginning with version 2. `{database}` stands for the quoted database; statements end as the tables of `create` are."""

VERSION = UPGRADES[-1].version if UPGRADES else 1
"""Of the schema that this program writes."""


def create_table(database: str, table: Table, *, retention: bool = True) -> str:
    """CREATE TABLE IF NOT EXISTS of one of `columns.TABLES`; without `retention` its rows stay for ever."""
    lines = [
        f"{quoted(c.name)} {c.clickhouse} CODEC({c.codec}) COMMENT {literal(c.meaning)}" for c in table.columns
    ] + list(table.indexes)
    # A part of an unpartitioned table mixes old and new rows for ever: there expired rows have to go one by one.
    drop = f"ttl_only_drop_parts = {1 if table.partition_by else 0}"
    return _create_table(
        quoted(database, table.name),
        lines,
        "MergeTree",
        f"{drop}, {_WINDOW}, {_DURABLE}",
        table.meaning,
        partition=table.partition_by,
        primary=table.primary_key,
        order=table.order_by,
        ttl=table.ttl if retention else "",
    )


def _create_table(
    name: str,
    lines: list[str],
    engine: str,
    settings: str,
    comment: str,
    *,
    order: str,
    partition: str = "",
    primary: str = "",
    ttl: str = "",
) -> str:
    body = ",\n".join(f"  {line}" for line in lines)
    clauses = [
        f"CREATE TABLE IF NOT EXISTS {name} (\n{body}\n)",
        f"ENGINE = {engine}",
        *([f"PARTITION BY {partition}"] if partition else []),
        *([f"PRIMARY KEY {primary}"] if primary else []),
        f"ORDER BY {order}",
        *([f"TTL {ttl}"] if ttl else []),
        f"SETTINGS {settings}",
        f"COMMENT {literal(comment)}",
    ]
    return "\n".join(clauses)


def create_rollup(database: str, *, retention: bool = True) -> str:
    """CREATE TABLE of the rollup: counts, sums and a histogram of durations by minute, mergeable over time and servers."""
    return _create_table(
        quoted(database, ROLLUP),
        [f"{quoted(c.name)} {c.clickhouse} CODEC({c.codec}) COMMENT {literal(c.meaning)}" for c in ROLLUP_COLUMNS],
        "AggregatingMergeTree",
        # Its own window: without it a repeated insert is dropped in access_log and counted twice here.
        f"{_WINDOW}, {_DURABLE}",
        f"{ACCESS_LOG} by minute: counts, sums and a histogram of durations; sum them once more when reading",
        partition="toYYYYMM(minute)",
        order=f"({', '.join(_ROLLUP_KEYS)})",
        ttl="minute + INTERVAL 400 DAY" if retention else "",
    )


def rollup_select(database: str, where: str = "") -> str:
    """The rollup's rows made from `access_log`."""
    columns = ",\n  ".join(f"{c.made} AS {c.name}" if c.made != c.name else c.name for c in ROLLUP_COLUMNS)
    # `minute` groups by the expression, not by a column of that name.
    keys = ", ".join(c.name for c in ROLLUP_COLUMNS if c.name in _ROLLUP_KEYS)
    condition = f"\nWHERE {where}" if where else ""
    return f"SELECT\n  {columns}\nFROM {quoted(database, ACCESS_LOG)}{condition}\nGROUP BY {keys}"


def create_view(database: str) -> str:
    """CREATE MATERIALIZED VIEW that feeds the rollup with every insert."""
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {quoted(database, VIEW)} TO {quoted(database, ROLLUP)} AS\n{rollup_select(database)}"


def create_versions(database: str) -> str:
    """CREATE TABLE of the versions that the store went through."""
    return _create_table(
        quoted(database, VERSIONS),
        [
            "version UInt32 COMMENT 'number of the schema'",
            "applied_at DateTime('UTC') DEFAULT now() COMMENT 'when the store got it'",
        ],
        "MergeTree",
        _DURABLE,
        "versions of the tables in this database; the highest holds",
        order="version",
    )


def create(database: str = DATABASE, *, retention: bool = True) -> list[str]:
    """All statements that make an empty server a store; each can be run again. The version is written last, by `apply`.

    An embedded store is made without `retention`: it is asked about logs of any age, and a row older than its table keeps
    would vanish as soon as it is inserted.
    """
    return [
        f"CREATE DATABASE IF NOT EXISTS {quoted(database)} ENGINE = Atomic",
        *(create_table(database, table, retention=retention) for table in TABLES.values()),
        create_rollup(database, retention=retention),
        create_view(database),
        create_versions(database),
    ]


def insert_version(database: str = DATABASE) -> str:
    """The statement that says that a store has the tables of this version."""
    return f"INSERT INTO {quoted(database, VERSIONS)} (version) VALUES ({VERSION})"


def version_of(connection: Connection, database: str = DATABASE) -> int:
    """The version of a store's tables, 0 where there is none yet."""
    known = connection.query(
        f"SELECT count() AS n FROM system.tables WHERE database = {literal(database)} AND name = {literal(VERSIONS)}",
        meaning=ConfigError,
    )
    if not known["n"][0].as_py():
        return 0
    found = connection.query(f"SELECT max(version) AS v FROM {quoted(database, VERSIONS)}", meaning=ConfigError)
    return int(found["v"][0].as_py() or 0)


def apply(connection: Connection, database: str = DATABASE) -> list[str]:
    """Make or upgrade the tables of a store; what was done, in words. Raises ConfigError for a store newer than this program.

    Killed half-way it is run again from the start: the version is written last.
    """
    found = version_of(connection, database)
    refuse_newer(found, connection.place)
    missing = [t for t in _tables() if t not in _existing(connection, database)]
    if found == VERSION and not missing:
        return []
    done = [f"made {t}" for t in missing]
    for statement in create(database, retention=not connection.only_writer):
        connection.command(statement, ConfigError)
    for upgrade in UPGRADES:
        # Tables that were made just now are of the newest form already; the statements say IF EXISTS and IF NOT EXISTS.
        if found < upgrade.version:
            for statement in upgrade.statements:
                connection.command(statement.replace("{database}", quoted(database)), ConfigError)
            if found:
                done.append(f"version {upgrade.version}: {upgrade.meaning}")
    if found != VERSION:
        connection.command(insert_version(database), ConfigError)
    return done


def refuse_newer(found: int, place: str) -> None:
    """Raise ConfigError where a newer logproc made the store: writing into it could leave its new columns empty."""
    if found > VERSION:
        raise ConfigError(
            f"{place}: its tables have version {found}, this logproc writes version {VERSION}",
            "use the logproc that made it, or a newer one",
        )


def require(connection: Connection, database: str = DATABASE) -> None:
    """Raise ConfigError where a store has no tables, or tables of another version."""
    found = version_of(connection, database)
    refuse_newer(found, connection.place)
    missing = [t for t in _tables() if t not in _existing(connection, database)]
    if found < VERSION or missing:
        what = f"has version {found} of the tables, not {VERSION}" if found else "has no tables yet"
        if found == VERSION:
            what = f"lacks {', '.join(missing)}"
        raise ConfigError(
            f"{connection.place}: database {database} {what}", f"run `logproc schema apply --store {connection.place}`"
        )


def differences(connection: Connection, database: str = DATABASE) -> list[str]:
    """What a store has other than this program would make: one line each, empty where nothing differs."""
    existing = _existing(connection, database)
    found = version_of(connection, database)
    lines = [f"version: {found}, not {VERSION}"] if found != VERSION else []
    lines += [f"{table}: missing" for table in _tables() if table not in existing]
    answer = connection.query(
        "SELECT table, name, type, compression_codec AS codec, comment FROM system.columns "
        f"WHERE database = {literal(database)} ORDER BY table, position",
        meaning=ConfigError,
    )
    have: dict[str, dict[str, tuple[str, str, str]]] = {}
    for row in answer.to_pylist():
        have.setdefault(row["table"], {})[row["name"]] = (_plain(row["type"]), row["codec"], row["comment"])
    for table, columns in _wanted().items():
        if table not in have:
            continue
        for name, want in columns.items():
            got = have[table].get(name)
            if got is None:
                lines.append(f"{table}.{name}: missing")
                continue
            lines += [
                f"{table}.{name}: {what} {g or 'none'}, not {w}"
                for what, g, w in zip(("type", "codec", "comment"), got, want, strict=True)
                if g != w
            ]
        lines += [f"{table}.{name}: not known to logproc" for name in have[table] if name not in columns]
    return lines


def _tables() -> list[str]:
    return [*TABLES, ROLLUP, VIEW, VERSIONS]


def _existing(connection: Connection, database: str) -> set[str]:
    answer = connection.query(
        f"SELECT name FROM system.tables WHERE database = {literal(database)}", meaning=ConfigError
    )
    return {str(name) for name in answer["name"].to_pylist()}


def _wanted() -> dict[str, dict[str, tuple[str, str, str]]]:
    wanted = {
        t.name: {c.name: (_plain(c.clickhouse), f"CODEC({c.codec})", c.meaning) for c in t.columns}
        for t in TABLES.values()
    }
    wanted[ROLLUP] = {c.name: (_plain(c.clickhouse), f"CODEC({c.codec})", c.meaning) for c in ROLLUP_COLUMNS}
    return wanted


def _plain(type_name: str) -> str:
    return " ".join(type_name.split())
