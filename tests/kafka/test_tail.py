"""`logproc tail kafka://...` on a real broker: rows as they arrive, and nothing that a loader would notice."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from typing import Any

import pytest

from tests.batches import batch, span
from tests.chdb_store import Database
from tests.cli import run, start
from tests.kafka.loading import FILE, assert_once, cuts, load, send, send_raw


def test_rows_that_arrive_at_the_live_end_are_printed_and_stay_for_the_loaders(topic: str, database: Database) -> None:
    send(topic, *cuts(7, 100))  # before: not at the live end
    tail = start("tail", topic, "-o", "jsonl")
    printed: queue.Queue[bytes] = queue.Queue()
    assert tail.stdout is not None
    assert tail.stderr is not None

    def read() -> None:
        for line in tail.stdout or ():
            printed.put(line)

    threading.Thread(target=read, daemon=True).start()
    rows: list[dict[str, Any]] = []
    sent, end = 0, time.monotonic() + 60
    try:
        # When it has begun to listen nobody says: so the first that it prints is where it began.
        while not rows and time.monotonic() < end:
            send(topic, batch(sent, [span(FILE, sent * 10, sent * 10 + 10)]))
            sent += 1
            try:
                rows.append(json.loads(printed.get(timeout=1.0)))
            except queue.Empty:
                continue
        send_raw(topic, b"something else")
        send(topic, batch(sent, [span(FILE, sent * 10, sent * 10 + 10)]))
        sent += 1
        while (not rows or rows[-1]["line"] != sent * 10 - 1) and time.monotonic() < end:
            rows.append(json.loads(printed.get(timeout=30)))
    finally:
        tail.send_signal(signal.SIGINT)
        code = tail.wait(30)

    first = rows[0]["line"]
    assert first % 10 == 0
    assert [r["line"] for r in rows] == [n for n in range(first, sent * 10) if n % 10 != 8], "one row for each line"
    assert {r["table"] for r in rows} == {"access_log", "message_log", "rejected_line"}
    assert rows[0]["path"] == f"/{first}"
    assert code in {0, 130}
    said = tail.stderr.read().decode()
    assert "a message is left out: it has no logproc headers" in said
    assert "Traceback" not in said
    load(topic, database)
    assert_once(database, FILE, sent * 10)
    assert_once(database, 7, 100)


@pytest.mark.parametrize("name", ["nobody-made-this"])
def test_a_broker_that_does_not_answer_is_said(name: str) -> None:
    said = run("tail", f"kafka://127.0.0.1:9/{name}", "-o", "jsonl")

    assert said.returncode in {2, 3}
    assert b"connection refused" in said.stderr.lower()
    assert b"Traceback" not in said.stderr


def test_without_follow_it_shows_what_is_there_and_ends(topic: str) -> None:
    for cut in cuts(7, 100):
        send(topic, cut)

    every, last, recent = (
        run("tail", topic, "--no-follow", *chosen, "-o", "jsonl")
        for chosen in (("--tail", "-1"), ("--tail", "3"), ("--since", "1h"))
    )
    lines = every.stdout.splitlines()

    assert (every.returncode, last.returncode, recent.returncode) == (0, 0, 0)
    assert {json.loads(line)["line"] for line in lines} >= {0, 99}
    assert len(last.stdout.splitlines()) == 3
    assert set(last.stdout.splitlines()) < set(lines)
    assert sorted(recent.stdout.splitlines()) == sorted(lines)


def test_without_follow_a_topic_has_to_be_there(topic: str) -> None:
    done = run("tail", f"{topic}-no", "--no-follow")

    assert done.returncode == 2
    assert b"there is no such topic" in done.stderr
