"""`logproc formats`: the formats known by name, and whether a format of one's own compiles."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import ConfigError

if TYPE_CHECKING:
    from parsers.defaults import Default
    from parsers.format_string import Format
    from parsers.json_keys import Keys

TITLE = "The formats known by name; checks one of your own."


class Output(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OUTPUT = typer.Option(Output.TABLE, "--output", "-o", help="How to print.")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="""The formats known by name, with a line of each; `show` prints one, `check` compiles one of your own.

    Without --format these are found by themselves, line by line; so are ztunnel's lines and the messages of Envoy and pilot-agent.

    \b
    Examples:
      logproc formats
      logproc formats -o json | jq -r '.[].sample'
      logproc formats show istio
      logproc formats check '[%START_TIME%] %RESPONSE_CODE% %DURATION%'
    """,
)


@app.callback(invoke_without_command=True)
def list_(ctx: typer.Context, output: Output = OUTPUT) -> None:  # noqa: D103  the app's help is its text
    if ctx.invoked_subcommand is not None:
        return
    from parsers.defaults import DEFAULTS

    _print([_known(d) for d in DEFAULTS], output, ("name", "aliases", "shape", "fields", "releases", "sample"))


@app.command("show", short_help="Print the format string of a known format.")
def show(
    name: str = typer.Argument(..., help="A name from the list, T0 to T6, or an Istio release such as istio-1.24."),
) -> None:
    """Print the format string of a known format, as it would stand in a mesh config.

    \b
    Examples:
      logproc formats show istio
      logproc formats show istio-1.9-json | jq keys
      logproc formats check "$(logproc formats show T3)"
    """
    from parsers import resolve_format
    from parsers.defaults import by_name

    found = by_name(name)
    if found is None:
        if "%" in name or name == "auto":
            raise ConfigError(f"{name!r} is no name of a format", "`logproc formats` lists the names")
        found = resolve_format(name)
    if found is not None:
        print(found.text.rstrip("\n"))


@app.command("check", short_help="Compile a format; print its operators and columns.")
def check(
    format: str = typer.Argument(
        ..., metavar="FORMAT|FILE", help="A format string, JSON, a file with one, a mesh config, or a name."
    ),
    output: Output = OUTPUT,
) -> None:
    """Compile a format and print its operators with the columns they fill; exit code 2 and the place of the fault where it is none.

    An operator that has no column is kept in `extra` under its own text, or under its key in JSON.

    \b
    Examples:
      logproc formats check '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)%" %RESPONSE_CODE% %REQ(X-TENANT)%'
      logproc formats check '{"at": "%START_TIME%", "code": "%RESPONSE_CODE%"}'
      logproc formats check format.txt -o json
      kubectl get configmap istio -n istio-system -o yaml > mesh.yaml && logproc formats check mesh.yaml
    """
    from parsers import resolve_format

    found = resolve_format(format)
    if found is None or not found.operators:
        raise ConfigError(
            "there is no command operator in this format",
            "it needs at least one, such as %START_TIME% or %RESPONSE_CODE%",
        )
    _print(_operators(found), output, ("key", "operator", "column", "meaning"))


def _known(default: Default) -> dict[str, Any]:
    from parsers.defaults import ALIASES
    from parsers.samples import sample

    return {
        "name": default.name,
        "aliases": [alias for alias, name in ALIASES.items() if name == default.name],
        "shape": "text" if default.format.json is None else "JSON",
        "fields": len(default.format.operators),
        "releases": default.releases,
        "sample": sample(default),
        "format": default.text.rstrip("\n"),
    }


def _operators(format: Format) -> list[dict[str, Any]]:
    from logproc.columns import ACCESS_LOG_TABLE
    from parsers.fields import Field, fields
    from parsers.json_keys import Keys

    if format.json is not None:
        found = list(_of_template(format.json, "", Keys(format.json)))
    else:
        found = [("", f.operator.text, f.column) for f in fields(format) if isinstance(f, Field)]
    rows = []
    for key, operator, column in found:
        name = key or operator.strip("%")
        meaning = (
            ACCESS_LOG_TABLE.column(column).meaning
            if column
            else f"kept as extra[{json.dumps(name)}]{_meant(operator)}"
        )
        rows.append({"key": key, "operator": operator, "column": column or "extra", "meaning": meaning})
    return rows


def _meant(operator: str) -> str:
    """Which operator is but a letter away: Envoy would refuse the one that was typed."""
    from parsers.defaults import DEFAULTS
    from parsers.operators import ARGUMENT_REQUIRED, NO_ARGUMENT

    known = ARGUMENT_REQUIRED | NO_ARGUMENT | {o.command for d in DEFAULTS for o in d.format.operators}
    name = re.match(r"%(\w+)", operator)
    if name is None or name[1] in known:
        return ""
    near = difflib.get_close_matches(name[1], known, 1, cutoff=0.92)
    return f"; did you mean %{near[0]}%?" if near else ""


def _of_template(template: Mapping[str, Any], prefix: str, keys: Keys) -> list[tuple[str, str, str]]:
    """Key, operators and column of each value of a JSON template."""
    from parsers.format_string import Operator

    found: list[tuple[str, str, str]] = []
    for key, value in template.items():
        if isinstance(value, Mapping):
            found += _of_template(value, f"{prefix}{key}.", keys)
            continue
        parts = value if isinstance(value, tuple) else ()
        text = (
            "".join(p.text if isinstance(p, Operator) else p for p in parts)
            if parts
            else json.dumps(value, default=str)
        )
        meaning = keys.meaning(f"{prefix}{key}")
        found.append((f"{prefix}{key}", text, meaning.column if meaning is not None else ""))
    return found


def _print(rows: Sequence[Mapping[str, Any]], output: Output, names: Sequence[str]) -> None:
    if output is Output.JSONL:
        print("\n".join(json.dumps(row) for row in rows))
        return
    if output is Output.JSON:
        print(json.dumps(list(rows), indent=2))
        return
    from logproc.text_table import Heading, Kind, TextTable

    shown = [n for n in names if any(row[n] not in ("", []) for row in rows)]
    terminal = sys.stdout.isatty()
    table = TextTable(
        sys.stdout,
        [Heading(n, Kind.NUMBER if n == "fields" else Kind.TEXT) for n in shown],
        width=shutil.get_terminal_size().columns if terminal else None,
        colour=terminal and not os.environ.get("NO_COLOR"),
    )
    table.write([[_cell(row[n]) for n in shown] for row in rows])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value) or None
    return None if value == "" else value
