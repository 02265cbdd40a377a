"""One partition of a topic while it is ours: what waits to be stored, and what is stored together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from logproc.errors import LogprocError
from logproc.merge import Limits, cut
from logproc.model import Sink
from logproc.topic import Message


@dataclass(slots=True, eq=False)
class Partition:
    """One partition while it is ours."""

    number: int
    epoch: int
    settled: int
    """All before this offset is stored."""
    pending_end: int | None
    """Where the range ends that a loader before us has begun to store."""
    known: bool
    """The group has stored something of it before, so that it is a topic of ours."""
    waiting: deque[Message] = field(default_factory=deque)
    bytes: int = 0
    rows: int = 0
    since: float = 0.0
    """When the oldest of the waiting messages came."""
    confirmed: float = 0.0
    """When the group said last that it is ours."""
    cutting: tuple[int, int] | None = None
    """The range that is being stored."""
    sink: Sink | None = None
    stop_at: int | None = None
    lost: tuple[int, int] | None = None
    """Offsets that retention removed unread, until that is written down."""
    blocked: LogprocError | None = None
    """Why nothing after the messages that wait can be read."""

    def add(self, message: Message, now: float) -> None:
        """Take a message that came."""
        if not self.waiting:
            self.since = now
        self.waiting.append(message)
        self.bytes += message.size
        self.rows += message.rows

    def due(self, limits: Limits, now: float) -> bool:
        """Whether enough waits to be stored, or has waited long enough."""
        if self.lost is not None:
            return True
        if not self.waiting:
            return False
        if self.pending_end is not None:
            return self.waiting[-1].offset >= self.pending_end - 1
        if self.blocked is not None:
            return True
        late = now - self.since >= limits.seconds
        return (
            late
            or self.rows >= limits.rows
            or self.bytes >= limits.bytes
            or self.finished_by(self.waiting[-1].offset + 1)
        )

    @property
    def stuck(self) -> bool:
        """Nothing more of it can be stored: what blocks it comes next, or stands within the range that has to be stored whole."""
        if self.blocked is None:
            return False
        if not self.waiting:
            return True
        return self.pending_end is not None and self.waiting[-1].offset < self.pending_end - 1

    def next_cut(self, limits: Limits) -> list[Message]:
        """The messages that are stored together, from the first that waits."""
        if self.pending_end is not None:
            return [m for m in self.waiting if m.offset < self.pending_end]
        count = cut(((m.rows, m.size, m.batch) for m in self.waiting), limits)
        return [self.waiting[i] for i in range(count)]

    def following(self, count: int, limits: Limits) -> tuple[list[Message], bool]:
        """What is stored together after the first `count` messages, as far as it has come, and whether nothing more can join it."""
        rest = list(islice(self.waiting, count, None))
        more = cut(((m.rows, m.size, m.batch) for m in rest), limits) if rest else 0
        return rest[:more], more < len(rest)

    def drop(self, count: int, now: float) -> None:
        """The first messages are stored."""
        for _ in range(count):
            gone = self.waiting.popleft()
            self.bytes -= gone.size
            self.rows -= gone.rows
        self.since = now

    def finished_by(self, offset: int) -> bool:
        """Whether nothing more is to be loaded from this offset on."""
        return self.stop_at is not None and offset >= self.stop_at
