"""The loop as a whole, with a sink that misbehaves: what it does about each outcome, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logproc.collector import Options, collector
from logproc.errors import ConfigError, Rejected, StateError, Unavailable
from logproc.frames import Framer
from logproc.metrics import Metrics
from logproc.model import MESSAGE_LOG, Batch, Parser, Sink, SinkLimits, Source
from logproc.pipeline import Pipeline
from logproc.seal import Sealer
from logproc.spool import Keeper, Spool, Unkept
from logproc.state import StateFolder
from logproc.testing import LIMITS, FlakySink, LineParser, MemorySink, MemorySource

LINES = [f"line {i}" for i in range(20)]


def pipeline(source: Source, sink: Sink, keeper: Keeper, collector: str = "c", **options: Any) -> Pipeline:
    parser: Parser = LineParser()
    return Pipeline(
        source, parser, sink, keeper, framer=Framer(), sealer=Sealer(collector, "node"), first_seq=keeper.next_seq, **options
    )  # fmt: skip


def run_with(state: Path, sink: Sink, source: Source, **options: Any) -> Metrics:
    with StateFolder(state, "node") as folder:
        return pipeline(source, sink, Spool(folder), folder.collector, **options).run()


def messages(sink: MemorySink) -> list[str]:
    return [row["message"] for row in sink.rows("message_log")]


def test_lines_go_through_in_order_and_are_counted(tmp_path: Path) -> None:
    sink = MemorySink()

    metrics = run_with(tmp_path / "s", sink, MemorySource.of_lines(*LINES))

    assert messages(sink) == LINES
    assert (metrics.read.lines, metrics.read.rows["message_log"], metrics.sent_lines) == (20, 20, 20)
    assert metrics.read.bytes == sum(len(line) + 1 for line in LINES)
    assert not list((tmp_path / "s" / "spool").iterdir())


def test_without_state_nothing_is_written(tmp_path: Path) -> None:
    sink = MemorySink()

    pipeline(MemorySource.of_lines(*LINES), sink, Unkept()).run()

    assert messages(sink) == LINES
    assert all(batch.encoded for batch in sink.batches)


@pytest.mark.parametrize("outcome", ["unavailable", "lost"])
def test_a_sink_that_is_away_gets_the_same_again(tmp_path: Path, outcome: str) -> None:
    sink = FlakySink(lambda n: outcome if n % 3 else "stored", LIMITS)
    said: list[str] = []

    metrics = run_with(tmp_path / "s", sink, MemorySource.of_lines(*LINES), say=said.append)

    assert messages(sink) == LINES
    assert metrics.retries > 0
    assert metrics.sink_error == ""
    assert any("trying again" in line for line in said)


def test_a_refused_batch_becomes_a_dead_letter_and_the_rest_goes_on(tmp_path: Path) -> None:
    small = SinkLimits(rows=4, bytes=1 << 20, seconds=60)
    sink = FlakySink(lambda n: "rejected" if n == 2 else "stored", small)

    metrics = run_with(tmp_path / "s", sink, MemorySource.of_lines(*LINES))

    assert messages(sink) == LINES[:4] + LINES[8:]
    assert [(r["state"], r["first_line"], r["lines"]) for r in sink.ledger()][:2] == [("stored", 0, 4), ("dead", 4, 4)]
    assert (metrics.dead_batches, metrics.dead_lines) == (1, 4)
    assert len(list((tmp_path / "s" / "dead_letter").glob("*.batch"))) == 1


def test_a_stop_before_the_ledger_knows_of_a_dead_letter_is_made_good_at_the_next_start(tmp_path: Path) -> None:
    class Noted(MemorySink):
        """Takes every batch as it comes: a note is of the same collector and seq as the batch it is about."""

        away = True

        def write(self, batch: Batch) -> None:
            if MESSAGE_LOG in batch.tables:
                raise Rejected("the sink does not want this")
            if self.away:
                raise Unavailable("the sink is away", retry_after=0.0)
            super().write(batch)

    sink = Noted()
    with StateFolder(tmp_path / "s", "node") as folder:
        loop = pipeline(MemorySource.of_lines(*LINES[:2]), sink, Spool(folder), folder.collector, grace=0.5)
        threading.Thread(target=lambda: (until(lambda: loop.metrics.dead_batches == 1), loop.stop())).start()
        loop.run()
    sink.away = False

    run_with(tmp_path / "s", sink, MemorySource.of_lines())

    assert [(r["state"], r["lines"]) for r in sink.ledger()] == [("dead", 2)]


def test_what_the_spool_holds_is_sent_first_after_a_restart(tmp_path: Path) -> None:
    away = FlakySink(lambda _: "unavailable", SinkLimits(rows=4, seconds=60))
    first = threading.Thread(target=lambda: stopped_soon(tmp_path / "s", away))
    first.start()
    first.join()
    sink = MemorySink()

    metrics = run_with(tmp_path / "s", sink, MemorySource([]))

    assert messages(sink) == LINES
    assert (metrics.read.lines, metrics.sent_lines) == (0, 20)


def stopped_soon(state: Path, sink: Sink) -> None:
    with StateFolder(state, "node") as folder:
        loop = pipeline(MemorySource.of_lines(*LINES), sink, Spool(folder), folder.collector, grace=0.1)
        threading.Timer(1.0, loop.stop).start()
        loop.run()


class Endless(MemorySource):
    """Never ends."""

    def finished(self) -> bool:
        return False


def test_a_stop_keeps_and_sends_what_was_read(tmp_path: Path) -> None:
    sink = MemorySink(SinkLimits(seconds=60))
    with StateFolder(tmp_path / "s", "node") as folder:
        loop = pipeline(Endless.of_lines(*LINES), sink, Spool(folder), folder.collector)
        threading.Timer(0.5, loop.stop).start()

        loop.run()

    assert messages(sink) == LINES


def test_a_second_stop_closes_at_once_and_loses_nothing(tmp_path: Path) -> None:
    hanging = threading.Event()

    class Hanging(MemorySink):
        def write(self, batch: Batch) -> None:
            hanging.wait(20)

    with StateFolder(tmp_path / "s", "node") as folder:
        loop = pipeline(Endless.of_lines(*LINES), Hanging(), Spool(folder), folder.collector)
        threading.Timer(0.5, loop.stop).start()
        threading.Timer(0.8, loop.stop).start()
        began = time.monotonic()
        loop.run()
        took = time.monotonic() - began
    hanging.set()
    sink = MemorySink()
    run_with(tmp_path / "s", sink, MemorySource([]))

    assert took < 8
    assert messages(sink) == LINES


def test_a_sink_that_can_never_work_ends_it_at_once(tmp_path: Path) -> None:
    class Wrong(MemorySink):
        def open(self) -> None:
            raise ConfigError("no such database")

    with pytest.raises(ConfigError, match="no such database"):
        run_with(tmp_path / "s", Wrong(), MemorySource.of_lines(*LINES))


def test_a_state_that_breaks_ends_it(tmp_path: Path) -> None:
    class Breaking(MemorySink):
        def write(self, batch: Batch) -> None:
            raise StateError("gone")

    with pytest.raises(StateError, match="gone"):
        run_with(tmp_path / "s", Breaking(), MemorySource.of_lines(*LINES))


def test_a_spool_that_cannot_be_written_holds_the_batch_and_goes_on(tmp_path: Path) -> None:
    said: list[str] = []

    class Full(Spool):
        failures = 2

        def append(self, new: Any) -> None:
            if self.failures:
                Full.failures -= 1
                raise OSError(28, "No space left on device")
            super().append(new)

    sink = MemorySink()
    with StateFolder(tmp_path / "s", "node") as folder:
        metrics = pipeline(MemorySource.of_lines(*LINES), sink, Full(folder), folder.collector, say=said.append).run()

    assert messages(sink) == LINES
    assert metrics.keep_failures == 2
    assert said == [
        "warning: the spool cannot be written: No space left on device; reading waits, trying again",
        "the spool can be written again",
    ]


def test_after_a_batch_that_could_not_be_kept_none_is_kept_and_all_are_read_again(tmp_path: Path) -> None:
    stopped = threading.Event()

    class FullUntilStopped(Spool):
        def append(self, new: Any) -> None:
            if new.batch.seq == 0:
                stopped.wait(30)
                raise OSError(28, "No space left on device")
            super().append(new)

    sink = MemorySink(SinkLimits(rows=4, seconds=60))
    with StateFolder(tmp_path / "s", "node") as folder:
        loop = pipeline(MemorySource.of_lines(*LINES), sink, FullUntilStopped(folder), folder.collector)
        thread = threading.Thread(target=loop.run)
        thread.start()
        until(lambda: loop.metrics.read.batches == 2)  # the second waits for the first to be kept
        loop.stop()
        stopped.set()
        thread.join(30)
        assert (messages(sink), folder.settled.positions) == ([], {})

    run_with(tmp_path / "s", sink, MemorySource.of_lines(*LINES))
    assert messages(sink) == LINES


@pytest.mark.parametrize("follow", [False, True])
def test_reading_waits_while_the_spool_is_full(tmp_path: Path, follow: bool) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {i} {'x' * 1000}\n" for i in range(2000)))
    waiting: list[int] = []

    def plan(write: int) -> str:
        waiting.append(len(list((tmp_path / "s" / "spool").glob("*.batch"))))
        return "unavailable" if write < 5 else "stored"

    sink = FlakySink(plan, SinkLimits(rows=100, bytes=64 << 10, seconds=0.05))
    options = Options([str(log)], tmp_path / "s", follow=follow, spool_max=1)

    with collector(options, LineParser(), sink) as (loop, _):
        if follow:
            threading.Thread(target=lambda: wait_and_stop(loop, sink, 2000)).start()
        loop.run()

    assert len(messages(sink)) == 2000
    assert max(waiting) <= 2


def wait_and_stop(loop: Pipeline, sink: MemorySink, rows: int) -> None:
    until(lambda: sum(s.span.lines for b in list(sink.batches) for s in b.spans) >= rows)
    loop.stop()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_same_state_reads_a_file_once(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n")
    sink = MemorySink()
    for more in ("", "three\n", ""):
        with log.open("a") as file:
            file.write(more)
        with collector(Options([str(log)], tmp_path / "s"), LineParser(), sink) as (loop, _):
            loop.run()

    assert messages(sink) == ["one", "two", "three"]
    assert [r["first_line"] for r in sink.ledger()] == [0, 2]


def test_reading_begins_though_the_sink_hangs_while_it_is_opened(tmp_path: Path) -> None:
    let = threading.Event()

    class Slow(MemorySink):
        def open(self) -> None:
            let.wait(30)

    sink = Slow(SinkLimits(rows=4, seconds=60))
    spool = tmp_path / "s" / "spool"
    with StateFolder(tmp_path / "s", "node") as folder:
        loop = pipeline(MemorySource.of_lines(*LINES), sink, Spool(folder), folder.collector)
        thread = threading.Thread(target=loop.run)
        thread.start()
        until(lambda: len(list(spool.glob("*.batch"))) > 0)
        kept = len(list(spool.glob("*.batch")))
        unready = loop.metrics.unready()
        let.set()
        thread.join(30)

    assert kept > 0
    assert "not reached yet" in unready
    assert messages(sink) == LINES
