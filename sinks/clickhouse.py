"""`clickhouse://user@host:port/database`: one insert for each table of a batch, the ledger last, each line once."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from logproc.errors import ConfigError, Unavailable
from logproc.model import LEDGER, Batch, SinkLimits
from logproc.urls import Url, password
from sinks import ddl, rollup, tables
from sinks.answers import outcome_unknown, translated, when_writing
from sinks.connection import ONE_BLOCK, Connection, literal, quoted
from sinks.stored import Missing, Stored

LIMITS = SinkLimits(rows=100_000, bytes=32 << 20, seconds=1.0)
"""An insert costs 14 ms whatever its size and parts have to be merged, so 100,000 rows; the bytes bound the memory."""

OPTIONS = ("secure", "verify", "ca", "timeout")

log = logging.getLogger(__name__)


def sink(url: Url) -> ClickHouseSink:
    """The sink of a server. Its tables are made by `logproc schema apply`, never unasked."""
    _check(url)
    return ClickHouseSink(lambda: connect(url), database_of(url), create=False)


def database_of(url: Url) -> str:
    """The database that a `clickhouse:` URL names."""
    return url.path.strip("/") or ddl.DATABASE


def connect(url: Url) -> Connection:
    """A client of a server over HTTP. Raises ConfigError for what a person has to mend, else Unavailable."""
    _check(url)
    import clickhouse_connect

    secure = _switch(url, "secure", url.port in {443, 8443})
    place = str(url)
    try:
        seconds = int(url.option("timeout", "300"))
    except ValueError as error:
        raise ConfigError(f"{url}: timeout is a number of seconds") from error
    with translated(place, ConfigError):
        client = clickhouse_connect.get_client(
            interface="https" if secure else "http",
            host=url.host,
            port=url.port or (8443 if secure else 8123),
            username=url.user or "default",
            password=password(),
            verify=_switch(url, "verify", True),
            ca_cert=url.option("ca") or None,
            connect_timeout=10,
            send_receive_timeout=seconds,
            # A session is locked by its running query, so that an insert after a time-out would be refused.
            autogenerate_session_id=False,
        )
    return Connection(client, place)


def _check(url: Url) -> None:
    url.refuse_unknown_options(OPTIONS)
    if not url.host:
        raise ConfigError(f"{url}: no host", "write clickhouse://default@localhost:8123/logproc, for example")


def _switch(url: Url, name: str, default: bool) -> bool:
    text = url.option(name, "1" if default else "0").lower()
    if text not in {"0", "1", "true", "false"}:
        raise ConfigError(f"{url}: {name} is 0 or 1")
    return text in {"1", "true"}


class ClickHouseSink:
    """Batches into ClickHouse, embedded or not, each line once. `create`: the tables are made and upgraded when it opens."""

    limits = LIMITS

    def __init__(self, connect: Callable[[], Connection], database: str = ddl.DATABASE, *, create: bool) -> None:
        self._connect = connect
        self._database = database
        self._create = create
        self._connection: Connection | None = None
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
                ddl.require(connection, self._database)
                _require_settings(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def write(self, batch: Batch) -> None:
        """Store what of the batch is not stored yet. Raises Unavailable or Rejected; then the same call again is right."""
        connection = self._connected()
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
            self.open()
        assert self._connection is not None  # noqa: S101  open() has set it or raised
        return self._connection


def _prefix(batch: Batch) -> str:
    """How the ids of all queries begin that insert batches of one origin."""
    return f"logproc-{batch.via or batch.collector}-"


def _require_settings(connection: Connection) -> None:
    """Storing each line once needs them; clickhouse-connect would leave out what a profile forbids."""
    names = ", ".join(literal(name) for name in ONE_BLOCK)
    answer = connection.query(
        f"SELECT name FROM system.settings WHERE name IN ({names}) AND NOT readonly", meaning=ConfigError
    )
    lacking = sorted(set(ONE_BLOCK) - set(answer["name"].to_pylist()))
    if lacking:
        raise ConfigError(
            f"{connection.place}: the server does not know, or the user may not change, {', '.join(lacking)}",
            "storing each line once needs these settings: allow them in the user's profile, or use a newer server",
        )


def token(sources: Sequence[tuple[str, int]], table: str, dropped: bytes = b"") -> str:
    """The name of one insert: the batches it holds in order, the table, and the lines that were taken out of them.

    Without the last the rows that were missing would be refused as a repeat of the whole.
    """
    name = hashlib.blake2b(repr((list(sources), table)).encode(), digest_size=16)
    name.update(dropped)
    return name.hexdigest()
