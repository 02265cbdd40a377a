"""The first words of Kafka's protocol, spoken over one socket: enough to say why a broker refuses us before a client tries for long."""

from __future__ import annotations

import socket
import struct
from typing import Any

PRODUCE, METADATA, SASL_HANDSHAKE, API_VERSIONS, INIT_PRODUCER_ID, SASL_AUTHENTICATE = 0, 3, 17, 18, 22, 36
ANSWER_SECONDS = 10.0


class NoKafkaError(Exception):
    """The other side is no broker, or ends the connection instead of an answer."""


def api_versions(connection: socket.socket) -> dict[int, int]:
    """The answer to ApiVersions v0, which every broker gives, also before a login."""
    answer = ask(connection, API_VERSIONS, 0, b"")
    if len(answer) < 6:
        raise NoKafkaError
    code, count = struct.unpack_from(">hi", answer)
    if code or len(answer) < 6 + 6 * count:
        raise NoKafkaError
    found = (struct.unpack_from(">hhh", answer, 6 + 6 * i) for i in range(count))
    return {key: newest for key, _, newest in found}


def ask(connection: socket.socket, request: int, version: int, body: bytes) -> bytes:
    """One request of Kafka's protocol; the body of its answer. Raises NoKafkaError where the connection ends instead."""
    connection.settimeout(ANSWER_SECONDS)
    message = struct.pack(">hhih7s", request, version, 1, 7, b"logproc") + body
    try:
        connection.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        if not 4 <= size <= 1 << 24:
            raise NoKafkaError
        answer = _exactly(connection, size)
    except (ConnectionResetError, BrokenPipeError) as error:
        raise NoKafkaError from error
    if answer[:4] != struct.pack(">i", 1):
        raise NoKafkaError
    return answer[4:]


def names(array: bytes) -> str:
    """An array of strings of Kafka's protocol, for a person."""
    (count,) = struct.unpack_from(">i", array)
    found, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from(">h", array, at)
        found.append(array[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return ", ".join(name.lower() for name in found)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise NoKafkaError
        data += more
    return data


def authenticate(connection: socket.socket, mechanism: str, user: str, password: str) -> bool:
    """Log in after a handshake; False: the broker refuses the user or the password."""
    from kafka.net.sasl import get_sasl_mechanism

    client: Any = get_sasl_mechanism(mechanism)(
        sasl_mechanism=mechanism, sasl_plain_username=user, sasl_plain_password=password
    )
    while not client.is_done():
        said = client.auth_bytes()
        answer = ask(connection, SASL_AUTHENTICATE, 0, struct.pack(">i", len(said)) + said)
        code, length = struct.unpack_from(">hh", answer)
        if code:
            return False
        client.receive(answer[8 + max(length, 0) :])
    return bool(client.is_authenticated())
