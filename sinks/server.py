"""A ClickHouse server, or several of one cluster, over HTTP: what its URL says, and whether it can store each line once."""

from __future__ import annotations

import re
from dataclasses import replace

from logproc.errors import ConfigError, Unavailable
from logproc.urls import Url, password, user
from sinks import ddl
from sinks.answers import translated
from sinks.connection import ONE_BLOCK, Connection, literal

OPTIONS = ("secure", "verify", "ca", "cert", "key", "timeout")

OLDEST = (24, 8)
"""Before that release an insert with a token, sent again, could count twice or not at all in a table fed by a view."""

_PORT = re.compile(r"(.+?)(?::(\d+))?")


def database_of(url: Url) -> str:
    """The database that a `clickhouse:` URL names."""
    return url.path.strip("/") or ddl.DATABASE


def check(url: Url) -> None:
    """Raise ConfigError for what cannot work whatever the servers say."""
    url.refuse_unknown_options(OPTIONS)
    if not url.host:
        raise ConfigError(f"{url}: no host", "write clickhouse://default@localhost:8123/logproc, for example")
    for name in ("secure", "verify"):
        _switch(url, name, True)
    if bool(url.option("cert")) != bool(url.option("key")):
        raise ConfigError(
            f"{url}: cert and key go together", "name the files of the client's certificate and of its key"
        )
    if not url.option("timeout", "1").isdecimal():
        raise ConfigError(f"{url}: timeout is a number of seconds")
    hosts(url)


def hosts(url: Url) -> list[Url]:
    """One URL for each host of a URL; all else is the same."""
    found = [replace(url, others=())]
    for text in url.others:
        parts = _PORT.fullmatch(text)
        if parts is None or "@" in text or int(parts[2] or 1) > 65535:
            raise ConfigError(f"{url}: {text!r} is no host", "write clickhouse://user@a:8123,b:8123/logproc")
        found.append(replace(url, host=parts[1], port=int(parts[2]) if parts[2] else url.port, others=()))
    return found


def connect(url: Url, turn: int = 0) -> Connection:
    """A client of the first host that answers, beginning with the one whose `turn` it is.

    Raises ConfigError for what a person has to mend, else Unavailable.
    """
    check(url)
    places = hosts(url)
    down: list[str] = []
    for number in range(len(places)):
        try:
            return _connect(places[(turn + number) % len(places)])
        except Unavailable as error:
            if len(places) == 1:
                raise
            down.append(error.message)
    raise Unavailable("no host answers: " + "; ".join(down))


def _connect(url: Url) -> Connection:
    import clickhouse_connect

    secure = _switch(url, "secure", url.port in {443, 8443})
    with translated(str(url), ConfigError):
        client = clickhouse_connect.get_client(
            interface="https" if secure else "http",
            host=url.host,
            port=url.port or (8443 if secure else 8123),
            username=user(url) or "default",
            password=password(),
            verify=_switch(url, "verify", True),
            ca_cert=url.option("ca") or None,
            client_cert=url.option("cert") or None,
            client_cert_key=url.option("key") or None,
            connect_timeout=10,
            send_receive_timeout=int(url.option("timeout", "300")),
            # A session is locked by its running query, so that an insert after a time-out would be refused.
            autogenerate_session_id=False,
        )
    return Connection(client, str(url))


def _switch(url: Url, name: str, default: bool) -> bool:
    text = url.option(name, "1" if default else "0").lower()
    if text not in {"0", "1", "true", "false"}:
        raise ConfigError(f"{url}: {name} is 0 or 1")
    return text in {"1", "true"}


def require_version(connection: Connection) -> None:
    """Raise ConfigError for a server that is too old."""
    text = str(connection.query("SELECT version() AS v", meaning=ConfigError)["v"][0].as_py())
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise ConfigError(
            f"{connection.place}: the server has version {text}; the oldest that can store each line once is {OLDEST[0]}.{OLDEST[1]}",
            "use a newer server",
        )


def require_settings(connection: Connection) -> None:
    """Storing each line once needs them; clickhouse-connect would leave out what a profile forbids."""
    names = ", ".join(literal(name) for name in ONE_BLOCK)
    answer = connection.query(
        f"SELECT name FROM system.settings WHERE name IN ({names}) AND NOT readonly", meaning=ConfigError
    )
    lacking = sorted(set(ONE_BLOCK) - {str(name) for name in answer["name"].to_pylist()})
    if lacking:
        raise ConfigError(
            f"{connection.place}: the server does not know, or the user may not change, {', '.join(lacking)}",
            "storing each line once needs these settings: allow them in the user's profile, or use a newer server",
        )
