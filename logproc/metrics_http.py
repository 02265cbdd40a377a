"""`/metrics`, `/healthz` and `/readyz` over HTTP, for whoever runs for long: a thread beside the work, never in its way."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from logproc.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

REQUEST_SECONDS = 10.0
Reason = Callable[[], str]
"""Why something is not well; empty: it is."""


def parse_listen(option: str, text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` (every interface) or `[::1]:PORT`. Raises ConfigError naming the option."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{option}: {text!r} is no address", "write HOST:PORT, for example 0.0.0.0:9090")
    return host.removeprefix("[").removesuffix("]"), int(port)


class MetricsServer:
    """Answers while it is entered. `collector` is asked at every scrape; `dead` and `unready` say why not."""

    def __init__(
        self, listen: tuple[str, int], collector: Collector, dead: Reason = str, unready: Reason = str
    ) -> None:
        """Raise ConfigError where nobody can listen there. Port 0: any that is free, see `port`."""
        from prometheus_client import CollectorRegistry, ProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        ProcessCollector(registry=registry)
        handler = type("Handler", (_Handler,), {"registry": registry, "dead": dead, "unready": unready})
        host, port = listen
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise ConfigError(
                f"nobody can listen on {host or '*'}:{port}: {error.strerror}", "name another address"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.5,), name="metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    registry: Any
    dead: Reason
    unready: Reason
    timeout = REQUEST_SECONDS
    server_version, sys_version = "logproc", ""

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.split("?", 1)[0]
        if path == "/metrics":
            self._metrics()
        elif path in {"/healthz", "/readyz"}:
            reason = type(self).dead() if path == "/healthz" else type(self).unready()
            status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
            self._answer(status, "text/plain; charset=utf-8", f"{reason or 'ok'}\n".encode())
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", b"/metrics /healthz /readyz\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")

    do_HEAD = do_GET  # noqa: N815

    def _metrics(self) -> None:
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        self._answer(HTTPStatus.OK, content_type, encode(self.registry))

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
