"""Connections of protocols that the mesh does not read: one line each, without anything of HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np

from logproc.simulator.lines import CLIENT_SIDE, SERVER_SIDE, Block, Fields
from logproc.simulator.outcomes import MISSING
from logproc.simulator.plans import Plan
from logproc.simulator.sides import Calls
from logproc.simulator.values import Ints, Texts, join

NOT_HTTP = dict.fromkeys(
    (
        "method",
        "path",
        "template",
        "protocol",
        "upstream_protocol",
        "service_time",
        "xff",
        "user_agent",
        "request_id",
        "authority",
    ),
    MISSING,
)
QUERY_US = 1500
"""What one query over a connection takes of its caller's time, about."""


def connect(calls: Calls, ips: Texts, rng: np.random.Generator, blocks: list[Block]) -> tuple[Ints, Ints]:
    """Open a connection for each row; returns when the caller had what it wanted of it, and 200 or 503.

    Outcomes: `ok`; `UF` nobody accepts; `UH` no endpoint; `NR` the server's proxy has no filter chain for it; `DC` the client leaves.
    A call without targets goes to an outside host: by name where it has a cluster, else passed through or into BlackHoleCluster.
    """
    plan, callers, start = calls.plan, calls.callers, calls.start
    n, call = len(start), plan.call
    outcome = np.searchsorted(plan.cumulative, rng.random(n), side="right")
    names = np.array([o.name for o in plan.outcomes], object)[outcome]
    life = rng.lognormal(np.log(call.work_ms * 1000), 0.8, n).astype(np.int64)
    ports = rng.integers(32_768, 60_999, (3, n))
    received = rng.integers(call.request_bytes[0], call.request_bytes[1] + 1, n)
    sent = rng.integers(call.response_bytes[0], call.response_bytes[1] + 1, n)
    end = start + life
    end[names == "UF"] = start[names == "UF"] + rng.integers(900, 1_100_000, int((names == "UF").sum()))
    end[(names == "UH") | (names == "NR")] = start[(names == "UH") | (names == "NR")] + 300

    here = ips[callers].tolist()
    pods = plan.pods[rng.integers(0, len(plan.pods), n)] if call.targets else callers
    hosts = join(ips[pods].tolist(), plan.target_port) if call.targets else [plan.service] * n
    client: Fields = NOT_HTTP | {
        "start": start,
        "code": [0] * n,
        "flags": [MISSING] * n,
        "details": MISSING,
        "termination": MISSING,
        "reason": [MISSING] * n,
        "received": received.tolist(),
        "sent": sent.tolist(),
        "duration": ((end - start) // 1000).tolist(),
        "upstream_host": hosts,
        "cluster": [str(plan.clusters[0])] * n,
        "upstream_local": join(here, ports[0].tolist()),
        "downstream_local": plan.service,
        "downstream_remote": join(here, ports[1].tolist()),
        "sni": MISSING if call.targets else call.host,
        "route": MISSING,
    }
    for i in np.flatnonzero(outcome).tolist():
        if names[i] == "UF":
            _put(client, i, flags="UF,URX", reason="delayed_connect_error:_Connection_refused", upstream_local=MISSING)
        elif names[i] == "UH":
            _put(client, i, flags="UH", cluster="BlackHoleCluster" if not call.targets else client["cluster"][i])
            _put(client, i, upstream_local=MISSING, upstream_host=MISSING)
        elif names[i] == "DC":
            _put(client, i, flags="DC")
        if names[i] in ("UF", "UH", "NR"):
            _put(client, i, received=0, sent=0)
    blocks.append(Block(CLIENT_SIDE, callers, end, client, n))

    arrived = np.flatnonzero((names != "UF") & (names != "UH")) if call.targets else np.array([], np.int64)
    if len(arrived):
        blocks.append(_server(plan, client, ips[pods[arrived]].tolist(), arrived, (pods, start, end, ports[2], names)))
    return start + QUERY_US, np.where((names == "UF") | (names == "UH"), 503, 200)


def _server(
    plan: Plan, client: Fields, hosts: list[str], rows: Ints, drawn: tuple[Ints, Ints, Ints, Ints, Texts]
) -> Block:
    """The other side of the connections that arrived."""
    pods, start, end, ports, names = drawn
    chosen, n = rows.tolist(), len(rows)
    mine: dict[str, Any] = {
        k: [v[i] for i in chosen] if isinstance(v, list) else v for k, v in client.items() if k != "start"
    }
    begin = np.minimum(start[rows] + 200, end[rows])
    own = join(hosts, plan.target_port)
    server: Fields = mine | {
        "start": begin,
        "duration": ((end[rows] - begin) // 1000).tolist(),
        "details": [MISSING] * n,
        "upstream_host": list(own),
        "cluster": [f"inbound|{plan.target_port}||"] * n,
        "upstream_local": join(["127.0.0.6"] * n, ports[rows].tolist()),
        "downstream_local": own,
        "downstream_remote": list(mine["upstream_local"]),
        "sni": [str(plan.names[0])] * n,
    }
    for at, row in enumerate(chosen):
        if names[row] == "NR":
            # Plain text to a port that takes only the mesh's TLS.
            _put(server, at, flags="NR", details="filter_chain_not_found", cluster=MISSING, sni=MISSING)
            _put(server, at, upstream_host=MISSING, upstream_local=MISSING)
    return Block(SERVER_SIDE, pods[rows], end[rows], server, n)


def _put(fields: Fields, row: int, **values: str | int) -> None:
    for name, value in values.items():
        fields[name][row] = value
