"""Lines of one container as the API sends them, cut, counted, and each only once however often a response is opened again.

The API cuts `sinceTime` to whole seconds, so a reopened response begins with lines that were there already; they are known by their
time and text. A response can also repeat a whole file (a slow reader after two rotations): those lines go back in time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from logproc.model import Chunk, Span, Stream
from logproc.tail.line_times import NO_TIME, Times, line_starts, line_times

SECOND = 10**9
MAX_LINE = 1 << 20
KEPT_OF_OVERSIZED = 64 << 10
REMEMBERED = 32_768


@dataclass(slots=True)
class Overlap:
    """What was seen of one container. `remembered`: lines whose hashes are kept; the last second's are kept in any case."""

    stream: Stream
    remembered: int = REMEMBERED
    not_before: int = 0
    """Lines before this time (nanoseconds) are left out: the rest of a second, before what was asked for."""
    last: int = 0
    """Time of the latest line, nanoseconds since 1970; 0: none came."""
    lines: int = 0
    repeated: int = 0
    gaps: int = 0
    complaints: list[str] = field(default_factory=list)
    """Texts without a time: not of the container but of the kubelet or the API server."""
    _times: list[Times] = field(default_factory=list)
    _hashes: list[Times] = field(default_factory=list)
    _kept: int = 0
    _pending: bytes = b""
    _dropped: int = 0
    """Bytes of an oversized line that are not in `_pending`."""
    _first: int = 0
    _repeats_until: int = 0
    _last_hash: int = 0
    _awaited: bool = False
    """The reopened response has to have the last line; where it has not, lines before it are missing."""

    def opened(self, *, again: bool) -> None:
        """A response begins. `again`: it continues the log of the same container, from the second of the last line on."""
        self._pending, self._dropped = b"", 0
        self._repeats_until = self.last
        self._awaited = again and bool(self.last)

    def restarted(self, restart: int) -> None:
        """The container's next log begins."""
        old = self.stream
        self.stream = Stream(old.path, old.k8s_namespace, old.k8s_pod, old.k8s_container, old.k8s_pod_uid, restart)
        self.lines = 0

    def add(self, data: bytes, read_at: float = 0.0) -> Chunk | None:
        """The whole lines in what came (at `read_at`, Unix seconds; 0: just now) that were not there before."""
        data = self._pending + data
        cut = data.rfind(b"\n") + 1
        oversized: list[tuple[int, int]] = []
        if self._dropped:
            end = data.find(b"\n", KEPT_OF_OVERSIZED)
            if end < 0:
                self._shorten(data)
                return None
            length = end + self._dropped
            data = data[:KEPT_OF_OVERSIZED] + data[end:]
            cut, self._dropped = data.rfind(b"\n") + 1, 0
            oversized = [(0, length)]
        self._pending = data[cut:]
        if len(self._pending) > MAX_LINE:
            self._shorten(self._pending)
        data = data[:cut]
        if cut > MAX_LINE:
            data, oversized = _shortened(data, dict(oversized))
        return self._fresh(data, oversized, read_at) if cut else None

    def ended(self, *, final: bool) -> Chunk | None:
        """A response has ended; a last line without its newline counts where nothing more can come."""
        rest, self._pending = self._pending, b""
        if rest and not rest[:4].isdigit():  # the beginning of a line would begin with its time
            self.complaints.append(rest[:1000].decode("utf-8", "replace").strip())
            return None
        if final and rest:
            return self._fresh(rest + b"\n", [])
        return None

    def _shorten(self, line: bytes) -> None:
        self._dropped += max(0, len(line) - KEPT_OF_OVERSIZED)
        self._pending = line[:KEPT_OF_OVERSIZED]

    def _fresh(self, data: bytes, oversized: list[tuple[int, int]], read_at: float = 0.0) -> Chunk | None:
        starts = line_starts(data)
        times = line_times(data, starts)
        lines = data.split(b"\n")
        lines.pop()
        keep = times != NO_TIME
        if not keep.all():
            self.complaints += [lines[i].decode("utf-8", "replace").strip() for i in np.flatnonzero(~keep).tolist()]
            del self.complaints[8:]
        hashes = np.fromiter((hash(line) for line in lines), np.int64, len(lines))
        suspect = keep & (times <= max(self._repeats_until, self.last))
        if suspect.any():
            known = np.isin(hashes, np.concatenate(self._hashes)) if self._hashes else np.zeros(len(hashes), bool)
            if self._awaited and (hashes[suspect] == self._last_hash).any():
                self._awaited = False
            repeats = suspect & known
            # A response that is opened again begins with the whole second, also with lines before the first that was wanted.
            keep &= ~((times <= self._repeats_until) & (times < self._first))
            self.repeated += int(np.count_nonzero(repeats))
            keep &= ~repeats
        if self.not_before:
            keep &= times >= self.not_before
        if not keep.any():
            return None
        if self._awaited:
            self._awaited = False
            self.gaps += 1
        if not keep.all():
            data = b"".join(lines[i] + b"\n" for i in np.flatnonzero(keep).tolist())
            renumbered = np.cumsum(keep) - 1
            oversized = [(int(renumbered[i]), n) for i, n in oversized if keep[i]]
            times, hashes = times[keep], hashes[keep]
        self._remember(times, hashes)
        count = len(times)
        span = Span(0, 0, len(data), self.lines, count)
        self.lines += count
        return Chunk(self.stream, span, data, read_at or time.time(), tuple(oversized))

    def _remember(self, times: Times, hashes: Times) -> None:
        if not self.last:
            self._first = int(times.min())
        latest = int(times.max())
        if latest >= self.last:
            self.last = latest
            self._last_hash = int(hashes[np.flatnonzero(times == latest)[-1]])
        self._times.append(times)
        self._hashes.append(hashes)
        self._kept += len(times)
        if len(self._times) > 64:
            self._times, self._hashes = [np.concatenate(self._times)], [np.concatenate(self._hashes)]
        second = self.last - self.last % SECOND
        while (
            len(self._times) > 1
            and self._kept - len(self._times[0]) >= self.remembered
            and self._times[0].max() < second
        ):
            self._kept -= len(self._times[0])
            del self._times[0], self._hashes[0]
        if self._kept > 2 * self.remembered:
            whole, hashed = np.concatenate(self._times), np.concatenate(self._hashes)
            kept = (np.arange(len(whole)) >= len(whole) - self.remembered) | (whole >= second)
            self._times, self._hashes, self._kept = [whole[kept]], [hashed[kept]], int(np.count_nonzero(kept))


def _shortened(data: bytes, oversized: dict[int, int]) -> tuple[bytes, list[tuple[int, int]]]:
    """Whole lines, those beyond MAX_LINE cut as they would be had they come in parts: the hash of a line must not tell how it came."""
    lines = data.split(b"\n")
    for i, line in enumerate(lines):
        if len(line) > MAX_LINE:
            oversized[i] = len(line)
            lines[i] = line[:KEPT_OF_OVERSIZED]
    return b"\n".join(lines), sorted(oversized.items())
