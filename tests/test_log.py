"""What a command says about itself: as lines or JSON, and never a flood."""

from __future__ import annotations

import json
import logging

from logproc.log import PER_MINUTE, Log, LogFormat
from tests.kubelet import Clock


def test_lines_are_written_as_they_are() -> None:
    written: list[str] = []
    log = Log(LogFormat.TEXT, written.append)

    log.say("warning: the sink is away; trying again")

    assert written == ["warning: the sink is away; trying again"]


def test_json_has_time_level_and_message_and_further_facts() -> None:
    written: list[str] = []
    log = Log(LogFormat.JSON, written.append)

    log.say('warning: a "quoted" thing\nof two lines')
    log.say("error: bad")
    log.say("note: well")
    log.say("progress", lines=3)

    records = [json.loads(line) for line in written]
    assert [r["level"] for r in records] == ["warning", "error", "info", "info"]
    assert [r["message"] for r in records] == ['a "quoted" thing\nof two lines', "bad", "well", "progress"]
    assert records[3]["lines"] == 3
    assert all(r["time"].endswith("Z") and "T" in r["time"] for r in records)
    assert all("\n" not in line for line in written)


def test_messages_of_one_kind_are_written_some_times_a_minute() -> None:
    written: list[str] = []
    clock = Clock()
    log = Log(LogFormat.TEXT, written.append, clock)
    for i in range(1000):
        log.say(f"warning: /var/log/pods/x_{i}/0.log: line {i} is damaged")
    log.say("warning: something else")

    assert len(written) == PER_MINUTE + 1
    clock.now += 61
    log.say("warning: /var/log/pods/y/0.log: line 7 is damaged")
    assert written[-1].endswith(f"({1000 - PER_MINUTE} more of this kind before)")


def test_at_the_end_it_says_what_was_not_written() -> None:
    written: list[str] = []
    log = Log(LogFormat.TEXT, written.append)
    for i in range(PER_MINUTE + 5):
        log.say(f"warning: file {i}")
    log.close()
    log.close()

    assert written[-1].startswith("note: 5 messages were not written")
    assert len(written) == PER_MINUTE + 1


def test_messages_of_libraries_are_adopted() -> None:
    written: list[str] = []
    before = logging.getLogger().handlers
    try:
        Log(LogFormat.JSON, written.append).adopt()
        logging.getLogger("some.client").warning("gone %s", "away")
        logging.getLogger("some.client").info("chatter")
    finally:
        logging.getLogger().handlers = before

    (record,) = [json.loads(line) for line in written]
    assert (record["level"], record["message"]) == ("warning", "some.client: gone away")
