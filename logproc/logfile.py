"""One open log file: its bytes (plain or gzipped), its name for ever, and whole lines cut from it.

A file is read at absolute offsets of its uncompressed bytes and holds no buffer between reads: an unfinished line is read again.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from logproc.identity import FIRST_LINE_CAP, file_id
from logproc.model import Chunk, Position, Span, Stream

READ_BYTES = 256 << 10
"""One read, and one file's turn. 1 MiB reads are 2.5 times slower: they leave the processor's cache."""
KEPT_OF_OVERSIZED = 64 << 10
INFLATED_BYTES = 1 << 20


class Content(Protocol):
    """Bytes of a file by their offset in the uncompressed file."""

    def size(self) -> int:
        """How many there are as far as that is known."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the end."""
        ...

    def rest(self) -> None:
        """It is not read for a while: give memory back."""
        ...


class PlainContent:
    """A file as it is."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def size(self) -> int:
        """Its size now."""
        return os.fstat(self._fd).st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """`pread`, repeated until the count or the end is reached."""
        data = os.pread(self._fd, count, offset)
        while len(data) < count:
            more = os.pread(self._fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def rest(self) -> None:
        """It holds nothing."""


class GzipContent:
    """A gzipped file, decompressed forwards; only what lies before the last read's offset is forgotten."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.damaged = False
        self._restart()

    def _restart(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._compressed_offset = 0
        self._window_start, self._window = 0, b""
        self._ended = False

    def size(self) -> int:
        """The length its last member states (modulo 2^32)."""
        length = os.fstat(self._fd).st_size
        if length < 18:
            return 0
        (size,) = struct.unpack("<I", os.pread(self._fd, 4, length - 4))
        return int(size)

    def read_at(self, offset: int, count: int) -> bytes:
        """Decompress up to there; going back starts at the beginning again."""
        if offset < self._window_start:
            self._restart()
        pieces, held = [self._window], len(self._window)
        while not self._ended and self._window_start + held < offset + count:
            piece = self._next()
            pieces.append(piece)
            held += len(piece)
            if self._window_start + held <= offset:  # still before it: nothing of this is wanted
                self._window_start += held
                pieces, held = [], 0
        window = b"".join(pieces)
        self._window = window[offset - self._window_start :]
        self._window_start = offset
        return self._window[:count]

    def rest(self) -> None:
        """Forget all state: the next read begins at the beginning."""
        self._restart()

    def _next(self) -> bytes:
        """The next piece, at most `INFLATED_BYTES` whatever the ratio."""
        packed = self._inflate.unconsumed_tail or self._inflate.unused_data
        if not packed:
            packed = os.pread(self._fd, READ_BYTES, self._compressed_offset)
            self._compressed_offset += len(packed)
        try:
            if self._inflate.eof and packed:  # a further member follows
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            if not packed:
                self._ended = True
                # A member that was begun and not closed: written half, or cut.
                self.damaged = not self._inflate.eof and self._compressed_offset > 0
                return b""
            return self._inflate.decompress(packed, INFLATED_BYTES)
        except zlib.error:
            self._ended = self.damaged = True
            return b""


class LogReader:
    """Reads one open file from a position on. `file_id` is None until its first line is complete."""

    def __init__(self, path: str, stream: Stream, fd: int, *, gzipped: bool, max_line: int) -> None:
        stat = os.fstat(fd)
        self.path, self.stream, self.gzipped = path, stream, gzipped
        self.device_inode = (stat.st_dev, stat.st_ino)
        self.content: Content = GzipContent(fd) if gzipped else PlainContent(fd)
        self.file_id: int | None = None
        self.offset = self.line = 0
        self.quiet_polls = 0
        self.listed = True
        """It still has a name on disk."""
        self.checked = (-1, -1)
        """Size and modification time at the last poll."""
        self.end = self.content.size()
        """Its size when it was opened."""
        self.waits = False
        """At its end, at an unfinished line, or without a first line: there is nothing to read before it grows."""
        self._fd, self._max_line = fd, max_line
        self._turn_bytes = min(READ_BYTES, max_line)
        self._first_line, self._generation = b"", 0
        self._truncated: dict[bytes, int] = {}
        """First lines it had before it was truncated, with the generation of the last time."""
        self._scanned = 0
        """How far an oversized line was searched for its end."""

    def close(self) -> None:
        """Give the handle back."""
        os.close(self._fd)

    def modified(self) -> tuple[int, int]:
        """Size and modification time on disk: unchanged means the same content."""
        stat = os.fstat(self._fd)
        return stat.st_size, stat.st_mtime_ns

    def disk_bytes(self) -> int:
        """What it takes on disk."""
        return os.fstat(self._fd).st_size

    def unread(self) -> int:
        """Bytes after its position as far as that is known."""
        return max(0, self.content.size() - self.offset)

    def count_rest(self) -> tuple[int, int]:
        """Where its content ends and how many lines begin after its position; reads all of it. It is closed afterwards."""
        at, lines, last = self.offset, 0, b"\n"
        while data := self.content.read_at(at, READ_BYTES):
            lines += int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))
            at, last = at + len(data), data[-1:]
        return at, lines + (last != b"\n")

    def identify(self, positions: Mapping[int, Position], *, final: bool) -> bool:
        """Name the file by its first line and go to its position. False: its first line is not complete."""
        head = self.content.read_at(0, 4096)
        if b"\n" not in head and len(head) == 4096:
            head = self.content.read_at(0, FIRST_LINE_CAP)
        end = head.find(b"\n")
        if end < 0 and len(head) < FIRST_LINE_CAP and not (final and head):
            self.waits = True
            return False
        self._first_line = head[:end] if end >= 0 else head[:FIRST_LINE_CAP]
        self._generation = self._truncated.get(self._first_line, -1) + 1
        while self._named(self._generation + 1) in positions:
            self._generation += 1
        size = self.content.size()
        # Truncated and begun with the same line again: the old numbers must not be given twice.
        if not self.gzipped and positions.get(self._named(self._generation), Position()).offset > size:
            self._generation += 1
        self.file_id = self._named(self._generation)
        position = positions.get(self.file_id, Position())
        self.offset, self.line = position.offset, position.line
        self._scanned = 0
        return True

    def _named(self, generation: int) -> int:
        return file_id(self.stream, self._first_line, self.device_inode[1], generation)

    def same_file(self) -> bool:
        """Whether the file still begins with its first line and has what was read of it: false after a truncation."""
        if self.gzipped:
            return True
        return (
            self.content.size() >= self.offset
            and self.content.read_at(0, len(self._first_line)) == self._first_line
        )  # fmt: skip

    def read_before(self) -> bool:
        """A gzipped file that was read to its end when it was plain: told without decompressing it."""
        return self.gzipped and self.offset > 0 and self.offset % (1 << 32) == self.content.size()

    def take(self, *, final: bool) -> Chunk | None:
        """The next whole lines, at most one turn; None when there are none (then `waits` is set), or when it is another file now.

        `waits` is set also where they are all that the last poll saw: there is nothing more before the file grows.
        `final`: the file does not grow any more, so its end is the end of a line.
        """
        start, count = self.offset, self._turn_bytes
        # What the last poll saw is asked for and no more: the end need not be looked for by a read that finds nothing.
        seen = self.checked[0] - start
        if not final and 0 < seen < count:
            count = seen
        data = self.content.read_at(start, count)
        at_end = not final and len(data) >= seen
        cut = data.rfind(b"\n") + 1
        oversized: tuple[tuple[int, int], ...] = ()
        end = start + cut
        if cut:
            data = data[:cut] if cut < len(data) else data
        elif len(data) < self._turn_bytes:
            data, end = self._unfinished(data, final=final)
        else:
            data, end, oversized = self._long_line(final=final)
        if not self.same_file():
            # Truncated since the last look: these bytes may be of another file, or a mixture of two.
            self.forget_identity()
            return None
        if not data:
            self.waits = True
            return None
        self.waits = at_end
        lines = 1 if oversized else int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))
        span = Span(self.file_id or 0, start, end, self.line, lines)
        self.offset, self.line, self._scanned = end, self.line + lines, 0
        return Chunk(self.stream, span, data, time.time(), oversized)

    def forget_identity(self) -> None:
        """Another file has taken its place under the same inode."""
        if self.file_id is not None:
            self._truncated[self._first_line] = self._generation
        self.file_id, self.offset, self.line, self._scanned, self.waits = None, 0, 0, 0, False
        self.quiet_polls = 0

    def _unfinished(self, data: bytes, *, final: bool) -> tuple[bytes, int]:
        if not (final and data):
            return b"", self.offset
        return data + b"\n", self.offset + len(data)

    def _long_line(self, *, final: bool) -> tuple[bytes, int, tuple[tuple[int, int], ...]]:
        start = self.offset
        window = self.content.read_at(start, self._max_line + 1)
        cut = window.find(b"\n") + 1
        if cut:
            return window[:cut], start + cut, ()
        if len(window) <= self._max_line:
            data, end = self._unfinished(window, final=final)
            return data, end, ()
        head = window[: min(KEPT_OF_OVERSIZED, self._max_line)]
        del window
        at = max(self._scanned, start + self._max_line)
        while True:
            data = self.content.read_at(at, READ_BYTES)
            found = data.find(b"\n")
            if found >= 0:
                length = at + found - start
                return head + b"\n", start + length + 1, ((0, length),)
            at += len(data)
            if len(data) < READ_BYTES:
                break
        if final:
            return head + b"\n", at, ((0, at - start),)
        self._scanned = at
        return b"", start, ()
