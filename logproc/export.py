"""Rows of a store to Parquet files: a slice of time after the other, so that memory is bounded whatever is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from logproc.columns import Table
from logproc.errors import ConfigError, SinkError
from logproc.output import ROW_GROUP_ROWS, as_typed, typed_schema

SLICE_ROWS = 250_000
"""Rows that are asked for at once; the embedded engine holds an answer whole, about 1 KB a row."""
_SHORTEST = timedelta(microseconds=1)
_SETTINGS: Mapping[str, Any] = {"output_format_arrow_low_cardinality_as_dictionary": 0}


class Asked(Protocol):
    """A store that answers with tables."""

    def query_arrow(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> pa.Table:
        """The result of a SELECT. Raises QueryError."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is exported: rows of `table` with `since <= timestamp < until` for which `condition` (SQL) holds."""

    table: Table
    since: datetime
    until: datetime
    columns: tuple[str, ...]
    condition: str = "1"


@dataclass(slots=True)
class Exported:
    """What was written so far, and up to which time."""

    rows: int = 0
    files: int = 0
    bytes: int = 0
    until: datetime | None = None


def export(
    store: Asked,
    chosen: Chosen,
    folder: Path,
    settings: Mapping[str, Any],
    progress: Callable[[Exported], None] = lambda _: None,
) -> Exported:
    """Write a file for each hour that has rows, `FOLDER/TABLE/2026-11-20T10.parquet`, in the order of time.

    A file of that name is replaced, and seen only when it is whole. Raises ConfigError for a folder that cannot be made, SinkError
    where writing fails (no space).
    """
    done = Exported()
    target = folder / chosen.table.name
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}") from error
    for begin, end, count in _hours(store, chosen, settings):
        path = target / f"{begin.replace(minute=0, second=0, microsecond=0):%Y-%m-%dT%H}.parquet"
        try:
            _write(path, _slices(store, chosen, (begin, end), count, settings), done, progress)
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror or error}", "free some space and export again") from error
        done.files += 1
        done.bytes += path.stat().st_size
        done.until = end
        progress(done)
    return done


def _write(path: Path, tables: Iterator[pa.Table], done: Exported, progress: Callable[[Exported], None]) -> None:
    partial = path.with_suffix(".partial")
    writer: Any = None
    try:
        for table in tables:
            schema = typed_schema(table.schema)
            writer = writer or parquet.ParquetWriter(partial, schema, compression="zstd")
            batches = [as_typed(batch, schema) for batch in table.to_batches()]
            writer.write_table(pa.Table.from_batches(batches, schema), row_group_size=ROW_GROUP_ROWS)
            done.rows += table.num_rows
            progress(done)
        if writer is not None:
            writer.close()
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _where(chosen: Chosen, begin: datetime, end: datetime) -> str:
    return f"timestamp >= {_moment(begin)} AND timestamp < {_moment(end)} AND {chosen.condition}"


def _hours(store: Asked, chosen: Chosen, settings: Mapping[str, Any]) -> list[tuple[datetime, datetime, int]]:
    """Begin, end and rows of each hour that has rows, cut to what was asked for."""
    found = store.query_arrow(
        f"SELECT toUnixTimestamp(toStartOfHour(timestamp)) AS hour, count() AS n FROM {chosen.table.name} "
        f"WHERE {_where(chosen, chosen.since, chosen.until)} GROUP BY hour ORDER BY hour",
        settings=settings,
    )
    hours = [(datetime.fromtimestamp(row["hour"], UTC), row["n"]) for row in found.to_pylist()]
    return [(max(h, chosen.since), min(h + timedelta(hours=1), chosen.until), n) for h, n in hours]


def _slices(
    store: Asked, chosen: Chosen, span: tuple[datetime, datetime], count: int, settings: Mapping[str, Any]
) -> Iterator[pa.Table]:
    """The rows of a time, in halves as long as one has too many."""
    begin, end = span
    if count > SLICE_ROWS and end - begin > _SHORTEST:
        middle = begin + (end - begin) / 2
        for half in ((begin, middle), (middle, end)):
            counted = store.query_arrow(
                f"SELECT count() AS n FROM {chosen.table.name} WHERE {_where(chosen, *half)}", settings=settings
            )
            if n := counted["n"][0].as_py():
                yield from _slices(store, chosen, half, n, settings)
        return
    names = ", ".join(f"`{name}`" for name in chosen.columns)
    table = store.query_arrow(
        f"SELECT {names} FROM {chosen.table.name} WHERE {_where(chosen, begin, end)} ORDER BY timestamp, file_id, line",
        settings={**settings, **_SETTINGS},
    )
    yield _as_columns(table, chosen.table, chosen.columns)


def _as_columns(table: pa.Table, columns: Table, names: Sequence[str]) -> pa.Table:
    """In the types of `columns`: what the engine says of a map or a UUID differs from one version to the next."""
    arrays: list[Any] = []
    for name in names:
        kind = columns.column(name).arrow
        column: Any = table.column(name).combine_chunks()
        if pa.types.is_dictionary(kind):
            kind = pa.string()
        if column.type == pa.uuid():
            column = column.storage
        arrays.append(column if column.type == kind else column.cast(kind))
    fields: list[pa.Field[Any]] = [pa.field(n, a.type) for n, a in zip(names, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _moment(at: datetime) -> str:
    return (
        f"fromUnixTimestamp64Micro({round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))}, 'UTC')"
    )
