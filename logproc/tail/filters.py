"""Which rows are shown: the options that people type, as one expression of the filter language, and patterns over whole lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import ACCESS_LOG_TABLE
from logproc.errors import ConfigError, ExpressionError
from logproc.jsonl import rows_as_json
from logproc.model import ACCESS_LOG
from logproc.tail.line_times import NO_TIME
from logproc.tail.reading import Rows, Table
from logproc.where import Filter, compile_filter

PROBES = ("kube-probe/", "GoogleHC/", "ELB-HealthChecker/")
"""How user agents of health checks begin."""

DIRECTIONS = {
    "inbound": ("inbound", "inbound-vip"),
    "in": ("inbound", "inbound-vip"),
    "server": ("inbound", "inbound-vip"),
    "outbound": ("outbound",),
    "out": ("outbound",),
    "client": ("outbound",),
}
_PROBE = re.compile("|".join(map(re.escape, PROBES)))
_NOT_A_PROBE = f"user_agent is null or user_agent !~ '^(?:{_PROBE.pattern})'"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed; empty: everything. Values with commas between them are alternatives."""

    code: str = ""
    flag: str = ""
    slower: str = ""
    path: str = ""
    method: str = ""
    source: str = ""
    destination: str = ""
    subset: str = ""
    direction: str = ""
    no_probes: bool = False
    where: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    only: str = ""
    """`access` or `messages`."""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Where there are `fields` to compare, rows without them are left out; `probes` leaves them where they are."""

    fields: Filter | None = None
    probes: Filter | None = None
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    only: str = ""
    since_ns: int | None = None

    @property
    def reads_lines(self) -> bool:
        """Whether it needs the lines as they were written."""
        return bool(self.include or self.exclude or self.probes)

    def apply(self, rows: Rows) -> Rows:
        """The rows that are shown."""
        tables = {}
        for name, table in rows.tables.items():
            kept = table.take(self._mask(name, table)) if self else table
            if kept.batch.num_rows:
                tables[name] = kept
        return Rows(tables, rows.lines)

    def __bool__(self) -> bool:
        return bool(self.fields or self.reads_lines or self.only or self.since_ns is not None)

    def _mask(self, name: str, table: Table) -> npt.NDArray[np.bool_]:
        count = table.batch.num_rows
        if name == ACCESS_LOG:
            if self.only == "messages":
                return np.zeros(count, bool)
            mask = np.ones(count, bool)
            for compiled in (self.fields, self.probes):
                if compiled is not None:
                    mask &= compiled.mask(table.batch)
        else:
            mask = np.full(count, self.fields is None and self.only != "access")
        if self.since_ns is not None:
            mask &= times_of(table) >= self.since_ns
        probes = self.probes is not None and name != ACCESS_LOG
        if not (self.include or self.exclude or probes) or not mask.any():
            return mask
        texts = line_texts(name, table)
        for i in np.flatnonzero(mask).tolist():
            text = texts[i]
            mask[i] = (
                all(p.search(text) for p in self.include)
                and not any(p.search(text) for p in self.exclude)
                and not (probes and _PROBE.search(text))
            )
        return mask


def times_of(table: Table) -> npt.NDArray[np.int64]:
    """Nanoseconds of each row: of the runtime where they are known, else of the line itself."""
    if not (table.times == NO_TIME).any():
        return table.times
    return np.where(table.times == NO_TIME, own_times(table), table.times)


def own_times(table: Table) -> npt.NDArray[np.int64]:
    """Nanoseconds that the lines themselves say; NO_TIME where one says none."""
    index = table.batch.schema.get_field_index("timestamp")
    if index < 0:
        return np.full(table.batch.num_rows, NO_TIME, np.int64)
    column: Any = table.batch.column(index)
    values = column.cast("int64").fill_null(0).to_numpy(zero_copy_only=False) * 1000
    return np.where(np.asarray(column.is_valid()), values, NO_TIME)


def line_texts(name: str, table: Table) -> Sequence[str]:
    """The lines as they were written; rows that came without their lines are JSON."""
    if table.raw is not None:
        return [line.decode("utf-8", "replace") for line in table.raw]
    return rows_as_json(name, table.batch)


def compile_wanted(wanted: Wanted, now: datetime) -> Filters:
    """Read what was typed. Raises ConfigError naming the option, ExpressionError with a caret for `--where`."""
    parts: list[tuple[str, str]] = []
    for option, text, make in (
        ("--code", wanted.code, lambda t: f"code in ({', '.join(_words('--code', t))})"),
        ("--flag", wanted.flag, lambda t: f"has_flag({', '.join(_flags(t))})"),
        ("--slower", wanted.slower, lambda t: f"duration >= {_quoted(t)}"),
        ("--path", wanted.path, lambda t: " or ".join(f"path ~ {_quoted(_path(p))}" for p in _words("--path", t))),
        (
            "--method",
            wanted.method,
            lambda t: f"method in ({', '.join(_quoted(w.upper()) for w in _words('--method', t))})",
        ),
        ("--source", wanted.source, lambda t: _source(_words("--source", t))),
        ("--destination", wanted.destination, lambda t: _destination(_words("--destination", t))),
        ("--subset", wanted.subset, lambda t: f"subset in ({', '.join(map(_quoted, _words('--subset', t)))})"),
        ("--direction", wanted.direction, _direction),
    ):
        if text:
            parts.append((option, _checked(option, text, make, now)))
    if wanted.where:
        compile_filter(wanted.where, ACCESS_LOG_TABLE, now=now)
        parts.append(("--where", wanted.where))
    fields = compile_filter(" and ".join(f"({text})" for _, text in parts), now=now) if parts else None
    if wanted.only and wanted.only not in ("access", "messages"):
        raise ConfigError(f"--only: {wanted.only!r} is neither access nor messages")
    return Filters(
        fields,
        compile_filter(_NOT_A_PROBE, now=now) if wanted.no_probes else None,
        tuple(pattern("--include", p) for p in wanted.include),
        tuple(pattern("--exclude", p) for p in wanted.exclude),
        wanted.only,
        int(wanted.since.timestamp() * 10**9) if wanted.since else None,
    )


def pattern(option: str, text: str) -> re.Pattern[str]:
    """A regular expression. Raises ExpressionError with the place of the fault."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ExpressionError(
            f"{option} pattern", text, min(error.pos or 0, len(text)), f"a regular expression ({error.msg})"
        ) from error


def _checked(option: str, text: str, make: Callable[[str], str], now: datetime) -> str:
    made = make(text)
    try:
        compile_filter(made, now=now)
    except ExpressionError as error:
        examples: Mapping[str, str] = {
            "--code": "codes such as 503, 404,5xx",
            "--slower": "a duration such as 500ms or 1.5s",
        }
        raise ConfigError(
            f"{option}: {text!r} does not read", f"write {examples.get(option, error.expected)}"
        ) from error
    return made


def _words(option: str, text: str) -> list[str]:
    words = [w.strip() for w in text.split(",") if w.strip()]
    if not words:
        raise ConfigError(f"{option}: nothing is named")
    return words


def _flags(text: str) -> list[str]:
    return [_quoted(w.upper()) for w in _words("--flag", text)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _path(glob: str) -> str:
    """The path without its query fits the pattern; one that names a query is compared with it."""
    pieces = (
        ".*" if p == "*" else "." if p == "?" and "=" not in glob else re.escape(p) for p in re.split(r"([*?])", glob)
    )
    return f"(?s)^{''.join(pieces)}(?:\\?.*)?$"


def _source(names: Sequence[str]) -> str:
    """Only a client's own line tells who called."""
    return f"direction = outbound and app in ({', '.join(map(_quoted, names))})"


def _destination(names: Sequence[str]) -> str:
    """The host in the cluster or SNI, whole or its first labels; on a server's line without it the server itself."""
    hosts = "|".join(re.escape(n) for n in names)
    apps = ", ".join(map(_quoted, names))
    return (
        f"service ~ {_quoted(f'^(?:{hosts})(?:[.]|$)')}"
        f" or (service is null and direction in (inbound, 'inbound-vip') and app in ({apps}))"
    )


def _direction(text: str) -> str:
    found: list[str] = []
    for word in _words("--direction", text):
        if word.lower() not in DIRECTIONS:
            raise ConfigError(f"--direction: {word!r} is none", "inbound (server's lines) or outbound (client's lines)")
        found += DIRECTIONS[word.lower()]
    return f"direction in ({', '.join(map(_quoted, found))})"
