"""`logproc flags`: what Envoy's response flags and response-code details mean."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from enum import StrEnum

import typer

from logproc.errors import ConfigError
from parsers.flags import RESPONSE_CODE_DETAILS, RESPONSE_FLAGS, SHORT_NAMES, Detail, Flag

TITLE = "What response flags (UF, URX, NR ...) and response-code details mean, and where to look."

PLAIN_WIDTH = 500
"""Columns of a table that goes into a pipe or file: one line per entry there, whatever its length."""
TABLE_WIDTH = 150
"""Columns that a terminal needs for the table; a narrower one gets a paragraph for each entry."""

_CODE = re.compile(r"[1-5]\d\d")


class Output(StrEnum):
    """How to print."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


def run(
    names: list[str] = typer.Argument(
        None,
        metavar="[NAME...]",
        help="A flag (UF, UpstreamConnectionFailure), several (UF,URX), a detail (via_upstream), or a status code.",
    ),
    details: bool = typer.Option(False, "--details", help="The table of response-code details instead of the flags."),
    output: Output = typer.Option(Output.table, "--output", "-o", help="How to print."),
) -> None:
    """What response flags and response-code details mean, and which Istio object to look at.

    Flags are a set: UF,URX and URX,UF are the same event. Extensions can add flags of their own, which are stored as they are.

    Examples:

    \b
      logproc flags
      logproc flags UF,URX
      logproc flags 503 UO
      logproc flags 504
      logproc flags 'upstream_reset_before_response_started{overflow}'
      logproc flags --details -o json
    """
    entries: Sequence[Flag | Detail]
    named = [name for name in names or [] if name.strip()]
    if named:
        entries = find(*named)
    else:
        entries = tuple(RESPONSE_CODE_DETAILS.values()) if details else tuple(RESPONSE_FLAGS.values())
    if output is Output.table:
        if named and not all(map(_CODE.fullmatch, named)):
            print("\n\n".join(describe(entry) for entry in entries))
        else:
            _print_table(entries)
            if sys.stdout.isatty() and sys.stderr.isatty():
                more = "" if details else "; response-code details: logproc flags --details"
                print(f"one of them, with where to look: logproc flags NAME{more}", file=sys.stderr)
        return
    objects = [as_object(entry) for entry in entries]
    print("\n".join(json.dumps(o) for o in objects) if output is Output.jsonl else json.dumps(objects, indent=2))


def find(*texts: str) -> list[Flag | Detail]:
    """The entries that flags, several joined with `,` or blanks, and details (with arguments or without) name, in any case.

    A status code beside them says nothing more (`503 UO`); alone it stands for the flags that usually come with it.
    Raises ConfigError with the nearest known name where one is unknown.
    """
    from parsers.values import details

    flags = {name.lower(): flag for name, flag in RESPONSE_FLAGS.items()}
    flags |= {long.lower(): RESPONSE_FLAGS[short] for long, short in SHORT_NAMES.items()}
    known = {name.lower(): detail for name, detail in RESPONSE_CODE_DETAILS.items()}
    found: list[Flag | Detail] = []
    codes = []
    for text in texts:
        whole = known.get(details(text).name.lower())
        for part in [text] if whole else re.split(r"[,\s]+", text.strip(", \t\n")):
            entry = whole or flags.get(part.lower()) or known.get(part.lower())
            if entry is None and _CODE.fullmatch(part):
                codes.append(part)
            elif entry is None:
                raise ConfigError(f"{part!r} is no flag or response-code detail that Envoy documents", _nearest(part))
            elif entry not in found:
                found.append(entry)
    return found or _coming_with(codes)


def _coming_with(codes: Sequence[str]) -> list[Flag | Detail]:
    found: list[Flag | Detail] = [f for f in RESPONSE_FLAGS.values() if any(code in f.code for code in codes)]
    if not found:
        raise ConfigError(
            f"no response flag usually comes with {', '.join(codes)}",
            "without a flag the application itself answered so: the detail is via_upstream",
        )
    return found


def _nearest(name: str) -> str:
    word = name.lower()
    told = [f.short for f in RESPONSE_FLAGS.values() if len(word) > 3 and word in f"{f.meaning} {f.look_at}".lower()]
    if told:
        return f"what is said of {', '.join(told)} has that word: logproc flags {','.join(told)}"
    names = {n.lower(): n for n in (*RESPONSE_FLAGS, *SHORT_NAMES, *RESPONSE_CODE_DETAILS)}
    near = difflib.get_close_matches(word, names, 3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(names[n] for n in near)}?"
    return "`logproc flags` lists the flags, `logproc flags --details` the details"


def describe(entry: Flag | Detail) -> str:
    """One entry as a paragraph for a person."""
    if isinstance(entry, Detail):
        return f"{entry.name}\n  answered by    {entry.answered_by}\n  what happened  {entry.meaning}"
    return (
        f"{entry.short}  {entry.long}\n"
        f"  what happened  {entry.meaning}\n"
        f"  where to look  {entry.look_at}\n"
        f"  usual code     {entry.code or 'none'}\n"
        f"  seen on        {protocols(entry)} lines"
    )


def protocols(flag: Flag) -> str:
    """On which kinds of lines a flag can stand."""
    return "HTTP, TCP" if flag.tcp else "HTTP"


def as_object(entry: Flag | Detail) -> dict[str, str]:
    """One entry as a JSON object."""
    if isinstance(entry, Detail):
        return {"name": entry.name, "answered_by": entry.answered_by, "meaning": entry.meaning}
    return {
        "short": entry.short,
        "long": entry.long,
        "protocols": protocols(entry),
        "code": entry.code,
        "meaning": entry.meaning,
        "look_at": entry.look_at,
    }


def _print_table(entries: Sequence[Flag | Detail]) -> None:
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < TABLE_WIDTH:
        for entry in entries:
            print(_paragraph(entry, shutil.get_terminal_size().columns))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    flags = isinstance(entries[0], Flag)
    table.add_column("flag" if flags else "detail", style="bold", no_wrap=True)
    for heading in ("long name", "code", "what happened", "where to look") if flags else ("by", "what happened"):
        table.add_column(heading, no_wrap=heading in ("long name", "code"))
    for entry in entries:
        if isinstance(entry, Flag):
            table.add_row(entry.short, entry.long, entry.code, entry.meaning, entry.look_at)
        else:
            table.add_row(entry.name, entry.answered_by, entry.meaning)
    with console.capture() as capture:
        console.print(table, markup=False, highlight=False)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _paragraph(entry: Flag | Detail, width: int) -> str:
    """An entry in two lines or more: what it is called, and below that what happened."""
    if isinstance(entry, Flag):
        head = f"{entry.short:<6}{entry.long}{f', {entry.code}' if entry.code else ''}"
    else:
        head = f"{entry.name} ({entry.answered_by})"
    return f"{head}\n{textwrap.fill(entry.meaning, max(width, 30), initial_indent=' ' * 6, subsequent_indent=' ' * 6)}"
