"""A store opened for asking: what `query`, `report`, `schema` and `audit` read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from logproc.errors import ConfigError, QueryError
from sinks import chdb, ddl, parse, server
from sinks.answers import translated
from sinks.connection import Connection, literal

log = logging.getLogger(__name__)


class Store:
    """One store, open. Not for several threads at a time; open it once more for each.

    A table without its database is one of `database`.
    """

    def __init__(self, connection: Connection, database: str) -> None:
        self.connection = connection
        self.database = database

    @property
    def client(self) -> Client:
        """The clickhouse-connect client, for what is not offered here."""
        return self.connection.client

    def query_arrow(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> pa.Table:
        """The result of a SELECT as a table; text that is no UTF-8 has U+FFFD in it. Raises QueryError."""
        return _readable(self.connection.query(_without_end(sql), parameters, settings, QueryError))

    def query_raw(
        self,
        sql: str,
        format: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The result of a SELECT in one of ClickHouse's formats. Raises QueryError."""
        with translated(self.connection.place, QueryError):
            # clickhouse-connect takes % for its own placeholders as soon as parameters are given.
            given = dict(parameters) if parameters else None
            return self.client.raw_query(_without_end(sql), given, dict(settings or {}), format)

    def command(self, sql: str) -> None:
        """Run a statement that has no result. Raises QueryError."""
        self.connection.command(_without_end(sql), QueryError)

    def close(self) -> None:
        """Let go of the store."""
        self.connection.close()


def open_store(text: str, *, create: bool = False, upgrade: bool = True) -> Store:
    """Open the store that a URL or a folder names; `create` makes the folder of an embedded one.

    An embedded store of an older logproc is upgraded, unless `upgrade` is False, and one of a newer logproc refused; a server is
    asked whatever the version of its tables. Raises ConfigError (no such store, wrong password, newer ...), StateError (in use by
    another process), Unavailable.
    """
    url = parse(text)
    if url.scheme == "chdb":
        connection, database = chdb.connect(chdb.folder_of(url), create=create), ddl.DATABASE
    elif url.scheme == "clickhouse":
        connection, database = server.connect(url), server.database_of(url)
    else:
        raise ConfigError(
            f"{text} is no store", "a store is a folder, chdb:///folder or clickhouse://user@host:port/database"
        )
    try:
        if upgrade and connection.only_writer:
            _upgrade(connection, database)
        return _using(connection, database)
    except BaseException:
        connection.close()
        raise


def _upgrade(connection: Connection, database: str) -> None:
    found = ddl.version_of(connection, database)
    ddl.refuse_newer(found, connection.place)
    if 0 < found < ddl.VERSION:
        for line in ddl.apply(connection, database):
            log.info("%s: %s", connection.place, line)


def _using(connection: Connection, database: str) -> Store:
    store = Store(connection, database)
    known = connection.query(f"SELECT count() AS n FROM system.databases WHERE name = {literal(database)}")
    if known["n"][0].as_py():
        # Without the database the engine's own stays in use: `schema apply` comes first.
        connection.client.database = database
    return store


def _without_end(sql: str) -> str:
    """The format that is asked for is appended, which a semicolon would cut off."""
    return sql.strip().rstrip(";").rstrip()


def _readable(table: pa.Table) -> pa.Table:
    """ClickHouse's String is any bytes, and Arrow's is UTF-8: reading the others would fail far from here."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and not _is_utf8(table.column(place)):
            texts = [
                None if b is None else b.decode("utf-8", "replace")
                for b in table.column(place).cast(pa.binary()).to_pylist()
            ]
            table = table.set_column(place, field, pa.chunked_array([pa.array(texts, pa.string())]))
    return table


def _is_utf8(column: pa.ChunkedArray[Any]) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
