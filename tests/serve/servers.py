"""Servers in processes of their own, as a user starts them."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO

from tests.cli import LOGPROC, environment


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Message

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Running:
    """A server that answers. `said` grows with what it prints."""

    process: subprocess.Popen[bytes]
    url: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def ask(
        self,
        sql: str | bytes = b"",
        *,
        user: str = "",
        password: str = "",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        path: str = "/",
        timeout: float = 60,
        **parameters: str | int,
    ) -> Answer:
        """One request with SQL as its body, parameters in the URL."""
        given = dict(headers or {})
        if user:
            given |= {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        body = sql.encode() if isinstance(sql, str) else sql
        request = urllib.request.Request(url, body if method == "POST" else None, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), error.headers)

    def value(self, sql: str, **parameters: str | int) -> str:
        """The only value of an answer that has to succeed."""
        answer = self.ask(sql, **parameters)  # type: ignore[arg-type]
        assert answer.status == 200, answer.text
        return answer.text.rstrip("\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


def start(*args: str | Path, env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None) -> Running:
    """Start `logproc ARGS --listen 127.0.0.1:0` (unless another place is named), and wait until it answers."""
    given = [*map(str, args)]
    if "--listen" not in given:
        given += ["--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*LOGPROC, *given], stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(None, env)
    )
    running = Running(process)
    ready = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for raw in process.stderr:
            running.said.append(raw.decode(errors="replace").rstrip("\n"))
            if found := re.search(r'listening on ([^\s"]+)', running.said[-1]):
                running.url = found[1]
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    assert ready.wait(60)
    assert running.url, running.said
    return running


@contextmanager
def serving(
    *args: str | Path, env: Mapping[str, str] | None = None, stdout: IO[bytes] | None = None
) -> Iterator[Running]:
    """A server for the time of a block."""
    running = start(*args, env=env, stdout=stdout)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


def until(condition: object, seconds: float = 30) -> None:
    """Wait until a call says yes."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
