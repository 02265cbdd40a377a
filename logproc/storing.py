"""How one range of a partition's messages gets into the store, each row once.

    cut       which messages are stored at once: `[first, end)`
    intent    commit `first` with metadata `{"end": end}`: a restart cuts the same range and repeats the same tokens
    dead      what is no batch of ours goes to the dead-letter topic
    insert    one insert for each table, the ledger last; what may be there already is asked for before (the sink does)
    settle    commit `end`

Between looking whether a partition is still ours and a commit nothing is polled, so that a rebalance cannot come between.

The store's work is done on a thread of its own: meanwhile this one reads and merges the range that comes next. Only that: its intent
is committed when the range before is settled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from logproc import ledger
from logproc.dead_letters import DeadLetters
from logproc.errors import Rejected
from logproc.loader_metrics import LoadMetrics
from logproc.merge import Limits, merged
from logproc.message import Foreign, NewerError, with_tables
from logproc.model import LEDGER, ROW_TABLES, Batch, Sink, Span, SpanCounts, Stream
from logproc.partition import Partition
from logproc.sizes import count_text
from logproc.topic import GroupReader, Message, NotOurs


class Attempt(Protocol):
    """Repeats an action while it is Unavailable."""

    def __call__(self, action: Callable[[], None], partition: Partition | None, what: str) -> None:
        """Until it succeeds. `what` is the metric that says why it does not. Raises NotOurs, Stopped."""
        ...


@dataclass(slots=True)
class _Read:
    """Messages of one partition from a place on, with their tables, and the messages that are no batch, with the reason."""

    partition: Partition
    messages: list[Message] = field(default_factory=list)
    batches: list[tuple[Message, Batch]] = field(default_factory=list)
    bad: list[tuple[Message, str]] = field(default_factory=list)
    whole: Batch | None = None
    """All batches as one, once it was asked for."""

    def extend(self, messages: Sequence[Message]) -> None:
        """Read those of the messages that were not read before. Raises NewerError."""
        for message in messages[len(self.messages) :]:
            try:
                if message.batch is None:
                    self.bad.append((message, message.reason))
                else:
                    self.batches.append((message, with_tables(message.batch, message.value)))
            except Foreign as error:
                self.bad.append((message, str(error)))
            self.messages.append(message)
            self.whole = None

    def begins(self, messages: Sequence[Message]) -> bool:
        """Whether it is about the first of these messages, and no other."""
        return len(self.messages) <= len(messages) and all(
            a is b for a, b in zip(self.messages, messages, strict=False)
        )

    def merged(self, via: str) -> Batch:
        """All batches as one."""
        if self.whole is None:
            self.whole = merged([batch for _, batch in self.batches], via)
        return self.whole


class Storing:
    """Stores ranges of any partition. `open_sink` is called once for each partition; `step` before each step, by its name."""

    def __init__(
        self,
        reader: GroupReader,
        open_sink: Callable[[], Sink],
        dead_letters: DeadLetters,
        topic: str,
        limits: Limits,
        *,
        metrics: LoadMetrics,
        say: Callable[[str], None],
        step: Callable[[str], None],
        attempt: Attempt,
    ) -> None:
        self._reader, self._open_sink, self._dead_letters, self._topic = reader, open_sink, dead_letters, topic
        self._limits, self._metrics, self._say, self._step, self._attempt = limits, metrics, say, step, attempt
        self._worker = ThreadPoolExecutor(1, "insert")
        # Of one range only, whichever partition it belongs to: a range takes some 100 MB.
        self._ahead: _Read | None = None

    def close(self) -> None:
        """End the thread; nothing runs on it now."""
        self._worker.shutdown()

    def store(self, partition: Partition, then: Sequence[Partition] = ()) -> None:
        """One range: the next that is due. Then it may be the turn of one of the others in `then`.

        Raises NotOurs, NewerError, Stopped.
        """
        if partition.lost is not None:
            self._lost(partition, *partition.lost)
            partition.lost = None
            return
        messages = partition.next_cut(self._limits)
        end = messages[-1].offset + 1 if partition.pending_end is None else partition.pending_end
        self._step("cut")
        read = self._taken_ahead(partition, messages)
        read.extend(messages)
        partition.cutting = (messages[0].offset, end)
        self._attempt(lambda: self._commit(partition, messages[0].offset, end), partition, "broker_error")
        self._step("intended")
        for message, reason in read.bad:
            self._bury(partition, message, reason)
        if read.batches:
            self._insert(partition, read, lambda: self._read_ahead(partition, len(messages), then))
        self._step("inserted")
        self._attempt(lambda: self._commit(partition, end), partition, "broker_error")
        self._step("settled")
        partition.cutting = None
        now = time.monotonic()
        partition.drop(len(messages), now)
        partition.settled, partition.pending_end, partition.known = end, None, True
        self._metrics.settled[partition.number] = end
        self._metrics.messages += len(messages)

    def _commit(self, partition: Partition, offset: int, end: int | None = None) -> None:
        self._ours(partition)
        self._reader.commit(partition.number, offset, end)
        partition.confirmed = time.monotonic()

    def _ours(self, partition: Partition) -> None:
        if not self._reader.holds(partition.number, partition.epoch):
            raise NotOurs(f"partition {partition.number}")

    # Reading ahead

    def _taken_ahead(self, partition: Partition, messages: Sequence[Message]) -> _Read:
        """What was read of these messages while the range before was stored."""
        found = self._ahead
        if found is None or found.partition is not partition:
            return _Read(partition)
        self._ahead = None
        return found if found.begins(messages) else _Read(partition)

    def _read_ahead(self, partition: Partition, count: int, then: Sequence[Partition]) -> None:
        """Read what is stored next, and merge it where that is all of it: the partition's own next range, else another's."""
        messages, complete = partition.following(count, self._limits)
        if not complete:
            now = time.monotonic()
            due = next((p for p in then if p.waiting and p.lost is None and p.due(self._limits, now)), None)
            if due is not None:
                partition, messages, complete = due, due.next_cut(self._limits), True
        if self._ahead is None or self._ahead.partition is not partition or not self._ahead.begins(messages):
            self._ahead = _Read(partition)
        # A newer version is said when it is that message's turn.
        with suppress(NewerError):
            self._ahead.extend(messages)
            if complete and self._ahead.batches:
                self._ahead.merged(self._via(partition))

    def _via(self, partition: Partition) -> str:
        return f"{self._topic}-{partition.number}"

    # Inserting

    def _insert(self, partition: Partition, read: _Read, meanwhile: Callable[[], None]) -> None:
        """All at once; where that is refused for good, one by one, so that only what is at fault is left out."""
        via, batches = self._via(partition), read.batches
        try:
            self._write(partition, read.merged(via), meanwhile)
        except Rejected:
            if len(batches) > 1:
                self._say(
                    f"warning: partition {partition.number}: an insert of {count_text(len(batches), 'batch')} was refused; each is tried alone"
                )
            for message, batch in batches:
                try:
                    self._write(partition, replace(batch, via=via))
                except Rejected as error:
                    self._bury(partition, message, f"refused by the store: {error.message}")
                else:
                    self._count([batch])
        else:
            self._count([batch for _, batch in batches])

    def _write(self, partition: Partition, batch: Batch, meanwhile: Callable[[], None] = lambda: None) -> None:
        began = time.monotonic()
        self._attempt(lambda: self._write_once(partition, batch, meanwhile), partition, "sink_error")
        self._metrics.insert_seconds += time.monotonic() - began
        self._metrics.inserts += 1

    def _write_once(self, partition: Partition, batch: Batch, meanwhile: Callable[[], None]) -> None:
        # After so long without a word of the group (a stopped process, a slow store) whoever has lost the partition is refused here.
        if partition.cutting is not None and time.monotonic() - partition.confirmed > self._reader.session / 2:
            self._commit(partition, *partition.cutting)
        if partition.sink is None:
            partition.sink = self._open_sink()
        written = self._worker.submit(partition.sink.write, batch)
        try:
            meanwhile()
        finally:
            written.result()

    def _count(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._metrics.batches += 1
            self._metrics.lines += sum(c.span.lines for c in batch.spans)
            self._metrics.raw_bytes += batch.raw_bytes
            for table in ROW_TABLES:
                if table in batch.tables:
                    self._metrics.rows[table] += batch.tables[table].num_rows

    # What cannot be stored

    def _bury(self, partition: Partition, message: Message, reason: str) -> None:
        """To the dead-letter topic; the ledger says that these lines are not stored."""
        self._attempt(lambda: self._dead_letters.put(message, reason), partition, "broker_error")
        batch = message.batch
        lines = sum(c.span.lines for c in batch.spans) if batch else 0
        self._metrics.dead_messages += 1
        self._metrics.dead_lines += lines
        what = count_text(lines, "line") if batch else "a message"
        self._say(
            f"error: partition {message.partition}, offset {message.offset}: {what} to the dead letters: {reason}"
        )
        if batch is not None and batch.spans:
            self._note(partition, batch, ledger.merged(batch.spans), "dead")

    def _lost(self, partition: Partition, first: int, end: int) -> None:
        """Retention has removed messages that nobody has stored: said, counted, and written down where the lines are missed."""
        self._metrics.lost_messages += end - first
        self._say(
            f"error: partition {partition.number}: {count_text(end - first, 'message')} (offsets {first} to {end - 1}) {'was' if end - first == 1 else 'were'} removed by retention "
            "before they were stored; `logproc audit` shows their lines as gaps"
        )
        where = Stream(f"kafka:{self._topic}/{partition.number}")
        # Which lines they had nobody knows: the row is outside of all files, and its bytes are offsets.
        counts = SpanCounts(Span(0, first, end, first, 0), where)
        batch = Batch(self._via(partition), first, time.time_ns() // 1000, (), {})
        self._note(partition, batch, [counts], "lost")
        # Said once: whoever comes next begins behind it.
        self._attempt(lambda: self._commit(partition, end, partition.pending_end), partition, "broker_error")

    def _note(self, partition: Partition, batch: Batch, spans: Sequence[SpanCounts], state: str) -> None:
        rows = ledger.table(batch.collector, batch.seq, "", batch.sealed_at, spans, state=state)
        # Its own name: the token of the batch itself has to stay free, for the case that it is stored later.
        noted = replace(
            batch, spans=(), tables={LEDGER: rows}, encoded=b"", via=self._via(partition),
            merged=((f"{batch.collector}/{state}", batch.seq),),
        )  # fmt: skip
        try:
            self._write(partition, noted)
        except Rejected as error:
            self._say(f"error: the store refused the ledger of these lines too: {error.message}")
