"""Files, gzipped files, pipes and standard input as chunks of whole lines, to be read once from beginning to end.

What a collector follows is in `files`; here nothing is followed and no position is kept.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from logproc.errors import ConfigError, SourceError
from logproc.model import Chunk, Span, Stream

CHUNK_BYTES = 3 << 20
"""One call of a columnar reader costs 0.4 ms whatever its size, so larger is faster, but hardly above this; each further MiB costs
20 MB of memory while its rows are made."""
PIPE_BYTES = 1 << 20
QUIET_SECONDS = 0.05
"""A pipe that has been quiet for so long hands on what has come: somebody may be watching."""
OLD_SECONDS = 0.5
MAX_LINE = 1 << 20
KEPT_OF_OVERSIZED = 64 << 10
STDIN = "-"

NEWLINE = 10
_GZIP = b"\x1f\x8b\x08"


def check(paths: list[str]) -> None:
    """Raise for the first path that cannot be read, before anything is: ConfigError where it is wrong, SourceError where it is forbidden."""
    for path in paths:
        if path == STDIN:
            continue
        try:
            mode = Path(path).stat().st_mode
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise ConfigError(
                f"{path} is a folder", f"name its files; `logproc collect {path}` reads a folder of pod logs"
            )
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path}: permission denied")


class Input:
    """One file or pipe, open. `bytes` counts what was read of it so far, uncompressed. Raises SourceError while it is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self.damage = ""
        """Why reading stopped before the end; empty where it did not."""
        try:
            self._fd = os.dup(sys.stdin.fileno()) if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def chunks(self) -> Iterator[Chunk]:
        """Whole lines, at least one chunk; the last is marked. A last line without newline is a line."""
        stream = Stream("stdin" if self.path == STDIN else self.path)
        cutter = _Lines(stream)
        try:
            for block in self._blocks():
                self.bytes += len(block)
                chunk = cutter.add(block)
                del block  # nothing is held beside the chunk while its rows are made
                if chunk:
                    yield chunk
                del chunk
        except OSError as error:
            self.damage = error.strerror or str(error)
        except (zlib.error, EOFError) as error:
            self.damage = f"damaged gzip data ({error})"
        yield cutter.end()

    def close(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            os.close(self._fd)

    def _blocks(self) -> Iterator[bytes]:
        raw = self._raw()
        first = next(raw, b"")
        while 0 < len(first) < len(_GZIP) and (more := next(raw, b"")):
            first += more
        if first.startswith(_GZIP):
            yield from _inflated(first, raw)
        elif first:
            yield first
            yield from raw

    def _raw(self) -> Iterator[bytes]:
        while True:
            block = os.read(self._fd, CHUNK_BYTES) if self._regular else self._gathered()
            if not block:
                return
            yield block

    def _gathered(self) -> bytes:
        """What a pipe has: it gives 64 KiB at a time, which would make a slow call of each."""
        parts = [os.read(self._fd, PIPE_BYTES)]
        size, began = len(parts[0]), time.monotonic()
        while parts[-1] and size < CHUNK_BYTES and time.monotonic() - began < OLD_SECONDS:
            if not select.select([self._fd], [], [], QUIET_SECONDS)[0]:
                break
            parts.append(os.read(self._fd, PIPE_BYTES))
            size += len(parts[-1])
        return b"".join(parts)


def _inflated(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of gzip members one after the other. Raises zlib.error, EOFError for one that is cut off."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    data = first
    while data or (data := next(rest, b"")):
        if inflate.eof:
            data = data.lstrip(b"\0")  # padding between and after members
            if not data:
                continue
            inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        out = inflate.decompress(data, CHUNK_BYTES)
        data = inflate.unused_data or inflate.unconsumed_tail
        if out:
            yield out
    if not inflate.eof:
        raise EOFError("it ends in the middle")


class _Lines:
    """Cuts bytes at newlines. A line over MAX_LINE is not held: its first part and its length are."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._held = 0
        """Bytes of the unfinished line that are kept in `_parts`."""
        self._length = 0
        """Its length so far; more than `_held` where the line is oversized."""
        self._offset = 0
        self._line = 0

    def add(self, block: bytes) -> Chunk | None:
        """The lines that end in this block; None where none does."""
        begin = block.find(b"\n") + 1
        if not begin:
            self._hold(block)
            return None
        self._hold(block[: begin - 1])
        finish = block.rfind(b"\n") + 1
        first, length = b"".join(self._parts), self._length
        data = b"".join((first, b"\n", block[begin:finish]))
        oversized = [(0, length)] if length > MAX_LINE else []
        if finish - begin > MAX_LINE:
            data, more = _shortened(data)
            oversized += more
        self._parts, self._held, self._length = [], 0, 0
        self._hold(block[finish:])
        end = self._offset + length + 1 + (finish - begin)
        return self._chunk(data, end, tuple(oversized))

    def end(self) -> Chunk:
        """The rest, marked as the last."""
        if not self._length:
            return Chunk(self._stream, Span(0, self._offset, self._offset, self._line, 0), b"", time.time(), (), True)
        data, end = b"".join(self._parts) + b"\n", self._offset + self._length
        oversized = ((0, self._length),) if self._length > MAX_LINE else ()
        return self._chunk(data, end, oversized, last=True)

    def _chunk(self, data: bytes, end: int, oversized: tuple[tuple[int, int], ...], *, last: bool = False) -> Chunk:
        lines = int(np.count_nonzero(np.frombuffer(data, np.uint8) == NEWLINE))
        span = Span(0, self._offset, end, self._line, lines)
        self._offset, self._line = end, self._line + lines
        return Chunk(self._stream, span, data, time.time(), oversized, last)

    def _hold(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= MAX_LINE:
            if part:
                self._parts.append(part)
                self._held += len(part)
            return
        kept = b"".join((*self._parts, part))[:KEPT_OF_OVERSIZED]
        self._parts, self._held = [kept], len(kept)


def _shortened(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Whole lines with the oversized ones cut, and those by index and length; the first line is no concern of this."""
    begin = data.find(b"\n") + 1
    # From where a line begins, a newline lies within MAX_LINE or the line is oversized: a few long steps check all lines.
    while len(data) - begin > MAX_LINE:
        newline = data.rfind(b"\n", begin, begin + MAX_LINE + 1)
        if newline < 0:
            break
        begin = newline + 1
    else:
        return data, []
    lines = data.split(b"\n")
    found = [(i, len(line)) for i, line in enumerate(lines) if i and len(line) > MAX_LINE]
    for i, _ in found:
        lines[i] = lines[i][:KEPT_OF_OVERSIZED]
    return b"\n".join(lines), found
