"""FileSource: log files in, chunks of whole physical lines out; rotated, gzipped, truncated and deleted files included.

Each stream's files stand in a queue, the oldest first, and only the front one is read. Every file is opened as soon as it is seen,
so that it cannot vanish unread. A file is left at its end when a newer one exists and two polls found nothing new (a runtime
may write the rest of a line after it has opened the next file).
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from logproc.discovery import Discovery, Selection, tell_on_stderr
from logproc.held import MAX_BYTES, Held, HeldLimits, handles_for_logs
from logproc.logfile import LogReader
from logproc.model import Chunk, Position, SourceStatus, Span, Stream
from logproc.places import LogFile, Place, Tell
from logproc.rates import Rates
from logproc.tails import NOWHERE, Inode, Key, Left, Site, Tail, status_of
from logproc.vanished import Vanished

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
        self._follow, self._max_line, self._clock = follow, max_line, clock
        self._tell = tell or tell_on_stderr()
        self._discovery = Discovery(
            paths, selection or Selection(), follow=follow, tell=self._tell, clock=clock, every_rotation=every_rotation
        )
        self._positions = dict(positions or {})
        self._tails: dict[Key, Tail] = {}
        self._sites: dict[Place, Site] = {}
        self._open: dict[Inode, Site] = {}
        self._look = True
        self._no_more = False
        self._ready: deque[Tail] = deque()
        self._ends: list[Chunk] = []
        self._unfinished = list(unfinished)
        self._polled_at = self._looked_at = float("-inf")
        self._poll_seconds = POLL_SECONDS
        self._started_at = clock()
        self._vanished = Vanished()
        self._held, self._rates = Held(held or HeldLimits.of(MAX_BYTES), self._tell), Rates(rate, clock)
        self._lost: list[Chunk] = []
        self._max_open, self._pressed = handles_for_logs(), False

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
            self._poll_seconds = max(POLL_SECONDS, POLL_SECONDS_PER_FILE * len(self._open))
        chunks: list[Chunk] = []
        taken = 0
        if limit:
            # Before what follows in their streams: a line that was begun before them has no end.
            chunks, self._lost = self._lost, []
        while self._ready and taken < limit:
            tail = self._ready.popleft()
            tail.ready = False
            chunk = self._turn(tail)
            if chunk is not None:
                chunks.append(chunk)
                taken += len(chunk.data)
                tail.lag.take(chunk.span.end - chunk.span.start)
                self._rates.took(tail.pod, len(chunk.data))
                if not (tail.readers and tail.readers[0].waits):
                    self._make_ready(tail)
        if self._ends and limit:
            chunks += self._ends
            self._ends = []
        return chunks

    def no_more(self) -> None:
        """Nothing is written any more: what is there is read to its end, and then this source is finished. Any thread may call it."""
        self._no_more = True

    def _stop_following(self) -> None:
        self._no_more, self._follow, self._look = False, False, True
        for reader in self._readers():
            reader.end = max(reader.end, reader.content.size())

    def _turn(self, tail: Tail) -> Chunk | None:
        if not self._rates.may_read(tail.pod):
            return None  # it is ready again at the next poll
        while tail.readers:
            reader = tail.readers[0]
            final = self._final(tail, reader)
            if reader.file_id is None and not self._identify(reader, final=final):
                if not final:
                    return None
                self._leave(tail, reader)
                continue
            complete = reader.read_before() or (not self._follow and not reader.gzipped and reader.offset >= reader.end)
            file_id = reader.file_id
            chunk = None if complete else reader.take(final=final)
            if chunk is not None:
                span = chunk.span
                self._positions[span.file_id] = Position(span.end, span.first_line + span.lines)
                tail.last = Span(span.file_id, span.end, span.end, span.first_line + span.lines, 0)
                return chunk
            if reader.file_id is None:
                self._look_for_copies(reader, file_id)
                continue
            if not final:
                return None
            if self._follow and not reader.gzipped:
                if not reader.same_file():
                    self._restart(reader)  # truncated while it stood behind another one
                    continue
                if reader.unread():
                    return None  # written in this moment: the next poll sees it
            self._leave(tail, reader)
        self._end(tail)
        return None

    def _identify(self, reader: LogReader, *, final: bool) -> bool:
        if not reader.identify(self._positions, final=final):
            return False
        if reader.file_id is not None:
            self._vanished.seen(reader.file_id)
        return True

    def _final(self, tail: Tail, reader: LogReader) -> bool:
        """Whether the file is complete: nothing will be appended to it."""
        if reader.gzipped or not self._follow:
            return True
        newer = len(tail.readers) - 1
        if newer > 1:  # the writer has moved on twice: nothing is late any more
            return True
        return (newer > 0 or tail.superseded or not reader.listed) and reader.quiet_polls >= QUIET_POLLS

    def _leave(self, tail: Tail, reader: LogReader) -> None:
        tail.readers.remove(reader)
        site = self._open.pop(reader.device_inode)
        del site.open[reader.device_inode]
        self._held.drop(reader)
        if reader.gzipped and getattr(reader.content, "damaged", False):
            self._tell(f"warning: {reader.path}: damaged gzip data; read as far as line {reader.line}")
        if reader.listed and reader.waits and not reader.gzipped and self._follow and reader.unread():
            # Grown in this moment: a modification that would not be noticed any more.
            site.place.look_again()
        elif reader.listed:
            site.left[reader.device_inode] = Left(reader.file_id, reader.modified())
        reader.close()

    def _end(self, tail: Tail) -> None:
        if self._follow and tail.listed and not tail.superseded:
            return
        if self._tails.pop(tail.stream.key, None) is not None:
            self._ends.append(Chunk(tail.stream, tail.last, b"", last=True))

    def _make_ready(self, tail: Tail) -> None:
        if not tail.ready:
            tail.ready = True
            self._ready.append(tail)

    # Looking

    def _poll(self) -> None:
        if self._follow or self._look:
            self._look = False
            now = self._clock()
            every = not (self._follow and 0 <= now - self._looked_at < LOOK_SECONDS)
            self._looked_at = now if every else self._looked_at
            for place in self._discovery.places():
                if every and self._pressed:
                    place.look_again()
                site = self._sites.get(place)
                if not every and site is not None and not site.stirs:
                    continue  # what nobody writes to is not rotated either
                files = place.look()
                if files is not None:
                    if site is None:
                        site = self._sites[place] = Site(place)
                    self._arrange(site, files)
                if site is not None:
                    site.stirs = len(site.open) > 1  # it is behind: only the oldest file's growth is seen
        for stream in self._unfinished:
            if stream.key not in self._tails and self._discovery.covers(stream.path):
                self._ends.append(Chunk(stream, NOWHERE, b"", last=True))
        self._unfinished = []
        self._let_go()
        for tail in list(self._tails.values()):
            self._check(tail)

    def _check(self, tail: Tail) -> None:
        """See whether the front file has grown, shrunk, or stayed quiet."""
        if not tail.readers:
            self._make_ready(tail)
            return
        reader = tail.readers[0]
        if reader.gzipped or not self._follow:
            self._make_ready(tail)
            return
        modified = reader.modified()
        if modified != reader.checked:
            self._open[reader.device_inode].stirs = True
            reader.checked, reader.quiet_polls, reader.waits = modified, 0, False
            # Where it has grown, reading finds out whether it is still the same file.
            if reader.file_id is not None and modified[0] <= reader.offset and not reader.same_file():
                self._restart(reader)
            self._make_ready(tail)
        elif not reader.waits:
            self._make_ready(tail)
        else:
            reader.quiet_polls += 1
            if self._final(tail, reader):
                self._make_ready(tail)

    def _restart(self, reader: LogReader) -> None:
        """The file was truncated: it is another file from here on."""
        file_id = reader.file_id
        reader.forget_identity()
        self._look_for_copies(reader, file_id)

    def _look_for_copies(self, reader: LogReader, file_id: int | None) -> None:
        """Look again at a copy of the file that was truncated, left because it was taken for that."""
        site = self._open[reader.device_inode]
        site.left = {inode: file for inode, file in site.left.items() if file.file_id != file_id}
        site.place.look_again()

    def _arrange(self, site: Site, files: Sequence[LogFile]) -> None:
        """Bring the queues in line with what is on disk at one place."""
        present: dict[Inode, int] = {}
        begun = False
        for order, file in enumerate(files):
            inode, is_new = self._admit(site, file)
            if inode is None:
                continue
            present[inode] = order
            if file.known_only:
                begun = begun or self._was_begun(site, inode)
                if is_new and not begun:
                    self._set_aside(site, inode)
        site.left = {inode: left for inode, left in site.left.items() if inode in present}
        for inode, reader in site.open.items():
            if reader.listed and inode not in present:
                reader.quiet_polls = 0  # counted from when it can be the end
            reader.listed = inode in present
            self._held.see(reader)
        listed = {file.stream.key for file in files}
        newest = max((file.stream.restart for file in files), default=0)
        for key in sorted(site.streams | listed):  # of a container the earlier restart first
            tail = self._tails.get(key)
            if tail is not None:
                if tail.stream.restart < newest and not tail.superseded:
                    tail.wait_again()
                tail.superseded, tail.listed = tail.stream.restart < newest, key in listed
                tail.readers.sort(key=lambda r: present.get(r.device_inode, -1))
                self._make_ready(tail)
        site.streams = {key for key in site.streams | listed if key in self._tails}
        if not files:
            self._discovery.forget(site.place)

    def _admit(self, site: Site, file: LogFile) -> tuple[Inode | None, bool]:
        """See to it that the file is open unless it was left and has not changed since. (Its inode, whether it was opened just now.)"""
        try:
            stat = os.stat(file.path)  # noqa: PTH116
            inode = (stat.st_dev, stat.st_ino)
            left = site.left.get(inode)
            if left is not None and left.modified == (stat.st_size, stat.st_mtime_ns):
                return inode, False
            if inode in self._open:
                self._open[inode].open[inode].path = file.path
                return inode, False
            if len(self._open) >= self._max_open and not self._make_room():
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # noqa: TRY301  the same, before it hurts others
            fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:  # renamed or removed in between: the folder has changed again
            site.place.look_again()
            return None, False
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                site.place.look_again()
                self._look = self._pressed = True
                self._tell("warning: no more files can be opened at once; some wait (raise `ulimit -n`)")
            else:
                self._tell(f"warning: {file.path}: {error.strerror}; not read")
            return None, False
        reader = LogReader(file.path, file.stream, fd, gzipped=file.gzipped, max_line=self._max_line)
        inode = reader.device_inode
        if inode in self._open:  # another file took the name between the two calls
            reader.close()
            site.place.look_again()
            return inode, False
        site.left.pop(inode, None)
        site.open[inode] = reader
        self._open[inode] = site
        tail = self._tails.setdefault(file.stream.key, Tail(file.stream))
        tail.wait_again()
        tail.readers.append(reader)
        return inode, True

    def _make_room(self) -> bool:
        """Close a file at whose end nothing happens; from now on all places are looked at every second, so that it is opened when it grows."""
        self._pressed = True
        for tail in self._tails.values():
            reader = tail.readers[0] if len(tail.readers) == 1 else None
            if reader is None or reader.file_id is None or not reader.listed:
                continue
            if reader.waits and reader.modified() == reader.checked:
                self._leave(tail, reader)
                return True
        return False

    def _was_begun(self, site: Site, inode: Inode) -> bool:
        left, reader = site.left.get(inode), site.open.get(inode)
        if left is not None:
            return left.file_id in self._positions
        if reader is None:
            return False
        if reader.file_id is None:
            self._identify(reader, final=True)
        return reader.file_id in self._positions

    def _set_aside(self, site: Site, inode: Inode) -> None:
        reader = site.open[inode]
        self._leave(self._tails[reader.stream.key], reader)
        site.left[inode].file_id = None

    # Held files

    def _let_go(self) -> None:
        """Keep within the limits what is held open though deleted."""
        if not self._held.too_many():
            return
        for reader in self._held.plain():
            if self._has_copy(reader):  # it takes a tenth of the space
                self._leave(self._tails[reader.stream.key], reader)
        for reader in self._held.too_many():
            tail = self._tails[reader.stream.key]
            named = reader.file_id is not None or self._identify(reader, final=True)
            span = self._held.lose(reader) if named and not self._has_copy(reader) else None
            if span is not None:
                self._lost.append(Chunk(tail.stream, span, b"", lost=True))
            self._leave(tail, reader)
            self._make_ready(tail)

    def _has_copy(self, reader: LogReader) -> bool:
        """Whether its gzipped copy is open too."""
        copies = [r for r in self._tails[reader.stream.key].readers if r.gzipped and r is not reader]
        for other in copies:
            if other.file_id is None:
                self._identify(other, final=True)
                other.content.rest()
        if reader.file_id is None:
            self._identify(reader, final=True)
        return any(other.file_id == reader.file_id for other in copies)

    # How far it is

    def finished(self) -> bool:
        """Without `follow`: every file was read to its end."""
        return not (self._follow or self._look or self._tails or self._ends) and self._polled_at >= self._started_at

    def status(self) -> SourceStatus:
        """Unread bytes of all open files. The reading thread calls it, once a second is enough."""
        readers = self._readers()
        files = len(readers) + sum(len(site.left) for site in self._sites.values())
        return status_of(self._tails.values(), self._held, self._clock(), files, len(readers))

    def _readers(self) -> list[LogReader]:
        return [reader for site in self._sites.values() for reader in site.open.values()]

    def gone(self) -> Sequence[int]:
        """Files of which nothing has been on disk for ten minutes. Those that this process never saw are kept for a day."""
        readers = self._readers()
        # One that was not looked into yet may be any of the known ones.
        if not self._follow or any(reader.file_id is None and not reader.waits for reader in readers):
            return ()
        self._sites = {place: site for place, site in self._sites.items() if site.open or site.left}
        live = {reader.file_id for reader in readers}
        live |= {left.file_id for site in self._sites.values() for left in site.left.values()}
        forgotten = self._vanished.forgotten(self._positions, live, self._clock())
        for file_id in forgotten:
            del self._positions[file_id]
        return forgotten

    def empty_roots(self) -> list[str]:
        """Folders that were named and hold no pod's folder."""
        return self._discovery.roots_without_pods()

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers():
            reader.close()
        self._open, self._sites, self._tails = {}, {}, {}
