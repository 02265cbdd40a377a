"""An Envoy as far as its access log goes: a real file, opened anew with the next write after a real POST to a real admin port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Envoy:
    """Writes lines; `reopened` counts the requests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.reopened = 0
        self.refuses = False
        self.port = 0
        self._reopen = False
        self._file = path.open("ab")
        self._server: ThreadingHTTPServer | None = None
        self._stop = threading.Event()

    def line(self, number: int) -> bytes:
        return (
            f'[2026-11-20T10:00:00.{number % 1000:03d}Z] "GET /{number} HTTP/1.1" 200 - via_upstream - "-" 0 5 3 2 "-" "curl/8" '
            f'"137068b0-3a6d-9e4b-91c4-{number:012x}" "web" "10.244.0.7:8080" inbound|8080|| '
            "127.0.0.6:40000 10.244.0.7:8080 10.244.0.5:50000 outbound_.80_._.web.shop.svc.cluster.local default\n"
        ).encode()

    def write(self, count: int = 1) -> None:
        if self._reopen:
            self._reopen = False
            self._file.close()
            self._file = self.path.open("ab")
        for _ in range(count):
            self._file.write(self.line(self.written))
            self.written += 1
        self._file.flush()

    def keep_writing(self, pause: float = 0.005, lines: int = 20) -> threading.Thread:
        def run() -> None:
            while not self._stop.wait(pause):
                self.write(lines)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def stop_writing(self, thread: threading.Thread) -> None:
        self._stop.set()
        thread.join()

    def end(self) -> None:
        """The process ends: nothing listens any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._file.close()

    def serve(self) -> None:
        envoy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                refused = envoy.refuses or self.path != "/reopen_logs"
                if not refused:
                    envoy.reopened += 1
                    envoy._reopen = True
                self.send_response(503 if refused else 200)
                self.end_headers()
                self.wfile.write(b"OK\n")

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@contextmanager
def running(path: Path) -> Iterator[Envoy]:
    envoy = Envoy(path)
    envoy.serve()
    try:
        yield envoy
    finally:
        envoy._stop.set()
        time.sleep(0.02)
        envoy.end()
