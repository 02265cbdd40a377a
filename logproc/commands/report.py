"""`logproc report`: the ready questions."""

from __future__ import annotations

import difflib
import sys
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import ConfigError
from logproc.output import Format

if TYPE_CHECKING:
    from logproc.reports import Report, Value

TITLE = "Ready questions: traffic, errors, canary, graph, latency, slow."


def run(
    name: str = typer.Argument(None, metavar="NAME", help="The report; without one they are listed."),
    *,
    since: str = typer.Option(
        "1h", "--since", help="Begin: a duration back from now (15m, 1h30m, 2d) or a time (UTC)."
    ),
    until: str = typer.Option("now", "--until", help="End: likewise."),
    namespace: str = typer.Option("", "--namespace", "-n", help="Only pods of this namespace.", show_default="all"),
    service: str = typer.Option("", "--service", help="Only this service.", show_default="all"),
    param: list[str] = typer.Option(
        [], "--param", metavar="NAME=VALUE", help="A parameter that the report has of its own."
    ),
    store: str = typer.Option(
        None,
        "--store",
        envvar="LOGPROC_STORE",
        help="A folder, chdb:///folder, or clickhouse://user@host:8123/logproc.",
        show_default="the demo's store",
    ),
    output: Format = typer.Option(Format.TABLE, "--output", "-o", help="How to print."),
    sql: bool = typer.Option(False, "--sql", help="Print the SQL instead of running it."),
    header: bool = typer.Option(True, "--header/--no-header", help="Column names above table, csv and tsv."),
    local: bool = typer.Option(False, "--local/--utc", help="Read and show times in this machine's zone."),
) -> None:
    """Answer a ready question about the traffic of the mesh. `logproc report` lists them.

    Each is one SQL file; --sql prints it as it would run, for Grafana or any other client.

    Examples:

    \b
      logproc report traffic
      logproc report errors --since 15m -n mushop
      logproc report canary --service storefront --since 2026-11-20 --until '2026-11-21 12:00'
      logproc report slow --param least=100 -o csv > slow.csv
      logproc report graph --sql
    """
    from logproc import reports, when

    if name is None:
        _list()
        return
    report = reports.read(name)
    window = when.window(since, until, datetime.now(UTC), None if local else UTC)
    values = _values(report, window, namespace, service, param)
    if sql:
        print(reports.filled_in(report.text, values), end="")
        return
    _show(report, values, store, output, header=header, local=local)


def _show(
    report: Report, values: dict[str, Value], store: str | None, output: Format, *, header: bool, local: bool
) -> None:
    from logproc.output import refuse_binary_on_terminal
    from logproc.results import Statement, asked, show
    from logproc.store_choice import choose_store
    from sinks.store import open_store

    refuse_binary_on_terminal(output)
    url = choose_store(store)

    def work(store: Any, settings: Mapping[str, Any]) -> None:
        shown = show(
            store, Statement(report.sql, True), sys.stdout.buffer,
            format=output, parameters=values, settings=settings, header=header, local=local,
        )  # fmt: skip
        if shown.rows == 0:
            print(_why_empty(store, values), file=sys.stderr)

    asked(lambda: open_store(url), work)


def _why_empty(store: Any, values: dict[str, Value]) -> str:
    """What a person needs who sees no rows: whether there are any at another time, or under another name."""
    said = store.query_raw("SELECT count(), min(timestamp), max(timestamp) FROM access_log", "TSV").decode().split("\t")
    if said[0] == "0":
        return "no rows: the store has no access-log lines yet"
    asked = {name: str(values[name]) for name in ("since", "until")}
    begin, end = (asked[name][:19] for name in ("since", "until"))
    names = store.query_arrow(_NAMES, asked).to_pylist()
    if not names:
        first, last = (text.strip()[:19] for text in said[1:])
        return f"no rows from {begin} to {end} UTC; the store has lines from {first} to {last}: try --since '{first}'"
    for option in ("namespace", "service"):
        wanted = str(values.get(option, ""))
        known = sorted({str(row[option]) for row in names} - {""})
        if wanted and not any(name == wanted or name.startswith(f"{wanted}.") for name in known):
            return f"no rows: from {begin} to {end} UTC there are lines, but none of {option} {wanted!r}; {_alike(wanted, known)}"
    return f"no rows: from {begin} to {end} UTC there are lines, but none that this report shows; {_READ_SQL}"


_NAMES = """
SELECT DISTINCT k8s_namespace AS namespace, arrayJoin([app, toString(upstream_service)]) AS service FROM access_log
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')} LIMIT 10000
"""
_READ_SQL = "--sql prints what it asks for"
_MOST_NAMED = 5


def _alike(wanted: str, known: list[str]) -> str:
    """Which names may have been meant, else some of those that there are."""
    near = [name for name in known if wanted in name] or difflib.get_close_matches(wanted, known, _MOST_NAMED)
    shown = (near or known)[:_MOST_NAMED]
    more = " ..." if len(near or known) > _MOST_NAMED else ""
    return f"{'did you mean' if near else 'there are'} {', '.join(shown)}{more}{'?' if near else ''}"


def _list() -> None:
    from logproc import reports
    from logproc.output import text_table
    from logproc.text_table import Heading

    found = [reports.read(name) for name in reports.names()]
    text_table([Heading("report"), Heading("answers")]).write([(r.name, r.title) for r in found])
    if sys.stdout.isatty():
        for report in found:
            for parameter in report.parameters:
                print(
                    f"{report.name} --param {parameter.name}={parameter.default}: {parameter.meaning}", file=sys.stderr
                )


def _values(
    report: Report, window: tuple[datetime, datetime], namespace: str, service: str, given: list[str]
) -> dict[str, Value]:
    from logproc import when
    from logproc.reports import placeholders
    from logproc.response_flags import RESPONSE_FLAGS

    begin, end = (when.literal(at) for at in window)
    values: dict[str, Value] = {
        "since": begin,
        "until": end,
        "namespace": namespace,
        "service": service,
        "flag_names": list(RESPONSE_FLAGS),
        "flag_meanings": [flag.meaning for flag in RESPONSE_FLAGS.values()],
    }
    own: dict[str, Value] = {p.name: int(p.default) for p in report.parameters}
    for text in given:
        name, equals, value = text.partition("=")
        if name not in own or not equals:
            known = "; ".join(f"{p.name}={p.default}: {p.meaning}" for p in report.parameters) or "it has none"
            raise ConfigError(f"--param {text!r} is no parameter of {report.name}", textwrap.shorten(known, 200))
        if not value.isdecimal():
            raise ConfigError(f"--param {text!r}: a number was expected")
        own[name] = int(value)
    wanted = placeholders(report.text)
    return {name: value for name, value in (values | own).items() if name in wanted}
