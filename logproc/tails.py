"""What a FileSource knows of streams and places while it follows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from logproc.held import Held
from logproc.lag import Lag
from logproc.logfile import LogReader
from logproc.model import SourceStatus, Span, Stream, StreamLag
from logproc.places import Place

Inode = tuple[int, int]
Key = tuple[str, str, int]


NOWHERE = Span(0, 0, 0, 0, 0)


@dataclass(slots=True)
class Tail:
    """One stream: its open files, the oldest first."""

    stream: Stream
    readers: list[LogReader] = field(default_factory=list)
    superseded: bool = False
    """A later restart of the container exists: nothing writes to this one any more."""
    listed: bool = True
    ready: bool = False
    last: Span = NOWHERE
    lag: Lag = field(default_factory=Lag)

    def wait_again(self) -> None:
        """Something came after its files: a runtime may write the rest of a line to the one before, so it has to be quiet from now on."""
        for reader in self.readers:
            reader.quiet_polls = 0

    @property
    def pod(self) -> str:
        """Whose rate limit it falls under."""
        return self.stream.k8s_pod_uid or self.stream.path


@dataclass(slots=True)
class Left:
    """A file that was read to its end: opened again only when it has changed."""

    file_id: int | None
    modified: tuple[int, int]


@dataclass(slots=True, eq=False)
class Site:
    """What is known of one place: its open files, those that were left and are still there, and its streams."""

    place: Place
    open: dict[Inode, LogReader] = field(default_factory=dict)
    left: dict[Inode, Left] = field(default_factory=dict)
    streams: set[Key] = field(default_factory=set)
    stirs: bool = True
    """Something was written since it was looked at last, or is held open there."""


NAMED_STREAMS = 50
"""Streams whose lag is told one by one."""


def status_of(tails: Iterable[Tail], held: Held, now: float, files: int, open_files: int) -> SourceStatus:
    """How far behind the streams are, and what is held and lost."""
    followed = list(tails)
    for tail in followed:
        tail.lag.see(now, sum(reader.unread() for reader in tail.readers))
    streams = [StreamLag(t.stream, t.lag.unread, t.lag.seconds(now)) for t in followed if t.lag.unread]
    streams.sort(key=lambda lag: (-lag.bytes, lag.stream.path))
    return SourceStatus(
        files=files,
        lag_bytes=sum(lag.bytes for lag in streams),
        lost_bytes=held.lost_bytes,
        open_files=open_files,
        lost_lines=held.lost_lines,
        held_files=held.files,
        held_bytes=held.bytes,
        lag_seconds=max((lag.seconds for lag in streams), default=0.0),
        streams=tuple(streams[:NAMED_STREAMS]),
    )
