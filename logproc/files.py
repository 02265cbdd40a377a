"""FileSource: log files in, chunks of whole physical lines out; rotated, gzipped, truncated and deleted files included.

Each stream's files stand in a queue, the oldest first, and only the front one is read. A file is left at its end when a newer one
exists and two polls found nothing new (a runtime may write the rest of a line after it has opened the next file).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from logproc.discovery import Discovery, Selection, tell_on_stderr
from logproc.held import MAX_BYTES, Held, HeldLimits
from logproc.logfile import LogReader
from logproc.model import Chunk, Position, SourceStatus, Span, Stream
from logproc.open_files import OpenFiles
from logproc.places import Tell
from logproc.rates import Rates
from logproc.tails import NOWHERE, Site, Tail, status_of

POLL_SECONDS = 0.25
"""How often sizes and folders are looked at: under half a percent of a core for 200 containers; inotify would overflow."""
POLL_SECONDS_PER_FILE = 0.00025
"""Of many open files each is looked at less often: of 2,000 twice a second."""
LOOK_SECONDS = 1.0
"""How often places are looked at in which nothing is written."""
QUIET_POLLS = 2
MAX_LINE = 1 << 20


class FileSource:
    """Reads plain files and the kubelet's log roots. One thread calls it."""

    def __init__(
        self,
        paths: Iterable[str],
        *,
        follow: bool,
        positions: Mapping[int, Position] | None = None,
        selection: Selection | None = None,
        max_line: int = MAX_LINE,
        unfinished: Iterable[Stream] = (),
        held: HeldLimits | None = None,
        rate: int = 0,
        every_rotation: bool = False,
        tell: Tell | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reading goes on at `positions`. `unfinished` are streams with open fragments: those that are gone are ended by a last chunk.
        `held` bounds what is held open though deleted, `rate` is in bytes per second of each pod (0: no limit).
        `every_rotation`: rotated files of a plain file are read also where nothing of them was.

        Raises ConfigError and SourceError for paths that cannot be read.
        """
        self._follow, self._clock = follow, clock
        self._tell = tell or tell_on_stderr()
        self._discovery = Discovery(
            paths, selection or Selection(), follow=follow, tell=self._tell, clock=clock, every_rotation=every_rotation
        )
        self._files = OpenFiles(
            dict(positions or {}),
            Held(held or HeldLimits.of(MAX_BYTES), self._tell),
            self._tell,
            follow=follow,
            max_line=max_line,
        )
        self._look = True
        self._no_more = False
        self._ends: list[Chunk] = []
        self._unfinished = list(unfinished)
        self._polled_at = self._looked_at = float("-inf")
        self._poll_seconds = POLL_SECONDS
        self._started_at = clock()
        self._rates = Rates(rate, clock)

    # Reading

    @property
    def idle_seconds(self) -> float:
        """Until the next poll: before that there is nothing new."""
        return min(self._poll_seconds, max(0.01, self._polled_at + self._poll_seconds - self._clock()))

    def read(self, limit: int) -> Sequence[Chunk]:
        """About `limit` bytes of what is there; each stream gets one turn after the other."""
        now = self._clock()
        if self._no_more:
            self._stop_following()
            self._polled_at = float("-inf")
        if now - self._polled_at >= self._poll_seconds or now < self._polled_at:
            self._polled_at = now
            self._poll()
            self._poll_seconds = max(POLL_SECONDS, POLL_SECONDS_PER_FILE * len(self._files.by_inode))
        chunks: list[Chunk] = []
        taken = 0
        if limit:
            # Before what follows in their streams: a line that was begun before them has no end.
            chunks, self._files.lost = self._files.lost, []
        while self._files.ready and taken < limit:
            tail = self._files.ready.popleft()
            tail.ready = False
            chunk = self._turn(tail)
            if chunk is not None:
                chunks.append(chunk)
                taken += len(chunk.data)
                tail.lag.take(chunk.span.end - chunk.span.start)
                self._rates.took(tail.pod, len(chunk.data))
                if not (tail.readers and tail.readers[0].waits):
                    self._files.make_ready(tail)
        if self._ends and limit:
            chunks += self._ends
            self._ends = []
        return chunks

    def no_more(self) -> None:
        """Nothing is written any more: what is there is read to its end, and then this source is finished. Any thread may call it."""
        self._no_more = True

    def _stop_following(self) -> None:
        self._no_more, self._follow, self._look = False, False, True
        self._files.follow = False
        for reader in self._files.readers():
            reader.end = max(reader.end, reader.content.size())

    def _turn(self, tail: Tail) -> Chunk | None:
        if not self._rates.may_read(tail.pod):
            return None  # it is ready again at the next poll
        while tail.readers:
            reader = tail.readers[0]
            final = self._final(tail, reader)
            if reader.file_id is None and not self._files.identify(reader, final=final):
                if not final:
                    return None
                self._files.leave(tail, reader)
                continue
            complete = reader.read_before() or (not self._follow and not reader.gzipped and reader.offset >= reader.end)
            file_id = reader.file_id
            chunk = None if complete else reader.take(final=final)
            if chunk is not None:
                span = chunk.span
                self._files.positions[span.file_id] = Position(span.end, span.first_line + span.lines)
                tail.last = Span(span.file_id, span.end, span.end, span.first_line + span.lines, 0)
                return chunk
            if reader.file_id is None:
                self._files.look_for_copies(reader, file_id)
                continue
            if not final:
                return None
            if self._follow and not reader.gzipped:
                if not reader.same_file():
                    self._restart(reader)  # truncated while it stood behind another one
                    continue
                if reader.unread():
                    return None  # written in this moment: the next poll sees it
            self._files.leave(tail, reader)
        self._end(tail)
        return None

    def _final(self, tail: Tail, reader: LogReader) -> bool:
        """Whether the file is complete: nothing will be appended to it."""
        if reader.gzipped or not self._follow:
            return True
        newer = len(tail.readers) - 1
        if newer > 1:  # the writer has moved on twice: nothing is late any more
            return True
        return (newer > 0 or tail.superseded or not reader.listed) and reader.quiet_polls >= QUIET_POLLS

    def _end(self, tail: Tail) -> None:
        if self._follow and tail.listed and not tail.superseded:
            return
        if self._files.tails.pop(tail.stream.key, None) is not None:
            self._ends.append(Chunk(tail.stream, tail.last, b"", last=True))

    # Looking

    def _poll(self) -> None:
        if self._follow or self._look or self._files.short:
            self._look = self._files.short = False
            now = self._clock()
            every = not (self._follow and 0 <= now - self._looked_at < LOOK_SECONDS)
            self._looked_at = now if every else self._looked_at
            for place in self._discovery.places():
                if every and self._files.pressed:
                    place.look_again()
                site = self._files.sites.get(place)
                if not every and site is not None and not site.stirs:
                    continue  # what nobody writes to is not rotated either
                files = place.look()
                if files is not None:
                    if site is None:
                        site = self._files.sites[place] = Site(place)
                    self._files.arrange(site, files)
                    if not files:
                        self._discovery.forget(place)
                if site is not None:
                    site.stirs = len(site.open) > 1  # it is behind: only the oldest file's growth is seen
        for stream in self._unfinished:
            if stream.key not in self._files.tails and self._discovery.covers(stream.path):
                self._ends.append(Chunk(stream, NOWHERE, b"", last=True))
        self._unfinished = []
        self._files.let_go()
        for tail in list(self._files.tails.values()):
            self._check(tail)

    def _check(self, tail: Tail) -> None:
        """See whether the front file has grown, shrunk, or stayed quiet."""
        if not tail.readers:
            self._files.make_ready(tail)
            return
        reader = tail.readers[0]
        if reader.gzipped or not self._follow:
            self._files.make_ready(tail)
            return
        modified = reader.modified()
        if modified != reader.checked:
            self._files.by_inode[reader.device_inode].stirs = True
            reader.checked, reader.quiet_polls, reader.waits = modified, 0, False
            # Where it has grown, reading finds out whether it is still the same file.
            if reader.file_id is not None and modified[0] <= reader.offset and not reader.same_file():
                self._restart(reader)
            self._files.make_ready(tail)
        elif not reader.waits:
            self._files.make_ready(tail)
        else:
            reader.quiet_polls += 1
            if self._final(tail, reader):
                self._files.make_ready(tail)

    def _restart(self, reader: LogReader) -> None:
        """The file was truncated: it is another file from here on."""
        file_id = reader.file_id
        reader.forget_identity()
        self._files.look_for_copies(reader, file_id)

    # How far it is

    def finished(self) -> bool:
        """Without `follow`: every file was read to its end."""
        return (
            not (self._follow or self._look or self._files.short or self._files.tails or self._ends)
            and self._polled_at >= self._started_at
        )

    def status(self) -> SourceStatus:
        """Unread bytes of all open files. The reading thread calls it, once a second is enough."""
        readers = self._files.readers()
        files = len(readers) + sum(len(site.left) for site in self._files.sites.values())
        return status_of(self._files.tails.values(), self._files.held, self._clock(), files, len(readers))

    def gone(self) -> Sequence[int]:
        """Files whose positions are of no use any more: nothing of them has been on disk for ten minutes."""
        return self._files.gone(self._clock()) if self._follow else ()

    def empty_roots(self) -> list[str]:
        """Folders that were named and hold no pod's folder."""
        return self._discovery.roots_without_pods()

    def close(self) -> None:
        """Close all files."""
        self._files.close()
