"""Processes and brokers that are killed, stopped and come back, and whole collectors that forget what they have sent."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logproc.broker import Broker
from logproc.errors import ConfigError, Rejected, Unavailable
from logproc.model import Batch
from logproc.topic_settings import Wanted, apply
from logproc.urls import Url
from sinks import ddl, make_sink
from tests.batches import batch, span
from tests.chdb_store import Database
from tests.cli import environment, output, query, run
from tests.kafka.broker import Kafka
from tests.kafka.conftest import require_broker
from tests.kafka.loading import FILE, assert_once, cuts, load, send
from tests.sinks.http_front import serving

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


def victim(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kafka.victim", *arguments], stdout=subprocess.PIPE, cwd=ROOT, env=environment()
    )


@pytest.fixture
def server(database: Database) -> Iterator[str]:
    """The database behind HTTP, so that other processes can store into it."""
    ddl.apply(database.connection, database.name)
    with serving(database.connection) as front:
        yield f"clickhouse://reader@127.0.0.1:{front.port}/{database.name}"


@pytest.mark.parametrize(
    "step",
    [
        "intended",
        "inserted",
        pytest.param("cut", marks=pytest.mark.long),
        pytest.param("settled", marks=pytest.mark.long),
    ],
)
def test_a_loader_killed_at_a_step_leaves_each_row_once(step: str, topic: str, database: Database, server: str) -> None:
    send(topic, *cuts(FILE, *range(500, 6001, 500)))
    killed = victim(topic, server, "g", step, "2", "SIGKILL")
    assert killed.wait(60) == -signal.SIGKILL

    load(topic, database)

    assert_once(database, FILE, 6000)


def test_a_loader_that_was_stopped_while_others_went_on_stores_nothing_twice(
    topic: str, database: Database, server: str
) -> None:
    send(topic, *cuts(FILE, *range(500, 6001, 500)))
    stopped = victim(topic, server, "g", "intended", "1", "SIGSTOP")
    assert stopped.stdout is not None
    # A broker that has just started may first be waited for, and that is said.
    assert any(line == b"intended\n" for line in stopped.stdout)

    load(topic, database, idle=0.5)
    assert_once(database, FILE, 6000)
    send(topic, batch(100, [span(FILE, 6000, 6500)]))
    stopped.send_signal(signal.SIGCONT)
    try:
        assert stopped.wait(60) == 0
    finally:
        stopped.kill()

    load(topic, database)
    assert_once(database, FILE, 6500)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that a test may end; it has to be there again afterwards."""
    require_broker()
    made = Kafka(tmp_path_factory.mktemp("own") / "kafka")
    made.start()
    yield made
    made.kill()


def make_topic(kafka: Kafka, partitions: int = 1, **wanted: int) -> str:
    url = f"kafka://{kafka.address}/own-{next(_numbers)}"
    broker = Broker.of(Url.parse(url))
    with broker.admin() as admin:
        apply(admin, broker, broker.topic, Wanted(partitions=partitions, **wanted))
    return url


def test_a_broker_killed_in_mid_batch_loses_and_doubles_nothing_and_costs_no_cpu_meanwhile(
    own_broker: Kafka, database: Database, kafka: Kafka
) -> None:
    url = make_topic(own_broker)
    batches = cuts(FILE, *range(500, 10_001, 500))
    sink = make_sink(url)
    sink.open()
    failures: list[str] = []

    def send_all() -> None:
        for one in batches:
            while True:
                try:
                    sink.write(one)
                    break
                except Unavailable as error:
                    failures.append(error.message)
            time.sleep(0.05)

    sender = threading.Thread(target=send_all)
    sender.start()
    time.sleep(0.4)
    own_broker.kill()
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(6.0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    own_broker.start()
    sender.join(60)
    assert not sender.is_alive()
    sink.close()

    assert any("no broker acknowledges" in f for f in failures)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0, "it spins while nobody answers"
    metrics = load(url, database)
    assert metrics.messages == len(batches), "an idempotent producer repeats nothing"
    assert_once(database, FILE, 10_000)


def test_a_broker_stopped_in_order_is_waited_for_without_spinning(own_broker: Kafka, kafka: Kafka) -> None:
    url = make_topic(own_broker)
    sink = make_sink(url)
    sink.open()
    first, second = cuts(FILE, 500, 1000)
    sink.write(first)
    own_broker.stop()
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(Unavailable, match="no broker acknowledges"):
        sink.write(second)
    after = resource.getrusage(resource.RUSAGE_SELF)
    own_broker.start()
    sink.write(second)
    sink.close()

    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5, "five seconds of waiting cost CPU"


@pytest.mark.long
def test_a_broker_that_is_away_for_a_minute(own_broker: Kafka, database: Database) -> None:
    url = make_topic(own_broker)
    sink = make_sink(url)
    sink.open()
    first, second = cuts(FILE, 500, 1000)
    sink.write(first)
    done = threading.Event()
    loading = threading.Thread(target=lambda: (load(url, database, idle=5.0), done.set()))
    loading.start()
    own_broker.stop()
    time.sleep(60)
    own_broker.start()
    while True:
        try:
            sink.write(second)
            break
        except Unavailable:
            continue
    assert done.wait(120)
    load(url, database)
    assert_once(database, FILE, 1000)


@pytest.mark.long
def test_two_brokers_of_which_one_stops_are_waited_for(tmp_path: Path, database: Database) -> None:
    require_broker()
    shared = {"offsets.topic.replication.factor": "1"}
    first = Kafka(tmp_path / "1", shared)
    second = Kafka(tmp_path / "2", shared, node=2, controller=first.controller, cluster=first.cluster)
    first.start()
    try:
        second.start()
        url = f"kafka://{first.address},{second.address}/logproc"
        broker = Broker.of(Url.parse(url))
        with broker.admin() as admin:
            apply(admin, broker, broker.topic, Wanted(partitions=1, replication=2, min_insync=2))
        sink = make_sink(url)
        sink.open()
        one, two = cuts(FILE, 500, 1000)
        sink.write(one)
        second.stop()
        with pytest.raises(Unavailable):
            sink.write(two)
        second.start()
        for _ in range(20):
            try:
                sink.write(two)
                break
            except Unavailable:
                time.sleep(0.5)
        sink.close()
        load(url, database)
        assert_once(database, FILE, 1000)
    finally:
        second.kill()
        first.kill()


# Whole commands


def access_lines(path: Path, first: int, count: int) -> None:
    with path.open("a") as file:
        for n in range(first, first + count):
            file.write(
                f'[2026-11-20T10:00:{n % 60:02d}.{n % 1000:03d}Z] "GET /{n} HTTP/1.1" 200 - via_upstream - "-" 0 5 {n % 90} 3 "-" "curl/8" '
                f'"9a3e0f4c-5d2b-4c11-8c7e-{n:012x}" "reviews:9080" "10.0.0.9:9080" outbound|9080||reviews.default.svc.cluster.local '
                "10.0.0.7:41234 10.96.0.3:9080 10.0.0.7:51000 - default\n"
            )


def test_collect_to_load_with_a_state_folder_that_is_deleted(new_topic: Callable[..., str], tmp_path: Path) -> None:
    url, log, store = new_topic(3), tmp_path / "access.log", tmp_path / "store"
    access_lines(log, 0, 3000)
    collect = ("collect", log, "--to", url, "-o", "json", "--no-follow", "--state")
    said = json.loads(output(*collect, tmp_path / "state"))
    assert said["rows"]["access_log"] == 3000
    kept = json.loads((tmp_path / "state" / "partition").read_text())
    access_lines(log, 3000, 500)
    assert json.loads(output(*collect, tmp_path / "state"))["lines"] == 500
    assert json.loads((tmp_path / "state" / "partition").read_text()) == kept
    access_lines(log, 3500, 100)
    assert json.loads(output(*collect, tmp_path / "another"))["lines"] == 3600

    loaded = json.loads(
        output(
            "load",
            url,
            "--to",
            f"chdb://{store}",
            "--group",
            "g",
            "--until-idle",
            "0.5",
            "--seconds",
            "0.2",
            "-o",
            "json",
        )
    )

    assert loaded["lines"] == 7100
    (row,) = query("SELECT count() AS n, uniqExact(file_id, line) AS once FROM access_log", store)
    assert row == {"n": 3600, "once": 3600}


def test_sigterm_ends_a_loader_in_order(topic: str, tmp_path: Path) -> None:
    send(topic, *cuts(FILE, 500))
    running = subprocess.Popen(
        [sys.executable, "-m", "logproc", "load", topic, "--to", f"chdb://{tmp_path}/store", "--seconds", "0.1", "--log-format", "text"],
        stderr=subprocess.PIPE, env=environment(), cwd=ROOT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    from tests.kafka.test_load import committed

    while committed(topic, "logproc-load").get(0, (0, ""))[0] != 1 and time.monotonic() < deadline:
        time.sleep(0.3)
    running.send_signal(signal.SIGTERM)

    assert running.wait(30) == 0
    assert running.stderr is not None
    assert "500 lines of 1 message in" in running.stderr.read().decode()


def test_topics_are_made_compared_and_changed(kafka: Kafka, tmp_path: Path) -> None:
    url = f"kafka://{kafka.address}/made-{os.getpid()}"

    access_lines(tmp_path / "a.log", 0, 1)
    missing = run("collect", tmp_path / "a.log", "--to", url, "--state", tmp_path / "state")
    assert missing.returncode == 2
    assert "there is no such topic" in missing.stderr.decode()
    assert run("topics", "apply", url, "--partitions", "2").returncode == 0
    assert b"as it should be" in output("topics", "check", url)
    found = run("topics", "check", url, "--partitions", "3", "--retention", "1d")
    assert found.returncode == 1
    assert found.stdout.decode().splitlines() == ["partitions: 2, wanted 3", "retention.ms: 604800000, wanted 86400000"]
    assert run("topics", "apply", url, "--replication", "2").returncode == 2


def test_a_topic_that_takes_smaller_messages_is_refused_and_can_be_agreed_with(new_topic: Callable[..., str]) -> None:
    url = new_topic(1, Wanted(partitions=1, max_message_bytes=1_000_000))
    with pytest.raises(ConfigError, match="takes messages of 1,000,000 bytes"):
        make_sink(url).open()

    small = make_sink(f"{url}?message_max=1000000")
    small.open()
    assert small.limits.bytes == 500_000
    small.write(batch(0, [span(FILE, 0, 10)]))
    with pytest.raises(Rejected, match="topic takes 1,000,000"):
        small.write(Batch("c0ffee00c0ffee00", 1, 0, (), {}, os.urandom(1_100_000)))
    small.write(batch(2, [span(FILE, 10, 20)]))
    small.close()


def test_dead_letters_are_listed_by_the_command(topic: str) -> None:
    said = run("dead-letters", "list", topic)

    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"no dead letters\n")
