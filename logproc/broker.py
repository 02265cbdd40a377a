"""How a Kafka is reached: the URL, its security, and what its refusals mean.

`kafka://[user@]host:port[,host:port]/topic?tls=1&ca=FILE&cert=FILE&key=FILE&sasl=scram-sha-512`. What a URL does not say, the
environment does: LOGPROC_KAFKA_TLS, _CA, _CERT, _KEY, _KEY_PASSWORD, _SASL, _USER, _PASSWORD, _PASSWORD_FILE.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logproc.errors import ConfigError, LogprocError, Rejected, Unavailable
from logproc.handshake import (
    INIT_PRODUCER_ID,
    METADATA,
    PRODUCE,
    SASL_HANDSHAKE,
    NoKafkaError,
    api_versions,
    ask,
    authenticate,
    names,
)
from logproc.urls import Url, secret, secret_hint

OPTIONS = ("tls", "ca", "cert", "key", "sasl")
MECHANISMS = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}
DEFAULT_PORT = 9092
CONNECT_SECONDS = 10.0
SECOND_LOOK_SECONDS = 1.0

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_OLDEST_PRODUCE = 7
"""Of Kafka 2.1: headers, idempotent producers with several batches in flight."""

_UNSUPPORTED_MECHANISM = 33
_BAD_LOGIN = (
    "the broker refuses the user or the password",
    "check the user in the URL and LOGPROC_KAFKA_PASSWORD or LOGPROC_KAFKA_PASSWORD_FILE",
)

# kafka-python logs each attempt to connect; what matters of it comes as an error.
logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a topic is and how to get there. Never printed with a password: it holds none."""

    servers: tuple[tuple[str, int], ...]
    topic: str
    user: str = ""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    sasl: str = ""

    @classmethod
    def of(cls, url: Url, options: Iterable[str] = ()) -> Broker:
        """What a `kafka:` URL and the environment say; `options` are further ones that the URL may have. Raises ConfigError."""
        url.refuse_unknown_options((*OPTIONS, *options))
        if not url.host:
            raise ConfigError(f"{url}: no broker", "write kafka://broker:9092/logproc, for example")
        topic = url.path.strip("/")
        if not _TOPIC.fullmatch(topic):
            what = f"{topic!r} is no name of a topic" if topic else "no topic"
            raise ConfigError(
                f"{url}: {what}", f"write kafka://{url.host}:{url.port or DEFAULT_PORT}/logproc, for example"
            )
        values = {name: url.option(name) or os.environ.get(f"LOGPROC_KAFKA_{name.upper()}", "") for name in OPTIONS}
        if values["sasl"] and values["sasl"].lower() not in MECHANISMS:
            raise ConfigError(f"{url}: no SASL mechanism {values['sasl']!r}", f"known: {', '.join(MECHANISMS)}")
        if values["tls"].lower() not in {"", "0", "1", "true", "false"}:
            raise ConfigError(f"{url}: tls is 0 or 1")
        if bool(values["cert"]) != bool(values["key"]):
            raise ConfigError(f"{url}: a client certificate needs both cert=FILE and key=FILE")
        user = url.user or os.environ.get("LOGPROC_KAFKA_USER", "")
        sasl = values["sasl"].lower() or ("scram-sha-512" if user else "")
        if sasl and not user:
            raise ConfigError(
                f"{url}: sasl={sasl} needs a user", "write kafka://USER@host:port/topic, or set LOGPROC_KAFKA_USER"
            )
        tls = values["tls"].lower() in {"1", "true"} or (not values["tls"] and bool(values["ca"] or values["cert"]))
        return cls(
            ((url.host, url.port or DEFAULT_PORT), *(_server(url, text) for text in url.others)),
            topic, user, tls, values["ca"], values["cert"], values["key"], sasl,
        )  # fmt: skip

    @property
    def place(self) -> str:
        """The topic as messages name it."""
        hosts = ",".join(f"{h}:{p}" for h, p in self.servers)
        return f"kafka://{self.user + '@' if self.user else ''}{hosts}/{self.topic}"

    def config(self) -> dict[str, Any]:
        """What every client of kafka-python is given. Raises ConfigError for files that cannot be read."""
        security = ("SASL_" if self.sasl else "") + ("SSL" if self.tls else "PLAINTEXT")
        made: dict[str, Any] = {
            "bootstrap_servers": [f"{h}:{p}" for h, p in self.servers],
            "client_id": "logproc",
            "security_protocol": security.removesuffix("_PLAINTEXT") if security == "PLAINTEXT" else security,
            "bootstrap_timeout_ms": round(CONNECT_SECONDS * 1000),
            # The default of 30 s is for how long nothing arrives after the broker is back.
            "reconnect_backoff_max_ms": 1000,
        }
        if self.tls:
            made["ssl_context"] = self._context()
        if self.sasl:
            made |= {
                "sasl_mechanism": MECHANISMS[self.sasl],
                "sasl_plain_username": self.user,
                "sasl_plain_password": _password(),
            }
        return made

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            hint = "it has to be a file of PEM certificates" if Path(self.ca).exists() else secret_hint(self.ca)
            raise ConfigError(f"{self.place}: ca {self.ca}: {_reason(error)}", hint) from error
        if self.cert:
            try:
                context.load_cert_chain(self.cert, self.key, os.environ.get("LOGPROC_KAFKA_KEY_PASSWORD", ""))
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"{self.place}: cert {self.cert}, key {self.key}: {_reason(error)}",
                    "both have to be PEM, and the key has to belong to the certificate (its password: LOGPROC_KAFKA_KEY_PASSWORD)",
                ) from error
        return context

    def reach(self) -> None:
        """See that one of the servers is a broker that speaks to us, so that a refusal has a reason.

        Raises Unavailable (nobody answers), ConfigError (certificates, no broker, too old).
        """
        failures: list[LogprocError] = []
        for host, port in self.servers:
            try:
                versions = self._versions_at_last(host, port)
            except LogprocError as error:
                failures.append(error)
                continue
            if versions.get(PRODUCE, 0) < _OLDEST_PRODUCE or INIT_PRODUCER_ID not in versions:
                raise ConfigError(f"{self.place}: the broker is too old", "logproc needs Kafka 2.1 or newer")
            return
        raise next((e for e in failures if isinstance(e, ConfigError)), failures[0])

    def _versions_at_last(self, host: str, port: int) -> dict[int, int]:
        """As `_versions`. A broker that is killed in mid-answer looks like none, so that is believed when it is so again."""
        try:
            return self._versions(host, port)
        except ConfigError as error:
            if not isinstance(error.__cause__, NoKafkaError | ssl.SSLEOFError):
                raise
        time.sleep(SECOND_LOOK_SECONDS)
        return self._versions(host, port)

    def _versions(self, host: str, port: int) -> dict[int, int]:
        """Ask one server for its API versions: the newest it knows of each request."""
        place = f"{self.place}: {host}:{port}"
        try:
            with socket.create_connection((host, port), CONNECT_SECONDS) as plain:
                if not self.tls:
                    return self._greet(place, plain)
                with self._context().wrap_socket(plain, server_hostname=host) as secured:
                    return self._greet(place, secured)
        except ssl.SSLCertVerificationError as error:
            raise ConfigError(
                f"{place}: the broker's certificate is refused: {error.verify_message or _reason(error)}",
                "name the CA that signed it with ?ca=FILE or LOGPROC_KAFKA_CA",
            ) from error
        except ssl.SSLError as error:
            raise self._tls_refused(place, error) from error
        except NoKafkaError as error:
            if self.tls and self.cert:
                raise ConfigError(
                    f"{place}: the broker closes the connection after the TLS handshake",
                    f"it may not accept the client certificate {self.cert}",
                ) from error
            hint = (
                "it may want a client certificate: ?cert=FILE&key=FILE"
                if self.tls
                else "is it a TLS listener? then add ?tls=1 or ?ca=FILE"
            )
            raise ConfigError(f"{place}: does not answer as a Kafka broker does", hint) from error
        except OSError as error:
            raise Unavailable(f"{place}: {_reason(error)}") from error

    def _greet(self, place: str, connection: socket.socket) -> dict[int, int]:
        """The versions, and whether the listener wants a login of the kind that we have."""
        versions = api_versions(connection)
        try:
            if not self.sasl:
                ask(connection, METADATA, 1, struct.pack(">i", 0))
                return versions
            mechanism = MECHANISMS[self.sasl].encode()
            answer = ask(connection, SASL_HANDSHAKE, 1, struct.pack(">h", len(mechanism)) + mechanism)
        except NoKafkaError as error:
            hint = "add ?sasl=... and a user to the URL" if not self.sasl else "is it a listener with SASL?"
            raise ConfigError(
                f"{place}: the broker expects {'a login' if not self.sasl else 'no login'}", hint
            ) from error
        (code,) = struct.unpack_from(">h", answer)
        if code == _UNSUPPORTED_MECHANISM:
            raise ConfigError(
                f"{place}: the broker does not offer {MECHANISMS[self.sasl]}", f"it offers {names(answer[2:])}: ?sasl="
            )
        if code:
            raise ConfigError(
                f"{place}: this listener has no logins", "leave out user and sasl, or use the port that has them"
            )
        if not authenticate(connection, MECHANISMS[self.sasl], self.user, _password()):
            raise ConfigError(f"{self.place}: {_BAD_LOGIN[0]}", _BAD_LOGIN[1])
        return versions

    def _tls_refused(self, place: str, error: ssl.SSLError) -> LogprocError:
        reason = _reason(error)
        if "ALERT" in (error.reason or "") or "alert" in str(error):
            own = self.cert or "none was given: ?cert=FILE&key=FILE"
            return ConfigError(
                f"{place}: the broker refuses the TLS connection: {reason}", f"client certificate: {own}"
            )
        return ConfigError(f"{place}: no TLS: {reason}", "is it a plaintext listener? then leave out tls, ca and cert")

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """A client for topics, groups and their settings. Raises ConfigError, Unavailable."""
        from kafka import KafkaAdminClient

        self.reach()
        with translated(self.place, opening=True):
            client = KafkaAdminClient(**self.config())
            try:
                yield client
            finally:
                client.close()


@contextmanager
def translated(place: str, *, opening: bool = False) -> Iterator[None]:
    """Turn what kafka-python raises into ours. `opening`: what only a person can mend is a ConfigError, else it is waited for."""
    from kafka.errors import KafkaError

    try:
        yield
    except KafkaError as error:
        raise meaning(error, place, opening=opening) from error


def meaning(error: Exception, place: str, *, opening: bool) -> LogprocError:
    """What one of kafka-python's errors means."""
    from kafka import errors

    if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError | errors.InvalidRecordError):
        return Rejected(f"{place}: {_words(error)}", "raise max.message.bytes of the topic: `logproc topics apply`")
    mend = _mend(error)
    if mend is None:
        return Unavailable(f"{place}: {_words(error)}")
    message, hint = mend
    if opening:
        return ConfigError(f"{place}: {message}", hint)
    return Unavailable(f"{place}: {message}", hint, retry_after=10.0)


def _mend(error: Exception) -> tuple[str, str] | None:
    """Message and hint for errors that waiting does not end."""
    from kafka import errors

    acl = "grant it with kafka-acls: collectors need Write and Describe on the topic; loaders Read and Describe on topic and group"
    found: Sequence[tuple[Any, str, str]] = (
        (errors.SaslAuthenticationFailedError, *_BAD_LOGIN),
        (errors.UnsupportedSaslMechanismError, "the broker does not offer this SASL mechanism", f"known: sasl={', '.join(MECHANISMS)}"),
        (errors.IllegalSaslStateError, "the broker expects another kind of login", "see its listener: tls=1? sasl=?"),
        (errors.TopicAuthorizationFailedError, "no permission for the topic", acl),
        (errors.GroupAuthorizationFailedError, "no permission for the consumer group", acl),
        (errors.ClusterAuthorizationFailedError, "no permission in the cluster", acl),
        (errors.UnknownTopicOrPartitionError, "there is no such topic", "make it with `logproc topics apply URL`"),
        (errors.InvalidTopicError, "the broker refuses this name of a topic", ""),
        (errors.InconsistentGroupProtocolError, "the consumer group is in use by another tool", "name another one with --group"),
        (errors.InvalidSessionTimeoutError, "the broker does not allow this session", "give another --session: group.min.session.timeout.ms of the broker says the least"),
        (errors.InvalidGroupIdError, "the broker refuses this name of a group", "name another one with --group"),
        (errors.GroupMaxSizeReachedError, "the consumer group is full", "group.max.size of the broker says how many loaders it takes"),
        (errors.UnrecognizedBrokerVersion, "the broker is too old", "logproc needs Kafka 2.1 or newer"),
        (errors.UnsupportedVersionError, "the broker is too old", "logproc needs Kafka 2.1 or newer"),
    )  # fmt: skip
    for kind, message, hint in found:
        if isinstance(error, kind):
            return message, hint
    return None


def _server(url: Url, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(DEFAULT_PORT))
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{url}: {text!r} is no host:port")
    return host, int(port)


def _password() -> str:
    if found := secret("LOGPROC_KAFKA_PASSWORD"):
        return found
    raise ConfigError("kafka: no password is given", "set LOGPROC_KAFKA_PASSWORD or LOGPROC_KAFKA_PASSWORD_FILE")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)


def _words(error: Exception) -> str:
    """One line of an error of kafka-python: its texts have brackets, numbers and line breaks in them."""
    text = " ".join(str(error).split())
    with suppress(Exception):
        text = re.sub(r"^\[Error \d+\]\s*", "", text)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return f"{name}: {text}"[:300] if text and text.lower() != type(error).__name__.lower() else name
