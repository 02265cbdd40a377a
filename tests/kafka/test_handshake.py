"""A broker that dies, or is not one: only what stays so is a refusal."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from logproc.broker import Broker
from logproc.errors import ConfigError, Unavailable
from logproc.urls import Url


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    made = socket.create_server(("127.0.0.1", 0))
    yield made
    made.close()


def broker_at(listener: socket.socket) -> Broker:
    return Broker.of(Url.parse(f"kafka://127.0.0.1:{listener.getsockname()[1]}/logproc"))


def test_a_broker_that_is_killed_in_mid_answer_is_waited_for(listener: socket.socket) -> None:
    broker = broker_at(listener)

    def die() -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        # While a thread waits in accept a close would not end it: it is the connection that ends last.
        listener.close()
        connection.close()

    threading.Thread(target=die, daemon=True).start()
    with pytest.raises(Unavailable, match="refused"):
        broker.reach()


def test_what_is_no_broker_twice_is_refused(listener: socket.socket) -> None:
    broker = broker_at(listener)

    def answer() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(ConfigError, match="does not answer as a Kafka broker does"):
        broker.reach()
