"""A server as far as clickhouse-connect needs one: HTTP in front of the embedded engine, with faults on demand."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.answers import code_of
from sinks.connection import Connection, literal

Fault = Callable[[str], tuple[str, int] | None]
"""Given an INSERT: None lets it pass; ("refuse", code), ("drop before", 0) or ("drop after", 0) does what it says."""

TRANSPORT = {
    "query", "database", "session_id", "query_id", "client_protocol_version", "wait_end_of_query", "compress", "enable_http_compression",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close", "decompress",
}  # fmt: skip


class Front:
    """`seen` has the query parameters of every INSERT; `fault` is asked before each."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.seen: list[dict[str, str]] = []
        self.fault: Fault = lambda _: None
        self.refuse_all = 0
        self.lock = threading.Lock()
        self.port = 0

    def run(self, parameters: dict[str, str], body: bytes) -> bytes:
        sql, data = statement(parameters, body)
        settings = {k: v for k, v in parameters.items() if k not in TRANSPORT and not k.startswith("param_")}
        with self.lock:
            if sql.startswith("INSERT"):
                with os.fdopen(os.memfd_create("body"), "wb", buffering=0) as file:
                    file.write(data)
                    options = ", ".join(f"{k} = {literal(v)}" for k, v in settings.items())
                    into = re.sub(
                        r"\s+FORMAT (\w+)\s*$",
                        rf" FROM INFILE '/proc/self/fd/{file.fileno()}' SETTINGS {options} FORMAT \1",
                        sql,
                    )
                    self.connection.client.command(into)
                    return b""
            given = {k.removeprefix("param_"): v for k, v in parameters.items() if k.startswith("param_")}
            return bytes(self.connection.client.raw_query(sql, given or None))


def statement(parameters: dict[str, str], body: bytes) -> tuple[str, bytes]:
    """The SQL and the data that follow it: SQL is a parameter, or the beginning of the body."""
    if "query" in parameters:
        return parameters["query"], body
    if body.startswith(b"INSERT"):
        sql, _, data = body.partition(b"\n")
        return sql.decode(), data
    return body.decode(), b""


def handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.answer(self.body())

        def do_GET(self) -> None:
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            sql, _ = statement(parameters, body)
            fault = ("refuse", front.refuse_all) if front.refuse_all else None
            if sql.startswith("INSERT"):
                front.seen.append({**parameters, "sql": sql})
                fault = fault or front.fault(sql)
            if fault and fault[0] == "refuse":
                return self.say(fault[1], f"Code: {fault[1]}. DB::Exception: no. (NO) (version 26.9.2.1)".encode())
            if fault and fault[0] == "drop before":
                return self.drop()
            try:
                result = front.run(parameters, body)
            except ClickHouseError as error:
                return self.say(code_of(error) or 1002, str(error).encode())
            if fault:
                return self.drop()
            return self.say(0, result)

        def drop(self) -> None:
            self.close_connection = True
            self.connection.close()

        def say(self, code: int, text: bytes) -> None:
            self.send_response(500 if code else 200)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", str(code))
            self.send_header("X-ClickHouse-Timezone", "UTC")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving(connection: Connection) -> Iterator[Front]:
    """A front on a free port of the loopback."""
    front = Front(connection)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(front))
    server.daemon_threads = True
    front.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
