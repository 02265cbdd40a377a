"""A collector that runs beside a test, and waiting for what it does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from logproc.collector import Options, collector
from logproc.testing import LineParser, MemorySink


def texts(sink: MemorySink) -> list[bytes]:
    return sorted(row["message"].encode() for row in sink.rows("message_log"))


def collect(root: Path, state: Path, sink: MemorySink) -> None:
    with collector(Options([str(root)], state, containers="*", grace=5), LineParser(), sink) as (loop, _):
        loop.run()


@contextmanager
def following(root: Path, state: Path, sink: MemorySink, **options: int) -> Iterator[list[str]]:
    """A collector beside the test, and what it says; at the end it has stopped in order."""
    said: list[str] = []
    chosen = Options([str(root)], state, follow=True, containers="*", grace=20, **options)
    with collector(chosen, LineParser(), sink, say=said.append) as (loop, _):
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            yield said
        finally:
            loop.stop()
            thread.join(60)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def until_open(path: Path) -> None:
    """The collector, which runs in this process, has noticed the file and holds it."""
    wanted = path.stat()

    def is_open() -> bool:
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found = os.fstat(int(entry.name))
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
        return False

    until(is_open)


def until_rows(sink: MemorySink, rows: int, seconds: float = 60) -> None:
    until(lambda: sum(s.message_rows for b in list(sink.batches) for s in b.spans) >= rows, seconds)
