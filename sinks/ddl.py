"""What a store has of the schema: its version, what makes it, upgrades it, and refuses what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from logproc.columns import TABLES
from logproc.errors import ConfigError
from logproc.model import ACCESS_LOG
from sinks.connection import Connection, literal, quoted
from sinks.tables import (
    ROLLUP,
    ROLLUP_COLUMNS,
    ROLLUP_ORDER,
    SERVER,
    VERSIONS,
    VIEW,
    Layout,
    column_line,
    create_rollup,
    create_rollup_view,
    create_table,
    create_versions,
    expiry,
    retention,
    rollup_select,
)
from sinks.views import VIEWS, create_view

DATABASE = "logproc"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What brings a store to `version` from the one before.

    Every statement can be run twice; none rewrites stored rows, for that takes hours and is asked for by name.
    Views are made anew after every upgrade.
    """

    version: int
    meaning: str
    statements: Callable[[str, Layout], list[str]]


def _count_log_types(database: str, layout: Layout) -> list[str]:
    (column,) = (c for c in ROLLUP_COLUMNS if c.name == "log_type")
    line = column_line(column.name, column.clickhouse, column.codec, column.meaning)
    added = f"ADD COLUMN IF NOT EXISTS {line} AFTER response_flags"
    select = rollup_select(database, table=layout.stored(ACCESS_LOG))
    statements = [
        f"ALTER TABLE {quoted(database, layout.stored(ROLLUP))}{layout.on_cluster} {added}, MODIFY ORDER BY {ROLLUP_ORDER}",
        f"ALTER TABLE {quoted(database, VIEW)}{layout.on_cluster} MODIFY QUERY {select}",
    ]
    if layout.cluster:
        statements.insert(1, f"ALTER TABLE {quoted(database, ROLLUP)}{layout.on_cluster} {added}")
    return statements


UPGRADES: tuple[Upgrade, ...] = (
    Upgrade(
        2,
        f"{ROLLUP} counts each log_type by itself (lines counted so far have none); views {', '.join(v.name for v in VIEWS)}",
        _count_log_types,
    ),
)
"""In order, beginning with version 2; afterwards the tables are as `create` makes them."""

VERSION = UPGRADES[-1].version if UPGRADES else 1
"""Of the schema that this program writes."""


def create(database: str = DATABASE, layout: Layout = SERVER) -> list[str]:
    """All statements that make an empty server a store; each can be run again. The version is written last, by `apply`.

    An embedded store is made without retention: it is asked about logs of any age, and a row older than its table keeps
    would vanish as soon as it is inserted.
    """
    return [
        f"CREATE DATABASE IF NOT EXISTS {quoted(database)}{layout.on_cluster} ENGINE = Atomic",
        *(statement for table in TABLES.values() for statement in create_table(database, table, layout)),
        *create_rollup(database, layout),
        create_rollup_view(database, layout),
        *(create_view(database, view, layout) for view in VIEWS),
        create_versions(database, layout),
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


def apply(
    connection: Connection,
    database: str = DATABASE,
    *,
    retain: Mapping[str, int] | None = None,
    cluster: str = "",
    path_index: bool = False,
) -> list[str]:
    """Make or upgrade the tables of a store; what was done, in words.

    `retain` are days for some tables (0: for ever), `cluster` spreads new tables over a cluster, `path_index` adds that index.
    Raises ConfigError for a store newer than this program, or one that is laid out otherwise. Killed half-way it is run again from
    the start: the version is written last.
    """
    found = version_of(connection, database)
    refuse_newer(found, connection.place)
    existing = engines(connection, database)
    layout = _layout(connection, existing, retain, cluster, path_index)
    missing = [t for t in tables(layout) if t not in existing]
    if found == VERSION and not missing and not retain and not path_index:
        return []
    done = [f"made {t}" for t in missing]
    for upgrade in UPGRADES if found else ():
        # Before what is missing is made: the statements that make it speak of the newest columns.
        if found < upgrade.version:
            for statement in upgrade.statements(database, layout):
                connection.command(statement, ConfigError)
            done.append(f"version {upgrade.version}: {upgrade.meaning}")
    if missing or found != VERSION:
        for statement in create(database, layout):
            connection.command(statement, ConfigError)
    if found != VERSION:
        replace_views(connection, database, layout)
    done += _retain(connection, database, layout, existing, retain or {})
    if path_index:
        done += _add_path_index(connection, database, layout, existing)
    if found != VERSION:
        connection.command(insert_version(database), ConfigError)
    return done


def _layout(
    connection: Connection,
    existing: Mapping[str, str],
    retain: Mapping[str, int] | None,
    cluster: str,
    path_index: bool,
) -> Layout:
    there = cluster_of(existing)
    if cluster and connection.only_writer:
        raise ConfigError(f"{connection.place}: an embedded store is one process and no cluster")
    if existing.get(ACCESS_LOG) is not None and cluster and there != cluster:
        what = f"are of cluster {there}" if there else "are of one server"
        raise ConfigError(
            f"{connection.place}: its tables {what}, not of cluster {cluster}",
            "make the cluster's tables in another database and copy the rows: INSERT INTO new.access_log SELECT * FROM old.access_log",
        )
    days = dict(retain or {}) if connection.only_writer else retention(retain or {})
    return Layout(days, there or cluster, path_index)


def _retain(
    connection: Connection, database: str, layout: Layout, existing: Mapping[str, str], chosen: Mapping[str, int]
) -> list[str]:
    """Change how long tables that were there keep their rows. Expired rows go with the next merges, nothing is rewritten now."""
    done = []
    kept = kept_days(existing, layout)
    for table in layout.days if chosen else ():
        days = layout.days[table]
        if table not in kept or kept[table] == days:
            continue
        ttl = expiry(table, days)
        change = f"MODIFY TTL {ttl} SETTINGS materialize_ttl_after_modify = 0" if ttl else "REMOVE TTL"
        name = quoted(database, layout.stored(table))
        connection.command(f"ALTER TABLE {name}{layout.on_cluster} {change}", ConfigError)
        done.append(f"{table} keeps its rows {f'{days} days' if days else 'for ever'}")
    return done


def _add_path_index(connection: Connection, database: str, layout: Layout, existing: Mapping[str, str]) -> list[str]:
    if layout.stored(ACCESS_LOG) not in existing:
        return []
    name = quoted(database, layout.stored(ACCESS_LOG))
    for index in TABLES[ACCESS_LOG].optional_indexes:
        added = index.replace("INDEX ", "ADD INDEX IF NOT EXISTS ", 1)
        connection.command(f"ALTER TABLE {name}{layout.on_cluster} {added}", ConfigError)
    return [
        f"{ACCESS_LOG} has the index i_path; rows stored before get it by ALTER TABLE {name} MATERIALIZE INDEX i_path IN PARTITION '<day>'"
    ]


def replace_views(connection: Connection, database: str, layout: Layout) -> None:
    """Make the views as this program has them; they hold no rows."""
    for view in VIEWS:
        connection.command(create_view(database, view, layout, replace=True), ConfigError)


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
    existing = engines(connection, database)
    missing = [t for t in tables(Layout(cluster=cluster_of(existing))) if t not in existing]
    if found < VERSION or missing:
        what = f"has version {found} of the tables, not {VERSION}" if found else "has no tables yet"
        if found == VERSION:
            what = f"lacks {', '.join(missing)}"
        raise ConfigError(
            f"{connection.place}: database {database} {what}", f"run `logproc schema apply --store {connection.place}`"
        )


def tables(layout: Layout) -> list[str]:
    """Everything that a store of a layout has, by name."""
    spread = [*TABLES, ROLLUP]
    local = [layout.stored(t) for t in spread] if layout.cluster else []
    return [*local, *spread, VIEW, VERSIONS, *(v.name for v in VIEWS)]


def engines(connection: Connection, database: str) -> dict[str, str]:
    """Every table of a database with its engine, keys, TTL and settings, as the server prints them."""
    answer = connection.query(
        f"SELECT name, engine_full FROM system.tables WHERE database = {literal(database)}", meaning=ConfigError
    )
    return {str(row["name"]): str(row["engine_full"]) for row in answer.to_pylist()}


def cluster_of(existing: Mapping[str, str]) -> str:
    """The cluster that a store's tables are spread over, "" where they are of one server. `existing` is what `engines` says."""
    found = re.match(r"Distributed\('?([^',]+)'?,", existing.get(ACCESS_LOG, ""))
    return found[1] if found else ""


def kept_days(existing: Mapping[str, str], layout: Layout) -> dict[str, int | None]:
    """How many days each table keeps its rows: 0 for ever, None: by a rule of the operator's own."""
    days: dict[str, int | None] = {}
    for table in (*TABLES, ROLLUP):
        engine = existing.get(layout.stored(table))
        if engine is None:
            continue
        found = re.search(r" TTL (.*?)(?= SETTINGS |$)", engine)
        ours = re.search(r"toIntervalDay\((\d+)\)$", found[1]) if found else None
        if found is None:
            days[table] = 0
        else:
            days[table] = int(ours[1]) if ours and found[1] == expiry(table, int(ours[1])) else None
    return days
