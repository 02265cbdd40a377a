"""Kafka: does a broker answer, is the topic there, and is it set as batches need it."""

from __future__ import annotations

from collections.abc import Iterator

from logproc import topic_settings
from logproc.broker import Broker
from logproc.doctor.finding import Finding, bad, caught, good
from logproc.sizes import count_text
from logproc.topic_settings import Wanted
from logproc.urls import Url


def check(text: str) -> Iterator[Finding]:
    """The broker, and its topic against what `topics apply` makes."""
    found: list[Finding] = []
    with caught("kafka", text, found.append):
        broker = Broker.of(Url.parse(text), ("message_max",))
        with broker.admin() as admin:
            state = topic_settings.read(admin, broker, broker.topic)
        # How long messages are kept is the operator's choice.
        wrong = [d for d in topic_settings.differences(state, Wanted()) if not d.startswith("retention.ms")]
        found += [bad("kafka", broker.place, line, f"logproc topics apply '{text}'") for line in wrong]
        if not wrong:
            kept = state.limit("retention.ms")
            days = f", kept {kept / topic_settings.DAY_MILLISECONDS:g} days" if kept and kept > 0 else ""
            found.append(good("kafka", broker.place, f"{count_text(state.partitions, 'partition')}, {count_text(state.replication, 'replica')}{days}"))  # fmt: skip
    yield from found
