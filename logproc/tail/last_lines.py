"""Where following of log files begins: before the last lines of each stream's current file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from logproc.discovery import Discovery, Selection
from logproc.files import MAX_LINE
from logproc.logfile import LogReader
from logproc.model import Position
from logproc.places import Tell

_BLOCK = 1 << 16


def positions(paths: Iterable[str], selection: Selection, count: int, tell: Tell) -> dict[int, Position]:
    """A position for every file that is there: before its last `count` lines where it is the newest of its stream, else its end.

    Lines are counted from there. A file that is still empty has none: all that comes into it is new.
    Raises ConfigError and SourceError for paths that cannot be read.
    """
    found: dict[int, Position] = {}
    discovery = Discovery(paths, selection, follow=True, tell=tell, clock=time.monotonic)
    for place in discovery.places():
        files = place.look() or []
        for number, file in enumerate(files):
            newest = number == len(files) - 1
            try:
                fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue  # following says why
            reader = LogReader(file.path, file.stream, fd, gzipped=file.gzipped, max_line=MAX_LINE)
            try:
                if not reader.identify({}, final=file.rotated) or reader.file_id is None:
                    continue
                size = reader.content.size()
                if newest and not file.gzipped:
                    found[reader.file_id] = Position(begin_of_last(fd, size, count))
                elif not newest:
                    found[reader.file_id] = Position(size)
            finally:
                reader.close()
    return found


def begin_of_last(fd: int, size: int, count: int) -> int:
    """The offset at which the last `count` whole lines of a file begin; an unfinished one after them is not counted."""
    if count <= 0:
        end = size
        while end:
            block = os.pread(fd, min(_BLOCK, end), max(0, end - _BLOCK))
            at = block.rfind(b"\n")
            if at >= 0:
                return end - len(block) + at + 1
            end -= len(block)
        return 0
    end, missing = size, count + 1
    while end > 0:
        begin = max(0, end - _BLOCK)
        block = os.pread(fd, end - begin, begin)
        newlines = block.count(b"\n")
        if newlines >= missing:
            at = len(block)
            for _ in range(missing):
                at = block.rfind(b"\n", 0, at)
            return begin + at + 1
        missing -= newlines
        end = begin
    return 0
