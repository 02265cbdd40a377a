"""`logproc parse`: lines in, typed rows out."""

from __future__ import annotations

import difflib
import json
import sys
import time
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from logproc.errors import EXIT_FINDING, ConfigError, SourceError
from logproc.sizes import count_text

if TYPE_CHECKING:
    from logproc.parsing import Totals

TITLE = "Lines in, typed rows out: table, JSON lines, CSV, Arrow, Parquet."


class Output(StrEnum):
    """How to print."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"
    NONE = "none"


class TableName(StrEnum):
    """The tables that a line can be a row of."""

    ACCESS_LOG = "access_log"
    MESSAGE_LOG = "message_log"
    REJECTED_LINE = "rejected_line"


def run(
    files: list[str] = typer.Argument(
        None, metavar="FILE|-", help="Files, gzipped or not; - or nothing: standard input."
    ),
    *,
    output: Output = typer.Option(Output.TABLE, "--output", "-o", help="How to print; none only reads."),
    format: str = typer.Option(
        "auto", "--format", help="A format's name, a format string, a file with one, a mesh config, or auto."
    ),
    frame: str = typer.Option("auto", "--frame", help="What stands around each line: plain, cri, docker ..., or auto."),
    where: str = typer.Option(None, "--where", help="Only rows for which this holds."),
    columns: str = typer.Option(None, "--columns", help="Only these columns, with commas between them."),
    table: TableName = typer.Option(
        None, "--table", help="Only rows of this table.", show_default="access_log; of jsonl all three"
    ),
    stats: bool = typer.Option(False, "--stats", help="At the end, one JSON object about all lines on standard error."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 1 where a line was rejected."),
) -> None:
    """Read access logs of Envoy and Istio and print them as typed rows.

    Every line becomes one row: of access_log; of message_log, where it is no access log; or of rejected_line, where it begins
    like one and cannot be read. Frames of kubelet, docker, kubectl and stern are found by themselves.

    \b
    --where compares columns (short names: code, flags, duration, service, subset, cluster, details, time ...):
      = != < <= > >=     code = 5xx   duration > 1.5s   bytes_sent >= 10Ki   time >= 15m ago
      in (...)           method in (GET, HEAD)   code not in (4xx, 503)
      : !:               path : '/api/*'         * is any text, ? any character
      ~ !~               user_agent !~ '^kube-probe/'
      is [not] null      service is null         the line has - there
      has_flag(...)      has_flag(UO, UF)
      and or not ( )     extra["key"] = value    for fields that have no column

    Examples:

    \b
      logproc parse access.log
      kubectl logs deploy/storefront -c istio-proxy | logproc parse - --where 'code = 5xx and not has_flag(UO)'
      logproc parse *.log.gz -o jsonl | jq -r 'select(.table == "access_log") | .path'
      logproc parse access.log --columns timestamp,path,duration_ms -o csv > slow.csv
      logproc parse access.log -o parquet > access.parquet
      logproc parse access.log -o none --stats
    """
    from logproc import parsing, reading
    from logproc.columns import TABLES
    from logproc.frames import frame_named
    from logproc.memory import keep_little
    from logproc.output import refuse_binary_on_terminal
    from logproc.row_printers import Selection, make_printer
    from logproc.where import compile_filter
    from parsers import open_parser

    began = time.monotonic()
    keep_little()
    paths = files or [reading.STDIN]
    if not files and sys.stdin.isatty():
        raise ConfigError("there is nothing to read", "name a file, or pipe lines into it: ... | logproc parse -")
    refuse_binary_on_terminal(output)
    reading.check(paths)
    only = (table or TableName.ACCESS_LOG).value
    everything = output is Output.NONE or (output is Output.JSONL and not (table or where or columns))
    chosen = compile_filter(where, TABLES[only]) if where is not None else None
    wanted = _columns(columns, only) if columns else ()
    reader = parsing.Reader(open_parser(format), frame_named(frame))
    selection = Selection(None if everything else only, chosen, wanted, several=len(paths) > 1)
    printer = make_printer(output, sys.stdout.buffer, selection)
    size = 0
    damage = []
    for path in paths:
        with closing(reading.Input(path)) as source:
            for chunk in source.chunks():
                printer.show(reader.read(chunk), path)
                sys.stdout.flush()
        size += source.bytes
        damage += [f"{path}: {source.damage}"] if source.damage else []
    printer.close()
    sys.stdout.flush()
    if stats:
        _print_stats(reader.totals, size, time.monotonic() - began)
    elif not everything:
        _print_left_out(reader.totals, only, none_fits=chosen is not None and not selection.selected)
    if damage:
        raise SourceError("; ".join(damage), "what could be read before that is printed")
    if strict and reader.totals.rows["rejected_line"]:
        raise typer.Exit(EXIT_FINDING)


def _columns(text: str, table: str) -> tuple[str, ...]:
    from logproc.parsing import schema
    from logproc.where import ALIASES

    known = schema(table).names
    names = [ALIASES.get(name, name) for name in (part.strip() for part in text.split(",")) if name]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"its columns: {', '.join(known)}"
            raise ConfigError(f"--columns: lines of {table} have no column {name!r}", hint)
    return tuple(dict.fromkeys(names))


def _print_stats(totals: Totals, size: int, seconds: float) -> None:
    said = {
        "lines": totals.lines,
        "rows": totals.rows,
        "joined": totals.joined,
        "doubtful": totals.doubtful,
        "bytes": size,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(time.process_time(), 3),
    }
    print(json.dumps(said), file=sys.stderr)


def _print_left_out(totals: Totals, shown: str, *, none_fits: bool) -> None:
    if not totals.lines:
        print("no lines were read", file=sys.stderr)
    elif none_fits and totals.rows[shown]:
        print(f"--where holds for none of {count_text(totals.rows[shown], 'row')} of {shown}", file=sys.stderr)
    others = [f"{n:,} of {table}" for table, n in totals.rows.items() if n and table != shown]
    if others:
        print(f"not shown: rows of other tables ({', '.join(others)}); --table NAME shows them", file=sys.stderr)
