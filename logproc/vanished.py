"""Which positions are of no use any more, because their files have been gone for long enough."""

from __future__ import annotations

from collections.abc import Iterable

FORGET_SECONDS = 600.0
"""Positions end that long after their file has vanished."""
FORGET_UNSEEN_SECONDS = 86_400.0
"""Those of files that this process never saw: what was named on the command line this time may be only a part."""


class Vanished:
    """Remembers since when files are missing."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._since: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._seen) + len(self._since)

    def seen(self, file_id: int) -> None:
        """The file is or was there."""
        self._seen.add(file_id)

    def forgotten(self, known: Iterable[int], live: set[int | None], now: float) -> list[int]:
        """Of the known files those that have been missing for too long."""
        self._since = {i: self._since.get(i, now) for i in known if i not in live}
        gone = [i for i, at in self._since.items() if now - at > self._limit(i)]
        for file_id in gone:
            del self._since[file_id]
            self._seen.discard(file_id)
        return gone

    def _limit(self, file_id: int) -> float:
        return FORGET_SECONDS if file_id in self._seen else FORGET_UNSEEN_SECONDS
