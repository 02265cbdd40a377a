"""Standard input as a source: chunks of whole lines of a file that has no name and cannot be read again."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence

import numpy as np

from logproc.files import MAX_LINE
from logproc.logfile import KEPT_OF_OVERSIZED, READ_BYTES
from logproc.model import Chunk, SourceStatus, Span, Stream

WAIT_SECONDS = 0.05
"""A read waits so long for bytes: a pipe holds 64 KiB, so pauses of the reader would slow its writer down."""


class StdinSource:
    """Reads a pipe. Its file_id is random: a line that is piped in twice is two lines."""

    idle_seconds = 0.0

    def __init__(self, fd: int = 0, max_line: int = MAX_LINE) -> None:
        self._fd, self._max_line = fd, max_line
        self._stream = Stream("-")
        self._file_id = int.from_bytes(os.urandom(8), "big")
        self._offset = self._line = 0
        self._pending = b""
        """Bytes after the last newline."""
        self._dropped = 0
        """Bytes of an oversized line that are not in `_pending` any more."""
        self._ended = self._told = False

    def read(self, limit: int) -> Sequence[Chunk]:
        """What is there, at most 256 KiB; waits 50 ms for it."""
        if not limit or self._told:
            return []
        pieces: list[bytes] = []
        size = 0
        while not self._ended and size < READ_BYTES:
            if not select.select([self._fd], [], [], 0.0 if pieces else WAIT_SECONDS)[0]:
                break
            piece = os.read(self._fd, READ_BYTES - size)
            self._ended = not piece
            pieces.append(piece)
            size += len(piece)
        return self._cut(b"".join((self._pending, *pieces)))

    def _cut(self, data: bytes) -> list[Chunk]:
        chunks = []
        if self._dropped:
            end = data.find(b"\n", min(len(data), KEPT_OF_OVERSIZED))
            if end < 0:
                self._keep_head(data)
            else:
                chunks.append(self._oversized(data[:KEPT_OF_OVERSIZED], self._dropped + end, newline=1))
                data = data[end + 1 :]
        if not self._dropped:
            cut = data.rfind(b"\n") + 1
            if cut:
                chunks.extend(self._lines(data[:cut]))
            self._pending = data[cut:]
            if len(self._pending) > self._max_line:
                self._keep_head(self._pending)
        if self._ended:
            chunks.extend(self._end())
        return chunks

    def _keep_head(self, data: bytes) -> None:
        head = data[:KEPT_OF_OVERSIZED]
        self._dropped += len(data) - len(head)
        self._pending = head

    def _lines(self, data: bytes, added: int = 0) -> list[Chunk]:
        if len(data) > self._max_line:  # a line may be longer than allowed only where so much came at once
            lines = data.split(b"\n")[:-1]
            if max(map(len, lines)) > self._max_line:
                return [
                    self._oversized(line[:KEPT_OF_OVERSIZED], len(line), newline=1)
                    if len(line) > self._max_line
                    else self._chunk(line + b"\n", 1, len(line) + 1)
                    for line in lines
                ]
        count = int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))
        return [self._chunk(data, count, len(data) - added)]

    def _oversized(self, head: bytes, length: int, newline: int) -> Chunk:
        self._dropped = 0
        return self._chunk(head + b"\n", 1, length + newline, ((0, length),))

    def _chunk(
        self, data: bytes, lines: int, length: int, oversized: tuple[tuple[int, int], ...] = (), *, last: bool = False
    ) -> Chunk:
        span = Span(self._file_id, self._offset, self._offset + length, self._line, lines)
        self._offset, self._line = span.end, span.first_line + lines
        return Chunk(self._stream, span, data, time.time(), oversized, last)

    def _end(self) -> list[Chunk]:
        self._told = True
        chunks = []
        if self._dropped:
            chunks.append(self._oversized(self._pending, self._dropped + len(self._pending), newline=0))
        elif self._pending:
            chunks.append(self._chunk(self._pending + b"\n", 1, len(self._pending)))
        return [*chunks, self._chunk(b"", 0, 0, last=True)]

    def gone(self) -> Sequence[int]:
        """Nothing is remembered of it."""
        return ()

    def finished(self) -> bool:
        """The pipe was closed."""
        return self._told

    def status(self) -> SourceStatus:
        """How much waits in a pipe cannot be known."""
        return SourceStatus(files=1, open_files=1)

    def close(self) -> None:
        """Standard input is not ours to close."""
