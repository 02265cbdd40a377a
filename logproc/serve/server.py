"""Sockets, TLS and signals: a server that is ready when it says so and stops when it is told."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from logproc.errors import ConfigError
from logproc.serve.app import Front, Options, application
from logproc.serve.engine import Engine
from logproc.serve.guard import Guard
from logproc.serve.queries import Capacity, Queries
from logproc.serve.users import Users

_HEADERS_SECONDS = 30.0
"""For the headers of a request; also how long a connection stays open without one."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. `host` is an address or a name, `certificate` and `key` are PEM files or None."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(cls, text: str, certificate: Path | None = None, key: Path | None = None) -> Listen:
        """`HOST:PORT`, `[::1]:PORT`, `:PORT` (all addresses), `PORT` (loopback). Raises ConfigError."""
        host, colon, port = text.rpartition(":")
        if not colon:
            host = "127.0.0.1"
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(
                f"--listen {text}: the port is no number from 0 to 65535", "write HOST:PORT, for example 127.0.0.1:8123"
            )
        if (certificate is None) != (key is None):
            raise ConfigError("TLS needs a certificate and its key", "give both, --tls-cert and --tls-key")
        if certificate is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                raise ConfigError(
                    f"--tls-cert {certificate}, --tls-key {key}: {reason}",
                    "both are PEM files, the key without a password",
                ) from error
        return cls(host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port), certificate, key)  # noqa: S104  `:8123` says so

    @property
    def loopback(self) -> bool:
        """Nobody else can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def bind(self) -> socket.socket:
        """A socket that is bound and not listening yet. Raises ConfigError."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            raise ConfigError(f"--listen {self.host}:{self.port}: {error.strerror or error}") from error
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(1024)
        except OSError as error:
            made.close()
            hint = (
                "name another port, or stop what has it: `ss -ltnp` shows it" if error.errno == errno.EADDRINUSE else ""
            )
            raise ConfigError(f"--listen {self.host}:{self.port}: {_reason(error)}", hint) from error
        return made

    def url(self, port: int) -> str:
        """What a client on this machine writes."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  not bound here
        host = everywhere.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.certificate else 'http'}://{host}:{port}"


def _reason(error: OSError) -> str:
    return "the port is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))


class Server:
    """A server on one socket. `run` returns when it was stopped."""

    def __init__(
        self, engine: Engine, users: Users, listen: Listen, *, capacity: Capacity, max_body: int, grace: float
    ) -> None:
        """Raises ConfigError for an address that cannot be had and for a listener beyond loopback that needs no password."""
        if users.open and not listen.loopback:
            raise ConfigError(
                f"--listen {listen.host}: everybody who reaches this address could read and change the store",
                "give the users passwords (--users FILE, or LOGPROC_PASSWORD for `default`), or listen on 127.0.0.1",
            )
        self._engine, self._users, self._listen, self._grace = engine, users, listen, grace
        self._capacity, self._max_body = capacity, max_body
        self._socket = listen.bind()
        self.port: int = self._socket.getsockname()[1]
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return self._listen.url(self.port)

    def stop(self) -> None:
        """Stop; callable from any thread, before and after `run`."""
        self._stopped = True
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    def close(self) -> None:
        """Let go of the socket of a server that was never run."""
        self._socket.close()

    def run(self, ready: Callable[[], None], signalled: Callable[[], None] = lambda: None) -> None:
        """Answer until `stop`, SIGTERM or Ctrl-C. `ready` is called when it answers, `signalled` at each signal."""
        try:
            asyncio.run(self._run(ready, signalled))
        finally:
            self._socket.close()

    async def _run(self, ready: Callable[[], None], signalled: Callable[[], None]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        queries = Queries(self._engine, self._capacity)
        front = Front(queries, Guard(self._engine), self._users, Options(self._max_body))
        server = _Uvicorn(self._config(application(front)))
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signal, server, signalled)
        serving = asyncio.ensure_future(server.serve(sockets=[self._socket]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        if not serving.done():
            ready()
        stopping = asyncio.ensure_future(self._stopping.wait())
        if self._stopped:
            self._stopping.set()
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await queries.stop(self._grace)
        await serving
        stopping.cancel()

    def _signal(self, server: uvicorn.Server, signalled: Callable[[], None]) -> None:
        if self._stopping is not None and self._stopping.is_set():
            server.force_exit = True
        self.stop()
        signalled()

    def _config(self, app: Any) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            loop="asyncio",
            http=_Http,
            ws="none",
            server_header=False,
            timeout_keep_alive=int(_HEADERS_SECONDS),
            timeout_graceful_shutdown=max(1, int(self._grace)),
            h11_max_incomplete_event_size=1 << 20,
            ssl_certfile=self._listen.certificate,
            ssl_keyfile=self._listen.key,
        )


class _Http(H11Protocol):
    """Closes a connection on which no request becomes whole: many such would take all that the process may have open."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to watch."""
        super().connection_made(transport)
        self._answered: object = None
        self._watch = self.loop.call_later(_HEADERS_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._answered is self.cycle:
            self.transport.close()
            return
        self._answered = self.cycle
        self._watch = self.loop.call_later(_HEADERS_SECONDS, self._look)


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to those who also have other things to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield
