"""What was typed: flags > environment (LOGPROC_*) > settings file > defaults, merged before anything is resolved.

The settings file is TOML: a table for each command, its keys named like the command's options; `store` may also stand at the top
for all commands that read one. Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from logproc.errors import ConfigError

ENVIRONMENT_PREFIX = "LOGPROC"
"""`logproc collect --state DIR` is LOGPROC_COLLECT_STATE; the store of all reading commands is LOGPROC_STORE."""

SHARED_KEYS = ("store",)
"""Keys that may stand at the top of the file and hold for every command that has the option."""


def settings_path(typed: Path | None) -> Path | None:
    """The settings file: the one that was typed (must exist), else the user's, else the machine's, else none."""
    if typed is not None:
        return typed
    try:
        user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:  # in a container the user may be a mere number
        user = Path("/nonexistent")
    for path in (user / "logproc" / "config.toml", Path("/etc/logproc/config.toml")):
        if path.is_file():
            return path
    return None


def read_settings(path: Path) -> dict[str, Any]:
    """The file's content. Raises ConfigError naming the file and, for bad TOML, line and column."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {path}: {error}", "it has to be TOML") from error


def command_defaults(
    path: Path,
    content: Mapping[str, Any],
    command: str,
    commands: Iterable[str],
    options: Callable[[str], Iterable[str]],
) -> dict[str, Any]:
    """The defaults that the file gives one command: its table, and the shared keys it has an option for.

    `options(command)` are the names a key may have. Raises ConfigError for a table that is no command, a key that is no option,
    and a table where a value should be or the other way round.
    """
    names = list(commands)
    for key, value in content.items():
        if isinstance(value, Mapping):
            _check(path, key, names, "command")
        else:
            _check(path, key, SHARED_KEYS, "setting", tables=names)
    known = {name.replace("_", "-") for name in options(command)}
    table = content.get(command, {})
    for key, value in table.items():
        _check(path, key.replace("_", "-"), sorted(known), f"option of {command}", prefix=f"[{command}] ")
        if isinstance(value, Mapping):
            raise ConfigError(f"settings file {path}: [{command}] {key} is a table; a value was expected")
    shared = {k: v for k, v in content.items() if k in SHARED_KEYS and k in known}
    return shared | {k.replace("-", "_"): v for k, v in table.items()}


def toml_value(value: Any) -> str:
    """A value as a settings file has it: texts, numbers, switches and lists are written in TOML as in JSON."""
    return json.dumps(value, default=str)


def _check(
    path: Path, key: str, known: Iterable[str], what: str, *, prefix: str = "", tables: Iterable[str] = ()
) -> None:
    names = list(known)
    if key in names:
        return
    near = difflib.get_close_matches(key, [*names, *tables], 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
    raise ConfigError(f"settings file {path}: {prefix}{key} is no {what}", hint)
