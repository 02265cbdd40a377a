"""Requests through a mesh, a block of rows at a time: who calls whom, when, how it ends, and what both proxies see of it.

All rows of one call of one batch are drawn together as arrays; a failed row is then patched by its outcome.
Times are microseconds since 1970; a callee's times lie within its caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from logproc.simulator.connections import connect
from logproc.simulator.lines import CLIENT_SIDE, SERVER_SIDE, Block, Fields
from logproc.simulator.mesh import CLIENT, GATEWAY, Entry, Mesh
from logproc.simulator.outcomes import MISSING, Reply
from logproc.simulator.plans import Plan
from logproc.simulator.values import CLIENT_AGENTS, Ints, Texts, join, request_ids, texts

ATTEMPTS = 3
"""Of a request whose every try fails: Istio retries twice."""


@dataclass(slots=True)
class Requests:
    """What a request carries through the whole mesh, an array each."""

    ids: Texts
    agents: Texts
    clients: Texts
    forwarded: Texts
    """X-Forwarded-For once a gateway has added the client."""


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

    def batch(self, starts: Ints) -> list[Block]:
        """The lines of requests that start at these times."""
        which = np.searchsorted(self.shares, self.rng.random(len(starts)), side="right")
        blocks: list[Block] = []
        for number, (entry, plan) in enumerate(self.plans):
            mine = starts[which == number]
            if len(mine):
                self._enter(entry, plan, mine, blocks)
        return blocks

    def _enter(self, entry: Entry, plan: Plan, starts: Ints, blocks: list[Block]) -> None:
        rng, n = self.rng, len(starts)
        callers = np.array(self.mesh.pods_of[entry.caller], np.int64)
        clients = self.outside[rng.integers(0, len(self.outside), n)]
        forwarded = clients.copy()
        # A load balancer in front: it is the peer, and the list begins with the client it named.
        behind = rng.random(n) < 0.3
        forwarded[behind] = [
            f"{ip},10.244.1.0" for ip in self.outside[rng.integers(0, len(self.outside), behind.sum())]
        ]
        clients[behind] = "10.244.1.0"
        ids = request_ids(rng, n)
        if entry.own_ids:
            ids = texts([f"{entry.caller}-{self.numbered + i:07d}" for i in range(n)])
            self.numbered += n
        requests = Requests(ids, self.agents[rng.integers(0, len(self.agents), n)], clients, forwarded)
        self._walk(plan, entry, requests, np.arange(n), callers[rng.integers(0, len(callers), n)], starts, blocks)

    def _walk(
        self,
        plan: Plan,
        entry: Entry | None,
        requests: Requests,
        rows: Ints,
        callers: Ints,
        start: Ints,
        blocks: list[Block],
        forwards: bool = True,
    ) -> tuple[Ints, Ints]:
        """Make one call for each row; returns when each ended and its status code."""
        call, rng, n = plan.call, self.rng, len(rows)
        if call.kind == "tcp":
            return connect(plan, self.ips, callers, start, rng, blocks)
        outcome = np.searchsorted(plan.cumulative, rng.random(n), side="right")
        network = rng.integers(120, 900, (2, n))
        work = rng.lognormal(np.log(call.work_ms * 500), 0.5, (2, n)).astype(np.int64)
        delay = np.where(plan.delayed[outcome], rng.integers(300_000, 700_000, n), 0)
        served = start + delay + network[0]
        cursor = served + work[0]
        code = np.full(n, 200, np.int64)
        target = np.zeros(n, np.int64)
        pods = np.zeros(n, np.int64)
        if call.targets:
            if len(plan.weights) > 1:
                target = np.searchsorted(plan.weights, rng.random(n), side="right")
            pods = plan.pods[plan.first[target] + (rng.random(n) * plan.counts[target]).astype(np.int64)]
            self._call_on(plan, requests, rows, pods, target, outcome, cursor, code, blocks, forwards)
        done = cursor + work[1]
        done = np.where(plan.timed_out[outcome], np.maximum(done, start + call.timeout_ms * 1000), done)
        end = done + network[1]
        end = np.where(plan.refused[outcome], start + rng.integers(20, 900, n), end)
        end = np.where(plan.retried[outcome], start + rng.integers(25_000, 150_000, n), end)

        reached = np.flatnonzero(plan.reaches[outcome])
        first, last = served, done
        again = np.flatnonzero(plan.repeated[outcome])
        if len(again):
            # Each try is a line of its own at the server; the client's line spans them all.
            starts, ends, tries = [served], [done], [reached]
            for _ in range(1, ATTEMPTS):
                pause = rng.integers(10_000, 40_000, len(again))
                begin = ends[-1][again] + pause
                later_start, later_end = starts[-1].copy(), ends[-1].copy()
                later_start[again], later_end[again] = begin, begin + work[0][again]
                starts.append(later_start)
                ends.append(later_end)
                tries.append(again)
            first = np.concatenate([s[t] for s, t in zip(starts, tries, strict=True)])
            last = np.concatenate([e[t] for e, t in zip(ends, tries, strict=True)])
            reached = np.concatenate(tries)
            end[again] = ends[-1][again] + network[1][again]
        else:
            first, last = served[reached], done[reached]

        gateway = entry is not None and self.mesh.pods[callers[0]].workload.kind == GATEWAY
        bare = entry is not None and self.mesh.pods[callers[0]].workload.kind == CLIENT
        shows = gateway or (entry is None and call.keeps_xff and forwards)
        common = self._common(plan, requests, rows, code, outcome, shows)
        ports = rng.integers(32_768, 60_999, (3, n))
        if not bare:
            client = self._client(plan, entry, common, callers, pods, target, start, end, ports, gateway, shows)
            for i in np.flatnonzero(outcome).tolist():
                _patch(client, i, plan.outcomes[outcome[i]].client)
            blocks.append(Block(CLIENT_SIDE, callers, end, client, n))
        if len(reached):
            server = self._server(plan, common, callers, pods, target, first, last, ports, reached, shows, bare)
            outcomes = outcome[reached]
            for i in np.flatnonzero(outcomes).tolist():
                reply = plan.outcomes[outcomes[i]].server
                if reply is not None:
                    _patch(server, i, reply)
            blocks.append(Block(SERVER_SIDE, pods[reached], last, server, len(reached), plan.app_log))
        codes = np.array([o.client.code for o in plan.outcomes])[outcome]
        return end, np.where(codes < 0, code, codes)

    def _call_on(
        self,
        plan: Plan,
        requests: Requests,
        rows: Ints,
        pods: Ints,
        target: Ints,
        outcome: Ints,
        cursor: Ints,
        code: Ints,
        blocks: list[Block],
        forwards: bool,
    ) -> None:
        """The callee's own calls, one after the other; moves `cursor`, and sets `code` where one failed and that shows."""
        goes_on = plan.calls_on[outcome]
        for number, children in enumerate(plan.children):
            if not children:
                continue
            mine = np.flatnonzero(goes_on & (target == number))
            for child in children:
                chosen = mine
                if child.call.probability < 1:
                    chosen = mine[self.rng.random(len(mine)) < child.call.probability]
                if not len(chosen):
                    continue
                end, codes = self._walk(
                    child, None, requests, rows[chosen], pods[chosen], cursor[chosen], blocks, forwards
                )
                cursor[chosen] = end + 40
                failed = chosen[codes >= 500]
                code[failed[self.rng.random(len(failed)) < 0.6]] = 500

    def _common(
        self, plan: Plan, requests: Requests, rows: Ints, code: Ints, outcome: Ints, shows: bool
    ) -> dict[str, Any]:
        """What both sides print alike: arrays, or one text for all rows."""
        call, rng, n = plan.call, self.rng, len(rows)
        assert plan.paths is not None  # noqa: S101  only http calls come here
        paths, templates = plan.paths.draw(rng, n)
        return {
            "method": call.methods[0]
            if len(call.methods) == 1
            else plan.methods[rng.integers(0, len(plan.methods), n)],
            "path": paths,
            "template": templates,
            "code": code,
            "received": rng.integers(call.request_bytes[0], call.request_bytes[1] + 1, n),
            "sent": rng.integers(call.response_bytes[0], call.response_bytes[1] + 1, n),
            "xff": requests.forwarded[rows] if shows else MISSING,
            "user_agent": call.user_agent or requests.agents[rows],
            "request_id": requests.ids[rows],
            "authority": plan.authority,
            "route": call.route,
            "last": requests.clients[rows],
        }

    def _client(
        self,
        plan: Plan,
        entry: Entry | None,
        common: dict[str, Any],
        callers: Ints,
        pods: Ints,
        target: Ints,
        start: Ints,
        end: Ints,
        ports: Ints,
        gateway: bool,
        shows: bool,
    ) -> Fields:
        call = plan.call
        fields = _begin(common, start, end)
        addresses = self.ips[callers].tolist()
        if call.targets:
            hosts: Any = join(self.ips[pods].tolist(), plan.target_port)
        else:
            hosts = [plan.service] * len(start)
        fields |= {
            "protocol": "HTTP/2" if entry is not None and entry.tls else call.protocol,
            "upstream_protocol": call.protocol,
            "upstream_host": hosts,
            "cluster": plan.clusters[target].tolist(),
            "upstream_local": join(addresses, ports[0].tolist()),
            "sni": plan.authority if entry is not None and entry.tls else MISSING,
        }
        last = common["last"].tolist()
        if gateway:
            fields["downstream_local"] = join(addresses, 8443 if entry is not None and entry.tls else 8080)
            fields["downstream_remote"] = join(last, ports[1].tolist())
            # A route without a name prints none.
            fields["route"] = MISSING if call.route == "default" else call.route
        else:
            fields["downstream_local"] = plan.service
            fields["downstream_remote"] = join(last, 0) if shows else join(addresses, ports[1].tolist())
        return fields

    def _server(
        self,
        plan: Plan,
        common: dict[str, Any],
        callers: Ints,
        pods: Ints,
        target: Ints,
        start: Ints,
        end: Ints,
        ports: Ints,
        reached: Ints,
        shows: bool,
        bare: bool,
    ) -> Fields:
        mine = {k: v if isinstance(v, str) else v[reached] for k, v in common.items()}
        fields = _begin(mine, start, end)
        here = join(self.ips[pods[reached]].tolist(), plan.target_port)
        peers = self.ips[callers[reached]].tolist()
        fields |= {
            "protocol": plan.call.protocol,
            "upstream_protocol": plan.call.protocol,
            "upstream_host": list(here),
            "cluster": [f"inbound|{plan.target_port}||"] * len(start),
            "upstream_local": join(["127.0.0.6"] * len(start), ports[2][reached].tolist()),
            "downstream_local": here,
            "downstream_remote": join(mine["last"].tolist(), 0) if shows else join(peers, ports[0][reached].tolist()),
            "sni": MISSING if bare else plan.names[target[reached]].tolist(),
            "route": "default",
        }
        return fields


def _begin(common: dict[str, Any], start: Ints, end: Ints) -> Fields:
    """The fields of one side that the other has too, with its own times; nothing has failed yet."""
    fields: Fields = {k: v if isinstance(v, str) else v.tolist() for k, v in common.items() if k != "last"}
    n = len(start)
    duration = (end - start) // 1000
    fields["start"] = start
    fields["duration"] = duration.tolist()
    fields["service_time"] = np.maximum(duration - 1, 0).tolist()
    fields["flags"] = [MISSING] * n
    fields["details"] = ["via_upstream"] * n
    fields["termination"] = MISSING
    fields["reason"] = [MISSING] * n
    return fields


def _patch(fields: Fields, row: int, reply: Reply) -> None:
    """Turn one row into what is printed of a failed request."""

    def put(name: str, value: str | int) -> None:
        column = fields[name]
        if isinstance(column, str):
            if column == value:
                return
            column = fields[name] = [column] * len(fields["flags"])
        column[row] = value

    if reply.code >= 0:
        put("code", reply.code)
    put("flags", reply.flags)
    put("details", reply.details)
    put("reason", reply.reason)
    if reply.body is not None:
        put("sent", len(reply.body))
    if not reply.answered:
        put("service_time", MISSING)
    if not reply.connected:
        put("upstream_local", MISSING)
    if not reply.host:
        put("upstream_host", MISSING)
    if not reply.routed:
        put("cluster", MISSING)
        put("route", MISSING)
