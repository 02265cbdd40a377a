"""How fast each pod may be read; what exceeds its rate waits in the file."""

from __future__ import annotations

from collections.abc import Callable


class Rates:
    """One token bucket per pod of `bytes_per_second`, a second's worth deep. 0: no limit."""

    def __init__(self, bytes_per_second: int, clock: Callable[[], float]) -> None:
        self._rate, self._clock = bytes_per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """Balance and the time it was made up; a balance at its full is forgotten."""

    def may_read(self, pod: str) -> bool:
        """Whether the pod has something left. A read may overdraw; then it waits the longer."""
        return not self._rate or self._balance(pod) > 0

    def took(self, pod: str, count: int) -> None:
        """So many bytes of the pod were read."""
        if self._rate:
            self._buckets[pod] = (self._balance(pod) - count, self._clock())

    def _balance(self, pod: str) -> float:
        known = self._buckets.get(pod)
        if known is None:
            return float(self._rate)
        balance, at = known
        grown = balance + max(0.0, self._clock() - at) * self._rate
        if grown >= self._rate:
            del self._buckets[pod]
        return min(grown, float(self._rate))
