"""`logproc query`: SQL over a store."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import typer

from logproc.errors import ConfigError
from logproc.output import Format

TITLE = "Ask with SQL."

TERMINAL_ROWS = 1000
"""Rows that a terminal is shown unless more are asked for."""


def run(
    sql: str = typer.Argument(None, metavar="SQL|-", help="The statement; - reads it from standard input."),
    file: Path = typer.Option(None, "--file", "-f", help="Read the statement from a file."),
    *,
    store: str = typer.Option(
        None,
        "--store",
        envvar="LOGPROC_STORE",
        help="A folder, chdb:///folder, or clickhouse://user@host:8123/logproc.",
        show_default="the demo's store",
    ),
    output: Format = typer.Option(Format.TABLE, "--output", "-o", help="How to print."),
    param: list[str] = typer.Option(
        [], "--param", metavar="NAME=VALUE", help="A value for {NAME:Type} in the statement."
    ),
    limit: int = typer.Option(
        None,
        "--limit",
        min=0,
        help="Rows of a table at most; 0: all.",
        show_default=f"{TERMINAL_ROWS} on a terminal, else all",
    ),
    header: bool = typer.Option(True, "--header/--no-header", help="Column names above table, csv and tsv."),
) -> None:
    """Ask with ClickHouse SQL: tables access_log, message_log, rejected_line, ledger and the rollup traffic_1m.

    `logproc schema print` shows their columns. One request makes two rows in access_log, the client's (direction outbound)
    and the server's (inbound): say which you count.

    Examples:

    \b
      logproc query 'SELECT direction, count() FROM access_log GROUP BY 1'
      logproc query 'SELECT * FROM access_log WHERE request_id = {id:UUID}' --param id=137068b0-3a6d-9e4b-91c4-9787a5af72e0
      logproc query -f report.sql -o parquet > report.parquet
      logproc query 'SELECT path, count() AS n FROM access_log GROUP BY 1' -o jsonl | jq -c 'select(.n > 10)'
      logproc query 'DESCRIBE access_log' --store clickhouse://default@localhost:8123/logproc
    """
    from logproc.output import refuse_binary_on_terminal
    from logproc.reports import placeholders
    from logproc.results import Statement, cancellable, kill_statement, show
    from logproc.store_choice import choose_store
    from sinks.store import open_store

    statement = Statement.of(_text(sql, file))
    if statement.empty:
        raise ConfigError("the statement is empty")
    parameters = _parameters(param, placeholders(statement.sql), all_needed=statement.has_result)
    refuse_binary_on_terminal(output)
    if limit is None:
        limit = TERMINAL_ROWS if sys.stdout.isatty() else 0
    url = choose_store(store)

    def kill(mark: str) -> None:
        with closing(open_store(url)) as beside:
            beside.command(kill_statement(mark))

    with closing(open_store(url)) as opened:
        shown, seconds = cancellable(
            lambda mark: show(
                opened,
                statement,
                sys.stdout.buffer,
                format=output,
                parameters=parameters,
                settings={"log_comment": mark},
                limit=limit,
                header=header,
            ),
            kill,
        )
    if shown.more:
        print(f"the first {limit:,} rows; --limit 0 shows all", file=sys.stderr)
    elif shown.rows is not None and sys.stdout.isatty() and sys.stderr.isatty():
        print(f"{shown.rows:,} row{'' if shown.rows == 1 else 's'} in {seconds:.2f} s", file=sys.stderr)


def _text(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise ConfigError("give one statement: as an argument, - for standard input, or --file FILE")
    try:
        if file is not None:
            return file.read_text()
        if sql == "-":
            return sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{file or 'standard input'}: {reason}") from error
    return sql or ""


def _parameters(given: list[str], wanted: dict[str, str], *, all_needed: bool) -> dict[str, str]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--param {text!r}: write NAME=VALUE")
        if name not in wanted:
            known = ", ".join(f"{{{n}:{t}}}" for n, t in wanted.items()) or "none"
            raise ConfigError(f"--param {name}: the statement has no {{{name}:Type}}", f"its parameters: {known}")
        values[name] = value
    missing = [f"{n}=VALUE" for n in wanted if n not in values]
    if missing and all_needed:  # CREATE VIEW may leave them to those who ask it
        raise ConfigError(f"the statement's parameters need values: --param {' --param '.join(missing)}")
    return values
