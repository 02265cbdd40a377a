"""`logproc settings`: the settings file and the environment, checked and printed."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TITLE = "Check and print the settings file and the environment."

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Check and print settings: what is typed holds before environment variables, these before the settings file.

    \b
    Examples:
      logproc settings check
      logproc settings check /etc/logproc/config.toml
      logproc settings print collect
    """,
)

FILE = typer.Argument(
    None, metavar="FILE", help="A settings file.", show_default="~/.config/logproc/config.toml, /etc/logproc/config.toml"
)  # fmt: skip


class Output(StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


@app.command("check", short_help="List what is wrong with file and environment.")
def check(ctx: typer.Context, file: Path = FILE) -> int:
    """List what is wrong with the settings file, LOGPROC_ variables and files of secrets; exit code 1 where there is anything.

    \b
    Examples:
      logproc settings check
      logproc settings check deploy/my-config.toml
    """
    from logproc.settings import settings_path

    path = settings_path(file or _configured(ctx))
    found = list(problems(path, os.environ))
    for error in found:
        typer.echo(error.message)
        if error.hint:
            typer.echo(f"  {error.hint}")
    if not found:
        typer.echo(
            f"{path}: as it should be" if path else "there is no settings file, and the environment is as it should be"
        )
    return EXIT_FINDING if found else EXIT_DONE


@app.command("print", short_help="Print what holds, and where it comes from.")
def print_(
    ctx: typer.Context,
    command: str = typer.Argument("collect", metavar="COMMAND", help="Whose settings."),
    file: Path = typer.Option(None, "--file", metavar="FILE", help="A settings file.", show_default="as for all commands"),
    all_: bool = typer.Option(True, "--all/--changed", help="With defaults, or only what somebody set."),
    output: Output = typer.Option(Output.TEXT, "--output", "-o", help="text or json."),
) -> None:  # fmt: skip
    """Print the settings that hold for a command when nothing is typed, and where each comes from. Secrets are never among them.

    \b
    Examples:
      logproc settings print load
      logproc settings print collect --changed
      logproc settings print collect -o json | jq .to
    """
    from logproc import main
    from logproc.settings import command_defaults, read_settings, settings_path
    from logproc.settings_values import resolved

    if command not in main.command_names() or hasattr(main.load(command), "commands"):
        raise ConfigError(f"{command!r} is no command with settings", "for example collect, load, tail, serve, query")
    path = settings_path(file or _configured(ctx))
    given: dict[str, Any] = {}
    if path is not None:
        given = command_defaults(path, read_settings(path), command, main.command_names(), main.options_of)
    settings = [s for s in resolved(command, main.load(command), given, path) if all_ or s.origin != "default"]
    if output is Output.JSON:
        facts = {
            s.name: {"value": s.value, "origin": s.origin} | ({"unset": s.unset} if s.unset else {}) for s in settings
        }
        print(json.dumps(facts, default=str))
        return
    from logproc.settings import toml_value

    lines = []
    for setting in settings:
        text = f"{setting.name} =" + (f" {toml_value(setting.value)}" if setting.value is not None else "")
        # What is a default would not be one any more as soon as it stood in a file.
        origin = f"{setting.origin}: {setting.unset}" if setting.unset else setting.origin
        lines.append((f"# {text}" if setting.origin == "default" else text, origin))
    width = min(60, max((len(text) for text, _ in lines), default=0))
    print(f"[{command}]")
    for text, origin in lines:
        print(f"{text:{width}}  # {origin}")
    print(f"settings file: {path or 'none'}", file=sys.stderr)


def problems(path: Path | None, environment: Mapping[str, str]) -> Iterator[ConfigError]:
    """Everything that is wrong, each as the error that a command would stop with."""
    from logproc import main
    from logproc.settings import command_defaults, read_settings
    from logproc.settings_values import (
        environment_problems,
        file_problems,
        secret_problems,
        unknown_variables,
    )

    names = main.command_names()
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = read_settings(path)
        except ConfigError as error:
            yield error
    for key, one in _one_by_one(content):
        command = key if key in names else "query"
        try:
            given = command_defaults(path, one, command, names, main.options_of)  # type: ignore[arg-type]  # there is content
        except ConfigError as error:
            yield error
            continue
        yield from file_problems(path, command, main.load(command), given)  # type: ignore[arg-type]
    commands = _all_commands(names)
    for name in names:
        if not hasattr(main.load(name), "commands"):
            yield from environment_problems(name, commands[name], environment)
    yield from unknown_variables(commands, environment)
    yield from secret_problems(environment)


def _one_by_one(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key of each table by itself, so that one that is wrong does not hide the next."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from ((key, {key: {name: item}}) for name, item in value.items())
        else:
            yield key, {key: value}


def _all_commands(names: list[str]) -> dict[str, Any]:
    from logproc import main

    found: dict[str, Any] = {}
    for name in names:
        found[name] = main.load(name)
        found |= {f"{name} {sub}": c for sub, c in getattr(found[name], "commands", {}).items()}
    return found


def _configured(ctx: typer.Context) -> Path | None:
    """The file that --config or LOGPROC_CONFIG named."""
    named = ctx.find_root().params.get("config")
    return Path(named) if named else None
