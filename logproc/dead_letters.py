"""Messages that cannot be stored: kept in a topic of their own, with where they were and why, until a person sends them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from logproc.broker import Broker, translated
from logproc.errors import ConfigError
from logproc.message import Foreign, Headers, NewerError, without_tables
from logproc.producer import Outgoing, Producer
from logproc.topic import Message
from logproc.topic_settings import DEAD_LETTER_SUFFIX, read

_REASON, _PARTITION, _OFFSET, _AT = (
    "logproc-dead-reason",
    "logproc-dead-partition",
    "logproc-dead-offset",
    "logproc-dead-at",
)
_OWN = frozenset({_REASON, _PARTITION, _OFFSET, _AT})
GROUP = "logproc-dead-letters"
"""Its committed offset in the dead-letter topic is how far letters were sent back."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter; `number` is its offset in the dead-letter topic, `partition` and `offset` are where it was."""

    number: int
    partition: int
    offset: int
    at: str
    reason: str
    lines: int
    headers: Headers
    key: bytes | None
    value: bytes


class DeadLetters:
    """The writing end, for a loader."""

    def __init__(self, broker: Broker, max_bytes: int) -> None:
        self._topic = broker.topic + DEAD_LETTER_SUFFIX
        # Whatever fitted into the topic has to fit here, with the reason.
        self._producer = Producer(broker, self._topic, max_bytes + (64 << 10))

    def put(self, message: Message, reason: str) -> None:
        """Return when it is durable. Raises Unavailable, Rejected."""
        own = {
            _REASON: reason[:4000], _PARTITION: str(message.partition), _OFFSET: str(message.offset),
            _AT: datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        headers = [*message.headers, *((name, text.encode()) for name, text in own.items())]
        name = (message.partition, message.offset)
        self._producer.send(Outgoing(name, 0, message.key, message.value, headers))

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()


class Desk:
    """The reading end, for a person: what is there, and sending it back to the topic."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._topic = broker, broker.topic + DEAD_LETTER_SUFFIX
        self._consumer: Any = None

    def open(self) -> None:
        """Connect. Raises ConfigError (there is no such topic), Unavailable."""
        from kafka import KafkaConsumer

        with self._broker.admin() as admin:
            try:
                read(admin, self._broker, self._topic)
            except ConfigError as error:
                if "no such topic" in error.message:
                    raise ConfigError(f"{self._broker.place}: there is no topic {self._topic}", error.hint) from error
                raise
        with translated(self._broker.place, opening=True):
            self._consumer = KafkaConsumer(
                **self._broker.config(), group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest",
                max_partition_fetch_bytes=4 << 20, metrics_enabled=False,
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            with suppress(Exception):
                self._consumer.close()

    def letters(self, *, all: bool = False) -> Iterator[Letter]:
        """Those that were not sent back yet, or all that are still kept, the oldest first."""
        from kafka import TopicPartition

        tp = TopicPartition(self._topic, 0)
        with translated(self._broker.place, opening=True):
            self._consumer.assign([tp])
            first = self._consumer.beginning_offsets([tp])[tp]
            end = self._consumer.end_offsets([tp])[tp]
            done = self._consumer.committed(tp) or 0
            at = first if all else max(first, done)
            self._consumer.seek(tp, at)
        while at < end:
            with translated(self._broker.place):
                records = self._consumer.poll(timeout_ms=1000, max_records=16).get(tp, ())
            for record in records:
                at = record.offset + 1
                yield _letter(record)

    def send_back(self, letters: Sequence[Letter], max_bytes: int) -> None:
        """Put the letters into the topic again, and remember that they were. Raises Unavailable, Rejected."""
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        producer = Producer(self._broker, self._broker.topic, max_bytes)
        try:
            for letter in letters:
                headers = [(name, value) for name, value in letter.headers if name not in _OWN]
                producer.send(Outgoing(letter.number, letter.partition, letter.key, letter.value, headers))
                with translated(self._broker.place):
                    where = {TopicPartition(self._topic, 0): OffsetAndMetadata(letter.number + 1, "", -1)}
                    self._consumer.commit(where)
        finally:
            producer.close()


def _letter(record: Any) -> Letter:
    headers = [(name, value or b"") for name, value in record.headers]
    own = {name: value.decode(errors="replace") for name, value in headers if name in _OWN}
    lines = 0
    with suppress(Foreign, NewerError):
        lines = sum(c.span.lines for c in without_tables(headers).spans)
    partition, offset = (int(own[n]) if own.get(n, "").isdigit() else -1 for n in (_PARTITION, _OFFSET))
    return Letter(
        record.offset, partition, offset, own.get(_AT, ""), own.get(_REASON, ""), lines, headers, record.key, record.value or b""
    )  # fmt: skip
