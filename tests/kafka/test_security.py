"""TLS, client certificates, SASL and permissions on a real broker: what works, and one clear line for what does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from logproc.broker import Broker
from logproc.errors import ConfigError, Unavailable
from logproc.topic import GroupReader
from logproc.urls import Url
from sinks import make_sink
from tests.chdb_store import Database
from tests.cli import run
from tests.kafka.broker import Kafka
from tests.kafka.certificates import Certificates
from tests.kafka.loading import FILE, assert_once, cuts, load, send


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("LOGPROC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def secure(kafka: Kafka, topic: str, certificates: Certificates) -> Callable[..., str]:
    """The URL of the topic on one of the listeners: `{ca}` and the like in the options are files."""
    name = topic.rsplit("/", maxsplit=1)[1]

    def make(listener: str, options: str, user: str = "") -> str:
        port = kafka.port if listener == "PLAINTEXT" else kafka.ports[listener]
        for file in ("other-ca", "ca", "client", "expired", "stranger"):
            options = options.replace(f"{{{file}}}", str(certificates.folder / file))
        return f"kafka://{user}localhost:{port}/{name}?{options}"

    return make


def open_sink(url: str) -> None:
    made = make_sink(url)
    try:
        made.open()
    finally:
        made.close()


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_a_login_over_tls_carries_rows(
    mechanism: str, secure: Callable[..., str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGPROC_KAFKA_PASSWORD", "correct horse")
    url = secure("USERS", f"ca={{ca}}.pem&sasl={mechanism}", "alice@")

    send(url, *cuts(FILE, 30))
    load(url, database)

    assert_once(database, FILE, 30)


def test_a_client_certificate_is_a_login(secure: Callable[..., str], database: Database) -> None:
    url = secure("MUTUAL", "ca={ca}.pem&cert={client}.pem&key={client}.key")

    send(url, *cuts(FILE, 30))
    load(url, database)

    assert_once(database, FILE, 30)


def test_what_a_url_does_not_say_the_environment_does(
    secure: Callable[..., str], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = certificates.folder / "password"
    password.write_text("correct horse\n")
    for name, value in {
        "CA": str(certificates.folder / "ca.pem"), "USER": "alice", "SASL": "scram-sha-256", "PASSWORD_FILE": str(password),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LOGPROC_KAFKA_{name}", value)

    open_sink(secure("USERS", ""))


@pytest.mark.parametrize(
    ("listener", "user", "options", "password", "words"),
    [
        ("USERS", "alice@", "ca={ca}.pem", "wrong", "refuses the user or the password"),
        ("USERS", "mallory@", "ca={ca}.pem&sasl=plain", "x", "refuses the user or the password"),
        ("USERS", "alice@", "ca={other-ca}.pem", "correct horse", "certificate is refused"),
        ("USERS", "alice@", "tls=1", "correct horse", "certificate is refused"),
        ("USERS", "alice@", "ca={ca}.key", "correct horse", "no such file"),
        ("USERS", "", "ca={ca}.pem", "", "the broker expects a login"),
        ("USERS", "", "", "", "does not answer as a Kafka broker does"),
        ("MUTUAL", "", "ca={ca}.pem", "", "refuses the TLS connection"),
        ("MUTUAL", "", "ca={ca}.pem&cert={expired}.pem&key={expired}.key", "", "refuses the TLS connection"),
        ("MUTUAL", "", "ca={ca}.pem&cert={stranger}.pem&key={stranger}.key", "", "refuses the TLS connection"),
        ("MUTUAL", "", "ca={ca}.pem&cert={client}.pem&key={stranger}.key", "", "key values mismatch"),
        ("PLAINTEXT", "", "ca={ca}.pem", "", "no TLS"),
        ("PLAINTEXT", "alice@", "", "correct horse", "has no logins"),
    ],
)
def test_a_refusal_is_one_clear_line_at_once(
    listener: str,
    user: str,
    options: str,
    password: str,
    words: str,
    secure: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGPROC_KAFKA_PASSWORD", password)
    url = secure(listener, options, user)
    began = time.monotonic()

    with pytest.raises(ConfigError, match=words) as refused:
        open_sink(url)
    with pytest.raises(ConfigError, match=words):
        GroupReader(Broker.of(Url.parse(url)), "g").open()

    assert time.monotonic() - began < 20
    assert "\n" not in refused.value.message
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sasl=kerberos", "no SASL mechanism 'kerberos'"),
        ("sasl=plain", "needs a user"),
        ("cert=x.pem", "needs both"),
        ("tls=perhaps", "tls is 0 or 1"),
        ("ssl=1", "has no option 'ssl'"),
        ("message_max=12", "message_max is a number of bytes"),
    ],
)
def test_an_option_that_cannot_work_is_refused_before_anything_is_connected(options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_sink(f"kafka://nowhere.example:1/logproc?{options}")


@pytest.mark.parametrize(
    "url", ["kafka:", "kafka://host", "kafka://host/", "kafka://host/a b", "kafka://host:1,host:x/t"]
)
def test_a_url_without_broker_or_topic_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        make_sink(url)


def test_a_missing_permission_is_one_clear_line(
    secure: Callable[..., str], database: Database, monkeypatch: pytest.MonkeyPatch, kafka: Kafka
) -> None:
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

    monkeypatch.setenv("LOGPROC_KAFKA_PASSWORD", "battery staple")
    url = secure("USERS", "ca={ca}.pem", "reader@")
    with pytest.raises(ConfigError, match="no permission for the topic"):
        open_sink(url)

    plain = Broker.of(Url.parse(f"kafka://{kafka.address}/{Broker.of(Url.parse(url)).topic}"))
    with plain.admin() as admin:
        for operation in (ACLOperation.READ, ACLOperation.DESCRIBE):
            where = ResourcePattern(ResourceType.TOPIC, plain.topic)
            admin.create_acls([ACL("User:reader", "*", operation, ACLPermissionType.ALLOW, where)])
    began = time.monotonic()
    with pytest.raises(ConfigError, match="no permission for the consumer group"):
        load(url, database)
    assert time.monotonic() - began < 20


def test_nobody_listening_is_unavailable_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="connection refused"):
        open_sink("kafka://127.0.0.1:1,127.0.0.1:2/logproc")
    assert time.monotonic() - began < 5


def test_the_command_says_it_in_one_line_and_exits_with_2(
    secure: Callable[..., str], tmp_path: os.PathLike[str]
) -> None:
    url = secure("USERS", "ca={ca}.pem", "alice@")

    done = run("load", url, "--to", "null:", env={"LOGPROC_KAFKA_PASSWORD": "wrong"})

    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: kafka://alice@localhost:")
    assert lines[0].endswith("the broker refuses the user or the password")
    assert "LOGPROC_KAFKA_PASSWORD" in lines[1]


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()
