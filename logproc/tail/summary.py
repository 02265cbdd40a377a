"""Rates, errors, latencies and weights of what comes, in slots of time, so that old traffic leaves the picture.

A request makes a client's line and a server's line; counting both would double it. Of each service one side is counted: its clients'
where there are any (they see what never arrived), else its own. Pods are counted by what they serve, gateways by what they send.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.errors import ConfigError
from logproc.model import ACCESS_LOG
from logproc.tail.columns_of import values
from logproc.tail.reading import Rows, Table
from logproc.tail.texts import short_service

SLOTS = 12
RATE_SECONDS = 10.0
BY = ("service", "edge", "subset", "pod")
CLIENT, SERVER = "client", "server"
_EXACT = 128
_STEPS = 48
"""Buckets of durations: exact below 128 ms, above it 48 for each doubling (1.5 %)."""

Key = tuple[str, str, str, str, str]
"""Side, application that wrote the line, service, subset, pod."""


@dataclass(slots=True)
class Group:
    """Counts of one kind of request. `durations` by bucket; `errors` by flag, or code where there is no flag."""

    requests: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    durations: Counter[int] = field(default_factory=Counter)

    def add(self, other: Group) -> None:
        """Count the other's requests too."""
        self.requests += other.requests
        self.failed += other.failed
        self.errors.update(other.errors)
        self.durations.update(other.durations)

    def percentile(self, share: float) -> float | None:
        """Milliseconds within which that share of the requests was done; None without durations."""
        total = sum(self.durations.values())
        if not total:
            return None
        wanted, seen = math.ceil(total * share), 0
        for bucket, count in sorted(self.durations.items()):
            seen += count
            if seen >= wanted:
                return milliseconds(bucket)
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `weight`: its share of the service's requests, with the bounds of its 95 % confidence interval."""

    names: tuple[str, ...]
    side: str
    rate: float
    group: Group
    weight: float
    low: float
    high: float

    def as_json(self, by: str) -> dict[str, Any]:
        """For programs."""
        heads = {
            "service": ("service",),
            "edge": ("source", "service"),
            "subset": ("service", "subset"),
            "pod": ("pod",),
        }[by]
        g = self.group
        found: dict[str, Any] = dict(zip(heads, self.names, strict=True))
        found |= {"side": self.side, "requests": g.requests, "rate": round(self.rate, 3)}
        found |= {"error_share": _share(g.failed, g.requests)}
        found |= {"errors": {name: _share(n, g.requests) for name, n in g.errors.most_common()}}
        found |= {f"p{p}_ms": g.percentile(p / 100) for p in (50, 95, 99)}
        if by == "subset":
            found |= {
                "weight": round(self.weight, 4),
                "weight_low": round(self.low, 4),
                "weight_high": round(self.high, 4),
            }
        return found


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5) if whole else 0.0


class Summary:
    """What came within the last `window` seconds; None: since the beginning."""

    def __init__(self, window: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.window, self._clock = window, clock
        self.began = clock()
        self._slots: deque[tuple[float, dict[Key, Group]]] = deque()
        self._recent: deque[tuple[float, Counter[Key]]] = deque()
        self.requests = 0
        self._first = self._last = 0
        """Times of the earliest and the latest request, microseconds since 1970."""

    def add(self, rows: Rows) -> None:
        """Count the access-log rows."""
        table = rows.tables.get(ACCESS_LOG)
        if table is None:
            return
        now = self._clock()
        self._see_times(table.batch)
        found: dict[Key, Group] = {}
        for key, group in _groups(table):
            found.setdefault(key, Group()).add(group)
        self.requests += sum(g.requests for g in found.values())
        slot = self._slot(now)
        counted: Counter[Key] = Counter()
        for key, group in found.items():
            known = slot.setdefault(key, Group())
            known.add(group)
            counted[key] += group.requests
        if self._recent and now - self._recent[-1][0] < 0.5:
            self._recent[-1][1].update(counted)
        else:
            self._recent.append((now, counted))

    def _see_times(self, batch: pa.RecordBatch) -> None:
        index = batch.schema.get_field_index("timestamp")
        bounds = pc.min_max(batch.column(index).cast("int64")) if index >= 0 else None
        low, high = (bounds["min"].as_py(), bounds["max"].as_py()) if bounds is not None else (None, None)
        if low is not None and high is not None:
            self._first = min(self._first or low, low)
            self._last = max(self._last, high)

    def _slot(self, now: float) -> dict[Key, Group]:
        length = self.window / SLOTS if self.window else float("inf")
        if not self._slots or now - self._slots[-1][0] >= length:
            self._slots.append((now, {}))
        return self._slots[-1][1]

    def lines(self, by: str) -> list[Line]:
        """The rows of the table, the busiest first."""
        now = self._clock()
        while self.window and self._slots and now - self._slots[0][0] > self.window:
            self._slots.popleft()
        while self._recent and now - self._recent[0][0] > RATE_SECONDS:
            self._recent.popleft()
        seconds = self.seconds
        whole: dict[Key, Group] = {}
        for _, slot in self._slots:
            for key, group in slot.items():
                whole.setdefault(key, Group()).add(group)
        lately: Counter[Key] = Counter()
        for _, counted in self._recent:
            lately.update(counted)
        # Where nothing is left out, the rate is that of the whole time.
        rates = {
            k: lately[k] / min(RATE_SECONDS, seconds) if self.window else g.requests / seconds for k, g in whole.items()
        }
        sides = _sides(whole, by)
        found: dict[tuple[str, ...], tuple[Group, float, str]] = {}
        totals: Counter[str] = Counter()
        for key, group in whole.items():
            names = _names(key, by)
            if names is None or key[0] != sides[_owner(key, by)]:
                continue
            known, rate, _ = found.get(names, (Group(), 0.0, ""))
            known.add(group)
            found[names] = (known, rate + rates[key], key[0])
            totals[key[2]] += group.requests
        made = []
        for names, (group, rate, side) in found.items():
            total = totals[names[0]] if by == "subset" else group.requests
            low, high = interval(group.requests, total)
            made.append(Line(names, side, rate, group, group.requests / total if total else 0.0, low, high))
        return sorted(made, key=lambda line: (-line.group.requests, line.names))

    @property
    def seconds(self) -> float:
        """How long the time is that was counted: the window as far as it reaches back, else what the requests' own times span."""
        whole = max(self._clock() - self.began, 0.001)
        if self.window:
            return min(whole, self.window)
        return max((self._last - self._first) / 1e6, 1.0)


def _names(key: Key, by: str) -> tuple[str, ...] | None:
    side, app, service, subset, pod = key
    match by:
        case "service":
            return (service,)
        case "edge":
            return (app if side == CLIENT else "(not seen)", service)
        case "subset":
            return (service, subset)
        case _:
            return (pod,) if pod != "-" else None


def _owner(key: Key, by: str) -> str:
    return key[4] if by == "pod" else key[2]


def _sides(keys: Iterable[Key], by: str) -> dict[str, str]:
    """Which side of each service (or pod) is counted."""
    seen: dict[str, set[str]] = {}
    for key in keys:
        seen.setdefault(_owner(key, by), set()).add(key[0])
    preferred = SERVER if by == "pod" else CLIENT
    return {owner: preferred if preferred in sides else next(iter(sides)) for owner, sides in seen.items()}


def _groups(table: Table) -> Iterable[tuple[Key, Group]]:
    batch = table.batch
    rows = batch.num_rows
    names = {
        n: values(batch, n)
        for n in ("direction", "app", "upstream_service", "upstream_subset", "version", "k8s_pod", "upstream_cluster")
    }
    known: dict[tuple[Any, ...], int] = {}
    keys: list[Key] = []
    numbers = np.empty(rows, np.int64)
    for row, place in enumerate(zip(*names.values(), strict=True)):
        number = known.get(place)
        if number is None:
            number = known[place] = len(keys)
            keys.append(_key(place))
        numbers[row] = number
    groups = [Group() for _ in keys]
    for number, count in enumerate(np.bincount(numbers, minlength=len(keys)).tolist()):
        groups[number].requests = count
    _count_durations(batch, numbers, groups)
    codes, flags = values(batch, "response_code"), values(batch, "response_flags")
    for row, (code, flag) in enumerate(zip(codes, flags, strict=True)):
        if (code is not None and code >= 500) or (flag and not code):
            group = groups[numbers[row]]
            group.failed += 1
            group.errors[flag or str(code)] += 1
    return zip(keys, groups, strict=True)


def _key(place: tuple[str | None, ...]) -> Key:
    direction, app, service, subset, version, pod, cluster = place
    side = CLIENT if direction == "outbound" or (direction is None and not service and cluster) else SERVER
    own = app if side == SERVER else cluster  # PassthroughCluster and the like name no service
    host = short_service(service) if service else own or "-"
    return side, app or "-", host, subset or (version if side == SERVER else "") or "-", pod or "-"


def _count_durations(batch: pa.RecordBatch, numbers: Any, groups: list[Group]) -> None:
    index = batch.schema.get_field_index("duration_ms")
    if index < 0:
        return
    column: Any = batch.column(index)
    there = np.asarray(column.is_valid())
    buckets = bucket(column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64))
    pairs, counts = np.unique(numbers[there] * (1 << 16) + buckets[there], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        groups[pair >> 16].durations[pair & 0xFFFF] += count


def bucket(durations: Any) -> Any:
    """The bucket of each number of milliseconds."""
    large = _EXACT + np.floor(np.log2(np.maximum(durations, _EXACT) / _EXACT) * _STEPS).astype(np.int64)
    return np.where(durations < _EXACT, durations, large)


def milliseconds(bucket: int) -> float:
    """The middle of a bucket."""
    return float(bucket) if bucket < _EXACT else round(_EXACT * 2 ** ((bucket - _EXACT + 0.5) / _STEPS), 1)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    if not whole:
        return 0.0, 1.0
    z, p = 1.96, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return max(0.0, middle - half), min(1.0, middle + half)


_EXPECTED = re.compile(r"(?:([^/=]+)/)?([^/=]+)=\s*(\d+(?:\.\d+)?)\s*%?\s*(?:±|\+-|\+/-)\s*(\d+(?:\.\d+)?)\s*%?")


@dataclass(frozen=True, slots=True)
class Expectation:
    """`reviews/v2=10±3%`: the share of a subset, in per cent, and how far it may be off; without a service, of every one that has it."""

    service: str
    subset: str
    percent: float
    tolerance: float

    @classmethod
    def parse(cls, text: str) -> Expectation:
        """Read what was typed. Raises ConfigError."""
        found = _EXPECTED.fullmatch(text.strip())
        if not found:
            raise ConfigError(
                f"--expect-weight: {text!r} does not read",
                "write SUBSET=PERCENT±PERCENT, as in beta=10±3% (or beta=10+-3%)",
            )
        return cls(found[1] or "", found[2], float(found[3]), float(found[4]))

    def judge(self, lines: Iterable[Line]) -> list[dict[str, Any]]:
        """What was observed for each service that has the subset (`lines` are those by subset); at least one entry."""
        found = []
        for line in lines:
            service, subset = line.names
            if subset != self.subset or (self.service and not _is_host(service, self.service)):
                continue
            off = abs(line.weight * 100 - self.percent)
            found.append(
                self._entry(service, line.group.requests, line.weight, line.low, line.high, ok=off <= self.tolerance)
            )
        return found or [self._entry(self.service, 0, None, None, None, ok=False)]

    def _entry(
        self, service: str, requests: int, weight: float | None, low: float | None, high: float | None, *, ok: bool
    ) -> dict[str, Any]:
        def percent(share: float | None) -> float | None:
            return None if share is None else round(share * 100, 2)

        return {
            "service": service or None, "subset": self.subset, "expected": self.percent, "tolerance": self.tolerance,
            "observed": percent(weight), "low": percent(low), "high": percent(high), "requests": requests, "ok": ok,
        }  # fmt: skip


def _is_host(host: str, name: str) -> bool:
    return host == name or host.startswith(f"{name}.")


def sentence(entry: Mapping[str, Any]) -> str:
    """One judged expectation for a person."""
    head = f"{entry['service'] + '/' if entry['service'] else ''}{entry['subset']}: expected {entry['expected']:g}±{entry['tolerance']:g} %"
    if entry["observed"] is None:
        return f"{head}, but no request to it was seen: failed"
    said = f"{head}, observed {entry['observed']:.1f} % of the requests ({entry['requests']:,} to it; 95 % sure: {entry['low']:.1f} to {entry['high']:.1f} %)"
    return f"{said}: {'passed' if entry['ok'] else 'failed'}"
