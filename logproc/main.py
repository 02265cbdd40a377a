"""The command line: one module in `logproc/commands` is one command; errors become one line and an exit code."""

from __future__ import annotations

import importlib
import os
import pkgutil
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer
import typer.core
import typer.main

from logproc import __version__, commands
from logproc.errors import EXIT_USAGE, LogprocError
from logproc.settings import ENVIRONMENT_PREFIX, command_defaults, read_settings, settings_path

ORDER = (
    "demo",
    "collect",
    "load",
    "up",
    "query",
    "report",
    "audit",
    "tail",
    "serve",
    "parse",
    "explain",
    "flags",
    "formats",
    "schema",
    "topics",
    "dead-letters",
    "state",
    "install",
    "doctor",
    "settings",
    "simulate",
)
"""What a newcomer reads first; commands not named here follow by name."""

CHECKERS = ("settings", "doctor")
"""They say themselves what is wrong with settings, all of it."""


def command_names() -> list[str]:
    """The modules of `logproc/commands`, `_` as `-`: the folder listing is the registry."""
    found = {m.name.replace("_", "-") for m in pkgutil.iter_modules(commands.__path__)}
    return [n for n in ORDER if n in found] + sorted(found - set(ORDER))


def load(name: str) -> Any:
    """The command of one module: its `run` function, or its `app` where it has sub-commands.

    The module's `TITLE` is its line in `logproc --help`.
    """
    module = importlib.import_module(f"logproc.commands.{name.replace('-', '_')}")
    app: typer.Typer | None = getattr(module, "app", None)
    command: Any
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, short_help=module.TITLE)(module.run)
        command = typer.main.get_command(app)
    else:
        command = typer.main.get_group(app)
    command.name = name
    command.short_help = module.TITLE
    command.context_settings["auto_envvar_prefix"] = f"{ENVIRONMENT_PREFIX}_{name.upper().replace('-', '_')}"
    return command


class Commands(typer.core.TyperGroup):
    """Loads a command when it is asked for, so that one command's imports cost no other anything."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """All commands in the order of the help page."""
        return command_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, or None where there is none of that name."""
        return load(cmd_name) if cmd_name in command_names() else None

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A reader that has left is told apart here, before typer makes exit code 1 of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if _reader_has_left():
                raise ReaderLeftError from error
            raise


class ReaderLeftError(Exception):
    """Nobody reads standard output any more (`| head`), which is no error."""


def _reader_has_left() -> bool:
    """Standard output is a pipe that is closed at its other end; a broken pipe elsewhere is an error."""
    poll = select.poll()
    poll.register(1, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"logproc {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 done, 1 done with a finding, 2 wrong usage or configuration, 3 gave up.")
def _root(
    ctx: typer.Context,
    config: Path = typer.Option(
        None,
        "--config",
        help="Settings file (TOML).",
        envvar="LOGPROC_CONFIG",
        show_default="~/.config/logproc/config.toml, /etc/logproc/config.toml",
    ),
    version: bool = typer.Option(  # noqa: ARG001
        False, "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Envoy and Istio access logs to typed columns in ClickHouse, every line exactly once.

    Start with `logproc demo`.
    """
    path = settings_path(config)
    command = ctx.invoked_subcommand
    if command in CHECKERS or command not in command_names():
        return
    if path is not None:
        content = read_settings(path)
        ctx.default_map = {command: command_defaults(path, content, command, command_names(), options_of)}
    _check_values(path, command, (ctx.default_map or {}).get(command, {}))


def _check_values(path: Path | None, command: str, given: Mapping[str, Any]) -> None:
    """Raise ConfigError for a value of the settings file or the environment that its option does not take, naming its place."""
    prefix = f"{ENVIRONMENT_PREFIX}_{command}_".upper().replace("-", "_")
    if not given and not any(key.startswith(prefix) for key in os.environ):
        return
    from logproc.settings_values import environment_problems, file_problems

    loaded = load(command)
    wrong = list(file_problems(path, command, loaded, given)) if path else []
    wrong += environment_problems(command, loaded, os.environ)
    if wrong:
        raise wrong[0]


def options_of(command: str) -> list[str]:
    """The names of a command's options and arguments."""
    return [str(p.name) for p in load(command).params]


def fail(error: LogprocError) -> NoReturn:
    """Print an error for a person and leave with its exit code."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    sys.exit(error.exit_code)


def main() -> None:
    """Run the command line."""
    try:
        code: Any = app(standalone_mode=False)
        sys.stdout.flush()
    except LogprocError as error:
        fail(error)
    except typer.TyperException as refused:
        from logproc.usage import in_our_words

        said = in_our_words(refused)
        if said is not None:
            fail(said)
        print(refused.format_message(), file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (BrokenPipeError, ReaderLeftError):
        # Nothing more may be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
