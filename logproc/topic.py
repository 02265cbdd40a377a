"""Reading a topic as a member of a consumer group: what kafka-python does, with its traps kept out of the loader.

What the group has stored of a partition is a committed offset; what a loader is about to store is its metadata: `{"end": N}` beside
offset F says that `[F, N)` may be half stored, and whoever comes next cuts the same range first.

The callbacks of a rebalance run on the client's own thread: they only note what changed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from logproc.broker import Broker, meaning, translated
from logproc.errors import ConfigError
from logproc.message import Foreign, Headers, NewerError, without_tables
from logproc.model import Batch

SESSION_SECONDS = 10.0
_MARK = "logproc"
_CALL_MS = 10_000
_CONFIG: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    # An insert into a slow store takes minutes; that the process lives, its heartbeat says.
    "max_poll_interval_ms": 900_000,
    # One fetch is under way while rows are stored: with more than an insert takes, the next one need not wait. Smaller is slower.
    "max_partition_fetch_bytes": 16 << 20,
    "fetch_max_bytes": 16 << 20,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


class NotOurs(Exception):  # noqa: N818
    """The partition belongs to another loader now: what was begun for it is left to that one."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is on the topic. `batch` has no tables; None: `reason` says why it is no batch of ours."""

    partition: int
    offset: int
    headers: Headers
    key: bytes | None
    value: bytes
    batch: Batch | None
    reason: str = ""
    newer: NewerError | None = None
    """It is a batch of a newer logproc."""

    @property
    def rows(self) -> int:
        """Rows of all tables but the ledger."""
        spans = self.batch.spans if self.batch else ()
        return sum(s.access_rows + s.message_rows + s.rejected_rows for s in spans)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.value) + sum(len(v) for _, v in self.headers)


@dataclass(frozen=True, slots=True)
class Start:
    """A partition is ours from now on: messages from `position` on come. `pending_end`: the range that has to be cut first ends there.

    `known` says that the group has stored something of it before; `lost` is a range of offsets that retention removed unread.
    """

    partition: int
    epoch: int
    position: int
    end: int
    pending_end: int | None = None
    known: bool = False
    lost: tuple[int, int] | None = None
    note: str = ""


class GroupReader:
    """One member of the group. For one thread."""

    def __init__(
        self, broker: Broker, group: str, *, from_beginning: bool = False, session: float = SESSION_SECONDS
    ) -> None:
        """After `session` seconds without a heartbeat the group gives the partitions of this member to others."""
        self._broker, self._group, self._from_beginning, self.session = broker, group, from_beginning, session
        self._consumer: Any = None
        self._admin: Any = None
        self._lock = threading.Lock()
        self._epochs: dict[int, int] = {}
        self._held: set[int] = set()
        self._fresh: set[int] = set()
        self._started: set[int] = set()
        self._begun: set[int] = set()
        """Partitions of which this member has committed something: what is committed is its own progress from the beginning on."""
        self._joined = False
        self.partitions = 0

    # Opening and closing

    def open(self) -> None:
        """Join the group. Raises ConfigError, Unavailable."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        from kafka import KafkaAdminClient, KafkaConsumer
        from kafka.coordinator.assignors.range import RangePartitionAssignor

        self._broker.reach()
        config = self._broker.config()
        with translated(self._broker.place, opening=True):
            self._admin = KafkaAdminClient(**config)
            self.partitions = self._count_partitions()
            self._refuse_other_tools()
            self._consumer = KafkaConsumer(
                **config, **_CONFIG, group_id=self._group, partition_assignment_strategy=[RangePartitionAssignor],
                session_timeout_ms=round(self.session * 1000), heartbeat_interval_ms=round(self.session * 200),
            )  # fmt: skip
            self._consumer.subscribe([self._broker.topic], listener=_listener(self))
            # A group that may not be read fails here and not in an endless loop of joining.
            self._consumer.committed(self._tp(0), timeout_ms=_CALL_MS)

    def _count_partitions(self) -> int:
        from kafka.errors import for_code

        (found,) = self._admin.describe_topics([self._broker.topic])
        if found["error_code"]:
            raise for_code(found["error_code"])(self._broker.topic)
        return len(found["partitions"])

    def _refuse_other_tools(self) -> None:
        described = self._described()
        others = {m["client_id"] for m in described.get("members", ())} - {"logproc"}
        if others or described.get("protocol_type", "consumer") not in {"", "consumer"}:
            raise ConfigError(
                f"{self._broker.place}: the consumer group {self._group} is in use by another tool ({', '.join(sorted(others))})",
                "name another group with --group",
            )

    def _described(self) -> dict[str, Any]:
        from kafka.errors import GroupIdNotFoundError

        try:
            answer: dict[str, Any] = self._admin.describe_groups([self._group])
        except GroupIdNotFoundError:
            return {}
        return dict(answer.get(self._group, {}))

    def close(self) -> None:
        """Leave the group, so that the others need not wait for the session to end."""
        for client in (self._consumer, self._admin):
            if client is not None:
                with suppress(Exception):
                    client.close()
        self._consumer = self._admin = None

    # Who has what

    def revoked(self, partitions: Iterable[int]) -> None:
        """Called on the client's thread."""
        with self._lock:
            self._joined = False
            for partition in partitions:
                self._epochs[partition] = self._epochs.get(partition, 0) + 1
                self._held.discard(partition)
                self._fresh.discard(partition)

    def assigned(self, partitions: Iterable[int]) -> None:
        """Called on the client's thread."""
        with self._lock:
            self._joined = True
            now_ours = set(partitions)
            self._held |= now_ours
            self._fresh |= now_ours

    @property
    def joined(self) -> bool:
        """The group has said which partitions are ours, has not taken that back, and `poll` has told all of them."""
        with self._lock:
            return self._joined and not self._fresh

    def holds(self, partition: int, epoch: int) -> bool:
        """Whether the partition has been ours without a break since that epoch."""
        with self._lock:
            return partition in self._held and self._epochs.get(partition, 0) == epoch

    def all_assigned(self) -> bool:
        """Whether each partition of the topic belongs to some member of the group. Raises Unavailable."""
        with translated(self._broker.place):
            described = self._described()
            partitions = self._count_partitions()
        if described.get("group_state", described.get("state")) != "Stable":
            return False
        found: set[int] = set()
        for member in described["members"]:
            assignment = member.get("member_assignment") or {}
            for topic in assignment.get("assigned_partitions", ()):
                if topic["topic"] == self._broker.topic:
                    found |= set(topic["partitions"])
        return found >= set(range(partitions))

    # Reading

    def poll(self, seconds: float) -> tuple[list[Start], list[Message]]:
        """Partitions that have come to us, and messages of those that had before. Raises ConfigError, Unavailable."""
        from kafka import errors

        with self._lock:
            fresh, self._fresh = self._fresh, set()
            self._started -= fresh
            self._started &= self._held
        if fresh:
            # Nothing is fetched in the same call: what came with it would be lost where a start fails.
            return self._start_all(sorted(fresh)), []
        records: Mapping[Any, Sequence[Any]] = {}
        try:
            records = self._consumer.poll(timeout_ms=round(seconds * 1000), max_records=64)
        except errors.NoOffsetForPartitionError:
            pass  # of a partition that has just come: where it begins is said at the next call
        except errors.OffsetOutOfRangeError as error:
            self._out_of_range(error)
        except errors.KafkaError as error:
            raise meaning(error, self._broker.place, opening=not error.retriable) from error
        with self._lock:
            ready = (self._started & self._held) - self._fresh
        return [], [
            _message(record)
            for tp, of_partition in records.items()
            if tp.partition in ready
            for record in of_partition
        ]  # fmt: skip

    def _start_all(self, partitions: Sequence[int]) -> list[Start]:
        """All or none: a partition of which the caller is not told would be fetched and stored by nobody."""
        try:
            return [self._start(partition) for partition in partitions]
        except BaseException:
            with self._lock:
                self._fresh |= set(partitions) & self._held
            raise

    def _out_of_range(self, error: Exception) -> None:
        """What was to come next is not there any more (or not yet: the topic was made anew): begin again from what is committed."""
        where = error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}
        with self._lock:
            for tp in where:
                if tp.partition in self._held:
                    self._epochs[tp.partition] = self._epochs.get(tp.partition, 0) + 1
                    self._fresh.add(tp.partition)

    def _start(self, partition: int) -> Start:
        tp = self._tp(partition)
        with translated(self._broker.place):
            kept = self._consumer.committed(tp, metadata=True, timeout_ms=_CALL_MS)
            first = self._consumer.beginning_offsets([tp], timeout_ms=_CALL_MS)[tp]
            end = self._consumer.end_offsets([tp], timeout_ms=_CALL_MS)[tp]
        epoch = self._epochs.get(partition, 0)
        if kept is None or (self._from_beginning and partition not in self._begun):
            start = Start(partition, epoch, first, end, known=kept is not None and bool(kept.metadata))
        else:
            start = self._after(kept, first, end, Start(partition, epoch, kept.offset, end))
        with self._lock:
            if partition in self._held:
                self._consumer.seek(tp, start.position)
                self._started.add(partition)
        return start

    def _after(self, kept: Any, first: int, end: int, start: Start) -> Start:
        pending = self._pending_end(kept.metadata)
        known = bool(kept.metadata)
        if kept.offset > end:
            note = (
                f"partition {start.partition} ends at {end}, and {kept.offset} is committed: the topic was made anew; "
                "all of it is read"
            )
            return Start(start.partition, start.epoch, first, end, known=known, note=note)
        if kept.offset < first:
            if pending is not None and pending <= first:
                pending = None
            return Start(start.partition, start.epoch, first, end, pending, known, (kept.offset, first))
        if pending is not None and pending > end:
            note = f"partition {start.partition} ends at {end}, and a loader has seen {pending}: messages that were acknowledged are gone"
            return Start(start.partition, start.epoch, kept.offset, end, None, known, note=note)
        return Start(start.partition, start.epoch, kept.offset, end, pending, known)

    def _pending_end(self, metadata: str | None) -> int | None:
        if not metadata:
            return None
        try:
            said = json.loads(metadata)
            if said.get(_MARK) == 1:
                return int(said["end"]) if "end" in said else None
        except (ValueError, AttributeError, TypeError):
            pass
        raise ConfigError(
            f"{self._broker.place}: the consumer group {self._group} has offsets of another tool ({metadata[:40]!r})",
            "name another group with --group",
        )

    # Committing and moving

    def commit(self, partition: int, offset: int, end: int | None = None) -> None:
        """Say that all before `offset` is stored; `end`: that storing `[offset, end)` begins.

        Raises NotOurs, Unavailable, ConfigError (no permission).
        """
        from kafka import errors
        from kafka.structs import OffsetAndMetadata

        text = json.dumps({_MARK: 1} | ({"end": end} if end is not None else {}), separators=(",", ":"))
        try:
            self._consumer.commit({self._tp(partition): OffsetAndMetadata(offset, text, -1)}, timeout_ms=_CALL_MS)
        except (
            errors.CommitFailedError, errors.IllegalGenerationError, errors.UnknownMemberIdError,
            errors.RebalanceInProgressError, errors.FencedInstanceIdError,
        ) as error:  # fmt: skip
            with self._lock:
                # Where it stays ours after all, it begins again from what is committed.
                self._epochs[partition] = self._epochs.get(partition, 0) + 1
                self._fresh |= {partition} & self._held
            raise NotOurs(f"partition {partition}") from error
        except errors.KafkaError as error:
            raise meaning(error, self._broker.place, opening=isinstance(error, errors.AuthorizationError)) from error
        self._begun.add(partition)

    def pause(self, partitions: Collection[int]) -> None:
        """Fetch nothing more of them."""
        self._switch("pause", partitions)

    def resume(self, partitions: Collection[int]) -> None:
        """Fetch again."""
        self._switch("resume", partitions)

    def _switch(self, how: str, partitions: Collection[int]) -> None:
        from kafka.errors import IllegalStateError

        for partition in partitions:
            with suppress(IllegalStateError, KeyError):  # it was taken away meanwhile
                getattr(self._consumer, how)(self._tp(partition))

    def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The offset after the last message of each. Raises Unavailable."""
        with translated(self._broker.place):
            found = self._consumer.end_offsets([self._tp(p) for p in partitions], timeout_ms=_CALL_MS)
        return {tp.partition: end for tp, end in found.items()}

    def lag(self, partition: int, settled: int) -> int | None:
        """Messages that are not stored yet, as of the last fetch; None where nothing was fetched so far."""
        high = None
        with suppress(Exception):  # not assigned any more
            high = self._consumer.highwater(self._tp(partition))
        return None if high is None else max(0, high - settled)

    def offsets_at(self, moment: datetime) -> dict[int, int]:
        """Of each partition the first offset that arrived at that time or later, its end where none did. Raises Unavailable."""
        every = [self._tp(p) for p in range(self.partitions)]
        milliseconds = round(moment.timestamp() * 1000)
        with translated(self._broker.place):
            found = self._consumer.offsets_for_times(dict.fromkeys(every, milliseconds), timeout_ms=_CALL_MS)
            ends = self._consumer.end_offsets(every, timeout_ms=_CALL_MS)
        return {tp.partition: found[tp].offset if found.get(tp) else ends[tp] for tp in every}

    def _tp(self, partition: int) -> Any:
        from kafka import TopicPartition

        return TopicPartition(self._broker.topic, partition)


def _message(record: Any) -> Message:
    headers = [(name, value or b"") for name, value in record.headers]
    batch, reason, newer = None, "", None
    try:
        batch = without_tables(headers)
    except Foreign as error:
        reason = str(error)
    except NewerError as error:
        newer = error
    return Message(record.partition, record.offset, headers, record.key, record.value or b"", batch, reason, newer)


def _listener(reader: GroupReader) -> Any:
    from kafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
            reader.revoked(tp.partition for tp in revoked)

        def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
            reader.assigned(tp.partition for tp in assigned)

        def on_partitions_lost(self, lost: Iterable[Any]) -> None:
            reader.revoked(tp.partition for tp in lost)

    return Listener()
