"""`kafka://host:port/topic`: one message per batch, the same bytes as in the spool. `logproc load` stores them, each line once."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

from logproc import topic_settings
from logproc.broker import Broker
from logproc.errors import ConfigError, StateError
from logproc.message import headers_of, value_of
from logproc.model import Batch, SinkLimits
from logproc.producer import Outgoing, Producer
from logproc.urls import Url

OPTIONS = ("message_max",)
MESSAGE_MAX = 8 << 20
"""A batch of incompressible lines is about twice as large as they are: path and template, cluster and its parts."""
SMALLEST_MESSAGE_MAX = 1_000_000


def sink(url: Url) -> KafkaSink:
    """The sink of a topic. It has to be there: `logproc topics apply` makes it."""
    broker = Broker.of(url, OPTIONS)
    text = url.option("message_max", str(MESSAGE_MAX))
    if not text.isdigit() or int(text) < SMALLEST_MESSAGE_MAX:
        raise ConfigError(f"{url}: message_max is a number of bytes, at least {SMALLEST_MESSAGE_MAX:,}")
    return KafkaSink(broker, int(text))


class KafkaSink:
    """Sends batches to one partition, that of its node, in order.

    `limits`: half of a message's size in raw bytes, so that a batch always fits.
    """

    def __init__(self, broker: Broker, message_max: int = MESSAGE_MAX) -> None:
        self.limits = SinkLimits(bytes=min(4 << 20, message_max // 2))
        self._broker, self._message_max = broker, message_max
        self._producer = Producer(broker, broker.topic, message_max)
        self._node = socket.gethostname()
        self._kept: Path | None = None
        self._partition: int | None = None

    def bind(self, node: str, kept: Path | None) -> None:
        """Tell which node sends, and the file in which its partition is remembered, before the sink is opened."""
        self._node, self._kept = node, kept

    def open(self) -> None:
        """Connect, see that the topic is there and takes our messages, choose the partition. Raises ConfigError, Unavailable."""
        with self._broker.admin() as admin:
            state = topic_settings.read(admin, self._broker, self._broker.topic)
        limit = state.limit("max.message.bytes")
        if limit is not None and limit < self._message_max:
            raise ConfigError(
                f"{self._broker.place}: the topic takes messages of {limit:,} bytes, and a batch can have {self._message_max:,}",
                f"`logproc topics apply` raises it; where that is not allowed, add message_max={limit} to the URL",
            )
        self._partition = self._choose(state.partitions)
        _ = self._producer.client

    def _choose(self, partitions: int) -> int:
        """The node's partition: the one it always had, so that its batches stay in order, whatever was added to the topic since."""
        if self._kept is not None and self._kept.exists():
            try:
                kept = json.loads(self._kept.read_bytes())
                if kept["topic"] == self._broker.topic and 0 <= int(kept["partition"]) < partitions:
                    return int(kept["partition"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StateError(f"{self._kept}: damaged", "remove it") from error
        digest = hashlib.blake2b(self._node.encode(), digest_size=8).digest()
        chosen = int.from_bytes(digest, "big") % partitions
        if self._kept is not None:
            said = {"topic": self._broker.topic, "partition": chosen, "partitions": partitions}
            try:
                _write(self._kept, json.dumps(said) + "\n")
            except OSError as error:
                raise StateError(f"{self._kept}: {error.strerror}") from error
        return chosen

    def write(self, batch: Batch) -> None:
        """Send the batch; it is in all in-sync replicas when this returns. Raises Unavailable, Rejected."""
        if self._partition is None:
            self.open()
        name = (batch.collector, batch.seq, tuple(batch.tables))
        self._producer.send(
            Outgoing(name, self._partition, self._node.encode(), value_of(batch), headers_of(batch))
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()


def _write(path: Path, text: str) -> None:
    """After a crash of the machine the file is whole, or not there: an empty one would have to be removed by hand."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
