"""`logproc query`: SQL over a store."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from logproc.errors import ConfigError
from logproc.output import Format
from logproc.sizes import count_text

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
    since: str = typer.Option(
        "1h", "--since", help="Value of {since} in the statement: a duration back from now (15m, 2d), or a time."
    ),
    until: str = typer.Option("now", "--until", help="Value of {until}: likewise."),
    local: bool = typer.Option(
        False, "--local/--utc", help="Show times in this machine's zone, and read times without a zone so."
    ),
    watch: str = typer.Option(None, "--watch", metavar="5s", help="Ask again and again, so long after each answer."),
    timing: bool = typer.Option(False, "--time", help="Say how many rows it were and how long it took."),
) -> None:
    """Ask with ClickHouse SQL: tables access_log, message_log, rejected_line, ledger and the rollup traffic_1m.

    `DESCRIBE access_log` shows columns and their meaning; the views server_request, client_request, hop and response_flag save
    writing. One request makes two rows in access_log, the client's (direction outbound) and the server's (inbound): say which
    you count. A table shows times in UTC, or with --local in this machine's zone; all other formats are in UTC.

    Examples:

    \b
      logproc query 'SELECT direction, count() FROM access_log GROUP BY 1'
      logproc query 'SELECT * FROM access_log WHERE request_id = {id:UUID}' --param id=137068b0-3a6d-9e4b-91c4-9787a5af72e0
      logproc query 'SELECT count() FROM access_log WHERE timestamp >= {since:DateTime}' --since 15m --watch 5s
      logproc query -f report.sql -o parquet > report.parquet
      logproc query 'SELECT path, count() AS n FROM access_log GROUP BY 1' -o jsonl | jq -c 'select(.n > 10)'
      logproc query 'EXPLAIN indexes = 1 SELECT count() FROM access_log WHERE timestamp > now() - 3600'
      logproc query 'DESCRIBE access_log' --store clickhouse://default@localhost:8123/logproc
    """
    from logproc.output import refuse_binary_on_terminal
    from logproc.reports import placeholders
    from logproc.results import Closing, Shown, Statement, asked, show
    from logproc.store_choice import choose_store
    from sinks.store import open_store

    statement = Statement.of(_text(sql, file))
    if statement.empty:
        raise ConfigError("the statement is empty")
    wanted = placeholders(statement.sql)
    pause = _pause(watch, output)
    times = _times(wanted, since, until, local)
    parameters = _parameters(param, wanted, times(), all_needed=statement.has_result)
    refuse_binary_on_terminal(output)
    if limit is None:
        limit = TERMINAL_ROWS if sys.stdout.isatty() else 0
    url = choose_store(store)

    def once(store: Closing, settings: Mapping[str, Any]) -> Shown:
        return show(
            store, statement, sys.stdout.buffer,
            format=output, parameters={**times(), **parameters}, settings=settings,
            limit=limit, header=header, local=local,
        )  # fmt: skip

    if pause is not None:
        _watch(lambda: asked(lambda: open_store(url), once), statement.sql, pause)
        return
    shown, seconds = asked(lambda: open_store(url), once)
    if shown.more:
        print(f"the first {count_text(limit, 'row')}; --limit 0 shows all", file=sys.stderr)
    elif timing or (shown.rows is not None and sys.stdout.isatty() and sys.stderr.isatty()):
        rows = "" if shown.rows is None else f"{shown.rows:,} row{'' if shown.rows == 1 else 's'} in "
        print(f"{rows}{seconds:.2f} s", file=sys.stderr)


def _pause(text: str | None, output: Format) -> float | None:
    from logproc import when

    if text is None:
        return None
    if output in {Format.ARROW, Format.PARQUET}:
        raise ConfigError(f"--watch prints again and again, which {output} cannot hold", "choose another --output")
    try:
        seconds = when.duration(text).total_seconds()
    except ValueError as error:
        raise ConfigError(f"--watch {text!r} is no duration", "write 5s or 1m") from error
    if not seconds:
        raise ConfigError("--watch: a pause is needed between two questions", "write 1s, for example")
    return seconds


def _watch(ask: Callable[[], object], sql: str, pause: float) -> None:
    """Until Ctrl-C. On a terminal each answer takes the place of the one before; elsewhere they follow each other."""
    from logproc.errors import Unavailable

    terminal = sys.stdout.isatty()
    title = " ".join(sql.split())
    first = True
    with suppress(KeyboardInterrupt):
        while True:
            if terminal:
                width = shutil.get_terminal_size().columns
                print(f"\x1b[H\x1b[2J{datetime.now():%H:%M:%S}  {title}"[: width + 7], end="\n\n")
            elif not first:
                print()
            first = False
            try:
                ask()
            except Unavailable as error:
                print(f"warning: {error.message}; trying again", file=sys.stderr)
            sys.stdout.flush()
            time.sleep(pause)


def _times(wanted: Mapping[str, str], since: str, until: str, local: bool) -> Callable[[], dict[str, str]]:
    """What gives {since} and {until} their values, anew each time, as far as the statement has them."""
    from logproc import when

    def values() -> dict[str, str]:
        window = when.window(since, until, datetime.now(UTC), None if local else UTC)
        found = {}
        for name, at in zip(("since", "until"), window, strict=True):
            if name in wanted:
                found[name] = _as(at, wanted[name])
        return found

    return values


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


def _as(at: datetime, kind: str) -> str:
    """A point in time as the value of a parameter: text where its type names a zone, else seconds, which have none."""
    from logproc import when

    if kind == "Date":
        return f"{at:%Y-%m-%d}"
    if "'UTC'" in kind:
        return when.literal(at) if kind.startswith("DateTime64") else when.literal(at)[:19]
    return f"{at.timestamp():.6f}" if kind.startswith("DateTime64") else f"{at.timestamp():.0f}"


def _parameters(
    given: list[str], wanted: Mapping[str, str], times: Mapping[str, str], *, all_needed: bool
) -> dict[str, str]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--param {text!r}: write NAME=VALUE")
        if name not in wanted:
            known = ", ".join(f"{{{n}:{t}}}" for n, t in wanted.items()) or "none"
            raise ConfigError(f"--param {name}: the statement has no {{{name}:Type}}", f"its parameters: {known}")
        values[name] = value
    missing = [f"{n}=VALUE" for n in wanted if n not in values and n not in times]
    if missing and all_needed:  # CREATE VIEW may leave them to those who ask it
        raise ConfigError(f"the statement's parameters need values: --param {' --param '.join(missing)}")
    return values
