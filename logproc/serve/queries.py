"""Running statements beside each other: results through a pipe, so that none is held whole, and an end for what nobody waits for."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from logproc.errors import QueryError
from logproc.serve.engine import Engine, Outcome, Session
from logproc.serve.statements import Query

CANCELLED, TOO_MANY = 394, 202

_PIPE = 1 << 20
_SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ, which the module fcntl has no name for before Python 3.10 on some systems."""
_READ = 256 << 10
_KILL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Capacity:
    """Statements that run at once, inserts among them, and those that may wait for their turn."""

    running: int = 16
    inserts: int = 2
    waiting: int = 1000


class Queries:
    """All statements of one server."""

    def __init__(self, engine: Engine, capacity: Capacity | None = None) -> None:
        self.engine = engine
        self._capacity = capacity or Capacity()
        self._threads = ThreadPoolExecutor(self._capacity.running, thread_name_prefix="query")
        self._beside = ThreadPoolExecutor(2, thread_name_prefix="beside")
        self._inserts = asyncio.Semaphore(self._capacity.inserts)
        self._ours: dict[str, tuple[str, Result]] = {}
        self._pending = 0
        self._stopping = False

    async def ask(
        self, query: Query, session: Session, values: Mapping[str, str], format: str, query_id: str
    ) -> Result:
        """Start a statement that hands back rows."""
        self._come_in()
        result = Result(self, query, session, values, format)
        self._ours[session.mark] = (query_id, result)
        await result.start(self._threads)
        return result

    async def command(self, sql: str, session: Session, values: Mapping[str, str], *, insert: bool = False) -> Outcome:
        """Run a statement that changes something, to its end."""
        self._come_in()
        try:
            if not insert:
                return await self._run(sql, session, values)
            async with self._inserts:
                return await self._run(sql, session, values)
        finally:
            self.gone(session.mark)

    async def _run(self, sql: str, session: Session, values: Mapping[str, str]) -> Outcome:
        loop = asyncio.get_running_loop()
        # Shielded: a client that leaves does not leave half of a change behind.
        return await asyncio.shield(
            loop.run_in_executor(self._threads, self.engine.run, sql, session, values, "TabSeparated")
        )

    def _come_in(self) -> None:
        if self._stopping:
            raise QueryError("The server is stopping", code=TOO_MANY)
        if self._pending >= self._capacity.running + self._capacity.waiting:
            raise QueryError(f"Too many simultaneous queries: {self._pending}", code=TOO_MANY)
        self._pending += 1

    def gone(self, mark: str) -> None:
        """A statement has ended, with everything of it."""
        self._pending -= 1
        self._ours.pop(mark, None)

    async def beside(self, mark: str) -> None:
        """Ask the engine to end a statement."""
        with suppress(QueryError):
            await asyncio.get_running_loop().run_in_executor(self._beside, self.engine.kill, mark)

    async def kill(self, query_id: str) -> int:
        """End the statements that a client calls by this name; how many there were."""
        found = [result for name, result in self._ours.values() if name == query_id]
        await asyncio.gather(*(result.cancel() for result in found))
        return len(found)

    async def stop(self, grace: float) -> None:
        """End the questions; changes are finished, within `grace` seconds."""
        self._stopping = True
        await asyncio.gather(*(result.cancel() for _, result in list(self._ours.values())))
        end = asyncio.get_running_loop().time() + grace
        while self._pending and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._beside.shutdown(wait=False, cancel_futures=True)


class Result:
    """A statement that runs, and its rows as they come. Ended with `finish` or `cancel`."""

    def __init__(
        self, queries: Queries, query: Query, session: Session, values: Mapping[str, str], format: str
    ) -> None:
        self._queries, self._query, self._session, self._values, self._format = queries, query, session, values, format
        self._reader = asyncio.StreamReader(limit=_PIPE)
        self._transport: asyncio.ReadTransport | None = None
        self._future: asyncio.Future[Outcome] | None = None
        self._cancelled = threading.Event()
        self._ended = False

    async def start(self, threads: ThreadPoolExecutor) -> None:
        """Hand it to a thread."""
        loop = asyncio.get_running_loop()
        try:
            reading, writing = os.pipe()
            with suppress(OSError):  # beyond the user's share of pipe memory: the usual 64 KiB do as well
                fcntl.fcntl(writing, _SET_PIPE_SIZE, _PIPE)
            protocol = asyncio.StreamReaderProtocol(self._reader)
            self._transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb", buffering=0))
            self._future = loop.run_in_executor(threads, self._work, writing)
        except BaseException:
            self._end()
            raise

    def _work(self, writing: int) -> Outcome:
        try:
            if self._cancelled.is_set():
                raise QueryError("Query was cancelled", code=CANCELLED)
            sql = self._query.into(self._format, f"/proc/self/fd/{writing}")
            return self._queries.engine.run(sql, self._session, self._values, "TabSeparated")
        finally:
            os.close(writing)

    async def read(self) -> bytes:
        """The next piece of the result, empty at its end."""
        return await self._reader.read(_READ)

    async def finish(self) -> Outcome:
        """After the last piece: what it did. Raises QueryError."""
        assert self._future is not None  # noqa: S101  start() has set it or raised
        try:
            return await asyncio.shield(self._future)
        finally:
            self._end()

    async def cancel(self) -> None:
        """End it, whatever it is doing; returns when it has ended."""
        if self._ended or self._future is None:
            return
        self._cancelled.set()
        if self._transport is not None:
            self._transport.close()  # whatever it still writes is refused
        while not self._future.done():
            await self._queries.beside(self._session.mark)
            # A statement that has not begun yet cannot be found.
            await asyncio.wait([self._future], timeout=_KILL_SECONDS)
        with suppress(QueryError):
            self._future.result()
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._transport is not None:
            self._transport.close()
        self._queries.gone(self._session.mark)


def new_mark() -> str:
    """A name for one statement that no client can guess."""
    return f"logproc-{secrets.token_hex(12)}"
