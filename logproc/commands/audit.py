"""`logproc audit`: are all lines stored, each once?"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError, StateError
from logproc.sizes import count_text

if TYPE_CHECKING:
    from logproc.audit import Audit, Finding
    from logproc.model import Position

TITLE = "Prove that every line is stored once, or list what is not."


class Output(StrEnum):
    """How to print."""

    table = "table"
    json = "json"


def run(
    files: list[str] = typer.Option(
        [], "--files", metavar="PATH", help="Compare with these log files or log roots too (repeatable)."
    ),
    *,
    store: str = typer.Option(
        None, "--store", envvar="LOGPROC_STORE", show_default="the demo's store",
        help="A folder, chdb:///folder, or clickhouse://user@host:8123/logproc.",
    ),
    state: Path = typer.Option(None, "--state", metavar="DIR", help="Compare with the positions of this state folder too."),
    containers: str = typer.Option("istio-proxy", "--containers", help="Containers of a log root, with commas; * for all."),
    repair: bool = typer.Option(False, "--repair", help="Of lines stored twice leave one row; make ledger and rollup agree."),
    output: Output = typer.Option(Output.table, "--output", "-o", help="How to print."),
) -> int:  # fmt: skip
    """Compare what was read with what is stored: the ledger with the rows of every table, with a state folder, with the files.

    A line that was read is a row of one table, or joined to a later line, or left out by rule, or a dead letter. Exit code 1 where
    lines are missing or stored twice. --repair removes doubles; what is missing comes back when the collector reads its file again.

    Examples:

    \b
      logproc audit --store chdb:///var/lib/logproc/store
      logproc audit --store clickhouse://default@ch:8123/logproc -o json
      logproc audit --store /tmp/store --state /var/lib/logproc --files /var/log/pods
      logproc audit --store /tmp/store --repair
    """
    from logproc.audit import Auditor
    from logproc.results import cancellable, kill_statement
    from logproc.store_choice import choose_store
    from sinks import ddl
    from sinks.repair import Repaired
    from sinks.repair import repair as repaired
    from sinks.store import open_store

    url = choose_store(store)
    positions = _positions(state)
    lines_of_files = _lines_of(files, containers) if files else {}

    def kill(mark: str) -> None:
        with closing(open_store(url)) as beside:
            beside.command(kill_statement(mark))

    with closing(open_store(url)) as opened:
        ddl.require(opened.connection, opened.database)
        if repair and ddl.cluster_of(ddl.engines(opened.connection, opened.database)):
            raise ConfigError(
                "--repair cannot change the tables of a cluster", "it works on a single server and on an embedded store"
            )
        others_write = not opened.connection.only_writer

        def work(mark: str) -> tuple[Audit, Repaired | None]:
            auditor = Auditor(
                opened, others_write=others_write, settings={"log_comment": mark}, progress=_show_progress
            )
            found = auditor.run(positions, lines_of_files)
            if not repair:
                return found, None
            done = repaired(opened.connection, opened.database, found.double_files, auditor.rollup_from())
            return auditor.run(positions, lines_of_files), done

        (audit, done), _ = cancellable(work, kill)
    if done is not None:
        print(_what_was_done(done), file=sys.stderr)
    if output is Output.json:
        print(json.dumps(audit.as_json()))
    else:
        _print(audit)
    return EXIT_FINDING if audit.gaps or audit.doubles else EXIT_DONE


def _positions(state: Path | None) -> Mapping[int, Position]:
    from logproc.state import read_settled

    if state is None:
        return {}
    if not (state / "collector").is_file():
        raise ConfigError(f"{state} is no state folder", "name the folder that `logproc collect --state` was given")
    try:
        return read_settled(state).progress.positions
    except OSError as error:
        raise StateError(f"state folder {state}: {error.strerror}") from error


def _lines_of(paths: list[str], containers: str) -> dict[int, tuple[str, int]]:
    from logproc.audit import count_lines
    from logproc.files import FileSource
    from logproc.selection import Selection

    source = FileSource(paths, follow=False, selection=Selection.parse(containers))
    try:
        return count_lines(source)
    finally:
        source.close()


def _show_progress(done: int, of: int) -> None:
    if sys.stderr.isatty() and of > 1:
        print(
            f"\raudit: {done} of {of} shares of the files", end="\n" if done == of else "", file=sys.stderr, flush=True
        )


def _what_was_done(done: Any) -> str:
    said = f"removed {count_text(done.rows, 'row')} stored twice, merged {count_text(done.ledger_rows, 'ledger row')}, mended {count_text(done.hours, 'hour')} of the rollup"
    if done.open_hours:
        said += (
            f"; {count_text(done.open_hours, 'hour')} of the rollup were left alone because collectors may still write to them: "
            "run it again in two hours"
        )
    return said


def _print(audit: Audit) -> None:
    from logproc.output import text_table
    from logproc.text_table import Heading, Kind

    if audit.findings:
        headings = [Heading("what"), Heading("lines"), Heading("count", Kind.NUMBER), Heading("file")]
        text_table(headings).write([[f.kind.value, _lines(f), f.count, f.path] for f in audit.findings])
        shown = sum(f.count for f in audit.findings)
        if audit.gaps + audit.doubles > shown:
            print(f"and {audit.gaps + audit.doubles - shown:,} more")
        print()
    parts = [f"{count_text(audit.rows, 'row')} stored", f"{audit.joined:,} joined", f"{audit.left_out:,} left out"]
    if audit.dead:
        parts.append(count_text(audit.dead, "dead letter"))
    equals = "=" if audit.lines == audit.rows + audit.joined + audit.left_out + audit.dead else "but"
    print(f"{count_text(audit.files, 'file')}: {count_text(audit.lines, 'line')} read {equals} {' + '.join(parts)}")
    if audit.lost:
        print(f"{count_text(audit.lost, 'line')} lost unread")
    if audit.gaps or audit.doubles:
        print(
            f"{count_text(audit.gaps, 'line')} missing from rows or ledger, {count_text(audit.doubles, 'row')} too many"
        )
    else:
        print("no line is missing, none is stored twice")


def _lines(finding: Finding) -> str:
    return f"{finding.first}" if finding.stop == finding.first + 1 else f"{finding.first}-{finding.stop - 1}"
