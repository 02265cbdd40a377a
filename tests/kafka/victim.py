"""A loader in a process of its own that is killed or stopped at a step: `python -m tests.kafka.victim URL STORE GROUP STEP NTH SIGNAL`."""

from __future__ import annotations

import os
import signal
import sys

from logproc.broker import Broker
from logproc.dead_letters import DeadLetters
from logproc.loader import Loader, Options
from logproc.merge import Limits
from logproc.topic import GroupReader
from logproc.urls import Url
from sinks import make_sink


def main(url: str, store: str, group: str, step: str, nth: str, number: str) -> None:
    broker, left = Broker.of(Url.parse(url)), [int(nth)]

    def at(name: str) -> None:
        if name == step:
            left[0] -= 1
            if not left[0]:
                print(name, flush=True)
                os.kill(os.getpid(), signal.Signals[number])

    reader = GroupReader(broker, group, session=2.0)
    options = Options(group, Limits(rows=2000, seconds=0.1), until_idle=1.0)
    Loader(
        reader, lambda: make_sink(store), DeadLetters(broker, 8 << 20), broker.topic, options, step=at, say=print
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
