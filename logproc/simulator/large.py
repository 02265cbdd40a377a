"""A company's mesh of any size: namespaces, tiers of services behind gateways, canaries, databases, a daily rhythm."""

from __future__ import annotations

from logproc.errors import ConfigError
from logproc.simulator.mesh import GATEWAY, Call, Entry, Target, Topology, Workload

LEAST, MOST = 4, 400
_NAMESPACES = ("shop", "payments", "search", "accounts", "logistics", "media")
_NOUNS = ("catalog", "cart", "orders", "pricing", "search", "ranking", "profile", "auth", "billing", "ledger", "shipping", "stock", "images", "review", "feed", "mail")  # fmt: skip
_FAULTS = (
    {"UF": 0.002, "app_500": 0.003},
    {"UC": 0.002, "app_404": 0.01},
    {"UH": 0.001, "URX": 0.001, "app_403": 0.004},
    {"UT": 0.002, "UC_race": 0.001},
    {"RL": 0.004, "UF_app": 0.001},
    {"UO": 0.003, "DI": 0.005, "FI": 0.002},
    {"RBAC": 0.002, "UF_tls": 0.001},
)
_PATHS = (
    ("/v1/items/{n}", "/v1/items/{n}/related?limit=20"),
    ("/api/{uuid}", "/api/{uuid}/status"),
    ("/objects/{hex}", "/objects?cursor={id}"),
    ("/{word}/{n}/details", "/health"),
)


def large(services: int) -> Topology:
    """`services` services in three tiers: a gateway calls the first, each tier calls the next; every fifth has a canary at 5 %."""
    if not LEAST <= services <= MOST:
        raise ConfigError(f"a large mesh has from {LEAST} to {MOST} services, not {services}")
    names = [
        f"{_NOUNS[i % len(_NOUNS)]}-{i // len(_NOUNS)}" if i >= len(_NOUNS) else _NOUNS[i] for i in range(services)
    ]
    front = max(1, services // 5)
    middle = max(1, services * 2 // 5)
    tiers = (range(front), range(front, front + middle), range(front + middle, services))
    workloads: list[Workload] = []
    calls: dict[int, Call] = {}
    for number in reversed(range(services)):
        name, namespace = names[number], _NAMESPACES[number % len(_NAMESPACES)]
        canary = number % 5 == 0
        workloads += [
            Workload(
                f"{name}-{v}",
                namespace,
                name,
                v,
                2 if v == "v1" else 1,
                name,
                app_log="json" if number % 7 == 0 else "",
            )
            for v in (("v1", "v2") if canary else ("v1",))
        ]
        tier = next(i for i, t in enumerate(tiers) if number in t)
        children: list[Call] = []
        if tier < 2 and len(tiers[tier + 1]):
            below = tiers[tier + 1]
            children = [calls[below[(number * 3 + k) % len(below)]] for k in range(min(2, len(below)))]
        if tier == 2 and number % 4 == 0:
            children = [_database(namespace, number)]
        targets = [Target(f"{name}-v1", 95.0 if canary else 1.0, "v1" if canary else "", tuple(children))]
        if canary:
            targets.append(Target(f"{name}-v2", 5.0, "v2", tuple(children)))
        calls[number] = Call(
            f"{name}.{namespace}.svc.cluster.local", 8080, tuple(targets), _PATHS[number % len(_PATHS)],
            ("GET", "GET", "POST") if number % 3 == 0 else ("GET",), user_agent="" if number % 2 else "Go-http-client/1.1",
            protocol="HTTP/2" if number % 6 == 1 else "HTTP/1.1", work_ms=1.5 + number % 5, request_bytes=(0, 500) if number % 3 == 0 else (0, 0),
            response_bytes=(80, 20_000), faults=_FAULTS[number % len(_FAULTS)], probability=1.0 if tier == 0 else 0.7, keeps_xff=number % 4 == 1,
        )  # fmt: skip
    workloads += [
        Workload(f"postgres-{namespace}", namespace, "postgres", "16", container="postgres")
        for namespace in _NAMESPACES
    ]
    gateways = [Workload(f"gateway-{zone}", "istio-ingress", "gateway", zone, 2, kind=GATEWAY) for zone in ("eu", "us")]
    entries = []
    for number in tiers[0]:
        call = calls[number]
        edge = Call(
            call.host, call.port, call.targets, call.paths, call.methods, authority=f"{names[number]}.example.com", route=names[number],
            work_ms=call.work_ms, request_bytes=call.request_bytes, response_bytes=call.response_bytes,
            faults={**call.faults, "DC": 0.003, "NR": 0.003},
        )  # fmt: skip
        entries += [Entry(gateway.name, edge, 1.0 + number % 3, tls=gateway.version == "eu") for gateway in gateways]
    return Topology(
        "large",
        "a company's mesh of --services services, with canaries, databases and a daily rhythm",
        (*gateways, *workloads),
        tuple(entries),
        rate=200.0,
        daily=True,
    )


def _database(namespace: str, number: int) -> Call:
    return Call(
        f"postgres.{namespace}.svc.cluster.local", 5432, (Target(f"postgres-{namespace}"),), kind="tcp", work_ms=2000 + number, probability=0.05,
        request_bytes=(100, 4000), response_bytes=(500, 60_000), faults={"UF": 0.01, "DC": 0.02, "NR": 0.005},
    )  # fmt: skip
