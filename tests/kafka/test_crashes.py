"""Collector, loader and broker, each killed again and again while rows flow; `logproc audit` says what became of the rows.

Each crash waits until nearly all that was written before is stored, so that they are spread evenly over the rows. `CRASHES` and
`CRASH_COPIES` set how many of each, and how much traffic; `pytest -s` shows what the audit has said.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from logproc.broker import Broker
from logproc.errors import LogprocError
from logproc.state import read_settled
from logproc.topic_settings import Wanted, apply
from logproc.urls import Url
from tests.bench import data
from tests.cli import LOGPROC, environment, output, run
from tests.kafka.broker import Kafka
from tests.kafka.conftest import require_broker
from tests.kafka.test_load import committed

CRASHES = int(os.environ.get("CRASHES", "20"))
COPIES = int(os.environ.get("CRASH_COPIES", "1"))
"""How many pods write the lines of one: 1.86 million lines for each."""
PATIENCE_SECONDS = 300
"""For one share of the lines."""


@dataclass(slots=True)
class Writer:
    """Kubelet log files that grow: `append` adds the next share of the lines of some that are complete."""

    source: Path
    target: Path
    shares: int
    lines: int = 0
    share: int = 0

    def append(self) -> None:
        """Add a share to each file, cut where a line ends."""
        self.share += 1
        whole = [path for path in sorted(self.source.rglob("istio-proxy/0.log*")) if path.suffix != ".gz"]
        for number, path in enumerate(path for path in whole for _ in range(COPIES)):
            self._append(path, number)

    def _append(self, path: Path, number: int) -> None:
        pod = path.parent.parent.name[:-6] + f"{number:06d}"
        copy = self.target / pod / path.parent.name / "0.log"
        copy.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size
        with path.open("rb") as source, copy.open("ab") as target:
            source.seek(target.tell())
            more = source.read(max(size * self.share // self.shares - target.tell(), 0)) + source.readline()
            target.write(more)
            self.lines += more.count(b"\n")


class Victim:
    """A command that runs until it is killed."""

    def __init__(self, log: Path, *arguments: str | Path) -> None:
        self._arguments, self._log = [*LOGPROC, *map(str, arguments)], log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        out: BinaryIO
        with self._log.open("ab") as out:
            return subprocess.Popen(self._arguments, stdout=out, stderr=out, env=environment())

    def see_alive(self) -> None:
        assert self.process.poll() is None, "it ended by itself: " + self._log.read_text()[-2000:]

    def crash(self) -> None:
        """SIGKILL, and another one in its place."""
        self.see_alive()
        self.process.kill()
        self.process.wait()
        self.process = self._start()


def stored_lines(of_url: Broker, url: str, state: Path) -> int:
    """About how many lines are stored: those on the topic, by the share of its messages that the group has settled."""
    with of_url.admin() as admin:
        (end,) = admin.list_partition_offsets({TopicPartition(of_url.topic, 0): OffsetSpec.LATEST}).values()
    sent = sum(position.line for position in read_settled(state).progress.positions.values())
    return sent * committed(url).get(0, (0, ""))[0] // max(end.offset, 1)


def wait_for(lines: int, stored: Callable[[], int], *running: Victim) -> int:
    """Wait until so many lines are stored; how many it are then."""
    end, found = time.monotonic() + PATIENCE_SECONDS, 0
    while time.monotonic() < end:
        for victim in running:
            victim.see_alive()
        with suppress(LogprocError, KafkaError):
            found = stored()
        if found >= lines:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{found:,} of {lines:,} lines are stored after {PATIENCE_SECONDS} s")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Kafka]:
    require_broker()
    made = Kafka(tmp_path / "kafka")
    made.start()
    yield made
    made.kill()


@pytest.mark.long
def test_crashes_of_collector_loader_and_broker_while_rows_flow(broker: Kafka, tmp_path: Path) -> None:
    url = f"kafka://{broker.address}/logproc"
    of_url = Broker.of(Url.parse(url))
    with of_url.admin() as admin:
        apply(admin, of_url, of_url.topic, Wanted(partitions=1))
    pods, state, store = tmp_path / "pods", tmp_path / "state", tmp_path / "store"
    whom = ["collector", "loader", "broker"] * CRASHES
    order = random.Random(7)
    order.shuffle(whom)
    writer = Writer(data.pods(), pods, len(whom) + 1)
    writer.append()
    collect = ("collect", pods, "--to", url, "--state", state)
    load = ("load", url, "--to", f"chdb://{store}", "--group", "g")
    collector = Victim(tmp_path / "collector.log", *collect, "--follow", "-q")
    loader = Victim(tmp_path / "loader.log", *load, "--session", "2", "--seconds", "0.3", "-q")
    began, before, crashed_at = time.monotonic(), 0, list[int]()
    try:
        for name in whom:
            crashed_at.append(wait_for(before, lambda: stored_lines(of_url, url, state), collector, loader))
            before = writer.lines
            writer.append()
            time.sleep(order.uniform(0.2, 2.5))
            if name == "broker":
                broker.kill()
                broker.start()
            else:
                (collector if name == "collector" else loader).crash()
    finally:
        took = time.monotonic() - began
        collector.process.kill()
        loader.process.kill()
    collector.process.wait()
    loader.process.wait()

    sent = json.loads(output(*collect, "--no-follow", "-q", "-o", "json", timeout=1800))
    loaded = json.loads(output(*load, "--until-idle", "3", "-q", "-o", "json", timeout=1800))
    audit = run("audit", "--store", str(store), "--state", state, "--files", pods, timeout=1800)

    said = audit.stdout.decode()
    quarters = ", ".join(f"{crashed_at[len(crashed_at) * i // 4]:,}" for i in (1, 2, 3))
    print(
        f"\n{CRASHES} crashes each of collector, loader and broker in {took:.0f} s; {writer.lines:,} lines written, {quarters} of them "
        f"stored at a quarter, half and three quarters of the crashes; {sent['lines']:,} read and {loaded['lines']:,} loaded after the last"
        f"\n$ logproc audit\n{said}",
        file=sys.stderr,
    )
    assert audit.returncode == 0, said
    assert f" {writer.lines:,} lines read = " in said
    assert "no line is missing, none is stored twice" in said
    # The last crash came within the last share, and a repeat of the one before it may have been under way.
    assert sent["lines"] + loaded["lines"] < 5 * writer.lines // writer.shares, (
        "the rows did not flow between the crashes"
    )
