"""What a store has other than this program would make: columns, keys, expiry, indexes, settings, views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from logproc.columns import TABLES
from logproc.errors import ConfigError
from sinks import ddl
from sinks.connection import Connection, literal
from sinks.tables import (
    ROLLUP,
    ROLLUP_COLUMNS,
    ROLLUP_ORDER,
    ROLLUP_PARTITION,
    ROLLUP_PRIMARY,
    VIEW,
    Layout,
    expiry,
    rollup_select,
    settings_of,
)
from sinks.views import VIEWS, create_view, select_of

Row = dict[str, Any]


def differences(
    connection: Connection, database: str = ddl.DATABASE, retain: Mapping[str, int] | None = None
) -> list[str]:
    """One line for each difference, empty where nothing differs.

    How long rows are kept is the operator's choice: any number of days is right, unless `retain` names another.
    """
    existing = ddl.engines(connection, database)
    layout = Layout(cluster=ddl.cluster_of(existing))
    found = ddl.version_of(connection, database)
    lines = [f"version: {found}, not {ddl.VERSION}"] if found != ddl.VERSION else []
    lines += [f"{table}: missing" for table in ddl.tables(layout) if table not in existing]
    lines += _columns(connection, database, layout)
    lines += _keys(connection, database, layout)
    lines += _expiry(existing, layout, retain or {})
    lines += _indexes(connection, database, existing, layout)
    lines += _views(connection, database, existing, layout)
    return lines


def _columns(connection: Connection, database: str, layout: Layout) -> Iterator[str]:
    have: dict[str, dict[str, tuple[str, str, str]]] = {}
    for row in _rows(
        connection, database, "columns", "table, name, type, compression_codec AS codec, comment", "position"
    ):
        have.setdefault(row["table"], {})[row["name"]] = (_plain(row["type"]), row["codec"], row["comment"])
    for table, columns in _wanted(layout).items():
        if table not in have:
            continue
        for name, want in columns.items():
            got = have[table].get(name)
            if got is None:
                yield f"{table}.{name}: missing"
                continue
            for what, g, w in zip(("type", "codec", "comment"), got, want, strict=True):
                if g != w:
                    yield f"{table}.{name}: {what} {g or 'none'}, not {w}"
        yield from (f"{table}.{name}: not known to logproc" for name in have[table] if name not in columns)


def _keys(connection: Connection, database: str, layout: Layout) -> Iterator[str]:
    wanted = {t.name: (t.partition_by, t.primary_key or t.order_by, t.order_by) for t in TABLES.values()}
    wanted[ROLLUP] = (ROLLUP_PARTITION, ROLLUP_PRIMARY, ROLLUP_ORDER)
    have = {
        row["name"]: (row["partition_key"], row["primary_key"], row["sorting_key"], row["engine_full"])
        for row in _rows(connection, database, "tables", "name, partition_key, primary_key, sorting_key, engine_full")
    }
    for table, want in wanted.items():
        got = have.get(layout.stored(table))
        if got is None:
            continue
        for what, g, w in zip(("partition key", "primary key", "sorting key"), got, want, strict=False):
            if _key(g) != _key(w):
                yield f"{layout.stored(table)}: {what} ({_key(g)}), not ({_key(w)})"
        for setting in settings_of(layout).split(", "):
            if not re.search(rf"\b{re.escape(setting)}(?:,|$)", got[3]):
                yield f"{layout.stored(table)}: setting {setting} is not set"


def _expiry(existing: Mapping[str, str], layout: Layout, retain: Mapping[str, int]) -> Iterator[str]:
    for table, days in ddl.kept_days(existing, layout).items():
        want = retain.get(table)
        if days is None:
            yield f"{layout.stored(table)}: rows expire by a rule of your own, not by {expiry(table, want or 30)}"
        elif want is not None and days != want:
            yield f"{layout.stored(table)}: rows are kept {_days(days)}, not {_days(want)}"


def _indexes(connection: Connection, database: str, existing: Mapping[str, str], layout: Layout) -> Iterator[str]:
    have: dict[str, dict[str, str]] = {}
    for row in _rows(connection, database, "data_skipping_indices", "table, name, expr, type_full, granularity"):
        have.setdefault(row["table"], {})[row["name"]] = _index(row["expr"], row["type_full"])
    for table in TABLES.values():
        stored = layout.stored(table.name)
        if stored not in existing:
            continue
        got = dict(have.get(stored, {}))
        for text in (*table.indexes, *table.optional_indexes):
            _, name, column, _, kind = text.split(" ", 4)
            want = _index(column, kind.split(" GRANULARITY ")[0])
            if name not in got and text in table.indexes:
                yield f"{stored}: index {name} is missing"
            elif got.pop(name, want) != want:
                yield f"{stored}: index {name} is {have[stored][name]}, not {want}"
        yield from (f"{stored}: index {name} is not known to logproc" for name in got)


def _views(connection: Connection, database: str, existing: Mapping[str, str], layout: Layout) -> Iterator[str]:
    wanted = {VIEW: rollup_select(database, table=layout.stored("access_log"))}
    wanted |= {v.name: select_of(v, database) for v in VIEWS}
    have = {row["name"]: row["as_select"] for row in _rows(connection, database, "tables", "name, as_select")}
    for name, select in wanted.items():
        if name in existing:
            # The server's own way to write it, on both sides.
            written = connection.query(
                f"SELECT formatQuerySingleLine({literal(select)}) AS ours, formatQuerySingleLine({literal(have[name])}) AS theirs",
                meaning=ConfigError,
            ).to_pylist()[0]
            if written["ours"] != written["theirs"]:
                yield f"{name}: another definition"


def _wanted(layout: Layout) -> dict[str, dict[str, tuple[str, str, str]]]:
    wanted = {
        layout.stored(t.name): {c.name: (_plain(c.clickhouse), f"CODEC({c.codec})", c.meaning) for c in t.columns}
        for t in TABLES.values()
    }
    wanted[layout.stored(ROLLUP)] = {
        c.name: (_plain(c.clickhouse), f"CODEC({c.codec})", c.meaning) for c in ROLLUP_COLUMNS
    }
    return wanted | {
        v.name: {c.name: (_plain(c.clickhouse), "", c.meaning) for c in v.columns} for v in VIEWS if not v.parameters
    }


def _rows(connection: Connection, database: str, table: str, columns: str, order: str = "name") -> list[Row]:
    sql = f"SELECT {columns} FROM system.{table} WHERE database = {literal(database)} ORDER BY {order}"
    return connection.query(sql, meaning=ConfigError).to_pylist()


def _index(column: str, kind: str) -> str:
    return f"{column} {kind}"


def _key(text: str) -> str:
    """A key without the parentheses around all of it."""
    inside = re.fullmatch(r"\((.*)\)", text)
    return inside[1] if inside else text


def _days(days: int) -> str:
    return f"{days} days" if days else "for ever"


def _plain(type_name: str) -> str:
    return " ".join(type_name.split())


def mend_views(connection: Connection, database: str = ddl.DATABASE) -> list[str]:
    """Make views anew that are not as this program has them; what was done, in words."""
    existing = ddl.engines(connection, database)
    layout = Layout(cluster=ddl.cluster_of(existing))
    wrong = {line.split(":")[0].split(".")[0] for line in _views(connection, database, existing, layout)}
    wrong |= {line.split(":")[0].split(".")[0] for line in _columns(connection, database, layout)}
    ours = [v for v in VIEWS if v.name in wrong]
    for view in ours:
        connection.command(create_view(database, view, layout, replace=True), ConfigError)
    return [f"made {v.name} anew" for v in ours]


def kept(connection: Connection, database: str = ddl.DATABASE) -> str:
    """How long each table keeps its rows, in words; "" where there are no tables."""
    existing = ddl.engines(connection, database)
    found = ddl.kept_days(existing, Layout(cluster=ddl.cluster_of(existing)))
    if found and not any(days != 0 for days in found.values()):
        return "for ever"
    return ", ".join(f"{table} {'by a rule of its own' if d is None else _days(d)}" for table, d in found.items())
