"""Where rows come from: lines that are parsed here, or rows that a store or a topic has already."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from logproc.model import Chunk
from logproc.tail.order import Order
from logproc.tail.reading import RowReader, Rows

READ_BYTES = 3 << 20


class Feed(Protocol):
    """Hands on rows as they come. One thread calls it."""

    behind: bool
    """More was there than the last poll took."""

    def poll(self) -> Rows:
        """What has come since, in order; waits up to some 50 ms for it."""
        ...

    def finished(self) -> bool:
        """Nothing more comes."""
        ...

    def end(self) -> Rows:
        """What was still held when reading is stopped."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Lines(Protocol):
    """What is needed of a `logproc.model.Source`."""

    @property
    def idle_seconds(self) -> float:
        """How long to wait after a read that found nothing."""
        ...

    def read(self, limit: int) -> Sequence[Chunk]:
        """What is there."""
        ...

    def finished(self) -> bool:
        """Nothing more can come."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LineFeed:
    """Chunks of a source, put in order and parsed in one call."""

    def __init__(self, source: Lines, reader: RowReader, order: Order) -> None:
        self._source, self._reader, self._order = source, reader, order
        self.behind = False

    def poll(self) -> Rows:
        """Read what is there; lines that wait for those of other streams come with a later call."""
        chunks = self._source.read(READ_BYTES)
        self.behind = sum(len(c.data) for c in chunks) >= READ_BYTES // 2
        pieces = self._order.add(chunks)
        pieces += self._order.due(everything=self._source.finished())
        if not pieces:
            if not chunks:
                time.sleep(self._source.idle_seconds)
            return Rows()
        return self._reader.read(pieces)

    def finished(self) -> bool:
        """The source has ended and nothing is held."""
        return self._source.finished() and not self._order.holds

    def end(self) -> Rows:
        """The lines that waited for others."""
        return self._reader.read(self._order.due(everything=True))

    def close(self) -> None:
        """Close the source."""
        self._source.close()
