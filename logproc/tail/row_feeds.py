"""Rows that are made already: the live end of a topic, and what is newly stored."""

# The names in these statements are our own tables.
# ruff: noqa: S608

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.broker import Broker, translated
from logproc.columns import TABLES
from logproc.errors import ConfigError, Unavailable
from logproc.message import Foreign, NewerError, with_tables, without_tables
from logproc.model import ROW_TABLES
from logproc.tail.filters import own_times
from logproc.tail.line_times import NO_TIME
from logproc.tail.reading import Rows, Table

POLL_SECONDS = 0.5
LATE_SECONDS = 10
"""Batches of several collectors become visible in another order than they were sealed in."""
RETRY_SECONDS = 2.0
_COLUMNS_LEFT_OUT = {"received_at", "file_id", "weight"}
_WAIT_MS = 50

Ask = Callable[[str], pa.Table]
"""Runs a SELECT. Raises Unavailable where the store does not answer now."""


def rows_of(tables: Mapping[str, pa.RecordBatch]) -> Rows:
    """Rows in the order of their times. What a store keeps as an empty text or a zero UUID was missing in the line."""
    found = {name: _missing(batch) for name, batch in tables.items() if name in ROW_TABLES and batch.num_rows}
    made = {
        name: Table(batch, np.zeros(0, np.int64), np.full(batch.num_rows, NO_TIME, np.int64))
        for name, batch in found.items()
    }
    if not made:
        return Rows()
    times = np.concatenate([own_times(t) for t in made.values()])
    places = np.empty(len(times), np.int64)
    places[np.argsort(times, kind="stable")] = np.arange(len(times))
    ordered, at = {}, 0
    for name, table in made.items():
        end = at + table.batch.num_rows
        ordered[name] = Table(table.batch, places[at:end], table.times)
        at = end
    return Rows(ordered, len(times))


def _missing(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in _COLUMNS_LEFT_OUT:
            continue
        array: Any = column
        if pa.types.is_dictionary(array.type):
            texts = array.dictionary.cast(pa.string())
            blank = pc.index(texts, pa.scalar("")).as_py()
            if blank >= 0:
                indices = array.indices
                indices = pc.if_else(
                    pc.equal(indices, pa.scalar(blank, indices.type)), pa.scalar(None, indices.type), indices
                )
                array = pa.DictionaryArray.from_arrays(indices, texts)
        elif pa.types.is_string(array.type):
            array = pc.if_else(pc.equal(array, pa.scalar("")), pa.scalar(None, pa.string()), array)
        elif array.type == pa.binary(16):
            array = pc.if_else(pc.equal(array, pa.scalar(bytes(16), array.type)), pa.scalar(None, array.type), array)
        columns[name] = array
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


class TopicFeed:
    """Batches as they arrive on a topic: without a group, so nothing is committed and no loader is disturbed."""

    def __init__(
        self,
        broker: Broker,
        tell: Callable[[str], None],
        since: datetime | None = None,
        *,
        follow: bool = True,
        last: int = -1,
    ) -> None:
        """Begin at the topic's end, or at the first batch that arrived at `since` or later. Raises ConfigError, Unavailable.

        Without `follow` it ends where the topic ends now, and without `since` the `last` rows of the latest batches are shown (-1:
        all that is kept).
        """
        from kafka import KafkaConsumer, TopicPartition

        self._tell, self.behind = tell, False
        broker.reach()
        with translated(broker.place, opening=True):
            self._consumer = KafkaConsumer(
                **broker.config(), enable_auto_commit=False, allow_auto_create_topics=False, auto_offset_reset="latest",
                max_partition_fetch_bytes=4 << 20,
            )  # fmt: skip
            partitions = self._consumer.partitions_for_topic(broker.topic) or set()
            every = [TopicPartition(broker.topic, p) for p in sorted(partitions)]
            self._consumer.assign(every)
            ends = self._consumer.end_offsets(every)
            begin = dict(ends)
            if not follow:
                first = self._consumer.beginning_offsets(every)
                begin = {tp: first[tp] if last < 0 else max(first[tp], ends[tp] - 1) for tp in every}
            if since is not None:
                begin = dict(ends)
                found = self._consumer.offsets_for_times(dict.fromkeys(every, round(since.timestamp() * 1000)))
                begin |= {tp: at.offset for tp, at in found.items() if at}
            for tp in every:
                self._consumer.seek(tp, begin[tp])
        if not every and not follow:
            raise ConfigError(f"{broker.place}: there is no such topic", "`logproc topics apply URL` makes it")
        if not every:
            tell(f"{broker.place}: the topic does not exist yet; waiting for it")
        self._place, self._topic = broker.place, broker.topic
        self._ends = None if follow else ends
        self._last = -1 if follow or since is not None else last
        self._held: dict[str, list[pa.RecordBatch]] = {}

    def poll(self) -> Rows:
        """The rows of the batches that have come."""
        from kafka.errors import KafkaError

        try:
            records = self._consumer.poll(timeout_ms=_WAIT_MS, max_records=16)
        except KafkaError as error:
            self._tell(f"{self._place}: {error}; trying again")
            time.sleep(RETRY_SECONDS)
            return Rows()
        parts: dict[str, list[pa.RecordBatch]] = {}
        for record in (r for several in records.values() for r in several):
            try:
                header = without_tables([(name, value or b"") for name, value in record.headers])
                batch = with_tables(header, record.value or b"")
            except (Foreign, NewerError) as error:
                self._tell(f"{self._place}: a message is left out: {error}")
                continue
            for name, rows in batch.tables.items():
                (parts if self._last < 0 else self._held).setdefault(name, []).append(rows)
        return rows_of({name: _joined(batches) for name, batches in parts.items()})

    def finished(self) -> bool:
        """A topic goes on; without `follow` it ends where it ended at the beginning."""
        return self._ends is not None and all(self._consumer.position(tp) >= end for tp, end in self._ends.items())

    def end(self) -> Rows:
        """Of what was there the last rows."""
        rows = rows_of({name: _joined(batches) for name, batches in self._held.items()})
        self._held = {}
        if rows.lines <= max(self._last, 0):
            return rows
        if not self._last:
            return Rows()
        first = np.sort(np.concatenate([t.places for t in rows.tables.values()]))[-self._last]
        kept = {name: t.take(t.places >= first) for name, t in rows.tables.items()}
        return Rows({name: t for name, t in kept.items() if t.batch.num_rows}, self._last)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


MOST_ROWS = 300_000
"""Of one table in one answer; more than one insert has."""


class StoreFeed:
    """Rows that are newly stored, asked for twice a second."""

    def __init__(
        self, ask: Ask, tell: Callable[[str], None], *, last: int, since: datetime | None, follow: bool
    ) -> None:
        """Begin with the `last` rows, or with those stored since then."""
        self._ask, self._tell, self._follow, self.behind = ask, tell, follow, False
        self._last = last if since is None else -1
        self._asked_at = 0.0
        self._from = 0 if since is None else int(since.timestamp() * 1e6)
        self._seen: dict[tuple[int, int], int] = {}
        self._before: dict[tuple[int, int], int] = {}
        self._crowded: set[str] = set()
        self._done = False
        self._began = False

    def poll(self) -> Rows:
        """What was stored since the last time."""
        wait = self._asked_at + POLL_SECONDS - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, 0.05))
            return Rows()
        self._asked_at = time.monotonic()
        try:
            tables = self._first() if not self._began else {name: self._newer(name) for name in ROW_TABLES}
        except Unavailable as error:
            self._tell(f"{error.message}; trying again")
            self._asked_at += RETRY_SECONDS
            return Rows()
        self._began = True
        self._done = not self._follow
        fresh = {name: self._unseen(batch) for name, batch in tables.items() if batch.num_rows}
        self._seen.update(self._before)
        self._before.clear()
        return rows_of(fresh)

    def _first(self) -> dict[str, pa.RecordBatch]:
        """The rows to begin with; after it only what is stored later counts."""
        newest = 0
        for name in ROW_TABLES:
            found = self._ask(f"SELECT toUnixTimestamp64Micro(max(received_at)) AS t FROM {name}")
            newest = max(newest, found["t"][0].as_py() or 0 if found.num_rows else 0)
        if self._last < 0:
            # Everything since `since`, or everything there is.
            return {name: self._newer(name) for name in ROW_TABLES}
        tables = {
            name: _batch(self._ask(f"SELECT * FROM {name} ORDER BY timestamp DESC LIMIT {self._last}"), name)
            for name in ROW_TABLES
            if self._last
        }
        self._from = newest + 1
        self._pass_over(newest)
        if not tables:
            return {}
        times = sorted((t for b in tables.values() for t in own_times(_bare(b)).tolist()), reverse=True)[: self._last]
        least = times[-1] if times else 0
        return {name: b.filter(pa.array(own_times(_bare(b)) >= least)) for name, b in tables.items() if b.num_rows}

    def _pass_over(self, newest: int) -> None:
        """Rows that were stored before, of the time that is asked for again for late ones: they are not new."""
        begin = max(newest - LATE_SECONDS * 10**6, 0)
        for name in ROW_TABLES:
            found = self._ask(
                f"SELECT file_id, line, toUnixTimestamp64Micro(received_at) AS t FROM {name} WHERE received_at BETWEEN"
                f" fromUnixTimestamp64Micro({begin}, 'UTC') AND fromUnixTimestamp64Micro({newest}, 'UTC')"
            )
            if found.num_rows:
                files, lines, times = (found.column(i).to_pylist() for i in range(3))
                keys: list[Any] = list(zip(files, lines, strict=True))
                stored: list[Any] = times
                self._before.update(zip(keys, stored, strict=True))

    def _newer(self, name: str) -> pa.RecordBatch:
        again = LATE_SECONDS * 10**6 if self._began and name not in self._crowded else 0
        begin = max(self._from - again, 0)
        found = _batch(
            self._ask(
                f"SELECT * FROM {name} WHERE received_at >= fromUnixTimestamp64Micro({begin}, 'UTC')"
                f" ORDER BY received_at LIMIT {MOST_ROWS}"
            ),
            name,
        )
        # So many rows in the time that is asked for again that those after it do not fit: it is left out once.
        (self._crowded.add if found.num_rows >= MOST_ROWS else self._crowded.discard)(name)
        return found

    def _unseen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows that were not handed on yet; what is older than the overlap is forgotten."""
        stored: Any = batch.column("received_at").cast(pa.int64())
        received: list[int] = stored.to_pylist()
        keys: list[Any] = list(zip(batch.column("file_id").to_pylist(), batch.column("line").to_pylist(), strict=True))
        fresh = [key not in self._seen for key in keys]
        self._seen.update(zip(keys, received, strict=True))
        self._from = max(self._from, *received)
        limit = self._from - 2 * LATE_SECONDS * 10**6
        if len(self._seen) > 100_000:
            self._seen = {key: at for key, at in self._seen.items() if at >= limit}
        return batch.filter(pa.array(fresh))

    def finished(self) -> bool:
        """Without following it ends after the first answer."""
        return self._done

    def end(self) -> Rows:
        """Nothing is held."""
        return Rows()

    def close(self) -> None:
        """The command closes the store."""


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0]


def _bare(batch: pa.RecordBatch) -> Table:
    return Table(batch, np.zeros(0, np.int64), np.full(batch.num_rows, NO_TIME, np.int64))


def _batch(table: pa.Table, name: str) -> pa.RecordBatch:
    """The answer with the table's own types, as one batch."""
    known = TABLES[name].schema
    fields = [f for f in known if f.name in table.schema.names]
    arrays = []
    for f in fields:
        column: Any = table.column(f.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, f.type)
        if pa.types.is_dictionary(f.type):
            column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            column = pa.DictionaryArray.from_arrays(
                column.indices.cast(pa.int32()), column.dictionary.cast(pa.string())
            )
        elif column.type != f.type:
            column = column.cast(f.type)
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, [f.name for f in fields])
