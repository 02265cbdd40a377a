"""One message at a time into a topic, durable when `send` returns, without kafka-python's ways to hang, to spin or to fill memory.

One message is in flight: its sender waits for it, so that memory is bounded and order is kept. A message that is not acknowledged
stays with the client, and sending it again waits on; the client is made anew after a fatal error or ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from logproc.broker import Broker, meaning, translated
from logproc.errors import Rejected, Unavailable

PATIENCE_SECONDS = 5.0
"""Without an acknowledgement for so long, the operator is told."""
REBUILD_SECONDS = 600.0
OVERHEAD_BYTES = 1024
"""What the record format adds to a message."""

_CONFIG: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_in_flight_requests_per_connection": 5,
    # A batch that expires wedges kafka-python's idempotent producer for ever (3.0.12): nothing expires, `send` waits instead.
    "delivery_timeout_ms": 10**12,
    "retries": float("inf"),
    "batch_size": 900_000,
    # One message at a time: lingering for another would only delay it.
    "linger_ms": 0,
    "max_block_ms": 5_000,
    # What its users collect by the call is never read here.
    "metrics_enabled": False,
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message; `name` tells that it is the same one again."""

    name: Hashable
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes that the topic's limit is compared with."""
        headers = sum(len(k) + len(v) + 10 for k, v in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + OVERHEAD_BYTES


class Producer:
    """Sends to one topic. For one thread."""

    def __init__(self, broker: Broker, topic: str, max_bytes: int) -> None:
        self._broker, self._topic, self._max_bytes = broker, topic, max_bytes
        self._client: Any = None
        self._pending: Any = None
        self._pending_name: Hashable = None
        self._since = 0.0
        self._told = False

    @property
    def client(self) -> Any:
        """kafka-python's producer, made where there is none. Raises ConfigError, Unavailable."""
        if self._client is None:
            self._broker.reach()
            with translated(self._broker.place, opening=True):
                self._client = _calm_producer(
                    **_CONFIG, **self._broker.config(), max_request_size=self._max_bytes + OVERHEAD_BYTES
                )
        return self._client

    def send(self, message: Outgoing) -> None:
        """Return when all in-sync replicas have the message.

        Raises Unavailable: the same call again goes on waiting; Rejected: too large, or refused by the broker for what it is.
        """
        if message.size > self._max_bytes:
            raise Rejected(
                f"{self._broker.place}: a message of {message.size:,} bytes, and the topic takes {self._max_bytes:,}",
                "raise max.message.bytes with `logproc topics apply`",
            )
        if self._pending is None or self._pending_name != message.name:
            self._begin(message)
        self._wait()
        self._pending = None

    def _begin(self, message: Outgoing) -> None:
        self._since, self._told, self._pending_name = time.monotonic(), False, message.name
        try:
            with translated(self._broker.place):
                self._pending = self.client.send(
                    self._topic,
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers),
                    partition=message.partition,
                )
        except Exception:
            self.close(0)
            raise

    def _wait(self) -> None:
        """For the acknowledgement: at first only until an operator would want to know, then until it is time for a new client."""
        from kafka.errors import KafkaError

        longest = self._since + (REBUILD_SECONDS if self._told else PATIENCE_SECONDS) - time.monotonic()
        try:
            self._pending.get(timeout=max(longest, 0.01))
        except KafkaError as error:
            if self._pending.is_done:
                self.close(0)
                raise meaning(error, self._broker.place, opening=False) from error
            if self._told:
                self.close(0)
                raise Unavailable(f"{self._broker.place}: no acknowledgement for {REBUILD_SECONDS:.0f} s") from error
            self._told = True
            raise Unavailable(f"{self._broker.place}: no broker acknowledges", retry_after=0.0) from error

    def close(self, seconds: float = 5.0) -> None:
        """Let go of the client; what is not acknowledged within the time is dropped."""
        client, self._client, self._pending = self._client, None, None
        if client is None:
            return
        with suppress(Exception):  # a flush that times out, and whatever a poisoned client raises
            client.close(timeout=seconds)
        sender = getattr(client, "_sender", None)
        if sender is not None and sender.is_alive():
            with suppress(Exception):
                sender.force_close()


def _calm_producer(**config: Any) -> Any:
    """A KafkaProducer whose thread does not spin.

    With no leader known, after a broker was stopped cleanly, its loop asks for metadata, which wakes the loop (3.0.12): most of a core.
    """
    from kafka import KafkaProducer
    from kafka.net.compat import KafkaNetClient

    class CalmClient(KafkaNetClient):  # type: ignore[misc]
        _spins = 0

        def poll(self, timeout_ms: float | None = None, future: Any = None) -> Any:
            began = time.monotonic()
            done = super().poll(timeout_ms=timeout_ms, future=future)
            # Real work now and then ends a poll at once too, but not so many in a row.
            self._spins = self._spins + 1 if time.monotonic() - began < 0.001 else 0
            if self._spins > 50:
                time.sleep(0.02)
            return done

    return KafkaProducer(**config, kafka_client=CalmClient)
