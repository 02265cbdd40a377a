"""Runs a simulated mesh: draws requests batch by batch, puts every line at the moment it is written, and hands it on."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from logproc.errors import ConfigError
from logproc.simulator import expected, messages
from logproc.simulator.kubelet import Place, PlainLines, PodLogs, Truth, TruthFile
from logproc.simulator.lines import Block
from logproc.simulator.mesh import CLIENT, PROXY, Mesh
from logproc.simulator.outcomes import MISSING
from logproc.simulator.render import Renderer, named_format, own_connection_format
from logproc.simulator.schedule import Schedule
from logproc.simulator.topologies import topology
from logproc.simulator.traffic import Traffic
from logproc.simulator.values import SECOND, texts

BATCH = 8192
"""Requests drawn at once when nobody waits for them."""
LIVE_TICK = 250_000
"""Microseconds of traffic drawn at once in real time."""
DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What to simulate. Without `out`, lines of the proxies go to `stream` (standard output).

    The run ends after `requests` or `seconds` of simulated time, whichever comes first; without either, after a minute, and `live`
    only when it is stopped. `start`: Unix seconds of the first request; None: now, less what the run lasts.
    """

    topology: str = "bookinfo"
    out: Path | None = None
    seed: int = 1
    rate: float | None = None
    requests: int | None = None
    seconds: float | None = None
    format: str = "istio"
    truth: Path | None = None
    start: float | None = None
    live: bool = False
    rotate_at: int = 10 << 20
    keep: int | None = None
    restarts: int = 1
    services: int = 40
    stream: BinaryIO | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 1_000_000:
            raise ConfigError(
                f"a rate of {self.rate} requests per second cannot be simulated", "from above 0 to 1000000"
            )
        if self.requests is not None and self.requests < 1:
            raise ConfigError(f"{self.requests} requests are none", "at least 1")
        if self.seconds is not None and not 0 < self.seconds <= 366 * 86_400:
            raise ConfigError(f"{self.seconds} seconds cannot be simulated", "from above 0 to a year")
        if self.rotate_at < 1024:
            raise ConfigError(f"files of {self.rotate_at} bytes are too small", "rotate at 1Ki or more")
        if self.keep is not None and self.keep < 2:
            raise ConfigError(f"{self.keep} files cannot be kept", "at least 2: the current one and the newest rotated")
        if self.restarts < 0:
            raise ConfigError(f"{self.restarts} restarts cannot be simulated", "0 or more")
        if self.seed < 0:
            raise ConfigError(f"{self.seed} is no seed", "0 or more")
        if self.live and self.start is not None:
            raise ConfigError("--live happens now, so it takes no --start", "leave one of them out")
        if self.out is None and (self.keep is not None or self.rotate_at != 10 << 20):
            raise ConfigError("standard output is not rotated", "name a folder with --out")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run wrote. `lines` are physical lines, `rows` what they are once the fragments of long ones are joined."""

    requests: int
    lines: int
    rows: int
    bytes: int
    files: int
    seconds: float
    """Real time it took."""
    start: float
    """Unix seconds of the simulated beginning: with the same seed and start a run repeats byte for byte."""


class _Run:
    def __init__(self, options: SimulateOptions) -> None:
        self.options = options
        self.rng = np.random.default_rng(options.seed)
        self.mesh = Mesh(topology(options.topology, options.services), self.rng)
        chosen = named_format(options.format)
        self.renderer = Renderer(chosen)
        own = own_connection_format(chosen)
        self.connections = Renderer(own) if own is not None else self.renderer
        self.traffic = Traffic(self.mesh, self.rng)
        self.rate = options.rate or self.mesh.topology.rate
        self.names = texts([p.name for p in self.mesh.pods])
        self.requests = 0
        self.seconds = options.seconds
        if options.requests is None and options.seconds is None and not options.live:
            self.seconds = DEFAULT_SECONDS
        self.began = time.monotonic()
        self.start = int((options.start if options.start is not None else self._default_start()) * SECOND)
        # Everything that can be wrong with the request is known before the first file is made.
        truth = TruthFile(options.truth) if options.truth is not None else None
        self.truth = truth
        containers = [c for p in self.mesh.pods for c in ((p, PROXY), (p, p.workload.container or p.workload.app))]
        self.place: Place
        if options.out is not None:
            self.place = PodLogs(options.out, containers, options.rotate_at, options.keep, truth)
        else:
            self.place = PlainLines(options.stream or sys.stdout.buffer, truth)
        self.schedule = Schedule(self.place, len(containers), self.rng, framed=options.out is not None)
        self.restarts = self._plan_restarts()
        self.probed = self.start
        self._say_hello()

    def _default_start(self) -> float:
        """Now, less the length of the run, on a whole second: what is simulated has just happened. In real time: now."""
        if self.options.live:
            return time.time()
        now = float(int(time.time()))
        by_requests = self.options.requests / self.rate if self.options.requests else math.inf
        return now - math.ceil(min(by_requests, self.seconds or math.inf))

    def _plan_restarts(self) -> list[tuple[int, int]]:
        """(When, which container), spread over the run, or one every ten minutes where its end is not known."""
        # Plain lines do not show which container they are of.
        count, limits = self.options.restarts if self.options.out is not None else 0, []
        if self.seconds is not None:
            limits.append(self.seconds)
        if self.options.requests is not None:
            limits.append(self.options.requests / self.rate)
        length = min(limits) if limits else 600.0 * (count + 1)
        owners = [2 * i for i, p in enumerate(self.mesh.pods) if p.workload.kind != CLIENT]
        return [
            (self.start + int(length * SECOND * (i + 1) / (count + 1)), int(owners[self.rng.integers(0, len(owners))]))
            for i in range(count)
        ]

    def _say_hello(self) -> None:
        """The proxies start; of plain lines, which are read from the top, only one has its say."""
        for number, pod in enumerate(self.mesh.pods):
            if pod.workload.kind != CLIENT:
                began = self.start - 4 * SECOND + int(self.rng.integers(0, SECOND))
                self._say(2 * number, messages.startup(pod, began, self.rng))
                if self.options.out is None:
                    return

    def _say(self, owner: int, said: list[messages.Message]) -> None:
        self.schedule.add(
            np.full(len(said), owner),
            np.array([m.when for m in said]),
            [m.line for m in said],
            self._message_truths(said),
            errors=[m.stderr for m in said],
        )

    def _message_truths(self, said: list[messages.Message]) -> list[Truth] | None:
        return [messages.truth(m) for m in said] if self.truth is not None else None

    def draw(self, begin: int, width: int, count: int) -> None:
        """Simulate so many requests that start in `[begin, begin + width)`."""
        starts = np.sort(begin + self.rng.integers(0, max(width, 1), count))
        for block in self.traffic.batch(starts):
            self._print(block)
            if block.app_log and self.options.out is not None:
                self._applications(block)
        self._incidentals(begin, begin + width)
        self.requests += count

    def _print(self, block: Block) -> None:
        fields, rows = block.fields, block.rows
        fields["hostname"] = self.names[block.pods].tolist()
        renderer = self.connections if fields["method"] == MISSING else self.renderer
        truths = expected.access_rows(renderer, fields, rows) if self.truth is not None else None
        self.schedule.add(2 * block.pods, block.end, renderer.lines(fields, rows), truths, flushed=True)

    def _applications(self, block: Block) -> None:
        said = messages.application(block, self.rng)
        if said:
            lines = [m for _, m in said]
            owners = 2 * block.pods[[row for row, _ in said]] + 1
            whens = np.array([m.when for m in lines])
            self.schedule.add(
                owners, whens, [m.line for m in lines], self._message_truths(lines), errors=[m.stderr for m in lines]
            )

    def _incidentals(self, begin: int, end: int) -> None:
        """What happens besides requests: proxies that lose their control plane, probes of the kubelet."""
        pods = self.mesh.pods
        for number, pod in enumerate(pods):
            if pod.workload.kind != CLIENT and self.rng.random() < (end - begin) / (600 * SECOND):
                self._say(
                    2 * number, messages.reconnects(begin + int(self.rng.integers(0, max(end - begin, 1))), self.rng)
                )
        if self.options.out is None:
            return
        while self.probed < end:
            for number, pod in enumerate(pods):
                if pod.workload.app_log == "nginx":
                    self._say(2 * number + 1, [messages.probe(self.probed + number * 997)])
            self.probed += 10 * SECOND

    def settle(self, until: int | None) -> None:
        """Write everything that is due; None: everything there is."""
        while self.restarts and (until is None or self.restarts[0][0] < until):
            when, owner = self.restarts.pop(0)
            self.schedule.write(when)
            self.place.restart(owner)
            self._say(owner, messages.startup(self.mesh.pods[owner // 2], when, self.rng))
        self.schedule.write(until)
        if self.options.live and self.truth is not None:
            self.truth.flush()

    def summary(self) -> Summary:
        w = self.place.written
        return Summary(
            self.requests, w.lines, w.rows, w.bytes, w.files, time.monotonic() - self.began, self.start / SECOND
        )

    def rate_at(self, us: int) -> float:
        """Requests per second at that moment: by day twice as many as by night where the mesh has days."""
        if not self.mesh.topology.daily:
            return self.rate
        hour = us / SECOND % 86_400 / 3600
        return self.rate * (1 + 0.6 * math.sin((hour - 9) / 24 * 2 * math.pi))


Report = Callable[[Summary], None]


def simulate(options: SimulateOptions, *, stop: threading.Event | None = None, report: Report | None = None) -> Summary:
    """Run a mesh to its end, or until `stop` is set; `report` hears of the progress after each batch.

    Raises ConfigError (ExpressionError for the format) before anything is written, SinkError for what cannot be written.
    """
    run = _Run(options)
    stop = stop or threading.Event()
    try:
        if options.live:
            _run_live(run, stop, report)
        else:
            _run_fast(run, stop, report)
        run.settle(None)
    finally:
        run.place.close()
        if run.truth is not None:
            run.truth.close()
    return run.summary()


def _left(run: _Run) -> int | None:
    return None if run.options.requests is None else run.options.requests - run.requests


def _run_fast(run: _Run, stop: threading.Event, report: Report | None) -> None:
    now = run.start
    end = math.inf if run.seconds is None else run.start + run.seconds * SECOND
    while now < end and _left(run) != 0 and not stop.is_set():
        rate = run.rate_at(now)
        width = BATCH / rate * SECOND
        if run.mesh.topology.daily:
            width = min(width, 600 * SECOND)
        if now + width >= end:
            width = end - now
        count = max(round(width * rate / SECOND), 0)
        left = _left(run)
        if left is not None and count >= left:
            count, width = left, min(width, left / rate * SECOND)
        width = max(int(width), 1)
        run.draw(now, width, count)
        now += width
        run.settle(now)
        if report is not None:
            report(run.summary())


def _run_live(run: _Run, stop: threading.Event, report: Report | None) -> None:
    now, owed = run.start, 0.0
    end = math.inf if run.seconds is None else run.start + run.seconds * SECOND
    while now < end and _left(run) != 0:
        width = min(max(LIVE_TICK, time.time_ns() // 1000 - now), int(end - now) if end < math.inf else 10**9)
        owed += width * run.rate_at(now) / SECOND
        count = int(owed)
        left = _left(run)
        count = count if left is None else min(count, left)
        owed -= count
        run.draw(now, width, count)
        now += width
        if stop.wait(max(0.0, now / SECOND - time.time())):
            return
        run.settle(now)
        if report is not None:
            report(run.summary())
