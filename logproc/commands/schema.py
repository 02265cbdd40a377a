"""`logproc schema`: the ClickHouse tables, printed, made, upgraded and compared."""

from __future__ import annotations

import sys

import typer

from logproc.errors import EXIT_FINDING

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


@app.command("print")
def print_(
    database: str = typer.Option("logproc", "--database", help="Database that the tables are made in."),
) -> None:
    """Print the SQL that makes the tables, for those who apply it by other means.

    \b
    Examples:
      logproc schema print
      logproc schema print --database mesh | clickhouse-client --multiquery
    """
    from sinks import ddl

    statements = [*ddl.create(database), ddl.insert_version(database)]
    typer.echo("\n\n".join(f"{statement};" for statement in statements))


@app.command("apply")
def apply_(store: str = STORE) -> None:
    """Make the tables, or upgrade them; where nothing is to be done, nothing is.

    \b
    Examples:
      logproc schema apply --store clickhouse://default@localhost:8123/logproc
    """
    from sinks import ddl
    from sinks.store import open_store

    opened = open_store(store, create=True)
    try:
        done = ddl.apply(opened.connection, opened.database)
    finally:
        opened.close()
    for line in done:
        print(line, file=sys.stderr)
    print(f"version {ddl.VERSION}{'' if done else ', nothing to do'}", file=sys.stderr)


@app.command("check")
def check(store: str = STORE) -> int:
    """Say the version of a store's tables and how many differences there are; exit code 1 where there are any.

    \b
    Examples:
      logproc schema check --store /var/lib/logproc
    """
    version, found = _compare(store)
    typer.echo(f"version {version}: " + (f"differences: {len(found)}" if found else "as it should be"))
    if found:
        print("hint: `logproc schema diff` lists them", file=sys.stderr)
    return EXIT_FINDING if found else 0


@app.command("diff")
def diff(store: str = STORE) -> int:
    """List what a store has other than `schema print` would make, one line each; exit code 1 where there is any.

    \b
    Examples:
      logproc schema diff --store clickhouse://default@localhost:8123/logproc
    """
    _, found = _compare(store)
    for line in found:
        typer.echo(line)
    return EXIT_FINDING if found else 0


def _compare(store: str) -> tuple[int, list[str]]:
    from sinks import ddl
    from sinks.store import open_store

    opened = open_store(store)
    try:
        return ddl.version_of(opened.connection, opened.database), ddl.differences(opened.connection, opened.database)
    finally:
        opened.close()
