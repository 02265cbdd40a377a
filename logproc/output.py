"""What a reading command prints: the formats it can be asked for, and record batches written in them.

On the way to a program values keep their exact form: times as RFC 3339 in UTC, UUIDs as text, a missing value as nothing
(CSV), ``\\N`` (TSV) or null, so that it differs from an empty one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO, cast

from logproc.errors import ConfigError
from logproc.text_table import Heading, Kind, TextTable

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 128 * 1024
"""Rows of a Parquet row group: readers skip whole groups, and the writer holds one in memory."""


class Format(StrEnum):
    """The output formats of `query` and `report`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    ARROW = "arrow"


BINARY = {"parquet", "arrow"}


class Writer(Protocol):
    """Takes record batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows."""
        ...

    def close(self) -> None:
        """Write what ends the format. The stream stays open."""
        ...


def refuse_binary_on_terminal(format: str) -> None:
    """Raise ConfigError where a binary format would be printed on a terminal."""
    if format in BINARY and sys.stdout.isatty():
        raise ConfigError(
            f"{format} is binary and would garble the terminal", f"write it to a file: ... -o {format} > FILE"
        )


def text_table(headings: list[Heading], *, header: bool = True, out: TextIO | None = None) -> TextTable:
    """A table on standard output: fitted to a terminal's width and with a bold heading there, whole and plain elsewhere."""
    out = out or sys.stdout
    terminal = out.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    return TextTable(out, headings, width=width, colour=terminal and colours(), header=header)


def colours() -> bool:
    """Whether a terminal may be given colours: not with NO_COLOR, not on a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def writer(format: str, out: BinaryIO, schema: pa.Schema, *, header: bool = True) -> Writer:
    """A writer of record batches in csv, tsv, arrow or parquet."""
    match format:
        case "csv":
            return _Csv(out, schema, header)
        case "tsv":
            return _Tsv(out, schema, header)
        case "arrow":
            return _Arrow(out, schema)
        case "parquet":
            return _Parquet(out, schema)
    raise ConfigError(f"there is no output format {format!r}", "known: csv, tsv, arrow, parquet")


class Table:
    """Record batches as a text table."""

    def __init__(self, schema: pa.Schema, *, header: bool = True) -> None:
        self._table = text_table([Heading(f.name, kind(f.type)) for f in schema], header=header)

    def write(self, batch: pa.RecordBatch) -> None:
        """Print the rows."""
        values = [column.to_pylist() for column in as_values(batch).columns]
        self._table.write(list(zip(*values, strict=True)))

    def close(self) -> None:
        """Print the heading where there were no rows."""
        self._table.write([])


class _Csv:
    def __init__(self, out: BinaryIO, schema: pa.Schema, header: bool) -> None:
        from pyarrow import csv

        self._writer = csv.CSVWriter(out, text_schema(schema), write_options=csv.WriteOptions(include_header=header))

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(as_text(batch))

    def close(self) -> None:
        self._writer.close()


class _Tsv:
    """Tab-separated as ClickHouse reads it: backslash, tab and newline escaped, ``\\N`` for a missing value."""

    ESCAPES = str.maketrans(
        {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
    )

    def __init__(self, out: BinaryIO, schema: pa.Schema, header: bool) -> None:
        self._out = out
        if header:
            self._lines([schema.names])

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            [None if v is None else v if isinstance(v, str) else str(v) for v in column.to_pylist()]
            for column in as_text(batch).columns
        ]
        self._lines(zip(*columns, strict=True))

    def _lines(self, rows: Any) -> None:
        self._out.write(
            "".join(
                "\t".join("\\N" if cell is None else cell.translate(self.ESCAPES) for cell in row) + "\n"
                for row in rows
            ).encode()
        )

    def close(self) -> None:
        """Nothing ends the format."""


class _Arrow:
    def __init__(self, out: BinaryIO, schema: pa.Schema) -> None:
        import pyarrow as pa

        self._schema = typed_schema(schema)
        self._writer = pa.ipc.new_stream(cast(Any, out), self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(as_typed(batch, self._schema))

    def close(self) -> None:
        self._writer.close()


class _Parquet:
    def __init__(self, out: BinaryIO, schema: pa.Schema) -> None:
        from pyarrow import parquet

        self._schema = typed_schema(schema)
        self._writer = parquet.ParquetWriter(out, self._schema, compression="zstd")
        self._group: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._group.append(as_typed(batch, self._schema))
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._group, self._schema))
        self._group, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


def json_text(value: Any) -> str:
    """A value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


def kind(arrow: pa.DataType) -> Kind:
    """How a column of an Arrow type is shown in a table."""
    import pyarrow as pa

    if pa.types.is_timestamp(arrow):
        return Kind.TIME
    number = pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow)
    return Kind.NUMBER if number else Kind.TEXT


def typed_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with 16 bytes as Arrow's UUID type, which Parquet readers show as one."""
    import pyarrow as pa

    return pa.schema([f.with_type(pa.uuid()) if f.type == pa.binary(16) else f for f in schema])


def as_typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in a schema of `typed_schema`."""
    import pyarrow as pa

    columns: list[pa.Array[Any]] = [
        pa.ExtensionArray.from_storage(field.type, column) if field.type == pa.uuid() else column
        for field, column in zip(schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def text_schema(schema: pa.Schema) -> pa.Schema:
    """The schema that `as_text` gives: numbers stay numbers, everything else is text."""
    import pyarrow as pa

    return pa.schema([f if kind(f.type) is Kind.NUMBER else f.with_type(pa.string()) for f in schema])


def as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as programs that read text get it."""
    import pyarrow as pa

    columns = [_text(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=text_schema(batch.schema))


def as_values(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as a table shows it: everything that is no number is text."""
    import pyarrow as pa

    columns = [_text(column, "%Y-%m-%d %H:%M:%S") for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _text(column: Any, time_format: str = "%Y-%m-%dT%H:%M:%SZ") -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    arrow = column.type
    if kind(arrow) is Kind.NUMBER or arrow == pa.string():
        return column
    if pa.types.is_timestamp(arrow):
        return pc.strftime(column, format=time_format)
    if arrow in (pa.binary(16), pa.uuid()):
        return uuid_text(column.storage if arrow == pa.uuid() else column)
    if pa.types.is_map(arrow):
        # A line without extra fields has an empty map and shows nothing.
        values = [json_text(dict(v)) if v else None for v in column.to_pylist()]
        return pa.array(values, pa.string())
    if pa.types.is_binary(arrow):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def uuid_text(column: Any) -> Any:
    """16 bytes as the text of a UUID."""
    import numpy as np
    import pyarrow as pa

    if not len(column):
        return pa.array([], pa.string())
    filled = column.fill_null(bytes(16)) if column.null_count else column
    raw = np.frombuffer(filled.buffers()[1], np.uint8, len(filled) * 16, filled.offset * 16).reshape(-1, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((len(raw), 36), ord("-"), np.uint8)
    places = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])
    text[:, places[0::2]] = digits[raw >> 4]
    text[:, places[1::2]] = digits[raw & 15]
    offsets = np.arange(0, (len(raw) + 1) * 36, 36, dtype=np.int32)
    result: Any = pa.StringArray.from_buffers(len(raw), pa.py_buffer(offsets.data), pa.py_buffer(text.data))
    if column.null_count:
        import pyarrow.compute as pc

        result = pc.if_else(pc.is_valid(column), result, pa.scalar(None, pa.string()))
    return result
