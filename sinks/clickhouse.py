"""`clickhouse://user@host:port/database`: one insert for each table of a batch, the ledger last, each line once."""

from __future__ import annotations

import hashlib
import itertools
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from logproc.errors import ConfigError, Unavailable
from logproc.model import LEDGER, ROW_TABLES, Batch, SinkLimits
from logproc.urls import Url
from sinks import ddl, rollup, server, tables
from sinks.answers import outcome_unknown, when_writing
from sinks.connection import ONE_BLOCK, Connection, literal, quoted
from sinks.stored import Missing, Stored

LIMITS = SinkLimits(rows=100_000, bytes=32 << 20, seconds=1.0)
"""An insert costs 14 ms whatever its size and parts have to be merged, so 100,000 rows; the bytes bound the memory."""

log = logging.getLogger(__name__)


def sink(url: Url) -> ClickHouseSink:
    """The sink of a server. Its tables are made by `logproc schema apply`, never unasked."""
    server.check(url)
    turn = itertools.count()
    return ClickHouseSink(lambda: server.connect(url, next(turn)), server.database_of(url), create=False)


class ClickHouseSink:
    """Batches into ClickHouse, embedded or not, each line once. `create`: the tables are made and upgraded when it opens."""

    def __init__(self, connect: Callable[[], Connection], database: str = ddl.DATABASE, *, create: bool) -> None:
        self.limits = LIMITS
        self._connect = connect
        self._database = database
        self._create = create
        self._connection: Connection | None = None
        self._was_open = False
        self._stored = Stored(self._ask, database)
        self._unsettled: str | None = None
        """Prefix of the query ids of an insert whose outcome is unknown."""
        self._asked_for: set[str] = set()
        """Prefixes of which it is known that no insert of an earlier process is still running."""

    def open(self) -> None:
        """Connect and check the tables. Raises ConfigError, StateError (in use by another process), Unavailable."""
        connection = self._connect()
        try:
            if self._create:
                ddl.apply(connection, self._database)
            else:
                server.require_version(connection)
                ddl.require(connection, self._database)
                server.require_settings(connection)
            existing = ddl.engines(connection, self._database)
        except BaseException:
            connection.close()
            raise
        self._connection, self._was_open = connection, True
        days = ddl.kept_days(existing, tables.Layout(cluster=ddl.cluster_of(existing)))
        self.limits = replace(LIMITS, keeps={t: d * 86400.0 for t in ROW_TABLES if (d := days.get(t))})

    def write(self, batch: Batch) -> None:
        """Store what of the batch is not stored yet. Raises Unavailable or Rejected; then the same call again is right."""
        connection = self._connected()
        try:
            self._write(connection, batch)
        except Unavailable as error:
            if not connection.only_writer and error.__cause__ is not None and outcome_unknown(error.__cause__):
                # The next write may go to another host of the cluster: with the same token it is the same insert there.
                self.close()
            raise

    def _write(self, connection: Connection, batch: Batch) -> None:
        prefix = _prefix(batch)
        if prefix not in self._asked_for and not connection.only_writer:
            # The process before may have been killed while the server still runs what it sent.
            self._unsettled = prefix
        self._wait_for(connection)
        self._asked_for.add(prefix)
        missing = self._stored.missing(batch)
        try:
            for name, rows in missing.tables.items():
                if name == LEDGER and missing.hours:
                    # Before the ledger says that nothing is missing any more.
                    self._check_rollup(connection, missing.hours)
                self._insert(connection, batch, name, rows, missing)
        except BaseException:
            self._stored.forget()
            raise
        self._stored.settle()

    def close(self) -> None:
        """Let go of the store."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _insert(self, connection: Connection, batch: Batch, name: str, rows: pa.RecordBatch, missing: Missing) -> None:
        prefix = _prefix(batch)
        settings = ONE_BLOCK | {
            "insert_deduplication_token": token(batch.sources, name, missing.dropped.get(name, b""))
        }
        query_id = f"{prefix}{batch.seq}-{name}-{secrets.token_hex(4)}"
        try:
            connection.insert(quoted(self._database, name), rows, settings, query_id)
        except (ClickHouseError, OSError, RuntimeError) as error:
            if outcome_unknown(error) and not connection.only_writer:
                self._unsettled = prefix
            raise when_writing(error, connection.place) from error

    def _wait_for(self, connection: Connection) -> None:
        """After an insert without answer: until the server runs it no more, what is stored cannot be asked."""
        if self._unsettled is None:
            return
        running = connection.query(
            f"SELECT count() AS n FROM system.processes WHERE startsWith(query_id, {literal(self._unsettled)})"
        )
        if running["n"][0].as_py():
            raise Unavailable(
                f"{connection.place}: an earlier insert of the same lines is still running", retry_after=1.0
            )
        self._unsettled = None

    def _check_rollup(self, connection: Connection, hours: Sequence[int]) -> None:
        """A crash between two inserts can also fall between the rows and the rollup they feed."""
        stale = rollup.stale_hours(connection, self._database, hours)
        if stale and connection.only_writer:
            rollup.mend(connection, self._database, stale)
        elif stale:
            log.warning(
                "%s: %s differs from the rows in %d hours after a crash; other collectors write to it, so it was left alone",
                connection.place, tables.ROLLUP, len(stale),
            )  # fmt: skip

    def _ask(self, sql: str) -> pa.Table:
        return self._connected().query(sql)

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self.open()
            except ConfigError as error:
                if not self._was_open:
                    raise
                # Somebody is changing the server: the lines wait until it is mended.
                raise Unavailable(error.message, error.hint, retry_after=10.0) from error
        assert self._connection is not None  # noqa: S101  open() has set it or raised
        return self._connection


def _prefix(batch: Batch) -> str:
    """How the ids of all queries begin that insert batches of one origin."""
    return f"logproc-{batch.via or batch.collector}-"


def token(sources: Sequence[tuple[str, int]], table: str, dropped: bytes = b"") -> str:
    """The name of one insert: the batches it holds in order, the table, and the lines that were taken out of them.

    Without the last the rows that were missing would be refused as a repeat of the whole.
    """
    name = hashlib.blake2b(repr((list(sources), table)).encode(), digest_size=16)
    name.update(dropped)
    return name.hexdigest()
