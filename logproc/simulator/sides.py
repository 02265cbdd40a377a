"""What the proxies on the two sides of a call see of it: the fields of the client's and of the server's lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from logproc.simulator.lines import Fields
from logproc.simulator.mesh import CLIENT, GATEWAY, Entry
from logproc.simulator.outcomes import MISSING, Reply
from logproc.simulator.plans import Plan
from logproc.simulator.values import Ints, Texts, join


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests carry through the whole mesh, an array each."""

    ids: Texts
    agents: Texts
    clients: Texts
    """Last address of X-Forwarded-For: the one a gateway saw."""
    forwarded: Texts
    outside: bool
    """They came through a gateway, so that there is an X-Forwarded-For."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Rows of one call before anything is drawn: which request of `requests` each belongs to, who makes it, when."""

    plan: Plan
    requests: Requests
    rows: Ints
    callers: Ints
    start: Ints
    entry: Entry | None = None

    def _comes_from(self, kind: str) -> bool:
        return self.entry is not None and self.plan.kinds[self.callers[0]] == kind

    @property
    def from_gateway(self) -> bool:
        """The caller is a gateway."""
        return self._comes_from(GATEWAY)

    @property
    def from_bare(self) -> bool:
        """The caller has no proxy."""
        return self._comes_from(CLIENT)

    @property
    def tls(self) -> bool:
        """The caller's own client speaks TLS."""
        return self.entry is not None and self.entry.tls

    @property
    def shows_forwarded(self) -> bool:
        """X-Forwarded-For is there. A sidecar then takes its last address for the client, which has no port."""
        return self.from_gateway or (self.requests.outside and self.plan.call.keeps_xff)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for rows of a call: the pods called and the targets they belong to, three ports each, and the common fields."""

    pods: Ints
    target: Ints
    ports: Ints
    common: dict[str, Any]


def common(calls: Calls, code: Ints, rng: np.random.Generator) -> dict[str, Any]:
    """What both sides print alike: arrays, or one text for all rows."""
    plan, call, requests, n = calls.plan, calls.plan.call, calls.requests, len(calls.rows)
    assert plan.paths is not None  # noqa: S101  only http calls come here
    paths, templates = plan.paths.draw(rng, n)
    return {
        "method": call.methods[0] if len(call.methods) == 1 else plan.methods[rng.integers(0, len(plan.methods), n)],
        "path": paths,
        "template": templates,
        "code": code,
        "received": rng.integers(call.request_bytes[0], call.request_bytes[1] + 1, n),
        "sent": rng.integers(call.response_bytes[0], call.response_bytes[1] + 1, n),
        "xff": requests.forwarded[calls.rows] if calls.shows_forwarded else MISSING,
        "user_agent": call.user_agent or requests.agents[calls.rows],
        "request_id": requests.ids[calls.rows],
        "authority": plan.authority,
        "route": call.route,
        "last": requests.clients[calls.rows],
    }


def client(calls: Calls, drawn: Drawn, end: Ints, ips: Texts) -> Fields:
    """The lines of the callers' proxies."""
    plan, call = calls.plan, calls.plan.call
    fields = _begin(drawn.common, calls.start, end)
    here = ips[calls.callers].tolist()
    own_ports = drawn.ports[1].tolist()
    fields |= {
        "protocol": "HTTP/2" if calls.tls else call.protocol,
        "upstream_protocol": call.protocol,
        "upstream_host": join(ips[drawn.pods].tolist(), plan.target_port)
        if call.targets
        else [plan.service] * len(here),
        "cluster": plan.clusters[drawn.target].tolist(),
        "upstream_local": join(here, drawn.ports[0].tolist()),
        "sni": plan.authority if calls.tls else MISSING,
    }
    if calls.from_gateway:
        fields["downstream_local"] = join(here, 8443 if calls.tls else 8080)
        fields["downstream_remote"] = join(drawn.common["last"].tolist(), own_ports)
        # A route without a name prints none.
        fields["route"] = MISSING if call.route == "default" else call.route
    else:
        fields["downstream_local"] = plan.service
        fields["downstream_remote"] = (
            join(drawn.common["last"].tolist(), 0) if calls.shows_forwarded else join(here, own_ports)
        )
    return fields


def server(calls: Calls, drawn: Drawn, reached: Ints, times: tuple[Ints, Ints], ips: Texts) -> Fields:
    """The lines of the callees' proxies: of the rows that `reached` them (a row that was tried again: several times)."""
    plan = calls.plan
    mine = {k: v if isinstance(v, str) else v[reached] for k, v in drawn.common.items()}
    start, end = times
    fields = _begin(mine, start, end)
    here = join(ips[drawn.pods[reached]].tolist(), plan.target_port)
    n = len(here)
    fields |= {
        "protocol": plan.call.protocol,
        "upstream_protocol": plan.call.protocol,
        "upstream_host": list(here),
        "cluster": [f"inbound|{plan.target_port}||"] * n,
        "upstream_local": join(["127.0.0.6"] * n, drawn.ports[2][reached].tolist()),
        "downstream_local": here,
        "sni": MISSING if calls.from_bare else plan.names[drawn.target[reached]].tolist(),
        "route": "default",
    }
    if calls.shows_forwarded:
        fields["downstream_remote"] = join(drawn.common["last"][reached].tolist(), 0)
    else:
        fields["downstream_remote"] = join(ips[calls.callers[reached]].tolist(), drawn.ports[0][reached].tolist())
    return fields


def _begin(shared: dict[str, Any], start: Ints, end: Ints) -> Fields:
    """The fields of one side that the other has too, with its own times; nothing has failed yet."""
    fields: Fields = {k: v if isinstance(v, str) else v.tolist() for k, v in shared.items() if k != "last"}
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


def patch(fields: Fields, row: int, reply: Reply) -> None:
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
