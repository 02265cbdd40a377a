"""The open files of a FileSource: one queue for each stream, the oldest first, brought in line with what is on disk.

Every file is opened as soon as it is seen, so that it cannot vanish unread; what is deleted before it was read is held open within
a limit. A file that was left at its end is remembered, and opened again only when it has changed.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence

from logproc.held import Held, handles_for_logs
from logproc.logfile import LogReader
from logproc.model import Chunk, Position
from logproc.places import LogFile, Place, Tell
from logproc.tails import Inode, Key, Left, Site, Tail
from logproc.vanished import Vanished


class OpenFiles:
    """Opens, orders and closes. What is read of them, and when one is at its end, its user decides."""

    def __init__(self, positions: dict[int, Position], held: Held, tell: Tell, *, follow: bool, max_line: int) -> None:
        self.positions, self.held, self.follow = positions, held, follow
        self.tails: dict[Key, Tail] = {}
        self.sites: dict[Place, Site] = {}
        self.by_inode: dict[Inode, Site] = {}
        """The site of each open file."""
        self.ready: deque[Tail] = deque()
        """Streams that may have something to read."""
        self.lost: list[Chunk] = []
        """What was let go unread and is not told yet."""
        self.short = False
        """A file could not be opened for want of handles: the places have to be looked at again."""
        self.pressed = False
        """Handles have run out once: files at whose end nothing happens are closed for others."""
        self._vanished = Vanished()
        self._tell, self._max_line, self._max_open = tell, max_line, handles_for_logs()

    def identify(self, reader: LogReader, *, final: bool) -> bool:
        """Name the file and go to its position. False: its first line is not complete; with `final` it is empty."""
        if not reader.identify(self.positions, final=final):
            return False
        if reader.file_id is not None:
            self._vanished.seen(reader.file_id)
        return True

    def leave(self, tail: Tail, reader: LogReader) -> None:
        """Close a file, at its end or given up."""
        tail.readers.remove(reader)
        site = self.by_inode.pop(reader.device_inode)
        del site.open[reader.device_inode]
        self.held.drop(reader)
        if reader.gzipped and getattr(reader.content, "damaged", False):
            self._tell(f"warning: {reader.path}: damaged gzip data; read as far as line {reader.line}")
        if reader.listed and reader.waits and not reader.gzipped and self.follow and reader.unread():
            # Grown in this moment: a modification that would not be noticed any more.
            site.place.look_again()
        elif reader.listed:
            site.left[reader.device_inode] = Left(reader.file_id, reader.modified())
        reader.close()

    def make_ready(self, tail: Tail) -> None:
        """It may have something to read."""
        if not tail.ready:
            tail.ready = True
            self.ready.append(tail)

    def arrange(self, site: Site, files: Sequence[LogFile]) -> None:
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
            self.held.see(reader)
        listed = {file.stream.key for file in files}
        newest = max((file.stream.restart for file in files), default=0)
        for key in sorted(site.streams | listed):  # of a container the earlier restart first
            tail = self.tails.get(key)
            if tail is not None:
                if tail.stream.restart < newest and not tail.superseded:
                    tail.wait_again()
                tail.superseded, tail.listed = tail.stream.restart < newest, key in listed
                tail.readers.sort(key=lambda r: present.get(r.device_inode, -1))
                self.make_ready(tail)
        site.streams = {key for key in site.streams | listed if key in self.tails}

    def _admit(self, site: Site, file: LogFile) -> tuple[Inode | None, bool]:
        """See to it that the file is open unless it was left and has not changed since. (Its inode, whether it was opened just now.)"""
        try:
            stat = os.stat(file.path)  # noqa: PTH116
            inode = (stat.st_dev, stat.st_ino)
            left = site.left.get(inode)
            if left is not None and left.modified == (stat.st_size, stat.st_mtime_ns):
                return inode, False
            if inode in self.by_inode:
                self.by_inode[inode].open[inode].path = file.path
                return inode, False
            if len(self.by_inode) >= self._max_open and not self._make_room():
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # noqa: TRY301  the same, before it hurts others
            fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:  # renamed or removed in between: the folder has changed again
            site.place.look_again()
            return None, False
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                site.place.look_again()
                self.short = self.pressed = True
                self._tell("warning: no more files can be opened at once; some wait (raise `ulimit -n`)")
            else:
                self._tell(f"warning: {file.path}: {error.strerror}; not read")
            return None, False
        reader = LogReader(file.path, file.stream, fd, gzipped=file.gzipped, max_line=self._max_line)
        inode = reader.device_inode
        if inode in self.by_inode:  # another file took the name between the two calls
            reader.close()
            site.place.look_again()
            return inode, False
        site.left.pop(inode, None)
        site.open[inode] = reader
        self.by_inode[inode] = site
        tail = self.tails.setdefault(file.stream.key, Tail(file.stream))
        tail.wait_again()
        tail.readers.append(reader)
        return inode, True

    def _make_room(self) -> bool:
        """Close a file at whose end nothing happens; from now on all places are looked at every second, so that it is opened when it grows."""
        self.pressed = True
        for tail in self.tails.values():
            reader = tail.readers[0] if len(tail.readers) == 1 else None
            if reader is None or reader.file_id is None or not reader.listed:
                continue
            if reader.waits and reader.modified() == reader.checked:
                self.leave(tail, reader)
                return True
        return False

    def _was_begun(self, site: Site, inode: Inode) -> bool:
        left, reader = site.left.get(inode), site.open.get(inode)
        if left is not None:
            return left.file_id in self.positions
        if reader is None:
            return False
        if reader.file_id is None:
            self.identify(reader, final=True)
        return reader.file_id in self.positions

    def _set_aside(self, site: Site, inode: Inode) -> None:
        reader = site.open[inode]
        self.leave(self.tails[reader.stream.key], reader)
        site.left[inode].file_id = None

    # What is held

    def let_go(self) -> None:
        """Keep within the limits what is held open though deleted."""
        if not self.held.too_many():
            return
        for reader in self.held.plain():
            if self._has_copy(reader):  # it takes a tenth of the space
                self.leave(self.tails[reader.stream.key], reader)
        for reader in self.held.too_many():
            tail = self.tails[reader.stream.key]
            named = reader.file_id is not None or self.identify(reader, final=True)
            span = self.held.lose(reader) if named and not self._has_copy(reader) else None
            if span is not None:
                self.lost.append(Chunk(tail.stream, span, b"", lost=True))
            self.leave(tail, reader)
            self.make_ready(tail)

    def _has_copy(self, reader: LogReader) -> bool:
        """Whether its gzipped copy is open too."""
        copies = [r for r in self.tails[reader.stream.key].readers if r.gzipped and r is not reader]
        for other in copies:
            if other.file_id is None:
                self.identify(other, final=True)
                other.content.rest()
        if reader.file_id is None:
            self.identify(reader, final=True)
        return any(other.file_id == reader.file_id for other in copies)

    def readers(self) -> list[LogReader]:
        """All open files."""
        return [reader for site in self.sites.values() for reader in site.open.values()]

    def look_for_copies(self, reader: LogReader, file_id: int | None) -> None:
        """Look again at a copy of the file that was truncated, left because it was taken for that."""
        site = self.by_inode[reader.device_inode]
        site.left = {inode: file for inode, file in site.left.items() if file.file_id != file_id}
        site.place.look_again()

    def gone(self, now: float) -> Sequence[int]:
        """Files of which nothing has been on disk for ten minutes. Those that this process never saw are kept for a day."""
        readers = self.readers()
        # One that was not looked into yet may be any of the known ones.
        if any(reader.file_id is None and not reader.waits for reader in readers):
            return ()
        self.sites = {place: site for place, site in self.sites.items() if site.open or site.left}
        live = {reader.file_id for reader in readers}
        live |= {left.file_id for site in self.sites.values() for left in site.left.values()}
        forgotten = self._vanished.forgotten(self.positions, live, now)
        for file_id in forgotten:
            del self.positions[file_id]
        return forgotten

    def close(self) -> None:
        """Close all files."""
        for reader in self.readers():
            reader.close()
        self.by_inode, self.sites, self.tails = {}, {}, {}
