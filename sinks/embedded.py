"""The embedded engine for many clients at once: each statement has a connection of its own, and settings never meet others' statements.

Two statements on one connection would wait for each other. To set one up costs 2.5 ms, to ask for nothing 1: so a connection is kept for
the next statement with the very same settings.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

from logproc.errors import QueryError
from logproc.serve.engine import Kind, Outcome, Session
from sinks import chdb as store
from sinks import ddl
from sinks.answers import code_of
from sinks.connection import Connection, literal, quoted

_AGAIN = re.compile(r"^(?:Code: \d+\. DB::Exception: )+(?=Code: \d+\. DB::Exception: )")
_VERSION = re.compile(r"(?<!\s)\s*\(version [^()]*\)\.?(?=\s*\([A-Z_]+\)\s*$|\s*$)")
_LONGEST = 16 << 10
"""Characters of an error: `throwIf` says whatever a client wants, at any length."""
_OUR_FILE = re.compile(r":?\s*\(in file/uri /proc/self/fd/\d+\)|/proc/self/fd/\d+")


_EXPLAIN = "EXPLAIN AST "
_IDLE = 32
"""Connections that wait for the next statement with the same settings."""


class Embedded:
    """The engine of one folder, open; see `logproc.serve.engine.Engine`. `close` lets go of the folder."""

    def __init__(
        self, folder: Path, *, create: bool = True, visible_by: Mapping[str, str] | None = None, memory: int = 0
    ) -> None:
        """Open the folder, and make or upgrade its tables where `create` says so.

        `memory`: bytes for all statements together, 0 for most of the machine's. Raises ConfigError, StateError, Unavailable.
        """
        self._held: Connection = store.connect(folder, create=create, memory=memory)
        try:
            (ddl.apply if create else ddl.require)(self._held, ddl.DATABASE)
            import chdb

            self._connect: Callable[[str], Any] = chdb.connect
            self._path = str(folder)
            self._visible_by = dict(visible_by or {})
            self._reading = self._connect(self._path)
            self._lock = threading.Lock()
            self._idle: list[tuple[Hashable, Any]] = []
            self._idle_lock = threading.Lock()
            self._closed = False
            self.database = ddl.DATABASE
            row = self._held.query("SELECT version() AS v, timezone() AS t").to_pylist()[0]
            self.version, self.timezone = row["v"], row["t"]
            # EXPLAIN AST takes a whole text of statements: nothing that follows the first may change anything.
            self._reading.query(f"USE {quoted(self.database)}")
            self._reading.query("SET readonly = 2")
        except BaseException:
            self._held.close()
            raise

    def close(self) -> bool:
        """Let go of the folder; False where a statement is still running, under which the engine cannot be closed."""
        if self._held.query("SELECT count() AS n FROM system.processes")["n"][0].as_py() > 1:
            return False
        with self._idle_lock:
            self._closed = True
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()
        with self._lock:
            self._reading.close()
        self._held.close()
        return True

    def classify(self, sql: str) -> tuple[Kind, int]:
        """What the text would do, and how many statements it is, without running any."""
        with self._lock:
            said = self._reading._conn.classify_query(sql, self.database)
        return Kind(said["query_class"].name), int(said["statement_count"])

    def syntax(self, sql: str, parameters: Mapping[str, str]) -> str:
        """The syntax tree of one statement."""
        try:
            with self._lock:
                said = _asked(self._reading, f"{_EXPLAIN}{sql}", "TSVRaw", parameters)
        except QueryError as error:
            # Places in the text are those of the statement alone.
            message = re.sub(
                r"(?<=at position )(\d+)|(?<=\(line 1, col )(\d+)",
                lambda place: str(max(1, int(place[0]) - len(_EXPLAIN))),
                error.message,
            )
            raise QueryError(message, code=error.code) from error
        return bytes(said.bytes()).decode("utf-8", "replace")

    def formatted(self, sql: str) -> str:
        """The statement as the engine writes it."""
        with self._lock:
            said = _asked(self._reading, f"SELECT formatQuerySingleLine({literal(sql)})", "TSVRaw", {})
        return bytes(said.bytes()).decode("utf-8", "replace").removesuffix("\n")

    def names(self, sql: str) -> frozenset[str]:
        """The one column of a query of our own."""
        with self._lock:
            return frozenset(str(n) for n in self._held.query(sql).column(0).to_pylist())

    def run(self, sql: str, session: Session, parameters: Mapping[str, str], format: str) -> Outcome:
        """Run a statement to its end on a connection that nobody else has meanwhile."""
        key = (session.database, session.readonly, session.visible, tuple(sorted(session.settings.items())))
        connection = self._taken(key) or self._prepared(session)
        try:
            said = _asked(connection, f"{_comment(session.mark)}{sql}", format, parameters)
            outcome = Outcome(
                bytes(said.bytes()),
                said.storage_rows_read(),
                said.storage_bytes_read(),
                said.rows_read(),
                said.rows_written(),
                said.bytes_written(),
                float(said.elapsed()),
            )
        except BaseException:
            connection.close()
            raise
        self._give_back(key, connection, once="insert_deduplication_token" in session.settings)
        return outcome

    def kill(self, mark: str) -> None:
        """End the statement that runs under this mark."""
        connection = self._connect(self._path)
        try:
            _asked(
                connection, f"KILL QUERY WHERE startsWith(query, {literal(_comment(mark).strip())}) ASYNC", "Null", {}
            )
        finally:
            connection.close()

    def _taken(self, key: Hashable) -> Any:
        with self._idle_lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == key:
                    return self._idle.pop(place)[1]
        return None

    def _give_back(self, key: Hashable, connection: Any, *, once: bool) -> None:
        with self._idle_lock:
            if not once and not self._closed:
                self._idle.append((key, connection))
                connection = self._idle.pop(0)[1] if len(self._idle) > _IDLE else None
        if connection is not None:
            connection.close()

    def _prepared(self, session: Session) -> Any:
        """A connection set up for statements of this kind; none of them can change it (the guard refuses SET and USE)."""
        connection = self._connect(self._path)
        try:
            self._prepare(connection, session)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Any, session: Session) -> None:
        _asked(connection, f"USE {quoted(session.database)}", "Null", {})
        if session.visible:
            names = ", ".join(literal(n) for n in (*session.visible, "system"))
            filters = ", ".join(
                f"{literal(f'system.{table}')}: {literal(f'{column} IN ({names})')}"
                for table, column in self._visible_by.items()
            )
            _asked(connection, f"SET additional_table_filters = {{{filters}}}", "Null", {})
        if session.settings:
            given = ", ".join(f"{name} = {literal(value)}" for name, value in session.settings.items())
            _asked(connection, f"SET {given}", "Null", {})
        if session.readonly:
            _asked(connection, "SET readonly = 1", "Null", {})


def _comment(mark: str) -> str:
    """What a statement begins with, by which it is found while it runs."""
    return f"/* {mark} */ "


def _asked(connection: Any, sql: str, format: str, parameters: Mapping[str, str]) -> Any:
    """The low-level result, which has the numbers that the public one lacks. Raises QueryError."""
    try:
        return connection._conn.query(sql, format, params=dict(parameters))
    except RuntimeError as error:
        raise refusal(error) from error


def refusal(error: BaseException) -> QueryError:
    """The engine's error as a server would send it: with the code once, without our files and the version."""
    text = str(error).strip()
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    text = _OUR_FILE.sub("", _VERSION.sub("", _AGAIN.sub("", text)))
    text = re.sub(r"(\([A-Z][A-Z0-9_]+\))\.?\s*\1$", r"\1", text)
    text = re.sub(r"^Code: \d+\. (?:DB::)?Exception: ", "", text)
    return QueryError(text, code=code_of(error) or 1002)
