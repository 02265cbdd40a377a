"""`logproc schema`: the ClickHouse tables, printed, made, upgraded and compared."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from logproc.errors import EXIT_FINDING, ConfigError

if TYPE_CHECKING:
    from sinks.store import Store

TITLE = "The ClickHouse tables: print, make, upgrade, compare."

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""The ClickHouse tables: print, make, upgrade, compare.

    An embedded store (a folder, chdb:///folder) makes and upgrades its tables by itself; a server gets them by `apply`.

    \b
    Examples:
      logproc schema print | less
      logproc schema apply --store clickhouse://default@localhost:8123/logproc
      logproc schema check --store /var/lib/logproc && echo as it should be
    """,
)

STORE = typer.Option(
    ..., "--store", help="Folder, chdb:///folder or clickhouse://user@host:port/database.", envvar="LOGPROC_STORE"
)
RETAIN = typer.Option(
    [],
    "--retain",
    metavar="TABLE=DAYS",
    help="Keep the rows of a table so many days (14d), or forever. The ledger follows the rows, 30 days longer.",
    show_default="rows 30d, traffic_1m 400d, ledger 60d; an embedded store: forever",
)
CLUSTER = typer.Option(
    "",
    "--cluster",
    metavar="NAME",
    help="Spread the tables over this cluster: replicated TABLE_local, and TABLE over all of its shards.",
    show_default="one server",
)
PATH_INDEX = typer.Option(
    False, "--path-index", help="With a text index on path: words of paths are found at once, for 5.6 bytes a row."
)


@app.command("print", short_help="Print the SQL that makes the tables.")
def print_(
    database: str = typer.Option("logproc", "--database", help="Database that the tables are made in."),
    retain: list[str] = RETAIN,
    cluster: str = CLUSTER,
    path_index: bool = PATH_INDEX,
) -> None:
    """Print the SQL that makes the tables, for those who apply it by other means.

    \b
    Examples:
      logproc schema print
      logproc schema print --database mesh | clickhouse-client --multiquery
      logproc schema print --cluster main --retain access_log=14d --retain traffic_1m=2y > logproc.sql
    """
    from sinks import ddl
    from sinks.tables import Layout, retention

    layout = Layout(retention(_retain(retain)), cluster, path_index)
    statements = [*ddl.create(database, layout), ddl.insert_version(database)]
    typer.echo("\n\n".join(f"{statement};" for statement in statements))


@app.command("apply", short_help="Make the tables, or upgrade them.")
def apply_(
    store: str = STORE, retain: list[str] = RETAIN, cluster: str = CLUSTER, path_index: bool = PATH_INDEX
) -> None:
    """Make the tables, or upgrade them; where nothing is to be done, nothing is. Stored rows are never rewritten.

    --retain and --path-index change tables that exist as well; a cluster is chosen when they are made.

    \b
    Examples:
      logproc schema apply --store clickhouse://default@localhost:8123/logproc
      logproc schema apply --store clickhouse://default@localhost:8123/logproc --retain access_log=14d
      logproc schema apply --store clickhouse://default@ch-0:8123/logproc --cluster main
    """
    from sinks import compare, ddl, server

    days = _retain(retain)
    with closing(_open(store, create=True)) as opened:
        server.require_version(opened.connection)
        done = ddl.apply(opened.connection, opened.database, retain=days, cluster=cluster, path_index=path_index)
        done += compare.mend_views(opened.connection, opened.database)
    for line in done:
        print(line, file=sys.stderr)
    print(f"version {ddl.VERSION}{'' if done else ', nothing to do'}", file=sys.stderr)


@app.command("check", short_help="Say version, retention and how much differs.")
def check(store: str = STORE, retain: list[str] = RETAIN) -> int:
    """Say the version of a store's tables, how long they keep their rows, and how many differences there are.

    Exit code 1 where there is a difference. Any number of days is right, unless --retain says which.

    \b
    Examples:
      logproc schema check --store /var/lib/logproc
    """
    version, kept, found = _compare(store, _retain(retain))
    typer.echo(f"version {version}: " + (f"differences: {len(found)}" if found else "as it should be"))
    if kept:
        typer.echo(f"rows are kept: {kept}")
    if found:
        print("hint: `logproc schema diff` lists them", file=sys.stderr)
    return EXIT_FINDING if found else 0


@app.command("diff", short_help="List what a store has other than it should.")
def diff(store: str = STORE, retain: list[str] = RETAIN) -> int:
    """List what a store has other than `schema print` would make, one line each; exit code 1 where there is any.

    Compared are columns, types, codecs, comments, keys, expiry, indexes, settings and views.

    \b
    Examples:
      logproc schema diff --store clickhouse://default@localhost:8123/logproc
    """
    _, _, found = _compare(store, _retain(retain))
    for line in found:
        typer.echo(line)
    return EXIT_FINDING if found else 0


@app.command("reference", short_help="Print all tables and columns as Markdown.")
def reference() -> None:
    """Print the reference of all tables, views and columns as Markdown.

    \b
    Examples:
      logproc schema reference > docs/schema.md
    """
    from sinks.reference import page

    typer.echo(page(), nl=False)


def _open(store: str, *, create: bool = False) -> Store:
    from sinks.store import open_store

    return open_store(store, create=create, upgrade=False)


def _compare(store: str, retain: dict[str, int]) -> tuple[int, str, list[str]]:
    from sinks import compare, ddl

    with closing(_open(store)) as opened:
        connection, database = opened.connection, opened.database
        found = compare.differences(connection, database, retain)
        return ddl.version_of(connection, database), compare.kept(connection, database), found


def _retain(given: list[str]) -> dict[str, int]:
    from logproc.when import duration
    from sinks.tables import RETENTION

    days = {}
    for text in given:
        table, equals, length = text.partition("=")
        if not equals or table not in RETENTION:
            raise ConfigError(f"--retain {text!r}: write TABLE=DAYS", f"tables: {', '.join(RETENTION)}")
        try:
            seconds = 0.0 if length in {"forever", "0"} else duration(length).total_seconds()
        except ValueError:
            seconds = -1
        if seconds < 0 or seconds % 86400:
            raise ConfigError(f"--retain {text!r}: whole days were expected", "write 14d, 8w, 2y or forever")
        days[table] = int(seconds // 86400)
    return days
