"""A loader and the ClickHouse servers of its URL, of which one stops, or which are all away for a while."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from logproc.errors import LogprocError
from tests.batches import batch, span
from tests.cli import environment, output, start
from tests.kafka.broker import ROOT, Kafka
from tests.kafka.loading import FILE, cuts, send
from tests.kafka.test_load import committed
from tests.serve.servers import Running, serving, until
from tests.serve.servers import start as start_server

ROWS = "SELECT count() FROM logproc.access_log WHERE file_id = 18364758544493064720"
EACH = "SELECT count() = uniqExact(file_id, line) FROM logproc.access_log"


def access_rows(lines: int) -> int:
    return sum(1 for n in range(lines) if n % 10 not in {3, 5, 8})


def stored_more(url: str, before: int) -> int:
    """Wait until the loader has stored more messages than before; how many it are then."""
    end = time.monotonic() + 30
    settled = before
    while settled <= before and time.monotonic() < end:
        time.sleep(0.2)
        with suppress(LogprocError):
            settled = committed(url).get(0, (0, ""))[0]
    return settled


def load(topic: str, to: str) -> dict[str, int]:
    said = output(
        "load", topic, "--to", to, "--group", "g", "--until-idle", "0.5", "--seconds", "0.1", "-q", "-o", "json"
    )
    found: dict[str, int] = json.loads(said)
    return found


def test_a_loader_goes_to_the_next_host_when_one_has_stopped(topic: str, kafka: Kafka, tmp_path: Path) -> None:
    with serving("serve", "--store", tmp_path / "a") as first, serving("serve", "--store", tmp_path / "b") as second:
        to = f"clickhouse://default@127.0.0.1:{first.port},127.0.0.1:{second.port}/logproc"
        send(topic, *cuts(FILE, 500, 1000))
        running = start("load", topic, "--to", to, "--group", "g", "--seconds", "0.1", "--session", "2")
        try:
            # The two know nothing of each other, unlike those of a cluster: so between two ranges.
            assert stored_more(topic, 1) == 2
            assert first.value(ROWS) == str(access_rows(1000))
            first.kill()
            send(topic, batch(2, [span(FILE, 1000, 1500)]))
            until(lambda: second.value(ROWS) == str(access_rows(1500) - access_rows(1000)), 60)
        finally:
            running.terminate()
            assert running.wait(60) == 0
        assert second.value(EACH) == "1"
        # A fresh start finds the first host away, and the topic read to its end.
        assert load(topic, to)["messages"] == 0


@pytest.mark.long
def test_a_clickhouse_that_is_away_for_a_minute_while_rows_come(topic: str, kafka: Kafka, tmp_path: Path) -> None:
    server = start_server("serve", "--store", tmp_path / "store")
    place = f"127.0.0.1:{server.port}"
    errors = tmp_path / "loader.log"
    with errors.open("wb") as said:
        loader = subprocess.Popen(
            [sys.executable, "-m", "logproc", "load", topic, "--to", f"clickhouse://default@{place}/logproc", "--seconds", "0.1", "--log-format", "text"],
            stderr=said, env=environment(), cwd=ROOT,
        )  # fmt: skip
    sent = 0
    again: Running | None = None
    try:
        for sent in range(1, 121):
            send(topic, batch(sent - 1, [span(FILE, sent * 500 - 500, sent * 500)]))
            time.sleep(0.5)
            if sent == 5:
                server.kill()
        again = start_server("serve", "--store", tmp_path / "store", "--listen", place)
        until(lambda: again is not None and again.value(ROWS) == str(access_rows(sent * 500)), 120)
        assert again.value(EACH) == "1"
        loader.terminate()
        assert loader.wait(60) == 0
    finally:
        loader.kill()
        for each in (server, again):
            if each is not None and each.process.poll() is None:
                each.kill()
    text = errors.read_text()
    assert len(re.findall("warning", text)) < 10, "said once, and not each time"
    assert "the store takes rows again" in text
