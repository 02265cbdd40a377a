"""Filling a topic and loading it, in the process of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from logproc.broker import Broker
from logproc.dead_letters import DeadLetters
from logproc.loader import Loader, Options
from logproc.loader_metrics import LoadMetrics
from logproc.merge import Limits
from logproc.model import Batch, Sink
from logproc.producer import Outgoing, Producer
from logproc.topic import GroupReader
from logproc.urls import Url
from sinks import chdb, make_sink
from sinks.clickhouse import ClickHouseSink
from tests.batches import batch, expected, span
from tests.chdb_store import Database, folder

QUICK = Limits(rows=200_000, seconds=0.05)
MAX_BYTES = 8 << 20
FILE = 0xFEDC_BA98_7654_3210


class Crash(BaseException):
    """The process is gone; nothing it remembered is left."""


def send(url: str, *batches: Batch, node: str = "node-1") -> None:
    """What a collector of that node sends."""
    sink: Any = make_sink(url)
    sink.bind(node, None)
    sink.open()
    for one in batches:
        sink.write(one)
    sink.close()


def send_raw(url: str, value: bytes, headers: Sequence[tuple[str, bytes]] = (), partition: int = 0) -> None:
    """What another program sends."""
    broker = Broker.of(Url.parse(url))
    producer = Producer(broker, broker.topic, MAX_BYTES)
    producer.send(Outgoing(object(), partition, None, value, headers))
    producer.close()


def cuts(file_id: int, *ends: int, collector: str = "c0ffee00c0ffee00", first_seq: int = 0) -> list[Batch]:
    """Batches of one file from its first line, each up to the next of `ends`."""
    starts = (0, *ends)
    return [
        batch(first_seq + i, [span(file_id, a, b)], collector)
        for i, (a, b) in enumerate(zip(starts, ends, strict=False))
    ]


def loader(
    url: str, make: Callable[[], Sink], *, group: str = "g", idle: float | None = 0.2, limits: Limits = QUICK,
    until: Any = None, from_beginning: bool = False, buffer: int = 64 << 20, session: float = 2.0,
    step: Callable[[str], None] = lambda _: None, said: list[str] | None = None,
) -> Loader:  # fmt: skip
    """A loader that has not begun. Stores that make no connection of their own are opened as a sink is."""
    broker = Broker.of(Url.parse(url))
    return Loader(
        GroupReader(broker, group, from_beginning=from_beginning, session=session),
        make,
        DeadLetters(broker, MAX_BYTES),
        broker.topic,
        Options(group, limits, buffer, idle, until, 2.0),
        say=said.append if said is not None else lambda _: None,
        step=step,
    )


def load(url: str, database: Database, **options: Any) -> LoadMetrics:
    """Load until nothing is left."""
    return loader(url, unopened(database), **options).run()


def unopened(database: Database) -> Callable[[], Sink]:
    """Makes sinks into the database, as after a start."""
    return lambda: ClickHouseSink(lambda: chdb.connect(folder(), create=True), database.name, create=True)


def crash_at(name: str, nth: int = 1) -> Callable[[str], None]:
    """A step hook that lets the loader die before the n-th step of that name."""
    left = [nth]

    def step(at: str) -> None:
        if at == name:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    return step


def in_thread(made: Loader) -> threading.Thread:
    """Run a loader beside the test."""
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    return thread


def assert_once(database: Database, file_id: int, lines: int) -> None:
    """Every line is stored once, the ledger's runs neither overlap nor leave a gap, and the rollup agrees."""
    assert database.stored_lines(file_id) == expected(file_id, lines)
    at = 0
    for run in database.ledger(file_id):
        if run["state"] == "stored":
            assert run["first_line"] == at
            at += run["lines"]
    assert at == lines
    assert database.rollup_difference() == 0
