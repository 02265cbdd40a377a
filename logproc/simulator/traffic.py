"""Requests through a mesh, a block of rows at a time: who calls whom, when, and how it ends.

All rows of one call of one batch are drawn together as arrays; a failed row is then patched by its outcome.
Times are microseconds since 1970; a callee's times lie within its caller's.
"""

from __future__ import annotations

import numpy as np

from logproc.simulator import sides
from logproc.simulator.connections import connect
from logproc.simulator.lines import CLIENT_SIDE, SERVER_SIDE, Block
from logproc.simulator.mesh import GATEWAY, Entry, Mesh
from logproc.simulator.outcomes import MISSING
from logproc.simulator.plans import Plan
from logproc.simulator.sides import Calls, Drawn, Requests
from logproc.simulator.values import CLIENT_AGENTS, Ints, request_ids, texts

ATTEMPTS = 3
"""Of a request whose every try fails: Istio retries twice."""
_BALANCER = "10.244.1.0"
_PAUSE_US = 40
"""Between an application's calls."""


class Traffic:
    """Draws the requests of a mesh, batch by batch."""

    def __init__(self, mesh: Mesh, rng: np.random.Generator) -> None:
        self.mesh, self.rng = mesh, rng
        self.ips = texts([p.ip for p in mesh.pods])
        entries = mesh.topology.entries
        known: dict[int, Plan] = {}
        self.plans = [(e, Plan.of(mesh, e.call, rng, known, entry=True)) for e in entries]
        self.shares = np.cumsum([e.share for e in entries]) / sum(e.share for e in entries)
        self.outside = texts([f"198.51.{100 + i % 3}.{1 + i % 250}" for i in range(500)])
        self.agents = texts([*CLIENT_AGENTS * 40, ""])
        self.numbered = 0
        self._blocks: list[Block] = []

    def batch(self, starts: Ints) -> list[Block]:
        """The lines of requests that start at these times."""
        which = np.searchsorted(self.shares, self.rng.random(len(starts)), side="right")
        self._blocks = []
        for number, (entry, plan) in enumerate(self.plans):
            mine = starts[which == number]
            if len(mine):
                self._enter(entry, plan, mine)
        return self._blocks

    def _enter(self, entry: Entry, plan: Plan, starts: Ints) -> None:
        rng, n = self.rng, len(starts)
        callers = np.array(self.mesh.pods_of[entry.caller], np.int64)
        clients = self.outside[rng.integers(0, len(self.outside), n)]
        forwarded = clients.copy()
        # A load balancer in front: it is the peer, and the list begins with the client it named.
        behind = np.flatnonzero(rng.random(n) < 0.3)
        named = self.outside[rng.integers(0, len(self.outside), len(behind))].tolist()
        forwarded[behind] = [f"{ip},{_BALANCER}" for ip in named]
        clients[behind] = _BALANCER
        outside = plan.kinds[callers[0]] == GATEWAY
        if not outside:
            forwarded[:] = MISSING
        ids = request_ids(rng, n)
        if entry.own_ids:
            ids = texts([f"{entry.caller}-{self.numbered + i:07d}" for i in range(n)])
            self.numbered += n
        agents = self.agents[rng.integers(0, len(self.agents), n)]
        requests = Requests(ids, agents, clients, forwarded, outside)
        self._walk(Calls(plan, requests, np.arange(n), callers[rng.integers(0, len(callers), n)], starts, entry))

    def _walk(self, calls: Calls) -> tuple[Ints, Ints]:
        """Make one call for each row; returns when each ended and its status code."""
        plan, rng, start, n = calls.plan, self.rng, calls.start, len(calls.rows)
        call = plan.call
        if call.kind == "tcp":
            return connect(calls, self.ips, rng, self._blocks)
        outcome = np.searchsorted(plan.cumulative, rng.random(n), side="right")
        network = rng.integers(120, 900, (2, n))
        work = rng.lognormal(np.log(call.work_ms * 500), 0.5, (2, n)).astype(np.int64)
        delay = np.where(plan.delayed[outcome], rng.integers(300_000, 700_000, n), 0)
        served = start + delay + network[0]
        code = np.full(n, 200, np.int64)
        target, pods = self._choose(plan, n)
        done = self._call_on(calls, pods, target, outcome, served + work[0], code) + work[1]
        done = np.where(plan.timed_out[outcome], np.maximum(done, start + call.timeout_ms * 1000), done)
        end = done + network[1]
        end = np.where(plan.refused[outcome], start + rng.integers(20, 900, n), end)
        end = np.where(plan.retried[outcome], start + rng.integers(25_000, 150_000, n), end)
        reached, times = self._tries(plan, outcome, (served, done), work[0])
        again = plan.repeated[outcome]
        if again.any():
            last = np.zeros(n, np.int64)
            np.maximum.at(last, reached, times[1])
            end[again] = (last + network[1])[again]

        drawn = Drawn(pods, target, rng.integers(32_768, 60_999, (3, n)), sides.common(calls, code, rng))
        if not calls.from_bare:
            fields = sides.client(calls, drawn, end, self.ips)
            for i in np.flatnonzero(outcome).tolist():
                sides.patch(fields, i, plan.outcomes[outcome[i]].client)
            self._blocks.append(Block(CLIENT_SIDE, calls.callers, end, fields, n))
        if call.targets and len(reached):
            fields = sides.server(calls, drawn, reached, times, self.ips)
            ended = outcome[reached]
            for i in np.flatnonzero(ended).tolist():
                reply = plan.outcomes[ended[i]].server
                if reply is not None:
                    sides.patch(fields, i, reply)
            self._blocks.append(Block(SERVER_SIDE, pods[reached], times[1], fields, len(reached), plan.app_log))
        codes = plan.codes[outcome]
        return end, np.where(codes < 0, code, codes)

    def _choose(self, plan: Plan, n: int) -> tuple[Ints, Ints]:
        """The target and the pod that each row is routed to; zeros for a call that leaves the mesh."""
        target = np.zeros(n, np.int64)
        if not plan.call.targets:
            return target, target
        if len(plan.weights) > 1:
            target = np.searchsorted(plan.weights, self.rng.random(n), side="right")
        return target, plan.pods[plan.first[target] + (self.rng.random(n) * plan.counts[target]).astype(np.int64)]

    def _call_on(self, calls: Calls, pods: Ints, target: Ints, outcome: Ints, begin: Ints, code: Ints) -> Ints:  # noqa: PLR0917
        """The callees' own calls, one after the other. Returns when they are done, and sets `code` where one failed and that shows."""
        goes_on, cursor = calls.plan.calls_on[outcome], begin.copy()
        for number, children in enumerate(calls.plan.children):
            mine = np.flatnonzero(goes_on & (target == number)) if children else None
            for child in children:
                assert mine is not None  # noqa: S101
                chosen = mine
                if child.call.probability < 1:
                    chosen = mine[self.rng.random(len(mine)) < child.call.probability]
                if not len(chosen):
                    continue
                end, codes = self._walk(Calls(child, calls.requests, calls.rows[chosen], pods[chosen], cursor[chosen]))
                cursor[chosen] = end + _PAUSE_US
                failed = chosen[codes >= 500]
                code[failed[self.rng.random(len(failed)) < 0.6]] = 500
        return cursor

    def _tries(self, plan: Plan, outcome: Ints, times: tuple[Ints, Ints], work: Ints) -> tuple[Ints, tuple[Ints, Ints]]:
        """The rows that reached a server, and when each began and ended there. A row that is tried again is there once per try."""
        reached = np.flatnonzero(plan.reaches[outcome])
        start, end = times[0][reached], times[1][reached]
        again = np.flatnonzero(plan.repeated[outcome])
        if not len(again):
            return reached, (start, end)
        rows, starts, ends = [reached], [start], [end]
        last = times[1][again]
        for _ in range(1, ATTEMPTS):
            begin = last + self.rng.integers(10_000, 40_000, len(again))
            last = begin + work[again]
            rows.append(again)
            starts.append(begin)
            ends.append(last)
        return np.concatenate(rows), (np.concatenate(starts), np.concatenate(ends))
