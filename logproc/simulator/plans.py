"""A call prepared for drawing: everything about it that is the same for all its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from logproc.simulator.mesh import Call, Mesh
from logproc.simulator.outcomes import DELAYED, LEFT, OUTCOMES, REFUSED, REPEATED, RETRIED, TIMED_OUT, Outcome
from logproc.simulator.values import PathPool, texts

_POOL, _ENTRY_POOL = 128, 1024


class Plan:
    """One call with everything about it that does not change from row to row."""

    @classmethod
    def of(cls, mesh: Mesh, call: Call, rng: np.random.Generator, known: dict[int, Plan], *, entry: bool) -> Plan:
        """The plan of a call; one that several callers make is prepared once."""
        if id(call) not in known:
            known[id(call)] = cls(mesh, call, rng, known, entry=entry)
        return known[id(call)]

    def __init__(
        self, mesh: Mesh, call: Call, rng: np.random.Generator, known: dict[int, Plan], *, entry: bool
    ) -> None:
        self.call = call
        self.outcomes: list[Outcome] = [OUTCOMES["ok"], *(OUTCOMES[name] for name in call.faults)]
        self.cumulative = np.cumsum([1.0 - sum(call.faults.values()), *call.faults.values()])
        self.cumulative[-1] = 1.0
        weights = np.array([t.weight for t in call.targets])
        self.weights = np.cumsum(weights / weights.sum()) if len(weights) else weights
        members = [mesh.pods_of[t.workload] for t in call.targets]
        self.pods = np.array([p for m in members for p in m], np.int64)
        self.first = np.cumsum([0, *(len(m) for m in members)])[:-1]
        self.counts = np.array([len(m) for m in members], np.int64)
        self.children = [[Plan.of(mesh, c, rng, known, entry=False) for c in t.calls] for t in call.targets]
        self.kinds = [pod.workload.kind for pod in mesh.pods]
        self.paths = (
            PathPool(rng, call.paths, _ENTRY_POOL if entry else _POOL, long=entry) if call.kind == "http" else None
        )
        self.methods = texts(call.methods)
        self.authority = call.authority or f"{call.host.split('.')[0]}:{call.port}"
        self.service = f"{mesh.service_ip(call.host)}:{call.port}"
        subsets = [t.subset for t in call.targets] or [call.subset_shown]
        self.clusters = texts([f"outbound|{call.port}|{s}|{call.host}" for s in subsets])
        if call.route == "allow_any":
            self.clusters = texts(["PassthroughCluster"])
        self.names = texts([f"outbound_.{call.port}_.{s}_.{call.host}" for s in subsets])
        self.target_port = call.target_port or call.port
        self.app_log = mesh.pods[self.pods[0]].workload.app_log if len(self.pods) else ""

        def each(test: str) -> Any:
            return np.array([o.course == test for o in self.outcomes])

        self.refused, self.retried, self.timed_out = each(REFUSED), each(RETRIED), each(TIMED_OUT)
        self.left, self.delayed, self.repeated = each(LEFT), each(DELAYED), each(REPEATED)
        self.reaches = np.array([o.server is not None for o in self.outcomes])
        self.codes = np.array([o.client.code for o in self.outcomes])
        self.calls_on = np.array([o.server is not None and o.calls_on for o in self.outcomes])
