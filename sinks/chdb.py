"""`chdb:///folder`: ClickHouse embedded in this process. The folder is made, and upgraded, when it is opened."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from logproc.errors import ConfigError, LogprocError, StateError
from logproc.urls import Url
from sinks.answers import one_line, when_opening
from sinks.clickhouse import ClickHouseSink
from sinks.connection import Connection, literal, quoted, write_stream
from sinks.ddl import DATABASE

_OURS = {"data", "metadata", "metadata_dropped", "status", "store", "tmp"}
"""What is in a chDB folder; in one that was opened and never written to only some of it."""


def sink(url: Url) -> ClickHouseSink:
    """The sink of a folder."""
    folder = folder_of(url)
    return ClickHouseSink(lambda: connect(folder, create=True), DATABASE, create=True)


def folder_of(url: Url) -> Path:
    """The folder that a `chdb:` URL names."""
    url.refuse_unknown_options(())
    if url.host:
        # `chdb://foo/bar` is meant as a folder here, as often as one whose third slash was forgotten.
        written = f"{url.host}{url.path}"
        raise ConfigError(
            f"{url}: after chdb:// comes a folder from the root on",
            f"for the folder {written} here write {written} alone; for /{written} write chdb:///{written}",
        )
    if url.path in {"", "/"}:
        raise ConfigError("chdb: needs a folder", "write chdb:///var/lib/logproc, for example")
    return Path(url.path)


class EmbeddedConnection(Connection):
    """A client of the engine in this process; another process cannot open the folder meanwhile."""

    def insert(self, table: str, rows: pa.RecordBatch, settings: Mapping[str, Any], query_id: str) -> None:  # noqa: ARG002
        """Insert all rows as one block, through an unnamed file in memory.

        clickhouse-connect would write a file under TMPDIR: slower, left behind by a kill, and impossible on a read-only root.
        """
        options = ", ".join(f"{name} = {literal(str(value))}" for name, value in settings.items())
        columns = ", ".join(quoted(n) for n in rows.schema.names)
        number = os.memfd_create("logproc-insert")
        path = f"/proc/self/fd/{number}"
        try:
            # Straight into the file: the stream of a large insert would be 80 MB more.
            with pa.OSFile(path, "wb") as file:
                write_stream(rows, file, pa.ipc.IpcWriteOptions())
            self.client.command(
                f"INSERT INTO {table} ({columns}) FROM INFILE '{path}' SETTINGS {options} FORMAT ArrowStream"
            )
        finally:
            os.close(number)


def connect(folder: Path, *, create: bool = False, memory: int = 0) -> Connection:
    """Open the folder's engine, making the folder where `create` says so.

    Several connections of one process share it, and what the first of them gave it: `memory` is bytes for all statements together,
    0 for most of the machine's. Raises StateError while another process has it open, ConfigError for a folder
    that is no store.
    """
    if importlib.util.find_spec("chdb") is None:
        raise ConfigError("chdb is not installed", "pip install 'logproc[embedded]'")
    place = f"chdb://{folder}"
    _check(folder, create=create)
    if holder := _holder(folder):
        raise _in_use(place, holder)
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        options = {"max_server_memory_usage": memory} if memory else None
        client = clickhouse_connect.get_client(interface="chdb", path=str(folder), chdb_options=options)
    except (ClickHouseError, OSError, RuntimeError) as error:
        raise _refused(error, folder, place) from error
    return EmbeddedConnection(client, place, only_writer=True)


def _check(folder: Path, *, create: bool) -> None:
    try:
        if not folder.exists():
            if not create:
                raise ConfigError(f"{folder}: there is no store", f"`logproc collect PATH --to {folder}` makes one")
            folder.mkdir(parents=True)
        if not folder.is_dir():
            raise ConfigError(f"{folder} is a file, not the folder of a store")
        names = {p.name for p in folder.iterdir()}
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror or error}") from error
    if names and (not names & _OURS or ("metadata" not in names and names - _OURS)):
        # A folder such as /data has a `tmp` as well, beside other things.
        raise ConfigError(
            f"{folder} has other files in it and is no store", "name an empty folder, or one that does not exist yet"
        )
    if not names and not create:
        raise ConfigError(f"{folder} is empty: there is no store", f"`logproc collect PATH --to {folder}` makes one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{folder}: no permission to write",
            "an embedded store is locked while it is read, so that readers have to write too",
        )


def _refused(error: Exception, folder: Path, place: str) -> LogprocError:
    text = str(error)
    if "already initialized with path" in text:
        return StateError(
            f"{place}: this process has another embedded store open", "one process can open one folder only"
        )
    if holder := _holder(folder):
        return _in_use(place, holder)
    if "EmbeddedServer" in text:
        return StateError(f"{place} cannot be opened: {one_line(error)}", "the engine has printed why above")
    return when_opening(error, place)


def _in_use(place: str, holder: str) -> StateError:
    return StateError(
        f"{place} is in use by {holder}",
        "one process at a time can open an embedded store: stop that one, or ask it",
    )


def _holder(folder: Path) -> str:
    """The other process that has the folder open, "" where there is none.

    The engine locks the file `status` and writes its process number into it; it would say so in lines of its own, and to us only
    that it failed.
    """
    status = folder / "status"
    try:
        with status.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = 0
        with suppress(OSError, ValueError, IndexError):
            pid = int(status.read_text().splitlines()[0].removeprefix("PID:"))
        return "" if pid == os.getpid() else _process(pid)
    except OSError:
        pass
    return ""


def _process(pid: int) -> str:
    if not pid:
        return "another process"
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f"process {pid} ({' '.join(w.decode(errors='replace') for w in words if w)[:80]})"
    return f"process {pid}"
