"""Rows for programs: JSON lines, logfmt, the lines as they came, and templates."""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from logproc.columns import TABLES
from logproc.errors import ExpressionError
from logproc.jsonl import json_lines
from logproc.output import as_text
from logproc.tail.filters import line_texts
from logproc.tail.reading import POD_COLUMNS, Rows, Table
from logproc.tail.view import in_order
from logproc.text_table import printable
from logproc.where import ALIASES

_NEEDS_QUOTES = re.compile(r'[\s="\\\x00-\x1f\x7f]')


class Form(Protocol):
    """Makes the text of rows."""

    def text(self, rows: Rows) -> bytes | memoryview:
        """The rows in their order, each with its newline, in UTF-8."""
        ...


def ended(lines: Sequence[str]) -> bytes:
    """Each line with its newline, in UTF-8."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


class Json:
    """The objects of `logproc parse --output jsonl`, and where the line comes from."""

    def text(self, rows: Rows) -> memoryview:
        """One object for each row."""
        tables = {n: _placed_last(t.batch) for n, t in rows.tables.items()}
        return json_lines(tables, {n: t.places for n, t in rows.tables.items()})


def _placed_last(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`line` first, the pod after what the line itself says; application and version are left to the store."""
    names = batch.schema.names
    pod = [n for n in POD_COLUMNS[:3] if n in names]
    return batch.select(["line"] * ("line" in names) + [n for n in names if n not in ("line", *POD_COLUMNS)] + pod)


class Logfmt:
    """`key=value` for each column that has a value."""

    def text(self, rows: Rows) -> bytes:
        """One line of pairs for each row."""
        return ended(in_order(rows, {n: self._table(n, t) for n, t in rows.tables.items()}))

    def _table(self, name: str, table: Table) -> list[str]:
        found = [f"table={name}"] * table.batch.num_rows
        batch = _placed_last(table.batch)
        for field in batch.schema:
            column: Any = batch.column(batch.schema.get_field_index(field.name))
            if column.null_count == len(column):
                continue
            texts = _readable(batch.select([field.name]))
            found = [
                line if text is None else f"{line} {field.name}={_logfmt(text)}"
                for line, text in zip(found, texts, strict=True)
            ]
        return found


def _logfmt(text: str) -> str:
    if text and not _NEEDS_QUOTES.search(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{printable(escaped)}"'


def _readable(batch: pa.RecordBatch) -> list[str | None]:
    column: Any = as_text(batch).column(0)
    if pa.types.is_integer(column.type):
        column = pc.cast(column, pa.string())
    return [None if v is None else str(v) for v in column.to_pylist()]


class Raw:
    """The lines as they were written."""

    def text(self, rows: Rows) -> bytes:
        """The line of each row."""
        return ended(in_order(rows, {n: list(line_texts(n, t)) for n, t in rows.tables.items()}))


class Template:
    """`'{time} {pod} {code}'`: columns by their names or short names, optionally with a width as in `{code:>5}`."""

    def __init__(self, text: str) -> None:
        """Raise ExpressionError for a template that does not read and for a name that no table has."""
        known = dict.fromkeys([*(c for t in TABLES.values() for c in t.schema.names if t.name != "ledger"), "table"])
        self._parts: list[tuple[str, str, str]] = []
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ExpressionError("template", text, len(text), f"a template ({error})") from error
        at = 0
        for literal, name, spec, _ in parsed:
            at = text.find("{", at + len(literal)) if name is not None else at
            if name is None:
                self._parts.append((literal, "", ""))
                continue
            column = ALIASES.get(name, name)
            if column not in known:
                near = difflib.get_close_matches(name, [*known, *ALIASES], 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(ALIASES)}, and all columns"
                raise ExpressionError("template", text, at + 1, "a column", hint)
            try:
                format("", spec or "")
            except ValueError as error:
                raise ExpressionError("template", text, at + 1 + len(name), f"a width ({error})") from error
            self._parts.append((literal, column, spec or ""))
            at += 1

    def text(self, rows: Rows) -> bytes:
        """The template filled with each row; what is missing is `-`."""
        return ended(in_order(rows, {n: self._table(n, t) for n, t in rows.tables.items()}))

    def _table(self, name: str, table: Table) -> list[str]:
        count = table.batch.num_rows
        columns: list[Sequence[str]] = []
        for literal, column, spec in self._parts:
            columns.append([literal] * count)
            if column == "table":
                columns.append([format(name, spec)] * count)
            elif column and table.batch.schema.get_field_index(column) < 0:
                columns.append([format("-", spec)] * count)
            elif column:
                texts = _readable(table.batch.select([column]))
                columns.append([format("-" if t in (None, "") else printable(str(t)), spec) for t in texts])
        return ["".join(parts) for parts in zip(*columns, strict=True)]


FORMS = ("text", "wide", "raw", "json", "jsonl", "logfmt")
"""The forms besides templates."""


def make_form(form: str) -> Form | None:
    """The form that `--output` names; None for the view itself. Raises ConfigError."""
    if "{" in form:
        return Template(form)
    forms: dict[str, Callable[[], Form]] = {"json": Json, "jsonl": Json, "logfmt": Logfmt, "raw": Raw}
    return forms[form]() if form in forms else None
