"""A member of the group whose broker fails between two questions: nothing that it was told or had fetched is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from logproc.broker import Broker
from logproc.errors import Unavailable
from logproc.topic import GroupReader
from logproc.urls import Url


class Client:
    """As much of a consumer as a reader uses: five messages in each partition, each handed out once after its place was said."""

    def __init__(self) -> None:
        self.broken: set[int] = set()
        self.offsets: dict[int, int] = {}
        self.at: dict[int, int] = {}

    def committed(self, tp: Any, **_: Any) -> Any:
        from kafka.errors import KafkaTimeoutError

        if tp.partition in self.broken:
            raise KafkaTimeoutError("no answer")
        offset = self.offsets.get(tp.partition)
        return None if offset is None else SimpleNamespace(offset=offset, metadata='{"logproc":1}')

    def beginning_offsets(self, tps: Sequence[Any], **_: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 0)

    def end_offsets(self, tps: Sequence[Any], **_: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 5)

    def seek(self, tp: Any, offset: int) -> None:
        self.at[tp.partition] = offset

    def commit(self, offsets: Mapping[Any, Any], **_: Any) -> None:
        self.offsets |= {tp.partition: kept.offset for tp, kept in offsets.items()}

    def poll(self, **_: Any) -> dict[Any, list[Any]]:
        found = {}
        for partition, at in self.at.items():
            rest = [
                SimpleNamespace(partition=partition, offset=o, headers=[], key=None, value=b"") for o in range(at, 5)
            ]
            found[_Partition(partition)] = rest
            self.at[partition] = 5
        return found


class _Partition(NamedTuple):
    partition: int


@pytest.fixture
def client() -> Client:
    return Client()


def member(client: Client, **options: Any) -> GroupReader:
    reader = GroupReader(Broker.of(Url.parse("kafka://nowhere:9092/t")), "g", **options)
    reader._consumer = client
    return reader


def polled(reader: GroupReader) -> tuple[dict[int, int], list[tuple[int, int]]]:
    starts, messages = reader.poll(0.0)
    return {s.partition: s.position for s in starts}, [(m.partition, m.offset) for m in messages]


def test_a_partition_whose_start_was_known_is_told_though_that_of_another_fails(client: Client) -> None:
    reader = member(client)
    reader.assigned([0, 1])
    client.broken = {1}
    with pytest.raises(Unavailable):
        polled(reader)
    assert not reader.joined  # or a loader that is to end when nothing is left would end now
    client.broken = set()

    assert polled(reader) == ({0: 0, 1: 0}, [])
    assert reader.joined
    assert polled(reader) == ({}, [(p, o) for p in (0, 1) for o in range(5)])


def test_what_was_fetched_is_not_lost_though_the_start_of_another_partition_fails(client: Client) -> None:
    reader = member(client)
    reader.assigned([0])
    assert polled(reader) == ({0: 0}, [])
    reader.assigned([1])
    client.broken = {1}
    found = []
    for _ in range(3):
        with pytest.raises(Unavailable):
            found += polled(reader)[1]
    client.broken = set()

    for _ in range(3):
        found += polled(reader)[1]
    assert sorted(found) == [(p, o) for p in (0, 1) for o in range(5)]


def test_from_the_beginning_holds_until_something_was_committed(client: Client) -> None:
    client.offsets = {0: 3, 1: 3}
    reader = member(client, from_beginning=True)
    reader.assigned([0, 1])
    client.broken = {1}
    with pytest.raises(Unavailable):
        polled(reader)
    client.broken = set()
    assert polled(reader) == ({0: 0, 1: 0}, [])

    reader.commit(0, 2)
    reader.revoked([0, 1])
    reader.assigned([0, 1])

    assert polled(reader) == ({0: 2, 1: 0}, [])
