"""The ready questions: each is one file in `logproc/sql`, plain ClickHouse SQL with named parameters.

A file begins with comments: its title, after an empty one what it answers, and `parameter NAME = DEFAULT: meaning` for parameters
of its own. All may use `since`, `until`, `namespace`, `service`, `flag_names` and `flag_meanings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from logproc.errors import ConfigError

FOLDER = Path(__file__).parent / "sql"

_PARAMETER = re.compile(r"parameter (\w+) = (\S+): (.+)")
_PLACEHOLDER = re.compile(r"\{(\w+):((?:[^{}'\\]|'[^']*')+)\}")

Value = str | int | float | Sequence[str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that one report has of its own."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Report:
    """One question. `text` is the whole file, which is also what is sent."""

    name: str
    title: str
    about: str
    parameters: tuple[Parameter, ...]
    text: str

    @property
    def sql(self) -> str:
        """The statement without the comments at its head."""
        lines = self.text.splitlines(keepends=True)
        while lines and lines[0].startswith("--"):
            lines.pop(0)
        return "".join(lines)


def names() -> list[str]:
    """All reports: the folder listing is the registry. The first is the one to begin with."""
    found = sorted(path.stem for path in FOLDER.glob("*.sql"))
    return sorted(found, key=lambda name: name != "traffic")


def read(name: str) -> Report:
    """The report of that name. Raises ConfigError naming the nearest."""
    if name not in names():
        import difflib

        near = difflib.get_close_matches(name, names(), 1)
        raise ConfigError(
            f"there is no report {name!r}", f"did you mean {near[0]}?" if near else f"known: {', '.join(names())}"
        )
    text = (FOLDER / f"{name}.sql").read_text()
    head = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        head.append(line[2:].strip())
    parameters = tuple(Parameter(*found.groups()) for line in head if (found := _PARAMETER.fullmatch(line)))
    about = " ".join(line for line in head[1:] if not _PARAMETER.fullmatch(line)).strip()
    return Report(name, head[0], about, parameters, text)


def placeholders(sql: str) -> dict[str, str]:
    """The parameters that a statement has, with their ClickHouse types."""
    return dict(_PLACEHOLDER.findall(sql))


def filled_in(sql: str, values: Mapping[str, Value]) -> str:
    """The statement with literals in place of its parameters, to be run by any client."""

    def text(match: re.Match[str]) -> str:
        name, type_ = match.groups()
        value = values[name]
        if type_.startswith("DateTime64"):
            return f"to{type_.replace('(', f'({literal(value)}, ', 1)}"
        return literal(value)

    return _PLACEHOLDER.sub(text, sql)


def literal(value: Value) -> str:
    """A value as SQL."""
    match value:
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case int() | float():
            return str(value)
        case _:
            return f"[{', '.join(literal(v) for v in value)}]"
