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
    if getattr(refused, "param", None) is not None:
        return _parameter(refused, who, path, help_)
    message, hint = _message(refused, context)
    return ConfigError(f"{who}{message}", hint or help_)


def _message(refused: Any, context: Any) -> tuple[str, str]:
    """What is wrong, and what may have been meant."""
    message = str(refused.format_message())
    if option := getattr(refused, "option_name", ""):
        if hasattr(refused, "possibilities"):
            return f"there is no option {option}", _nearest(option, _options(context))
        return f"{option} needs a value", ""
    if (found := _NO_COMMAND.fullmatch(message)) and context is not None:
        return f"there is no command {found[1]!r}", _nearest(found[1], context.command.list_commands(context))
    if found := _TOO_MANY.fullmatch(message):
        return f"{found[1]!r} is more than it takes", "a text with blanks has to stand in quotes"
    return f"{message[:1].lower()}{message[1:].rstrip('.')}", ""


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
    causes: list[Any] = getattr(refused.__cause__, "errors", list)()
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
