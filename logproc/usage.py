"""What the command line refuses to read, as an error of ours: the same two lines as every other error has, in place of typer's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from logproc.errors import ConfigError

_NO_COMMAND = re.compile(r"No such command '(.*?)'\.(?: Did you mean .*)?", re.DOTALL)
_TOO_MANY = re.compile(r"Got unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", re.DOTALL)


def in_our_words(refused: Any) -> ConfigError | None:
    """The error for one of typer's; None for what is a help page. It is told by what it carries: its classes are typer's own business."""
    context = getattr(refused, "ctx", None)
    path = _path(context)
    help_ = f"`logproc{f' {path}' if path else ''} --help` lists what there is"
    who = f"{path}: " if path else ""
    if type(refused).__name__ == "NoArgsIsHelpError":
        return None
    if option := getattr(refused, "option_name", ""):
        if hasattr(refused, "possibilities"):
            return ConfigError(f"{who}there is no option {option}", _nearest(option, _options(context)) or help_)
        return ConfigError(f"{who}{option} needs a value", help_)
    if getattr(refused, "param", None) is not None:
        return _parameter(refused, who, path, help_)
    message = refused.format_message()
    if (found := _NO_COMMAND.fullmatch(message)) and context is not None:
        return ConfigError(
            f"{who}there is no command {found[1]!r}",
            _nearest(found[1], context.command.list_commands(context)) or help_,
        )
    if found := _TOO_MANY.fullmatch(message):
        return ConfigError(f"{who}{found[1]!r} is more than it takes", f"texts with blanks want quotes; {help_}")
    return ConfigError(f"{who}{message[:1].lower()}{message[1:].rstrip('.')}", help_)


def _parameter(refused: Any, who: str, path: str, help_: str) -> ConfigError:
    from logproc.settings_values import expected, variables

    param = refused.param
    option = max((o for o in param.opts if o.startswith("--")), key=len, default="")
    shown = option or param.metavar or param.name.upper()
    if type(refused).__name__ == "MissingParameter":
        named = f"{shown} {param.metavar}" if option and param.metavar else shown
        # Sub-commands have no table in the settings file.
        elsewhere = variables(path, param)[0] + ("" if " " in path else " or the settings file")
        return ConfigError(
            f"{who}{named} is missing", f"it can also come from {elsewhere}; {help_}" if option else help_
        )
    causes = getattr(refused.__cause__, "errors", list)()
    given = f" {causes[0]['input']!r}" if causes else ""
    return ConfigError(f"{who}{shown}{given}: {expected(param)} was expected")


def _path(context: Any) -> str:
    """The command behind `logproc`, sub-command included; empty for none."""
    names = []
    while context is not None and context.parent is not None:
        names.append(str(context.info_name))
        context = context.parent
    return " ".join(reversed(names))


def _options(context: Any) -> list[str]:
    params = context.command.params if context is not None else []
    return [o for p in params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")]


def _nearest(typed: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(typed, list(known), 1)
    return f"did you mean {near[0]}?" if near else ""
