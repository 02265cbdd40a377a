"""One way to speak to a ClickHouse, embedded or not: Arrow in, Arrow out, errors translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_connect.driver.client import Client

from logproc.errors import LogprocError, Unavailable
from sinks.answers import translated

ONE_BLOCK: dict[str, Any] = {
    # A repeated token is recognised block by block, so an insert has to be one block, and the same one again.
    "min_insert_block_size_rows": 1 << 30,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    # Old logs read again span many days; the default refuses more than 100 of them in one insert.
    "max_partitions_per_insert_block": 0,
    "async_insert": 0,
    # On a cluster an insert would else return before the shards have the rows.
    "distributed_foreground_insert": 1,
    "insert_deduplicate": 1,
    # Off before 26.2: a repeated insert would count twice in the rollup.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_null_as_default": 1,
    # A column that the batch lacks must be an error, not a column of zeros.
    "input_format_arrow_allow_missing_columns": 0,
    "input_format_skip_unknown_fields": 0,
}


class Connection:
    """One client of one store. Not for several threads at a time.

    `place` names the store in messages (a URL without password); `only_writer` says that no other process can write to it.
    """

    def __init__(self, client: Client, place: str, *, only_writer: bool = False) -> None:
        self.client = client
        self.place = place
        self.only_writer = only_writer

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        meaning: type[LogprocError] = Unavailable,
    ) -> pa.Table:
        """The result of a SELECT. `meaning` is the kind of error that a failure becomes."""
        with translated(self.place, meaning):
            # clickhouse-connect takes % for its own placeholders as soon as parameters are given.
            raw = self.client.raw_query(
                sql, dict(parameters) if parameters else None, dict(settings or {}), "ArrowStream"
            )
        return pa.ipc.open_stream(raw).read_all() if raw else pa.table({})

    def command(self, sql: str, meaning: type[LogprocError] = Unavailable) -> None:
        """Run a statement without a result."""
        with translated(self.place, meaning):
            self.client.command(sql)

    def insert(self, table: str, rows: pa.RecordBatch, settings: Mapping[str, Any], query_id: str) -> None:
        """Insert all rows as one block. `table` is qualified and quoted. Raises what clickhouse-connect raises."""
        body = arrow_stream(rows, pa.ipc.IpcWriteOptions(compression="lz4"))
        self.client.raw_insert(
            table,
            rows.schema.names,
            body.to_pybytes(),
            # Without the wait an answer can begin with 200 and end with an error.
            {**settings, "query_id": query_id, "wait_end_of_query": 1},
            "ArrowStream",
        )

    def close(self) -> None:
        """Let go of the store."""
        self.client.close()


def arrow_stream(rows: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> pa.Buffer:
    """One record batch as an Arrow IPC stream, see `write_stream`."""
    out = pa.BufferOutputStream()
    write_stream(rows, out, options)
    return out.getvalue()


def write_stream(rows: pa.RecordBatch, out: pa.NativeFile, options: pa.ipc.IpcWriteOptions) -> None:
    """Write one record batch as an Arrow IPC stream, with "" for words that are missing, as the tables have them."""
    rows = _with_all_words(rows)
    with pa.ipc.new_stream(out, rows.schema, options=options) as writer:
        writer.write_batch(rows)


def _with_all_words(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with "" for each null in a dictionary column.

    ClickHouse would do the same, row by row: reading a dictionary without nulls takes it half the time.
    """
    columns: list[Any] = []
    for column in rows.columns:
        words: Any = column
        if pa.types.is_dictionary(words.type) and words.null_count:
            dictionary = words.dictionary
            empty = pc.index(dictionary, "").as_py()
            if empty < 0:
                empty = len(dictionary)
                dictionary = pa.concat_arrays([dictionary, pa.array([""], dictionary.type)])
            indices = pc.fill_null(words.indices, pa.scalar(empty, words.indices.type))
            words = pa.DictionaryArray.from_arrays(indices, dictionary)
        columns.append(words)
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def quoted(*names: str) -> str:
    """A name as ClickHouse reads it whatever is in it: `` `database`.`table` ``."""
    return ".".join("`" + n.replace("\\", "\\\\").replace("`", "\\`") + "`" for n in names)


def literal(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
