"""A batch as one message of a topic: headers that tell what is in it, and its tables as value, the same bytes as on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from logproc import codec
from logproc.columns import TABLES
from logproc.errors import LogprocError
from logproc.model import LEDGER, ROW_TABLES, Batch, Span, SpanCounts, Stream

VERSION = 1
"""Of the headers and of the tables' columns. A reader knows it and all before it."""
VERSION_HEADER = "logproc-version"
BATCH_HEADER = "logproc-batch"

Headers = Sequence[tuple[str, bytes]]


class Foreign(ValueError):  # noqa: N818  it says what the message is
    """The message is no batch of ours, or one that cannot be read."""


class NewerError(LogprocError):
    """The message was written by a newer logproc: nothing after it may be read before it."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the topic has batches of version {version}, and this logproc reads up to {VERSION}",
            "upgrade the loaders before the collectors; nothing was skipped, and the newer one goes on here",
        )


def headers_of(batch: Batch) -> list[tuple[str, bytes]]:
    """What a receiver can know without reading the tables."""
    return [
        (VERSION_HEADER, b"%d" % VERSION),
        (BATCH_HEADER, json.dumps(public_header(batch), separators=(",", ":")).encode()),
    ]


def value_of(batch: Batch) -> bytes:
    """The tables."""
    return batch.encoded or codec.encode(batch.tables)


def without_tables(headers: Headers) -> Batch:
    """The batch that the headers tell of, without tables. Raises Foreign, and NewerError."""
    found = dict(headers)
    if VERSION_HEADER not in found or BATCH_HEADER not in found:
        raise Foreign("it has no logproc headers")
    version = found[VERSION_HEADER].decode("ascii", "replace")
    if not version.isdigit():
        raise Foreign("its header logproc-version is no number")
    if int(version) > VERSION:
        raise NewerError(version)
    try:
        return batch_of(json.loads(found[BATCH_HEADER]), b"")
    except (ValueError, KeyError, TypeError) as error:
        raise Foreign(f"its header logproc-batch cannot be read: {error}") from error


def with_tables(header: Batch, value: bytes) -> Batch:
    """The whole batch, with every column that the tables have today. Raises Foreign, and NewerError for a column of tomorrow."""
    try:
        tables = codec.decode(value)
    except ValueError as error:
        raise Foreign(str(error)) from error
    if unknown := set(tables) - set(TABLES):
        raise NewerError(f"with a table {min(unknown)}")
    whole = {name: _conform(name, tables[name]) for name in (*ROW_TABLES, LEDGER) if name in tables}
    _compare(header, whole)
    return replace(header, tables=whole, encoded=value)


def _conform(name: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    schema = TABLES[name].schema
    if rows.schema.equals(schema):
        return rows
    if unknown := set(rows.schema.names) - set(schema.names):
        raise NewerError(f"with a column {name}.{min(unknown)}")
    columns = []
    for field in schema:
        if field.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(field.name)
        try:
            columns.append(column if column.type.equals(field.type) else column.cast(field.type))
        except pa.ArrowException as error:
            raise Foreign(f"{name}.{field.name} is {column.type}, not {field.type}") from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _compare(header: Batch, tables: Mapping[str, pa.RecordBatch]) -> None:
    """Rows that the ledger does not tell of, or the other way round, must not be stored: nobody could say later what is."""
    rows = [tables[name].num_rows if name in tables else 0 for name in ROW_TABLES]
    told = [sum(c) for c in zip(*((s.access_rows, s.message_rows, s.rejected_rows) for s in header.spans), strict=True)]
    if any(rows) and rows != (told or [0, 0, 0]):
        raise Foreign(f"its tables have {rows} rows and its header tells of {told}")
    if LEDGER not in tables:
        raise Foreign("it has no ledger")


def public_header(batch: Batch) -> dict[str, Any]:
    """What a receiver has to know of a batch beside its tables."""
    streams = {s: i for i, s in enumerate(dict.fromkeys(c.stream for c in batch.spans))}
    return {
        "collector": batch.collector,
        "seq": batch.seq,
        "sealed_at": batch.sealed_at,
        "raw_bytes": batch.raw_bytes,
        "streams": [(s.path, s.k8s_namespace, s.k8s_pod, s.k8s_container, s.k8s_pod_uid, s.restart) for s in streams],
        "spans": [
            (
                (c.span.file_id, c.span.start, c.span.end, c.span.first_line, c.span.lines), streams[c.stream],
                c.access_rows, c.message_rows, c.rejected_rows, c.joined, c.left_out, c.joined_runs,
                c.min_time, c.max_time, c.doubtful_time,
            )
            for c in batch.spans
        ],
    }  # fmt: skip


def batch_of(header: Mapping[str, Any], encoded: bytes) -> Batch:
    """The batch of a public header and its encoded tables. Raises ValueError, KeyError, TypeError for what is none."""
    streams = [Stream(*fields) for fields in header["streams"]]
    spans = tuple(_counts(fields, streams) for fields in header["spans"])
    tables = codec.decode(encoded) if encoded else {}
    return Batch(
        header["collector"], header["seq"], header["sealed_at"], spans, tables, encoded, header["raw_bytes"]
    )  # fmt: skip


def _counts(fields: Iterable[Any], streams: Sequence[Stream]) -> SpanCounts:
    span, stream, access, message, rejected, joined, left_out, runs, min_time, max_time, doubtful = fields
    return SpanCounts(
        Span(*span), streams[stream], access, message, rejected, joined, left_out, tuple((a, b) for a, b in runs),
        min_time, max_time, doubtful,
    )  # fmt: skip
