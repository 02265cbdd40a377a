"""The system calls that make a file durable, in one place: so that tests can let the machine die at each of them."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path


class Disk:
    """Writes whole files or none. Every method raises OSError."""

    def replace(self, path: Path, *parts: bytes) -> None:
        """Write a file beside its name, sync it, give it its name, sync the folder: after a crash the old or the new one is there."""
        temporary = path.with_name(path.name + ".tmp")
        try:
            self.write(temporary, *parts)
            self.rename(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self.sync_folder(path.parent)

    def write(self, path: Path, *parts: bytes) -> None:
        """Write and sync a new file."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(fd, view) :]
            self.sync(fd)
        finally:
            os.close(fd)

    def sync(self, fd: int) -> None:
        """Wait until the device has it."""
        os.fsync(fd)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name; an old file of that name is gone."""
        path.replace(to)

    def sync_folder(self, path: Path) -> None:
        """Make names in a folder durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(fd)
        finally:
            os.close(fd)

    def cut(self, path: Path, length: int) -> None:
        """Drop what of a file lies behind `length`: that works on a full disk too."""
        os.truncate(path, length)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        path.unlink(missing_ok=True)


def checksum(data: bytes) -> int:
    """CRC-32: 1 GB/s here, and what it has to find is torn or rotten data, not an attacker."""
    return zlib.crc32(data)
