"""The embedded engine in tests: one folder for each test process, a database for each test."""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sinks import chdb, ddl
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection

_numbers = itertools.count()
_folders: list[Path] = []


def folder() -> Path:
    """The one folder that this process can open."""
    if not _folders:
        _folders.append(Path(tempfile.mkdtemp(prefix="logproc-test-store-")))
        atexit.register(shutil.rmtree, _folders[0], ignore_errors=True)
    return _folders[0]


class Database:
    """An empty database in the engine of this process, with sinks into it and questions to it."""

    def __init__(self) -> None:
        self.name = f"test_{next(_numbers)}"
        self.connection: Connection = chdb.connect(folder(), create=True)

    def sink(self) -> ClickHouseSink:
        """A sink that remembers nothing, as after a start."""
        made = ClickHouseSink(lambda: chdb.connect(folder(), create=True), self.name, create=True)
        made.open()
        return made

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query; {db} in it stands for the database."""
        return self.connection.query(sql.replace("{db}", f"`{self.name}`")).to_pylist()

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        (only,) = self.rows(sql)
        (value,) = only.values()
        return value

    def command(self, sql: str) -> None:
        self.connection.command(sql.replace("{db}", f"`{self.name}`"))

    def stored_lines(self, file_id: int) -> dict[str, list[int]]:
        """Per table the lines of a file that have a row in it, with repeats."""
        return {
            table: [
                r["line"] for r in self.rows(f"SELECT line FROM {{db}}.{table} WHERE file_id = {file_id} ORDER BY line")
            ]
            for table in ("access_log", "message_log", "rejected_line")
        }

    def ledger(self, file_id: int) -> list[dict[str, Any]]:
        return self.rows(f"SELECT * FROM {{db}}.ledger WHERE file_id = {file_id} ORDER BY first_line")

    def rollup_difference(self) -> int:
        """Lines by weight in the rollup less those in the rows."""
        return int(
            self.value(
                "SELECT toInt64((SELECT sum(n) FROM {db}.traffic_1m)) - toInt64((SELECT sum(weight) FROM {db}.access_log)) AS d"
            )
        )

    def close(self) -> None:
        self.command(f"DROP DATABASE IF EXISTS {ddl.quoted(self.name)} SYNC")
        self.connection.close()
