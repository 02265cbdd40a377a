"""The meshes that can be simulated: Istio's and others' walk-throughs, and a large one."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from logproc.errors import ConfigError
from logproc.simulator.large import large
from logproc.simulator.mesh import CLIENT, GATEWAY, Call, Entry, Target, Topology, Workload

INGRESS = Workload("istio-ingressgateway", "istio-system", "istio-ingressgateway", replicas=2, kind=GATEWAY)
PROMETHEUS = Workload("prometheus", "istio-system", "prometheus", kind=CLIENT)
_PYTHON_AGENT = "python-requests/2.31.0"


def bookinfo() -> Topology:
    """Istio's sample: productpage calls details and, in equal thirds, reviews v1, v2, v3; v2 and v3 call ratings."""

    def workload(app: str, version: str, log: str = "") -> Workload:
        return Workload(f"{app}-{version}", "default", app, version, container=app, app_log=log)

    def host(name: str) -> str:
        return f"{name}.default.svc.cluster.local"

    ratings = Call(
        host("ratings"), 9080, (Target("ratings-v1"),), ("/ratings/{n}",), work_ms=3,
        response_bytes=(48, 48), faults={"UF_app": 0.004, "UC": 0.004},
    )  # fmt: skip
    reviews = Call(
        host("reviews"), 9080,
        (Target("reviews-v1", subset="v1"), Target("reviews-v2", subset="v2", calls=(ratings,)), Target("reviews-v3", subset="v3", calls=(ratings,))),
        ("/reviews/{n}",), work_ms=9, timeout_ms=1500, response_bytes=(295, 379), faults={"UT": 0.004, "UF": 0.004, "URX": 0.004},
    )  # fmt: skip
    details = Call(
        host("details"), 9080, (Target("details-v1"),), ("/details/{n}",), work_ms=2,
        response_bytes=(178, 178), faults={"UH": 0.003, "UC_race": 0.002, "RBAC": 0.004},
    )  # fmt: skip
    database = Call(
        host("mongodb"), 27017, (Target("mongodb-v1"),), kind="tcp", work_ms=900, probability=0.05,
        request_bytes=(200, 3000), response_bytes=(300, 90_000), faults={"UF": 0.03, "DC": 0.05, "NR": 0.02},
    )  # fmt: skip
    page = Call(
        host("productpage"), 9080, (Target("productpage-v1", calls=(details, reviews, database)),),
        ("/productpage", "/productpage?u=normal", "/api/v1/products/{n}", "/login", "/static/bootstrap/css/bootstrap.min.css", "/api/v1/products/{n}/größe"),
        ("GET", "GET", "GET", "POST"), authority="bookinfo.example.com", route="bookinfo", work_ms=8, response_bytes=(4183, 5179),
        faults={"DC": 0.004, "NR": 0.01, "app_404": 0.005, "RL": 0.004},
    )  # fmt: skip
    return Topology(
        "bookinfo",
        "Istio's book shop: productpage, details, reviews v1 to v3, ratings",
        (INGRESS, workload("productpage", "v1", "python"), workload("details", "v1"), workload("reviews", "v1", "python"),
         workload("reviews", "v2", "python"), workload("reviews", "v3", "python"), workload("ratings", "v1"), workload("mongodb", "v1")),
        (Entry("istio-ingressgateway", page),),
    )  # fmt: skip


def helloworld() -> Topology:
    """Istio's smallest sample: one service, two versions, called in a loop."""
    call = Call(
        "helloworld.default.svc.cluster.local", 5000,
        (Target("helloworld-v1", subset="v1"), Target("helloworld-v2", subset="v2")), ("/hello",),
        authority="hello.example.com", user_agent="curl/7.79.1", work_ms=230, response_bytes=(59, 60),
        faults={"UH": 0.003, "UC": 0.002, "UF": 0.003},
    )  # fmt: skip
    workloads = tuple(
        Workload(f"helloworld-{v}", "default", "helloworld", v, container="helloworld", app_log="python")
        for v in ("v1", "v2")
    )
    return Topology(
        "helloworld",
        "Istio's smallest sample: one service in two versions",
        (INGRESS, *workloads),
        (Entry("istio-ingressgateway", call),),
    )


def travels() -> Topology:
    """Kiali's travel agency: routing by header and by weight, injected faults and delays, a circuit breaker that trips."""
    agency, portal = "travel-agency", "travel-portal"

    def workload(app: str, namespace: str = agency, version: str = "v1") -> Workload:
        return Workload(f"{app}-{version}", namespace, app, version, container=app, app_log="json")

    def host(name: str) -> str:
        return f"{name}.{agency}.svc.cluster.local"

    database = Call(
        host("mysqldb"), 3306, (Target("mysqldb-v1"),), kind="tcp", work_ms=1500, probability=0.1,
        request_bytes=(150, 2000), response_bytes=(400, 30_000), faults={"UF": 0.02, "DC": 0.03, "NR": 0.01},
    )  # fmt: skip

    def service(name: str, faults: dict[str, float], calls: tuple[Call, ...] = (), probability: float = 1.0) -> Call:
        return Call(
            host(name), 8000, (Target(f"{name}-v1", calls=(*calls, database)),), (f"/{name}/{{word}}",), user_agent="Go-http-client/1.1",
            work_ms=5, response_bytes=(120, 900), faults=faults, probability=probability,
        )  # fmt: skip

    discounts = service("discounts", {"DI": 0.2, "UC": 0.002})
    quotes = (
        service("hotels", {"FI": 0.1, "UT": 0.003}, (discounts,)),
        service("cars", {"UF": 0.004}, (discounts,)),
        service("flights", {"UH": 0.003, "URX": 0.003}, (discounts,)),
        service("insurances", {"RBAC": 0.005, "UC_race": 0.002}, (discounts,), 0.5),
    )
    versions = ("v1", "v2", "v3")

    def travel(subsets: dict[str, float], faults: dict[str, float]) -> Call:
        return Call(
            host("travels"), 8000, tuple(Target(f"travels-{v}", w, v, quotes) for v, w in subsets.items()),
            ("/travels/{word}", "/travels"), user_agent="Go-http-client/1.1", work_ms=6, response_bytes=(300, 4000), faults=faults,
        )  # fmt: skip

    # Each portal says who it is in a header that the default format does not print: it shows as the subset only.
    portals = {"voyages": "v3", "viaggi": "v2", "travels-uk": "v1"}
    entries = [Entry(f"{p}-v1", travel({v: 1.0}, {"app_404": 0.004, "UF": 0.002}), 0.8) for p, v in portals.items()]
    weights = {"v1": 33.0, "v2": 33.0, "v3": 34.0}
    control = Call(
        "control.travel-control.svc.cluster.local", 8080, (Target("control-v1", calls=(travel(weights, {"UT": 0.002}),)),),
        ("/", "/status?locale=日本", "/vendor/{word}.js"), authority="travels.example.com", route="control", work_ms=4,
        faults={"DC": 0.003, "NR": 0.006, "app_403": 0.004},
    )  # fmt: skip
    # One connection and one pending request for fifty at once: most of them overflow.
    load = travel(weights, {"UO": 0.62, "UH": 0.03})
    return Topology(
        "travels",
        "Kiali's travel agency: header routing, weights, injected faults, a circuit breaker",
        (
            INGRESS,
            *(workload(f"{p}", portal) for p in portals),
            workload("loadtester", portal),
            workload("control", "travel-control"),
            *(workload("travels", version=v) for v in versions),
            *(workload(name) for name in ("hotels", "cars", "flights", "insurances", "discounts", "mysqldb")),
        ),
        (*entries, Entry("istio-ingressgateway", control, 1.0), Entry("loadtester-v1", load, 0.6, own_ids=True)),
        rate=20.0,
    )


def mushop() -> Topology:
    """Oracle's shop: an edge router behind two gateways, a storefront canary at one in ten."""
    ns = "mushop"

    def workload(name: str, version: str = "", log: str = "", app: str = "", container: str = "") -> Workload:
        return Workload(name, ns, app or name.removeprefix("mushop-"), version, container=container or name.removeprefix("mushop-"), app_log=log)  # fmt: skip

    def host(name: str) -> str:
        return f"mushop-{name}.{ns}.svc.cluster.local"

    def service(name: str, path: str, faults: dict[str, float], calls: tuple[Call, ...] = (), **more: Any) -> Call:
        return Call(
            host(name), 80, (Target(f"mushop-{name}", calls=calls),), (path,), target_port=8080, user_agent="axios/0.21.4",
            faults=faults, **more,
        )  # fmt: skip

    nats = Call(
        host("nats"), 4222, (Target("mushop-nats"),), kind="tcp", work_ms=3000, probability=0.1,
        request_bytes=(100, 5000), response_bytes=(100, 900), faults={"DC": 0.04, "UF": 0.03, "UH": 0.01},
    )  # fmt: skip
    bank = Call("api.payments.example.com", 443, kind="tcp", work_ms=350, request_bytes=(900, 2000), response_bytes=(3000, 7000), faults={"UH": 0.02, "UF": 0.01})  # fmt: skip
    mail = Call("hooks.mail.example.com", 80, paths=("/v1/messages/{id}",), methods=("POST",), user_agent="Java/17.0.9", route="allow_any", probability=0.3, work_ms=60, request_bytes=(300, 900))  # fmt: skip
    payment = service(
        "payment",
        "/paymentAuth",
        {"UT": 0.004, "FI": 0.003},
        (bank,),
        methods=("POST",),
        request_bytes=(180, 420),
        timeout_ms=3000,
    )
    orders = service(
        "orders",
        "/orders/{hex}",
        {"UF": 0.003, "URX": 0.002},
        (payment, nats, mail),
        methods=("GET", "POST"),
        request_bytes=(0, 900),
        probability=0.15,
    )
    api = Call(
        host("api"), 80,
        (Target("mushop-api", calls=(
            service("catalogue", "/catalogue/{uuid}", {"UH": 0.002, "app_404": 0.01}, probability=0.6),
            service("carts", "/carts/{uuid}/items", {"UC": 0.003, "UC_race": 0.001}, methods=("GET", "POST", "DELETE"), request_bytes=(0, 300), probability=0.4),
            service("user", "/customers/{hex}?address=true", {"RBAC": 0.004}, probability=0.25),
            service("session", "/sessions/{id}", {"UF_app": 0.002}, probability=0.3),
            orders,
            service("events", "/events", {"RL": 0.02}, (nats,), methods=("POST",), request_bytes=(200, 2000), probability=0.2),
        )),),
        ("/api/catalogue?size={n}", "/api/cart", "/api/orders/{hex}", "/api/user/{n}", "/api/catalogue/søk?q=größe"), ("GET", "GET", "POST"),
        target_port=3000, authority="shop.example.com", route="api", work_ms=6, request_bytes=(0, 600),
        faults={"DC": 0.004, "UT": 0.002, "UF_tls": 0.001},
    )  # fmt: skip
    assets = Call(
        host("assets"), 80, (Target("mushop-assets"),), ("/assets/images/products/{n}/{word}.jpg", "/assets/fonts/{word}.woff2"),
        target_port=3000, authority="shop.example.com", route="assets", work_ms=2, response_bytes=(4000, 180_000), faults={"app_404": 0.02},
    )  # fmt: skip
    storefront = Call(
        host("storefront"), 80,
        (Target("mushop-storefront", 9, "original"), Target("mushop-storefrontv2", 1, "beta")),
        ("/", "/styles/app.css", "/product/{uuid}", "/商品/{n}?q=茶"), target_port=8080, authority="shop.example.com", work_ms=2,
        response_bytes=(1200, 52_000), faults={"NR": 0.004, "NC": 0.005, "UH": 0.002, "DC": 0.002},
    )  # fmt: skip
    fulfillment = service("fulfillment", "/fulfillment/{uuid}", {"DI": 0.1}, methods=("PUT",), request_bytes=(100, 300))
    names = (
        "assets",
        "carts",
        "catalogue",
        "edge",
        "events",
        "fulfillment",
        "nats",
        "orders",
        "payment",
        "session",
        "user",
    )
    return Topology(
        "mushop",
        "Oracle's shop: an API with its services, a storefront with a canary of one in ten",
        (
            INGRESS,
            Workload("istio-egressgateway", "istio-system", "istio-egressgateway", kind=GATEWAY),
            workload("mushop-api", "1.4.2", "json"),
            *(workload(f"mushop-{n}", "1.1.0", "nginx" if n in ("assets", "edge") else "json") for n in names),
            workload("mushop-storefront", "2.3", "nginx", "storefront", "storefront"),
            workload("mushop-storefrontv2", "2.1.3-beta.1", "nginx", "storefront", "storefront"),
            PROMETHEUS,
        ),
        (
            Entry("istio-ingressgateway", storefront, 4),
            Entry("istio-ingressgateway", api, 4, tls=True),
            Entry("istio-ingressgateway", assets, 2),
            Entry("mushop-events", fulfillment, 0.4),
            Entry("prometheus", Call(host("user"), 80, (Target("mushop-user"),), ("/metrics",), target_port=8080, authority="10.244.0.31:8080", user_agent="Prometheus/2.55.1", work_ms=3), 0.3),
        ),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[int], Topology]] = {
    "bookinfo": lambda _services: bookinfo(),
    "mushop": lambda _services: mushop(),
    "travels": lambda _services: travels(),
    "helloworld": lambda _services: helloworld(),
    "large": large,
}


def topology(name: str, services: int = 40) -> Topology:
    """The topology of that name; `services` is the size of `large`. Raises ConfigError, naming the nearest that there is."""
    if name not in BUILDERS:
        near = difflib.get_close_matches(name, BUILDERS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(BUILDERS)}"
        raise ConfigError(f"there is no topology {name!r}", hint)
    return BUILDERS[name](services)
