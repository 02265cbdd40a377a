"""Files that were deleted before they were read to their end: held open, within a limit, so that they can still be read.

A held file takes space on the node's disk that nobody sees. Beyond the limit the oldest are let go: what was unread of them is
lost, and counted to the line.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

from logproc.logfile import LogReader
from logproc.model import Span
from logproc.places import Tell
from logproc.sizes import count_text, size_text

MAX_BYTES = 2 << 30
MAX_FILES = 4096
OTHER_HANDLES = 64
"""For everything but log files: the spool, the sink, modules that are imported late."""


def handles_for_logs() -> int:
    """How many log files may be open at once: what the process may open, less a share for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else max(16, soft - OTHER_HANDLES - soft // 8)


@dataclass(frozen=True, slots=True)
class HeldLimits:
    """How much is held open though it is deleted."""

    bytes: int = MAX_BYTES
    files: int = MAX_FILES

    @classmethod
    def of(cls, size: int) -> HeldLimits:
        """`size` bytes, and at most half the handles that this process may open."""
        return cls(size, min(MAX_FILES, handles_for_logs() // 2))


class Held:
    """The held files, the longest deleted first, and what was lost of those that were let go."""

    def __init__(self, limits: HeldLimits, tell: Tell) -> None:
        self._limits, self._tell = limits, tell
        self._readers: dict[tuple[int, int], LogReader] = {}
        self.lost_bytes = self.lost_lines = 0

    @property
    def files(self) -> int:
        """How many are held."""
        return len(self._readers)

    @property
    def bytes(self) -> int:
        """What they take on disk."""
        return sum(reader.disk_bytes() for reader in self._readers.values())

    def see(self, reader: LogReader) -> None:
        """A look found the file listed, or deleted."""
        if reader.listed:
            self.drop(reader)
        else:
            self._readers.setdefault(reader.device_inode, reader)

    def drop(self, reader: LogReader) -> None:
        """It is there again, or closed."""
        self._readers.pop(reader.device_inode, None)

    def plain(self) -> list[LogReader]:
        """Those that are not gzipped."""
        return [reader for reader in self._readers.values() if not reader.gzipped]

    def too_many(self) -> list[LogReader]:
        """The oldest, as many as have to be let go for the rest to be within the limits."""
        if not self._readers:
            return []
        sizes = {inode: reader.disk_bytes() for inode, reader in self._readers.items()}
        total, count, gone = sum(sizes.values()), len(sizes), []
        for inode, reader in self._readers.items():
            if total <= self._limits.bytes and count <= self._limits.files:
                break
            gone.append(reader)
            total -= sizes[inode]
            count -= 1
        return gone

    def lose(self, reader: LogReader) -> Span | None:
        """Count and tell what is unread of a file that is let go; None where nothing is. The reader has a file_id."""
        end, lines = reader.count_rest()
        span = Span(reader.file_id or 0, reader.offset, end, reader.line, lines)
        if end <= span.start:
            return None
        self.lost_bytes += end - span.start
        self.lost_lines += lines
        self._tell(
            f"error: LOST {size_text(end - span.start)}, {count_text(lines, 'line')} of {reader.path} from line {span.first_line} on"
            f" (file_id {span.file_id}): deleted unread, and deleted files are held open only up to"
            f" {size_text(self._limits.bytes)} in {count_text(self._limits.files, 'file')} (--held-max)"
        )
        return span
