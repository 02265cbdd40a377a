"""`logproc export`: rows of a store to Parquet files."""

from __future__ import annotations

import difflib
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.commands.parse import TableName
from logproc.errors import ConfigError
from logproc.sizes import count_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from logproc.columns import Table
    from logproc.export import Exported

TITLE = "Rows of a store to Parquet files."


def run(
    to: str = typer.Option(..., "--to", metavar="parquet:///DIR", help="The folder of the files."),
    *,
    since: str = typer.Option(
        "1h", "--since", help="Begin: a duration back from now (15m, 1h30m, 2d) or a time (UTC)."
    ),
    until: str = typer.Option("now", "--until", help="End: likewise."),
    where: str = typer.Option(None, "--where", help="Only rows for which this holds (as in `logproc parse --help`)."),
    columns: str = typer.Option(None, "--columns", help="Only these columns, with commas between them."),
    table: TableName = typer.Option(TableName.ACCESS_LOG, "--table", help="The table."),
    store: str = typer.Option(
        None,
        "--store",
        envvar="LOGPROC_STORE",
        help="A folder, chdb:///folder, or clickhouse://user@host:8123/logproc.",
        show_default="the demo's store",
    ),
    local: bool = typer.Option(False, "--local/--utc", help="Read times without a zone in this machine's zone."),
) -> None:
    """Write the rows of a time to Parquet, one file for each hour that has rows: DIR/access_log/2026-11-20T10.parquet.

    Files are in the order of time and named by the hour in UTC; exporting again replaces them. In the store what a line lacked (-) is
    empty, so --where treats empty text as missing.

    Examples:

    \b
      logproc export --since 1h --to parquet:///tmp/mesh
      logproc export --since 7d --where 'code = 5xx or has_flag(UO)' --to parquet:///tmp/errors
      logproc export --since 2026-11-20 --until 2026-11-21 --columns timestamp,app,path,duration_ms --to parquet:///tmp/day
    """
    from logproc import when
    from logproc.columns import TABLES
    from logproc.export import Chosen, export
    from logproc.results import asked
    from logproc.store_choice import choose_store
    from logproc.where import compile_filter
    from logproc.where_sql import condition
    from sinks.store import open_store

    folder = _folder(to)
    now = datetime.now(UTC)
    begin, end = when.window(since, until, now, None if local else UTC)
    of = TABLES[table.value]
    only = condition(compile_filter(where, of, now=now), of) if where else "1"
    chosen = Chosen(of, begin, end, _columns(columns, of), only)
    url = choose_store(store)

    def work(store: Any, settings: Any) -> Exported:
        return export(store, chosen, folder, settings, _progress())

    done, seconds = asked(lambda: open_store(url), work)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    rows = f"{count_text(done.rows, 'row')} of {of.name}"
    files = f"{count_text(done.files, 'file')} ({size_text(done.bytes)}) under {folder / of.name}"
    print(
        f"{rows} in {files}, {seconds:.1f} s"
        if done.files
        else f"{rows} from {when.literal(begin)[:19]} to {when.literal(end)[:19]} UTC{' for which --where holds' if where else ''}: nothing to write",
        file=sys.stderr,
    )


def _folder(to: str) -> Path:
    from logproc.urls import Url

    # `csv:x` is a mistyped URL, not a folder of that name.
    url = Url.parse(to, default_scheme="" if re.match(r"[a-z][a-z0-9+.-]+:", to) else "parquet")
    url.refuse_unknown_options(())
    if url.scheme != "parquet":
        raise ConfigError(
            f"--to {to}: rows are exported to Parquet",
            "write parquet:///folder; for other formats: logproc query -o csv",
        )
    if url.host or url.path in {"", "/"}:
        raise ConfigError(f"--to {to}: parquet: needs a folder", "write parquet:///var/lib/logproc/export, for example")
    return Path(url.path)


def _columns(text: str | None, table: Table) -> tuple[str, ...]:
    from logproc.where import ALIASES

    known = [c.name for c in table.columns]
    if not text:
        return tuple(known)
    names = [n if n in known else ALIASES.get(n, n) for n in (part.strip() for part in text.split(",")) if n]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"its columns: {', '.join(known)}"
            raise ConfigError(f"--columns: {table.name} has no column {name!r}", hint)
    return tuple(dict.fromkeys(names))


def _progress() -> Callable[[Exported], None]:
    """A line that changes on a terminal; nothing elsewhere."""
    shown = 0.0

    def show(done: Exported) -> None:
        nonlocal shown
        if sys.stderr.isatty() and time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            at = f", up to {done.until:%Y-%m-%d %H:%M}" if done.until else ""
            print(f"\r\x1b[K{count_text(done.rows, 'row')}{at}", end="", file=sys.stderr, flush=True)

    return show
