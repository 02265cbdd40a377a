"""The loop of the live view: rows in, text out, until it ends or is stopped."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from logproc.tail.feeds import Feed
from logproc.tail.filters import Filters
from logproc.tail.reading import Rows

MOST_SHOWN = 2_000
"""Rows of one poll that a terminal gets while more are waiting: a person reads some twenty a second, and the log does not wait."""
_LOOK_AT_PIPE_SECONDS = 0.5


class Shows(Protocol):
    """Takes the rows that passed the filters."""

    def show(self, rows: Rows) -> None:
        """Print or count them."""
        ...

    def tick(self) -> bool:
        """Called with every turn; false: the user wants to stop."""
        ...

    def resize(self, columns: int) -> None:
        """The terminal has another width."""
        ...

    def close(self) -> None:
        """Print what stands at the end."""
        ...


@dataclass(slots=True)
class Tally:
    """What came and what was shown."""

    began: float = field(default_factory=time.monotonic)
    lines: int = 0
    rows: int = 0
    shown: int = 0
    unseen: int = 0
    """Rows left out of the display because it could not keep up."""
    pods: set[str] = field(default_factory=set)

    def sentence(self, further: str = "") -> str:
        """The one line at the end."""
        seconds = round(time.monotonic() - self.began)
        lasted = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
        pods = f" of {len(self.pods)} pod{'s' if len(self.pods) > 1 else ''}" if self.pods else ""
        parts = [f"{self.lines:,} line{'' if self.lines == 1 else 's'}{pods} in {lasted}, {self.shown:,} shown"]
        parts += [f"{self.unseen:,} too fast for the display"] if self.unseen else []
        return "; ".join([*parts, *([further] if further else [])])


@dataclass(slots=True)
class Stop:
    """Set by Ctrl-C and SIGTERM; the loop looks at it."""

    asked: bool = False
    resized: bool = False

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Hear Ctrl-C, SIGTERM and a terminal's new size; a second Ctrl-C ends the process."""

        def stop(*_: object) -> None:
            if self.asked:
                os._exit(130)
            self.asked = True

        def resize(*_: object) -> None:
            self.resized = True

        handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGWINCH: resize}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(
    feed: Feed, filters: Filters, shows: Shows, stop: Stop, *, until: float | None = None, terminal: bool = False
) -> Tally:
    """Show what comes until the feed ends, `stop` is asked for, or the clock (`time.monotonic`) reaches `until`.

    With `terminal` the display may leave rows out when they come faster than it can print; files and pipes get every one.
    """
    tally, looked = Tally(), time.monotonic()
    while not stop.asked and not feed.finished():
        now = time.monotonic()
        if until is not None and now >= until:
            break
        if stop.resized:
            stop.resized = False
            shows.resize(shutil.get_terminal_size().columns)
        _step(feed.poll(), filters, shows, tally, most=MOST_SHOWN if terminal and feed.behind else None)
        if not shows.tick():
            break
        if not terminal and now - looked > _LOOK_AT_PIPE_SECONDS:
            looked = now
            _refuse_closed_pipe()
    _step(feed.end(), filters, shows, tally, most=None)
    return tally


def _step(rows: Rows, filters: Filters, shows: Shows, tally: Tally, *, most: int | None) -> None:
    tally.lines += rows.lines
    if not rows.tables:
        return
    tally.rows += rows.count
    for table in rows.tables.values():
        index = table.batch.schema.get_field_index("k8s_pod")
        if index >= 0 and len(tally.pods) < 10_000:
            tally.pods |= {p for p in table.batch.column(index).unique().to_pylist() if p}
    kept = filters.apply(rows)
    if most is not None and kept.count > most:
        tally.unseen += kept.count - most
        kept = _last(kept, most)
    tally.shown += kept.count
    if kept.tables:
        shows.show(kept)


def _last(rows: Rows, most: int) -> Rows:
    places = np.sort(np.concatenate([t.places for t in rows.tables.values()]))
    first = places[-most]
    tables = {n: t.take(t.places >= first) for n, t in rows.tables.items()}
    return Rows({n: t for n, t in tables.items() if t.batch.num_rows}, rows.lines)


def _refuse_closed_pipe() -> None:
    """Nobody reads any more (`| head`): noticed even while nothing is printed."""
    poll = select.poll()
    poll.register(1, 0)
    if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
        raise BrokenPipeError


class Printer:
    """Writes the text of rows to standard output as soon as it is made."""

    def __init__(self, text: Callable[[Rows], bytes | memoryview], resize: Callable[[int], None] | None = None) -> None:
        self._text, self._resize = text, resize

    def show(self, rows: Rows) -> None:
        """Print the rows."""
        sys.stdout.buffer.write(self._text(rows))
        sys.stdout.buffer.flush()

    def tick(self) -> bool:
        """Nothing to do between rows."""
        return True

    def resize(self, columns: int) -> None:
        """Fit what follows into the new width."""
        if self._resize is not None:
            self._resize(columns)

    def close(self) -> None:
        """Everything is written."""
