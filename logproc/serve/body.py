"""The body of a request, whole before anything is done with it: a body that is cut short does nothing."""

from __future__ import annotations

import os
import tempfile
from typing import BinaryIO

from logproc.errors import QueryError

TOO_LARGE = 307
IN_MEMORY = 32 << 20
"""Larger ones go to a file without a name."""


class Body:
    """Bytes as they arrive, in memory at first. `close` gives everything back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self.size = 0
        self._received = 0

    @property
    def spilled(self) -> bool:
        """It is in a file already."""
        return self._file is not None

    def count(self, received: int) -> None:
        """Bytes as they came, compressed or not: a stream of nothing but empty frames never ends. Raises QueryError beyond the limit."""
        self._received += received
        self._check(self._received)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise QueryError(
                f"The body is larger than {self._limit:,} bytes, which is the limit here: send it in parts",
                code=TOO_LARGE,
            )

    def add(self, data: bytes) -> None:
        """Raises QueryError beyond the limit."""
        self.size += len(data)
        self._check(self.size)
        if self._file is not None:
            self._file.write(data)
        else:
            self._memory += data

    def head(self, size: int) -> bytes:
        """Its first bytes, as long as it is in memory."""
        return bytes(self._memory[:size])

    def spill(self, skip: int, before: bytes = b"") -> None:
        """Move it to a file, with `before` instead of its first `skip` bytes."""
        if self.size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="logproc-insert-")  # noqa: SIM115  closed by close()
        else:
            self._file = os.fdopen(os.memfd_create("logproc-insert"), "w+b", buffering=1 << 20)
        self._file.write(before)
        self._file.write(memoryview(self._memory)[skip:])
        self._memory = bytearray()

    def path(self) -> str:
        """Where the engine reads what was spilled."""
        assert self._file is not None  # noqa: S101  the caller has spilled it
        self._file.flush()
        return f"/proc/self/fd/{self._file.fileno()}"

    def close(self) -> None:
        """Forget it."""
        if self._file is not None:
            self._file.close()
        self._memory = bytearray()
