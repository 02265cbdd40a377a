"""One broker for all Kafka tests of a session, with every kind of listener, and short ways to fill and load topics."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logproc.broker import Broker
from logproc.topic_settings import Wanted, apply
from logproc.urls import Url
from tests.chdb_store import Database
from tests.kafka import broker as real
from tests.kafka.broker import Kafka
from tests.kafka.certificates import Certificates

USERS = {"alice": "correct horse", "reader": "battery staple"}
_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent and "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("kafka"))


def require_broker() -> None:
    """Skip where a user's machine lacks what the broker needs; fail on CI."""
    if why := real.missing():
        if "CI" in os.environ:
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def kafka(certificates: Certificates) -> Iterator[Kafka]:
    require_broker()
    folder = Path(tempfile.mkdtemp(prefix="logproc-kafka-"))
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required "
    plain += " ".join(f'user_{name}="{password}"' for name, password in USERS.items()) + ";"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    made = Kafka(
        folder,
        certificates.broker_properties()
        | {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "listener.name.users.plain.sasl.jaas.config": plain,
            "listener.name.users.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.users.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.users.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:alice;User:client",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
            "group.coordinator.rebalance.protocols": "classic",
        },
        {"USERS": "SASL_SSL", "MUTUAL": "SSL"},
        format_arguments=tuple(
            argument
            for name, password in USERS.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ),
    )
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_topic(kafka: Kafka) -> Callable[..., str]:
    """Makes a topic and says its URL."""

    def make(partitions: int = 1, wanted: Wanted | None = None) -> str:
        url = f"kafka://{kafka.address}/t{next(_numbers)}-{os.getpid()}"
        broker = Broker.of(Url.parse(url))
        with broker.admin() as admin:
            apply(admin, broker, broker.topic, wanted or Wanted(partitions=partitions))
            apply(admin, broker, f"{broker.topic}.dead_letter", Wanted(partitions=1))
        return url

    return make


@pytest.fixture
def topic(new_topic: Callable[..., str]) -> str:
    """A topic with one partition."""
    return new_topic()


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()
