"""`logproc state`: what a collector remembers, whether it is sound, and how to forget it."""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING
from logproc.sizes import count_text

if TYPE_CHECKING:
    from logproc.state_report import StateReport

TITLE = "What a collector remembers: show, check, reset."

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""What a collector remembers in its state folder: show it, check it, forget it.

    The folder of `collect` without --state is under ~/.local/state/logproc; the command prints it when it starts.

    \b
    Examples:
      logproc state show /var/lib/logproc
      logproc state check /var/lib/logproc && echo sound
      logproc state reset /var/lib/logproc
    """,
)

FOLDER = typer.Argument(..., metavar="DIR", help="The folder that `collect --state` has.")


class Output(StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


OUTPUT = typer.Option(Output.TEXT, "--output", "-o", help="text or json.")


@app.command("show", short_help="Who wrote it, how far reading is, what waits.")
def show(folder: Path = FOLDER, output: Output = OUTPUT) -> int:
    """Show who wrote it, how far reading is, and what waits for the sink. A running collector is not disturbed.

    \b
    Examples:
      logproc state show /var/lib/logproc
      logproc state show /var/lib/logproc -o json | jq .spool
    """
    from logproc.state_report import inspect

    report = inspect(folder)
    if output is Output.JSON:
        print(json.dumps(_facts(report)))
    else:
        print(_text(report))
    _tell(report)
    return EXIT_DONE


@app.command("check", short_help="Read everything and compare all checksums.")
def check(folder: Path = FOLDER, output: Output = OUTPUT) -> int:
    """Read everything in it and compare all checksums. Exit code 1 where something is damaged, missing or foreign.

    \b
    Examples:
      logproc state check /var/lib/logproc
    """
    from logproc.state_report import inspect

    report = inspect(folder, thorough=True)
    if output is Output.JSON:
        print(json.dumps(_facts(report)))
    elif not report.findings:
        print(f"sound: {count_text(len(report.positions), 'file')}, {_waiting(len(report.waiting))}")
    _tell(report)
    return EXIT_FINDING if report.findings else EXIT_DONE


@app.command("reset", short_help="Forget positions: all files are read again.")
def reset(
    folder: Path = FOLDER,
    *,
    also_unsent: bool = typer.Option(False, "--also-unsent", help="Drop batches too that the sink does not have."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> int:
    """Forget positions and name: the next run is a new collector and reads all files from their beginning.

    A ClickHouse store recognises the lines it has; stdout: and parquet: get them again. Dead letters stay.

    \b
    Examples:
      logproc state reset /var/lib/logproc
      logproc state reset /var/lib/logproc --also-unsent --yes
    """
    from logproc.state_report import inspect
    from logproc.state_report import reset as forget

    report = inspect(folder)
    if not yes and sys.stdin.isatty():
        typer.confirm(
            f"forget the positions of {count_text(len(report.positions), 'file')} in {folder}?", abort=True, err=True
        )
    before = forget(folder, also_unsent=also_unsent)
    lines = sum(w.lines for w in before.waiting)
    dropped = (
        f"; {count_text(len(before.waiting), 'unsent batch')} with {count_text(lines, 'line')} dropped"
        if before.waiting
        else ""
    )
    print(
        f"forgot {count_text(len(before.positions), 'file')} of collector {before.collector}{dropped}", file=sys.stderr
    )
    return EXIT_DONE


def _facts(report: StateReport) -> dict[str, Any]:
    oldest = min((w.sealed_at for w in report.waiting if w.sealed_at), default=0)
    return {
        "path": str(report.path),
        "collector": report.collector,
        "node": report.node,
        "used_by": report.used_by or None,
        "next_seq": report.next_seq,
        "files": len(report.positions),
        "open_fragments": report.fragments,
        "spool": {
            "batches": len(report.waiting),
            "bytes": sum(w.bytes for w in report.waiting),
            "lines": sum(w.lines for w in report.waiting),
            "oldest_seconds": round(time.time() - oldest / 1e6, 3) if oldest else None,
        },
        "dead_letters": report.dead_letters,
        "findings": report.findings,
    }


def _text(report: StateReport) -> str:
    from logproc.sizes import size_text

    facts = _facts(report)
    spool = facts["spool"]
    waits = _waiting(spool["batches"])
    if spool["batches"]:
        waits = f"{waits}: {count_text(spool['lines'], 'line')}, {size_text(spool['bytes'])}"
        waits += f", the oldest for {spool['oldest_seconds']:,.0f} s" if spool["oldest_seconds"] is not None else ""
    rows = [
        ("folder", str(report.path)),
        ("collector", f"{report.collector} on {report.node}"),
        ("in use", f"by process {report.used_by}" if report.used_by else "no"),
        ("settled", count_text(report.next_seq, "batch")),
        ("positions", f"{count_text(len(report.positions), 'file')}, {count_text(report.fragments, 'line')} begun"),
        ("spool", waits),
        ("dead letters", str(report.dead_letters)),
    ]
    return "\n".join(f"{name:<13} {value}" for name, value in rows)


def _waiting(batches: int) -> str:
    if not batches:
        return "nothing waits"
    return f"{count_text(batches, 'batch')} {'waits' if batches == 1 else 'wait'}"


def _tell(report: StateReport) -> None:
    for finding in report.findings:
        print(f"finding: {finding}", file=sys.stderr)
