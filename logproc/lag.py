"""How long the oldest unread byte of a stream has been there, from what each look saw."""

from __future__ import annotations

from collections import deque

_SAMPLES = 64


class Lag:
    """Remembers when how much had been written; looks that lie close together are thinned out as the lag grows."""

    __slots__ = ("_samples", "_taken", "unread")

    def __init__(self) -> None:
        self.unread = 0
        self._taken = 0
        self._samples: deque[tuple[float, int]] = deque()
        """Time of a look, and what had been written by then in all."""

    def see(self, now: float, unread: int) -> None:
        """A look found so many bytes unread."""
        self.unread = unread
        if not unread:
            self._samples.clear()
            return
        written = self._taken + unread
        if not self._samples or written > self._samples[-1][1]:
            if len(self._samples) >= _SAMPLES:
                self._samples = deque(s for i, s in enumerate(self._samples) if i % 2 == 0)
            self._samples.append((now, written))

    def take(self, count: int) -> None:
        """So many bytes were read."""
        self._taken += count
        self.unread = max(0, self.unread - count)
        while self._samples and self._samples[0][1] <= self._taken:
            self._samples.popleft()

    def seconds(self, now: float) -> float:
        """Age of the oldest unread byte; 0 where there is none."""
        return max(0.0, now - self._samples[0][0]) if self.unread and self._samples else 0.0
