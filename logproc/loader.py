"""Kafka to a store: the loop that reads a topic as a member of its group and stores what has come, partition by partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from random import random

from logproc.dead_letters import DeadLetters
from logproc.errors import ConfigError, Unavailable
from logproc.loader_metrics import LoadMetrics
from logproc.merge import Limits
from logproc.model import Sink
from logproc.partition import Partition
from logproc.storing import Storing
from logproc.topic import GroupReader, Message, NotOurs, Start

BUFFER_BYTES = 64 << 20
"""Of messages in memory, as they are on the topic; then fetching pauses."""
GRACE_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 30.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a user chooses. `until`: of each partition the offset before which loading ends, or the time of arrival."""

    group: str
    limits: Limits = field(default_factory=Limits)
    buffer: int = BUFFER_BYTES
    until_idle: float | None = None
    until: Mapping[int, int] | datetime | None = None
    grace: float = GRACE_SECONDS


class Stopped(Exception):  # noqa: N818
    """The time for ending in order is over."""


class Loader:
    """Moves everything from one topic to one store. `run` returns after `stop`, or when nothing is left to do."""

    def __init__(
        self,
        reader: GroupReader,
        make_sink: Callable[[], Sink],
        dead_letters: DeadLetters,
        topic: str,
        options: Options,
        *,
        metrics: LoadMetrics | None = None,
        say: Callable[[str], None] = lambda _: None,
        progress: Callable[[], None] = lambda: None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`make_sink` is called for each partition; `step` before each step of the protocol, by its name."""
        self._reader, self._make_sink, self._dead_letters, self._topic = reader, make_sink, dead_letters, topic
        self._options, self._say, self._progress = options, say, progress
        self.metrics = metrics or LoadMetrics()
        self._spare: list[Sink] = []
        self._storing = Storing(
            reader, self._next_sink, dead_letters, topic, options.limits,
            metrics=self.metrics, say=say, step=step, attempt=self._attempt,
        )  # fmt: skip
        self._until: Mapping[int, int] | None = None
        self._partitions: dict[int, Partition] = {}
        self._paused: set[int] = set()
        self._stopping, self._deadline = False, float("inf")
        self._quiet_since: float | None = None
        self._looked_at = 0.0
        self._seen_ours = False

    def stop(self) -> None:
        """End after what is being stored now. A second call ends at once. Callable from a signal handler."""
        self._deadline = time.monotonic() + (0.0 if self._stopping else self._options.grace)
        self._stopping = True

    def run(self) -> LoadMetrics:
        """Until stopped, idle for as long as asked, or all was read that should be. Raises what cannot be waited for."""
        try:
            with suppress(Stopped):
                self._attempt(self._reader.open)
                self._make_sink_once()
                self._attempt(self._see_until)
                while not self._stopping and not self._nothing_left():
                    # While ranges are due, messages that came meanwhile are only picked up.
                    self._take(0.0 if self._due() else 0.2)
                    self._store_due()
        finally:
            self._close()
        return self.metrics

    def _see_until(self) -> None:
        until = self._options.until
        self._until = self._reader.offsets_at(until) if isinstance(until, datetime) else until

    def _make_sink_once(self) -> None:
        """A store that cannot be opened is said before anything is read."""
        sink = self._make_sink()
        self._attempt(sink.open)
        self._spare.append(sink)

    def _next_sink(self) -> Sink:
        """An open one for a partition. Raises Unavailable, ConfigError."""
        if self._spare:
            return self._spare.pop()
        sink = self._make_sink()
        sink.open()
        return sink

    def _close(self) -> None:
        for sink in self._spare:
            sink.close()
        for partition in list(self._partitions.values()):
            self._leave(partition)
        self._storing.close()
        self._dead_letters.close()
        self._reader.close()

    # Reading

    def _take(self, seconds: float) -> None:
        """Poll once: new partitions, new messages. While the broker is away nothing comes."""
        self.metrics.beat()
        self._progress()
        try:
            starts, messages = self._reader.poll(seconds)
        except Unavailable as error:
            self._trouble("broker_error", error)
            self._quiet_since = None
            time.sleep(min(seconds, 0.2))
            return
        self._well("broker_error", "the broker answers again")
        for gone in [p for p in self._partitions.values() if not self._reader.holds(p.number, p.epoch)]:
            self._leave(gone)
        for start in starts:
            self._begin(start)
        now = time.monotonic()
        if starts or messages:
            self._quiet_since = None
        self._seen_ours = self._seen_ours or any(m.batch or m.newer for m in messages)
        for message in messages:
            partition = self._partitions.get(message.partition)
            if partition is None or partition.blocked or partition.finished_by(message.offset):
                continue
            if message.newer is not None:
                partition.blocked = message.newer
                continue
            self._check_ours(partition, message)
            partition.add(message, now)
        self._bound()

    def _begin(self, start: Start) -> None:
        until = self._until
        if start.partition in self._partitions:
            self._leave(self._partitions[start.partition])
        made = Partition(start.partition, start.epoch, start.position, start.pending_end, start.known)
        made.stop_at = None if until is None else until.get(start.partition, start.end)
        if made.pending_end is not None and made.pending_end <= start.position:
            made.pending_end = None
        if made.stop_at is not None and made.pending_end is not None:
            made.stop_at = max(made.stop_at, made.pending_end)
        made.lost = start.lost
        self._partitions[start.partition] = made
        self.metrics.settled[start.partition] = start.position
        self._paused.discard(start.partition)
        self._reader.resume([start.partition])
        if start.note:
            self._say(f"warning: {start.note}")

    def _leave(self, partition: Partition) -> None:
        """It is not ours any more: what waits is left to the one who has it."""
        self._partitions.pop(partition.number, None)
        self._paused.discard(partition.number)
        self.metrics.settled.pop(partition.number, None)
        self.metrics.lag.pop(partition.number, None)
        if partition.sink is not None:
            with suppress(Exception):
                partition.sink.close()

    def _check_ours(self, partition: Partition, message: Message) -> None:
        """A topic of something else must not end in the dead letters, message by message."""
        if message.batch is None and not (partition.known or self._seen_ours):
            raise ConfigError(
                f"{self._topic} is no topic of logproc: partition {message.partition}, offset {message.offset}: {message.reason}",
                "name the topic that `logproc collect --to kafka://...` writes to",
            )

    def _bound(self) -> None:
        """Fetch nothing more while too much waits; a range that has to be complete is fetched to its end."""
        waiting = sum(p.bytes for p in self._partitions.values())
        self.metrics.buffered_bytes = waiting
        done = {p.number for p in self._partitions.values() if p.finished_by(p.settled)}
        full = (
            {p.number for p in self._partitions.values() if p.pending_end is None}
            if waiting > self._options.buffer
            else set()
        )
        keep = self._paused if waiting > self._options.buffer // 2 else set()
        wanted = (full | keep | done) & set(self._partitions)
        if wanted != self._paused:
            self._reader.pause(wanted - self._paused)
            self._reader.resume(self._paused - wanted)
            self._paused = wanted

    # Ending by itself

    def _nothing_left(self) -> bool:
        """Whether it is time to end: all was read that should be, or nothing has come for as long as was asked."""
        if self._options.until_idle is None and self._options.until is None:
            return False
        now = time.monotonic()
        if not self._reader.joined or any(p.waiting for p in self._partitions.values()):
            self._quiet_since = None
            return False
        if self._options.until is not None:
            return all(p.finished_by(p.settled) for p in self._partitions.values()) and self._look(now)
        self._quiet_since = self._quiet_since or now
        if now - self._quiet_since < (self._options.until_idle or 0.0):
            return False
        return self._look(now)

    def _look(self, now: float) -> bool:
        """Whether each partition is in somebody's hands and ours stand at their end."""
        if now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        try:
            ends = self._reader.ends(list(self._partitions))
            here = all(p.settled >= ends[p.number] or p.finished_by(p.settled) for p in self._partitions.values())
            if here and self._reader.all_assigned():
                return True
        except Unavailable as error:
            self._trouble("broker_error", error)
        self._quiet_since = None
        return False

    # Storing

    def _due(self) -> list[Partition]:
        now = time.monotonic()
        return [p for p in self._partitions.values() if p.due(self._options.limits, now)]

    def _store_due(self) -> None:
        """One range of each partition that is due."""
        due = self._due()
        for partition in list(self._partitions.values()):
            try:
                if partition in due and not self._stopping:
                    due.remove(partition)
                    self._storing.store(partition, due)
                    self._bound()
                    self._progress()
            except NotOurs:
                if self._partitions.get(partition.number) is partition:
                    self._leave(partition)
                continue
            if partition.blocked is not None and partition.stuck:
                raise partition.blocked
            lag = self._reader.lag(partition.number, partition.settled)
            if lag is not None:
                self.metrics.lag[partition.number] = lag

    # Trying again

    def _attempt(
        self, action: Callable[[], None], partition: Partition | None = None, what: str = "broker_error"
    ) -> None:
        """Until it succeeds. Raises NotOurs when the partition is taken away, Stopped when there is no time left."""
        pause = FIRST_BACKOFF_SECONDS
        while True:
            if partition is not None and not self._reader.holds(partition.number, partition.epoch):
                raise NotOurs(f"partition {partition.number}")
            try:
                action()
            except Unavailable as error:
                self.metrics.retries += 1
                self._trouble(what, error)
                self._wait(max(pause, error.retry_after) * (0.75 + random() / 2), member=partition is not None)  # noqa: S311
                pause = min(2 * pause, LONGEST_BACKOFF_SECONDS)
            else:
                self._well(what, "the store takes rows again" if what == "sink_error" else "the broker answers again")
                return

    def _wait(self, seconds: float, *, member: bool) -> None:
        """Pass time as a member of the group: who does not poll is taken for dead."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            # Before anything is being stored there is nothing to finish.
            if self._stopping and (not member or time.monotonic() >= self._deadline):
                raise Stopped
            if member:
                self._take(min(left, 0.2))
            else:
                self._progress()
                time.sleep(min(left, 0.2))

    def _trouble(self, what: str, error: Unavailable) -> None:
        if getattr(self.metrics, what) != error.message:
            self._say(f"warning: {error}; trying again")
        setattr(self.metrics, what, error.message)

    def _well(self, what: str, text: str) -> None:
        if getattr(self.metrics, what):
            self._say(text)
        setattr(self.metrics, what, "")
