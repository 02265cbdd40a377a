"""The nouns of a simulated mesh: workloads, the calls they make of each other, and the pods that a seed makes of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

GATEWAY = "gateway"
CLIENT = "client"
"""A workload without a sidecar: it writes no line itself, and what it calls sees no TLS."""
APPLICATION = "application"

PROXY = "istio-proxy"
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes draws names from: no vowels, no look-alikes


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment: `replicas` pods with one application container and the proxy."""

    name: str
    namespace: str = "default"
    app: str = ""
    version: str = ""
    replicas: int = 1
    container: str = ""
    kind: str = APPLICATION
    app_log: str = ""
    """How its application logs a request, a key of `messages.APP_LINES`; empty: not at all."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a share of a call goes: one workload, by the subset that the caller's route chose, and what that calls in turn."""

    workload: str
    weight: float = 1.0
    subset: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """What one workload asks of a service, with how long it takes and how it fails.

    `paths` are patterns: `{n}`, `{uuid}`, `{hex}` and `{id}` stand for random values, and cut at the query they are the path's template.
    `faults` maps names of `outcomes.OUTCOMES` to their share. `work_ms`: median time the callee works itself.
    A call without targets leaves the mesh (only the caller's line); `kind` tcp makes connections instead of requests.
    """

    host: str
    port: int
    targets: tuple[Target, ...] = ()
    paths: tuple[str, ...] = ("/",)
    methods: tuple[str, ...] = ("GET",)
    target_port: int = 0
    authority: str = ""
    user_agent: str = ""
    """Empty: the caller passes on the one it was called with."""
    protocol: str = "HTTP/1.1"
    kind: str = "http"
    route: str = "default"
    work_ms: float = 4.0
    timeout_ms: int = 2000
    request_bytes: tuple[int, int] = (0, 0)
    response_bytes: tuple[int, int] = (120, 6000)
    faults: Mapping[str, float] = field(default_factory=dict)
    probability: float = 1.0
    keeps_xff: bool = False
    subset_shown: str = ""
    """Subset in the cluster's name of a call that leaves the mesh through a gateway."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A share of the traffic: `caller` (a gateway, or a workload that calls of its own accord) makes `call`."""

    caller: str
    call: Call
    share: float = 1.0
    own_ids: bool = False
    """The caller sets x-request-id itself, to something that is no UUID."""
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """A mesh and its traffic. `rate`: requests per second by default; `daily`: the rate follows the time of day."""

    name: str
    title: str
    workloads: tuple[Workload, ...]
    entries: tuple[Entry, ...]
    rate: float = 20.0
    daily: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a workload."""

    workload: Workload
    name: str
    uid: str
    ip: str


class Mesh:
    """A topology with pods: names, uids and addresses, all from one random generator."""

    def __init__(self, topology: Topology, rng: np.random.Generator) -> None:
        self.topology = topology
        self.pods: list[Pod] = []
        self.pods_of: dict[str, list[int]] = {}
        self._service_ips: dict[str, str] = {}
        self._rng = rng
        for workload in topology.workloads:
            revision = self._letters(10)
            first = len(self.pods)
            self.pods_of[workload.name] = list(range(first, first + workload.replicas))
            for _ in range(workload.replicas):
                number = len(self.pods)
                self.pods.append(
                    Pod(
                        workload,
                        f"{workload.name}-{revision}-{self._letters(5)}",
                        str(uuid.UUID(bytes=rng.bytes(16), version=4)),
                        f"10.244.{number // 200}.{10 + number % 200}",
                    )
                )

    def _letters(self, count: int) -> str:
        return "".join(_SUFFIX_LETTERS[i] for i in self._rng.integers(0, len(_SUFFIX_LETTERS), count))

    def service_ip(self, host: str) -> str:
        """The cluster address of a service, or the outside address of a host that is none."""
        if host not in self._service_ips:
            number = len(self._service_ips)
            if host.endswith(".cluster.local"):
                self._service_ips[host] = f"10.96.{number // 250}.{number % 250 + 1}"
            else:
                self._service_ips[host] = f"203.0.113.{number % 250 + 1}"
        return self._service_ips[host]
