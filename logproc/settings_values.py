"""Values of settings: whether an option would take them, and where each came from. It knows options as the command line has them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_origin

import typer

from logproc.errors import ConfigError
from logproc.settings import ENVIRONMENT_PREFIX
from logproc.urls import secret_hint

SECRETS = tuple(f"{ENVIRONMENT_PREFIX}_{name}" for name in ("USER", "PASSWORD", "KAFKA_PASSWORD"))
"""Each can also be in a file that the variable with _FILE names."""

OTHERS = (
    *(f"{ENVIRONMENT_PREFIX}_{name}" for name in ("CONFIG", "STORE")),
    *SECRETS,
    *(f"{name}_FILE" for name in SECRETS),
    *(f"{ENVIRONMENT_PREFIX}_KAFKA_{name}" for name in ("TLS", "CA", "CERT", "KEY", "KEY_PASSWORD", "SASL", "USER")),
)
"""Variables that are no option of one command."""

HIDDEN = ("help",)


@dataclass(frozen=True, slots=True)
class Setting:
    """One option's value as it holds, and who said so: `default`, the settings file, or a variable's name.

    `unset` says in words what holds where a default is no value that could be typed.
    """

    name: str
    value: Any
    origin: str
    meaning: str
    unset: str = ""


def variable(command: str, option: str) -> str:
    """The environment variable of a command's option."""
    return f"{ENVIRONMENT_PREFIX}_{command}_{option}".upper().replace("-", "_")


def variables(command: str, parameter: Any) -> list[str]:
    """The variables that an option listens to, the one that wins first. `command` has its sub-command after a blank."""
    own = parameter.envvar if isinstance(parameter.envvar, str) else ""
    return [*([own] if own else []), variable(command.replace(" ", "_"), parameter.name)]


def options(command: Any) -> list[Any]:
    """The options of a loaded command, without those that are none to be set."""
    return [p for p in command.params if p.name not in HIDDEN and any(o.startswith("-") for o in p.opts)]


def expected(parameter: Any) -> str:
    """What an option takes, in words."""
    annotation = parameter.type_descriptor.annotation
    if many(parameter):
        return "a list of texts"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"one of {', '.join(str(member.value) for member in annotation)}"
    named = {bool: "true or false", int: "a whole number", float: "a number"}.get(annotation, "a text")
    if annotation in {int, float} and parameter.min is not None:
        named += (
            f" from {parameter.min:g} to {parameter.max:g}"
            if parameter.max is not None
            else f", at least {parameter.min:g}"
        )
    return named


def many(parameter: Any) -> bool:
    """The option may be given several times."""
    return bool(parameter.multiple) or get_origin(parameter.type_descriptor.annotation) is list


def problem(command: Any, parameter: Any, value: Any) -> str:
    """What is wrong with a value; empty where the option takes it."""
    wanted = expected(parameter)
    annotation = parameter.type_descriptor.annotation
    if many(parameter) != isinstance(value, list | tuple):
        return f"{wanted} was expected" if many(parameter) else f"{wanted} was expected, not a list"
    if isinstance(value, bool) != (annotation is bool) and not isinstance(value, str):
        return f"{wanted} was expected"
    context = typer.Context(command, info_name=command.name)
    try:
        parameter.process_value(context, value)
    except typer.TyperException:
        return f"{wanted} was expected"
    return ""


def line_of(text: str, table: str, key: str) -> int:
    """The line of a settings file, from 1, in which a key of a table stands; `table` is empty for keys at the top."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$", line):
            current = heading[1].strip().strip("\"'")
        elif (
            current == table
            and (match := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line))
            and match[1].replace("-", "_") == key.replace("-", "_")
        ):
            return number
    return 0


def file_problems(path: Path, name: str, command: Any, given: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What is wrong with the values that a settings file gives one command."""
    known = {p.name: p for p in options(command)}
    text = path.read_text()
    for key, value in given.items():
        if key in known and (said := problem(command, known[key], value)):
            line = line_of(text, name, key) or line_of(text, "", key)
            option = key.replace("_", "-")
            yield ConfigError(f"settings file {path}, line {line}: [{name}] {option} = {value!r}: {said}")


def environment_problems(name: str, command: Any, environment: Mapping[str, str]) -> Iterator[ConfigError]:
    """What is wrong with the environment variables of one command's options."""
    for parameter in options(command):
        key = variable(name, parameter.name)
        value = environment.get(key, "")
        if value and not many(parameter) and (said := problem(command, parameter, value)):
            yield ConfigError(f"environment variable {key}={value}: {said}")


def unknown_variables(commands: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[ConfigError]:
    """Variables with our prefix that nobody reads; `commands` are those by name, sub-commands as `schema apply`."""
    known = [*OTHERS, *(v for name, c in commands.items() for p in options(c) for v in variables(name, p))]
    for key in sorted(environment):
        if key.startswith(f"{ENVIRONMENT_PREFIX}_") and key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else "`logproc settings print` names those that are"
            yield ConfigError(f"environment variable {key}: nothing reads it", hint)


def secret_problems(environment: Mapping[str, str]) -> Iterator[ConfigError]:
    """Files with secrets that cannot be read, and how they come to be."""
    for name in SECRETS:
        path = environment.get(f"{name}_FILE")
        if not path or name in environment:
            continue
        try:
            Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            yield ConfigError(f"{name}_FILE {path}: {reason}", secret_hint(path))


def resolved(name: str, command: Any, given: Mapping[str, Any], path: Path | None) -> list[Setting]:
    """All options of a command as they hold when nothing is typed."""
    found = []
    for parameter in options(command):
        told = next((k for k in variables(name, parameter) if os.environ.get(k)), "")
        value: Any
        unset = ""
        if told:
            value, origin = os.environ[told], told
        elif parameter.name in given:
            value, origin = given[parameter.name], str(path)
        else:
            value, origin = parameter.default, "default"
            if isinstance(parameter.show_default, str):
                value, unset = None, parameter.show_default
            elif value == "":
                value = None
        value = value.value if isinstance(value, Enum) else value
        found.append(Setting(parameter.name.replace("_", "-"), value, origin, parameter.help or "", unset))
    return found
