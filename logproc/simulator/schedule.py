"""When each line is written: Envoy keeps access lines for up to a second, everything else is written at once.

Lines of requests that are still going on wait here until their moment has come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from logproc.simulator.kubelet import Lines, Place, Truth
from logproc.simulator.values import SECOND, Ints, runtime_times

FLUSH = SECOND
"""Istio has its proxies write what they have logged once a second."""
_STEP = 1100
"""Nanoseconds between the lines of one write, as the runtime reads them."""


class Schedule:
    """Lines of all containers, on their way to where they are written. Times in microseconds since 1970."""

    def __init__(self, place: Place, owners: int, rng: np.random.Generator, *, framed: bool) -> None:
        self.place, self._framed, self._rng = place, framed, rng
        self._phase = rng.integers(0, FLUSH, owners)
        self._last = np.zeros(owners, np.int64)
        self._owners: list[Ints] = []
        self._due: list[Ints] = []
        self._ends: list[Ints] = []
        self._texts: list[str] = []
        self._truths: list[Truth] | None = None
        self._errors: list[bool] = []

    def add(
        self,
        owners: Ints,
        ends: Ints,
        texts: list[str],
        truths: Sequence[Truth] | None,
        *,
        flushed: bool = False,
        errors: list[bool] | None = None,
    ) -> None:
        """Add lines. `flushed`: they wait for their proxy's next write."""
        due = ends
        if flushed:
            phase = self._phase[owners]
            due = ((ends - phase) // FLUSH + 1) * FLUSH + phase
        self._owners.append(owners)
        self._due.append(due)
        self._ends.append(ends)
        self._texts += texts
        self._errors += errors if errors is not None else [False] * len(texts)
        if truths is not None:
            if self._truths is None:
                self._truths = []
            self._truths += truths

    def write(self, until: int | None) -> None:
        """Write what is due before `until`, each container's lines in order; None: everything."""
        if not self._owners:
            return
        owners, due, ends = np.concatenate(self._owners), np.concatenate(self._due), np.concatenate(self._ends)
        texts, errors, truths = self._texts, self._errors, self._truths
        chosen = np.ones(len(due), bool) if until is None else due < until
        waiting = np.flatnonzero(~chosen)
        left = waiting.tolist()
        self._owners, self._due, self._ends = [owners[waiting]], [due[waiting]], [ends[waiting]]
        self._texts, self._errors = [texts[i] for i in left], [errors[i] for i in left]
        if truths is not None:
            self._truths = [truths[i] for i in left]
        picked = np.flatnonzero(chosen)
        if not len(picked):
            return
        order = np.lexsort(
            (ends[picked], due[picked], owners[picked] if self._framed else np.zeros(len(picked), np.int64))
        )
        picked = picked[order]
        chosen_rows = picked.tolist()
        lines = Lines(
            [""] * len(chosen_rows) if not self._framed else self._times(owners[picked], due[picked]),
            [texts[i] for i in chosen_rows],
            [errors[i] for i in chosen_rows],
            None if truths is None else [truths[i] for i in chosen_rows],
        )
        if not self._framed:
            self.place.write(0, lines)
            return
        for a, b in _runs(owners[picked]):
            self.place.write(int(owners[picked[a]]), lines.part(a, b))

    def _times(self, owners: Ints, due: Ints) -> list[str]:
        """The runtime's times of lines that are sorted by container and moment; ascending in each container."""
        n = len(owners)
        place = np.arange(n)
        fresh = np.ones(n, bool)
        fresh[1:] = (owners[1:] != owners[:-1]) | (due[1:] != due[:-1])
        rank = place - np.maximum.accumulate(np.where(fresh, place, 0))
        moments = due * 1000 + rank * _STEP + self._rng.integers(1, _STEP, n)
        moments = np.maximum(moments, self._last[owners] + 1)
        for a, b in _runs(owners):
            # A long write reaches into the next one's time.
            moments[a:b] = np.maximum.accumulate(moments[a:b])
            self._last[owners[a]] = moments[b - 1]
        return runtime_times(moments)


def _runs(owners: Ints) -> Iterator[tuple[int, int]]:
    """Where each container's lines begin and end."""
    return pairwise([0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist(), len(owners)])
