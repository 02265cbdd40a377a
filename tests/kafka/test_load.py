"""From the sink to the store through a real broker, and what dies in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc.broker import Broker
from logproc.errors import ConfigError, Rejected, Unavailable
from logproc.merge import Limits
from logproc.message import BATCH_HEADER, VERSION_HEADER, NewerError, headers_of, value_of
from logproc.model import Batch
from logproc.topic import GroupReader
from logproc.urls import Url
from tests.batches import batch, correction, expected, span
from tests.chdb_store import Database
from tests.kafka.broker import Kafka
from tests.kafka.loading import (
    FILE,
    Crash,
    assert_once,
    crash_at,
    cuts,
    in_thread,
    load,
    loader,
    send,
    send_raw,
)  # fmt: skip


def admin_of(url: str) -> Any:
    return Broker.of(Url.parse(url)).admin()


def committed(url: str, group: str = "g") -> dict[int, tuple[int, str]]:
    with admin_of(url) as admin:
        found = admin.list_group_offsets({group: None})[group]
    name = Broker.of(Url.parse(url)).topic
    return {tp.partition: (kept.offset, kept.metadata) for tp, kept in found.items() if tp.topic == name}


# The way of one batch


def test_rows_arrive_once_and_a_second_run_finds_nothing_to_do(topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, 30, 61, 100), *cuts(7, 40, first_seq=3))

    metrics = load(topic, database)

    assert_once(database, FILE, 100)
    assert_once(database, 7, 40)
    assert (metrics.messages, metrics.lines, metrics.inserts) == (4, 140, 1)
    assert [(r["first_line"], r["lines"]) for r in database.ledger(FILE)] == [(0, 100)]
    assert load(topic, database).messages == 0


def test_reading_again_from_the_beginning_stores_nothing_twice(topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, 30, 61, 100))
    load(topic, database)

    again = load(topic, database, from_beginning=True)

    assert again.messages == 3
    assert load(topic, database, group="another").messages == 3
    assert_once(database, FILE, 100)


def test_offsets_set_back_by_hand_store_nothing_twice(topic: str, database: Database) -> None:
    from kafka import TopicPartition
    from kafka.structs import OffsetAndMetadata

    send(topic, *cuts(FILE, 30, 61, 100))
    load(topic, database)
    with admin_of(topic) as admin:
        name = Broker.of(Url.parse(topic)).topic
        admin.alter_group_offsets("g", {TopicPartition(name, 0): OffsetAndMetadata(1, "", -1)})

    assert load(topic, database).messages == 2
    assert_once(database, FILE, 100)


def test_batches_that_repeat_or_overlap_are_stored_once(topic: str, database: Database) -> None:
    first = cuts(FILE, 30, 61, 100)
    again = cuts(FILE, 10, 61, 120, collector="0123456789abcdef")  # after a lost state folder
    send(
        topic,
        first[0],
        first[0],
        first[1],
        first[0],
        first[2],
        *again,
        correction(3, FILE, 58),
        correction(3, FILE, 58),
    )

    load(topic, database)

    lines = database.stored_lines(FILE)
    assert sorted(lines["message_log"]) == sorted([*expected(FILE, 120)["message_log"], 58])
    assert lines["access_log"] == expected(FILE, 120)["access_log"]


def test_many_partitions_and_nodes(new_topic: Callable[..., str], database: Database) -> None:
    url = new_topic(32)
    for node in range(12):
        send(url, *cuts(100 + node, 20, 45, collector=f"{node:016x}"), node=f"node-{node}")

    load(url, database)

    assert sum(1 for offset, _ in committed(url).values() if offset) > 4
    for node in range(12):
        assert_once(database, 100 + node, 45)


def test_loading_ends_before_offsets_or_a_time(topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, 30, 61))
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)
    send(topic, batch(2, [span(FILE, 61, 100)]))

    load(topic, database, idle=None, until={0: 1})
    assert_once(database, FILE, 30)
    load(topic, database, idle=None, until=between)
    assert_once(database, FILE, 61)
    load(topic, database, idle=None, until=datetime.now(UTC) + timedelta(minutes=1))
    assert_once(database, FILE, 100)


def test_a_small_buffer_pauses_and_loses_nothing(topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, *range(50, 2001, 50)))

    load(topic, database, buffer=20_000, limits=Limits(rows=300, seconds=0.05))

    assert_once(database, FILE, 2000)


# Crashes


@pytest.mark.parametrize("step", ["cut", "intended", "inserted", "settled"])
def test_a_loader_that_dies_at_any_step_leaves_each_row_once(step: str, topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, 30, 61))
    with pytest.raises(Crash):
        load(topic, database, step=crash_at(step))
    send(topic, batch(2, [span(FILE, 61, 100)]))

    load(topic, database)

    assert_once(database, FILE, 100)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_a_loader_that_dies_between_two_tables_leaves_each_row_once(
    tables: int, topic: str, database: Database
) -> None:
    send(topic, *cuts(FILE, 30, 61))
    with pytest.raises(Crash):
        loader(topic, lambda: dying(database, tables)).run()
    offset, metadata = committed(topic)[0]
    assert (offset, metadata) == (0, '{"logproc":1,"end":2}')
    send(topic, batch(2, [span(FILE, 61, 100)]))

    metrics = load(topic, database)

    assert metrics.inserts == 2, "the range of the one that died is stored first, and as it was cut"
    assert_once(database, FILE, 100)


def dying(database: Database, tables: int) -> Any:
    """A sink whose process dies before the insert after so many."""
    sink = database.sink()
    connection: Any = sink._connection
    insert, left = connection.insert, iter(range(tables))

    def limited(*args: Any) -> None:
        if next(left, None) is None:
            raise Crash
        insert(*args)

    connection.insert = limited
    sink.open = lambda: None  # type: ignore[method-assign]
    return sink


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_dies_and_repeats_each_row_is_stored_once(data: st.DataObject, new_topic: Callable[..., str]) -> None:
    """Random cuts, repeats and collectors that begin anew, with loaders that die at random steps."""
    url, database = new_topic(2), Database()
    try:
        ends: dict[int, int] = {}
        for round_ in range(data.draw(st.integers(1, 3), "rounds")):
            for node, file_id in (("node-1", 11), ("node-4", 12)):
                lines = sorted({*data.draw(st.lists(st.integers(1, 150), min_size=1, max_size=4), "ends")})
                made = cuts(file_id, *lines, collector=f"{round_:015x}{file_id % 16:x}")
                send(url, *made, *data.draw(st.lists(st.sampled_from(made), max_size=2), "repeats"), node=node)
                ends[file_id] = max(ends.get(file_id, 0), lines[-1])
            step = data.draw(st.sampled_from(["cut", "intended", "inserted", "settled", ""]), "dies before")
            rows = data.draw(st.sampled_from([20, 200_000]), "rows of an insert")
            with suppress(Crash):
                load(
                    url,
                    database,
                    step=crash_at(step, data.draw(st.integers(1, 3), "nth")),
                    limits=Limits(rows, seconds=0.02),
                )
        load(url, database)
        for file_id, end in ends.items():
            assert_once(database, file_id, end)
    finally:
        database.close()


# Several loaders


def test_loaders_that_join_and_leave_share_the_work(new_topic: Callable[..., str], database: Database) -> None:
    url = new_topic(6)
    stop = threading.Event()
    sent = dict.fromkeys(range(100, 106), 0)

    def keep_sending() -> None:
        seq = 0
        while not stop.is_set():
            for file_id in sent:
                send(
                    url,
                    batch(seq, [span(file_id, sent[file_id], sent[file_id] + 10)], f"{file_id:016x}"),
                    node=f"n{file_id}",
                )
                sent[file_id] += 10
            seq += 1

    sender = threading.Thread(target=keep_sending)
    sender.start()
    running = [loader(url, database.sink, idle=None) for _ in range(3)]
    threads = []
    for one in running:
        threads.append(in_thread(one))
        time.sleep(1.0)
    for one, thread in zip(running[:2], threads[:2], strict=True):
        one.stop()
        thread.join(30)
        time.sleep(0.5)
    stop.set()
    sender.join()
    running[2].stop()
    threads[2].join(30)
    load(url, database)

    for file_id, lines in sent.items():
        assert lines > 0
        assert_once(database, file_id, lines)


# What goes wrong


class Moody:
    """A sink that raises what it is told before it writes."""

    def __init__(self, database: Database, mood: Callable[[Batch], Exception | None]) -> None:
        self._sink, self._mood = database.sink(), mood
        self.limits = self._sink.limits

    def open(self) -> None:
        """It is."""

    def write(self, written: Batch) -> None:
        if error := self._mood(written):
            raise error
        self._sink.write(written)

    def close(self) -> None:
        self._sink.close()


def test_a_store_that_is_away_is_waited_for_without_leaving_the_group(topic: str, database: Database) -> None:
    send(topic, *cuts(FILE, 30))
    away_until = time.monotonic() + 4.0  # twice as long as a member may be silent
    said: list[str] = []

    def mood(_: Batch) -> Exception | None:
        return Unavailable("the store is away", retry_after=0.1) if time.monotonic() < away_until else None

    metrics = loader(topic, lambda: Moody(database, mood), said=said).run()

    assert_once(database, FILE, 30)
    assert metrics.retries > 3
    assert said[0] == "warning: the store is away; trying again"
    assert "the store takes rows again" in said


def test_only_the_batch_that_is_refused_becomes_a_dead_letter_and_can_be_sent_back(
    topic: str, database: Database
) -> None:
    from logproc.dead_letters import Desk

    send(topic, *cuts(FILE, 30), *cuts(7, 20, first_seq=1), *cuts(8, 10, first_seq=2))

    def mood(written: Batch) -> Exception | None:
        at_fault = any(c.span.file_id == 7 for c in written.spans)
        return Rejected("that is no time") if at_fault else None

    metrics = loader(topic, lambda: Moody(database, mood)).run()

    assert (metrics.dead_messages, metrics.dead_lines) == (1, 20)
    assert_once(database, FILE, 30)
    assert_once(database, 8, 10)
    assert database.stored_lines(7)["access_log"] == []
    assert [(r["state"], r["lines"]) for r in database.ledger(7)] == [("dead", 20)]

    desk = Desk(Broker.of(Url.parse(topic)))
    desk.open()
    (letter,) = desk.letters()
    assert (letter.partition, letter.offset, letter.lines) == (0, 1, 20)
    assert letter.reason == "refused by the store: that is no time"
    desk.send_back([letter], 8 << 20)
    assert list(desk.letters()) == []
    assert len(list(desk.letters(all=True))) == 1
    desk.close()
    assert load(topic, database).messages == 1
    assert_once(database, 7, 20)


def test_messages_of_others_and_damaged_ones_go_to_the_dead_letters(topic: str, database: Database) -> None:
    from logproc.dead_letters import Desk

    good = cuts(FILE, 30, 61, 100)
    send(topic, good[0])
    send_raw(topic, b"hello")
    send_raw(topic, value_of(good[1])[:1000], headers_of(good[1]))
    send_raw(topic, value_of(good[1]), headers_of(batch(1, [span(FILE, 30, 60)])))
    send_raw(topic, b"", [(VERSION_HEADER, b"1"), (BATCH_HEADER, b"{")])
    send(topic, good[1], good[2])

    metrics = load(topic, database)

    assert metrics.dead_messages == 4
    assert database.stored_lines(FILE) == expected(FILE, 100)
    desk = Desk(Broker.of(Url.parse(topic)))
    desk.open()
    reasons = [letter.reason for letter in desk.letters()]
    desk.close()
    for words, reason in zip(
        ["no logproc headers", "not the tables of a batch", "its header tells of", "cannot be read"],
        reasons,
        strict=True,
    ):
        assert words in reason


def test_a_topic_of_something_else_is_refused_and_nothing_is_written_to_the_dead_letters(
    topic: str, database: Database
) -> None:
    for _ in range(3):
        send_raw(topic, b'{"user": 1}')

    with pytest.raises(ConfigError, match="is no topic of logproc: partition 0, offset 0: it has no logproc headers"):
        load(topic, database)

    assert committed(topic) == {}


def test_a_newer_message_is_not_skipped_and_what_came_before_is_stored(topic: str, database: Database) -> None:
    good = cuts(FILE, 30, 61)
    send(topic, good[0])
    send_raw(topic, value_of(good[1]), [(VERSION_HEADER, b"2"), *headers_of(good[1])[1:]])
    send(topic, *cuts(7, 10))

    for _ in range(2):
        with pytest.raises(NewerError, match="upgrade the loaders"):
            load(topic, database)

    assert_once(database, FILE, 30)
    assert committed(topic)[0][0] == 1


def test_a_newer_message_in_a_range_that_a_newer_loader_has_begun_is_not_skipped(
    topic: str, database: Database
) -> None:
    good = cuts(FILE, 30, 61, 100)
    send(topic, good[0])
    send_raw(topic, value_of(good[1]), [(VERSION_HEADER, b"2"), *headers_of(good[1])[1:]])
    send(topic, good[2])
    newer = GroupReader(Broker.of(Url.parse(topic)), "g")
    newer.open()
    while not newer.poll(0.1)[0]:
        pass
    newer.commit(0, 0, 3)
    newer.close()

    with pytest.raises(NewerError, match="upgrade the loaders"):
        load(topic, database)

    assert committed(topic)[0] == (0, '{"logproc":1,"end":3}')


def test_an_older_message_lacks_columns_and_is_read(topic: str, database: Database) -> None:
    made = cuts(FILE, 30)[0]
    old = replace(
        made,
        tables={n: t.drop_columns(["version"]) if "version" in t.schema.names else t for n, t in made.tables.items()},
    )
    send_raw(topic, value_of(old), headers_of(old))

    load(topic, database)

    assert_once(database, FILE, 30)


def test_a_group_of_another_tool_is_refused(topic: str, database: Database) -> None:
    from kafka import KafkaConsumer, TopicPartition
    from kafka.structs import OffsetAndMetadata

    broker = Broker.of(Url.parse(topic))
    send(topic, *cuts(FILE, 30))
    with admin_of(topic) as admin:
        load(topic, database, group="flink")
        where = {TopicPartition(broker.topic, 0): OffsetAndMetadata(1, "checkpoint 17", -1)}
        admin.alter_group_offsets("flink", where)
    with pytest.raises(ConfigError, match="has offsets of another tool"):
        load(topic, database, group="flink")

    other = KafkaConsumer(
        broker.topic,
        bootstrap_servers=f"{broker.servers[0][0]}:{broker.servers[0][1]}",
        group_id="busy",
        client_id="grafana",
    )
    other.poll(2000)
    try:
        with pytest.raises(ConfigError, match=r"busy is in use by another tool \(grafana\)"):
            load(topic, database, group="busy")
    finally:
        other.close()


def test_messages_that_retention_removed_are_said_counted_and_written_down(topic: str, database: Database) -> None:
    from kafka import TopicPartition

    send(topic, *cuts(FILE, 30, 61, 100))
    load(topic, database, until={0: 1}, idle=None)
    with admin_of(topic) as admin:
        admin.delete_records({TopicPartition(Broker.of(Url.parse(topic)).topic, 0): 2})
    said: list[str] = []

    metrics = load(topic, database, said=said)

    assert metrics.lost_messages == 1
    assert "1 message (offsets 1 to 1) was removed by retention" in said[0]
    (lost,) = database.rows("SELECT * FROM {db}.ledger WHERE state = 'lost'")
    assert (lost["start"], lost["end"], lost["lines"]) == (1, 2, 0)
    assert lost["path"].startswith("kafka:t")
    assert set(database.stored_lines(FILE)["access_log"]) == set(expected(FILE, 100)["access_log"]) - set(range(30, 61))
    assert load(topic, database).lost_messages == 0


def test_a_topic_made_anew_is_read_from_its_beginning(kafka: Kafka, topic: str, database: Database) -> None:
    from logproc.topic_settings import Wanted, apply

    send(topic, *cuts(FILE, 30, 61, 100))
    load(topic, database)
    broker = Broker.of(Url.parse(topic))
    with broker.admin() as admin:
        admin.delete_topics([broker.topic])
        for _ in range(50):
            with suppress(Exception):
                apply(admin, broker, broker.topic, Wanted(partitions=1))
                break
            time.sleep(0.1)
    send(topic, *cuts(7, 40))

    load(topic, database)

    assert_once(database, 7, 40)
    assert_once(database, FILE, 100)


@pytest.fixture(autouse=True)
def _one_broker(kafka: Kafka) -> Iterator[None]:
    yield
