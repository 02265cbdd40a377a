"""Rows of lines, chunk by chunk, in the form that `parse` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from logproc import output
from logproc.columns import WORD
from logproc.jsonl import json_lines
from logproc.model import ACCESS_LOG
from logproc.parsing import Rows, conform, schema
from logproc.where import Filter

SHOWN = {
    "access_log": (
        "timestamp", "method", "path", "response_code", "response_flags", "response_code_details", "duration_ms",
        "upstream_cluster",
    ),
    "message_log": ("timestamp", "level", "scope", "message"),
    "rejected_line": ("line", "reason", "length", "raw"),
}  # fmt: skip
"""Columns of a text table unless others are asked for."""


@dataclass(slots=True)
class Selection:
    """Which rows and columns are printed: of one `table` (None: of all), those that pass `filter`; no `columns`: the usual ones."""

    table: str | None = None
    filter: Filter | None = None
    columns: tuple[str, ...] = ()
    several: bool = False
    """Rows come from several files, whose name has to stand beside them."""
    selected: int = 0
    """Rows that were selected so far, where one table was named."""

    def tables(self, rows: Rows) -> dict[str, pa.RecordBatch]:
        """The selected rows of the selected tables."""
        if self.table is None:
            return dict(rows.tables)
        batch = rows.tables.get(self.table)
        if batch is None:
            return {}
        if self.filter is not None:
            batch = self.filter.apply(batch)
        self.selected += batch.num_rows
        return {self.table: batch} if batch.num_rows else {}


class Printer(Protocol):
    """Takes the rows of chunk after chunk."""

    def show(self, rows: Rows, file: str) -> None:
        """Print the selected rows, which are of this file."""
        ...

    def close(self) -> None:
        """Print what ends the form."""
        ...


def make_printer(form: str, out: BinaryIO, selection: Selection) -> Printer:
    """A printer for one of table, jsonl, csv, arrow, parquet, none."""
    if form == "none":
        return Nothing()
    return JsonLines(out, selection) if form == "jsonl" else Columns(form, out, selection)


class Nothing:
    """Prints nothing."""

    def show(self, rows: Rows, file: str) -> None:
        """Let the rows go."""

    def close(self) -> None:
        """Nothing to end."""


class JsonLines:
    """One object for each row, in the order of the lines."""

    def __init__(self, out: BinaryIO, selection: Selection) -> None:
        self._out, self._selection = out, selection

    def show(self, rows: Rows, file: str) -> None:
        """Print the selected rows."""
        tables = self._selection.tables(rows)
        if self._selection.columns:
            wanted = ("line", *self._selection.columns)
            tables = {t: batch.select([n for n in wanted if n in batch.schema.names]) for t, batch in tables.items()}
        numbers = {t: np.asarray(batch.column("line").to_numpy(), np.int64) for t, batch in tables.items()}
        more = ""
        if self._selection.several:
            name = file.encode("utf-8", "replace").decode()  # a file's name may be no UTF-8
            more = f',"file":{output.json_text(name)}'
        self._out.write(json_lines(tables, numbers, more))

    def close(self) -> None:
        """Nothing ends JSON lines."""


class Columns:
    """The rows of one table, in one of the forms of `logproc.output`."""

    def __init__(self, form: str, out: BinaryIO, selection: Selection) -> None:
        table = selection.table or ACCESS_LOG
        names = selection.columns or (SHOWN[table] if form == "table" else schema(table).names)
        fields: list[Any] = [schema(table).field(name) for name in names]
        if selection.several:
            fields.insert(0, pa.field("file", WORD))
        self._schema = pa.schema(fields)
        self._selection = selection
        self._writer = output.Table(self._schema) if form == "table" else output.writer(form, out, self._schema)

    def show(self, rows: Rows, file: str) -> None:
        """Print the selected rows."""
        for batch in self._selection.tables(rows).values():
            shown = batch
            if self._selection.several:
                names = pa.DictionaryArray.from_arrays(np.zeros(batch.num_rows, np.int32), pa.array([file]))
                shown = pa.RecordBatch.from_arrays([names, *batch.columns], ["file", *batch.schema.names])
            self._writer.write(conform(shown, self._schema))

    def close(self) -> None:
        """End the form."""
        self._writer.close()
