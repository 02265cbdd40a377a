from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.simulator.conftest import Simulate

Row = dict[str, Any]


def by_request(rows: list[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        if row["log_type"] == "http":
            found[row.get("request_id") or row["request_id_other"]].append(row)
    return found


def begin(row: Row) -> float:
    return datetime.fromisoformat(row["timestamp"]).timestamp() * 1000


def pairs(rows: list[Row]) -> list[tuple[Row, Row]]:
    """Client's and server's line of the same call: joined by request, connection and callee."""
    out = []
    for lines in by_request(rows).values():
        clients = {
            (r["upstream_local_address"], r["upstream_local_port"], r.get("upstream_host")): r
            for r in lines
            if r.get("direction") == "outbound" and "upstream_local_port" in r
        }
        for server in (r for r in lines if r.get("direction") == "inbound"):
            client = clients.get(
                (
                    server["downstream_remote_address"],
                    server["downstream_remote_port"],
                    server["downstream_local_address"],
                )
            )
            if client is not None:
                out.append((client, server))
    return out  # fmt: skip


@pytest.mark.parametrize("topology", ["bookinfo", "mushop", "travels", "large"])
def test_the_two_lines_of_a_call_agree_and_nest(simulated: Simulate, topology: str) -> None:
    found = pairs(simulated(topology=topology, requests=150).access)

    assert len(found) > 100
    for client, server in found:
        assert client["upstream_host"] == server["downstream_local_address"]
        assert (client["method"], client["path"], client["authority"]) == (
            server["method"],
            server["path"],
            server["authority"],
        )
        assert client["upstream_service"] == server["upstream_service"]
        assert client.get("upstream_subset") == server.get("upstream_subset")
        assert client["duration_ms"] >= server["duration_ms"]
        assert begin(server) >= begin(client)
        # Both times and durations are cut to milliseconds.
        assert begin(server) + server["duration_ms"] <= begin(client) + client["duration_ms"] + 2
        if "response_flags" not in client and "response_flags" not in server:
            assert client["response_code"] == server["response_code"]
            assert client["bytes_sent"] == server["bytes_sent"]


def test_callees_calls_lie_within_the_call_they_serve(simulated: Simulate) -> None:
    for lines in by_request(simulated(topology="bookinfo", requests=150).access).values():
        page = [
            r
            for r in lines
            if r.get("upstream_service", "").startswith("productpage") and r.get("direction") == "inbound"
        ]
        inner = [r for r in lines if r.get("upstream_service", "").startswith(("details", "reviews", "ratings"))]
        for row in inner:
            assert any(
                begin(p) <= begin(row) and begin(row) + row["duration_ms"] <= begin(p) + p["duration_ms"] + 2
                for p in page
            )


def test_one_request_id_goes_through_the_whole_tree(simulated: Simulate) -> None:
    requests = by_request(simulated(topology="travels", requests=300).access)

    assert len(requests) == 300
    services = [
        {r["upstream_service"].split(".")[0] for r in lines if "upstream_service" in r} for lines in requests.values()
    ]
    assert any({"travels", "hotels", "cars", "flights", "discounts"} <= s for s in services)


def test_gateways_add_the_client_and_sidecars_take_it_from_the_header(simulated: Simulate) -> None:
    rows = [r for r in simulated(topology="mushop", requests=150).access if r["log_type"] == "http"]
    gateway = [r for r in rows if r["k8s_namespace"] == "istio-system"]
    behind = [r for r in rows if r.get("direction") == "inbound" and "x_forwarded_for" in r]

    assert gateway and behind
    for row in gateway:
        assert row["x_forwarded_for"].split(",")[-1] == row["downstream_remote_address"]
        assert row["downstream_remote_port"] > 1024
    for row in behind:
        assert row["x_forwarded_for"].split(",")[-1] == row["downstream_remote_address"]
        assert row["downstream_remote_port"] == 0
    assert any("," in r["x_forwarded_for"] for r in gateway)


def within(count: int, total: int, share: float) -> bool:
    """Inside five standard deviations: about one run in two million fails by chance."""
    return abs(count - total * share) < 5 * (total * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(
    ("topology", "service", "shares"),
    [
        ("mushop", "mushop-storefront", {"original": 0.9, "beta": 0.1}),
        ("bookinfo", "reviews", {"v1": 1 / 3, "v2": 1 / 3, "v3": 1 / 3}),
        ("helloworld", "helloworld", {"v1": 0.5, "v2": 0.5}),
    ],
)  # fmt: skip
def test_weights(simulated: Simulate, topology: str, service: str, shares: dict[str, float]) -> None:
    rows = simulated(topology=topology, requests=1500).access
    subsets = Counter(
        r["upstream_subset"] for r in rows
        if r.get("direction") == "outbound" and r.get("upstream_service", "").startswith(f"{service}.")
    )  # fmt: skip

    assert subsets.keys() == shares.keys()
    for subset, share in shares.items():
        assert within(subsets[subset], subsets.total(), share)


def test_travels_route_by_portal_weigh_the_rest_and_inject_faults(simulated: Simulate) -> None:
    rows = simulated(topology="travels", requests=300).access
    calls = defaultdict(Counter)
    for row in rows:
        if row.get("upstream_service", "").startswith("travels.") and row.get("direction") == "outbound":
            calls[row["k8s_pod"].split("-v1-")[0]][row["upstream_subset"]] += 1

    assert [set(calls[portal]) for portal in ("voyages", "viaggi", "travels-uk")] == [{"v3"}, {"v2"}, {"v1"}]
    assert all(
        within(calls["control"][v], calls["control"].total(), s) for v, s in (("v1", 0.33), ("v2", 0.33), ("v3", 0.34))
    )
    hotels = [r for r in rows if r.get("upstream_service", "").startswith("hotels.") and r["direction"] == "outbound"]
    aborted = [r for r in hotels if r.get("response_flags") == "FI"]
    assert within(len(aborted), len(hotels), 0.1)
    assert {(r["response_code"], r["response_code_details"]) for r in aborted} == {(503, "fault_filter_abort")}
    overflow = [r for r in rows if r.get("response_flags") == "UO"]
    assert {r["k8s_pod"].split("-v1-")[0] for r in overflow} == {"loadtester"}
    assert all(r["request_id_other"].startswith("loadtester") and "upstream_host" not in r for r in overflow)


def test_every_error_class_appears_with_its_code_and_details(simulated: Simulate) -> None:
    sizes = {"bookinfo": 1500, "mushop": 1500, "travels": 300, "helloworld": 1500}
    rows = [r for t, n in sizes.items() for r in simulated(topology=t, requests=n).access]
    http = {
        (r.get("response_flags"), r["response_code"], r["response_code_details"])
        for r in rows
        if r["log_type"] == "http"
    }
    reset = "upstream_reset_before_response_started"
    refused = f"{reset}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}"

    assert http >= {
        (None, 200, "via_upstream"), ("UF,URX", 503, refused), ("UF", 503, refused), ("UC", 503, f"{reset}{{connection_termination}}"),
        ("UH", 503, "no_healthy_upstream"), ("NR", 404, "route_not_found"), ("NC", 503, "cluster_not_found"),
        ("UT", 504, "upstream_response_timeout"), ("URX", 503, "via_upstream"), ("DC", 0, "downstream_remote_disconnect"),
        ("UO", 503, f"{reset}{{overflow}}"), ("FI", 503, "fault_filter_abort"), ("DI", 200, "via_upstream"), ("RL", 429, "local_rate_limited"),
        (None, 403, "rbac_access_denied_matched_policy[none]"),
    }  # fmt: skip
    tcp = {(r.get("response_flags"), r.get("response_code_details"), r.get("upstream_cluster") == "BlackHoleCluster") for r in rows if r["log_type"] == "tcp"}  # fmt: skip
    assert tcp >= {
        (None, None, False),
        ("UF,URX", None, False),
        ("DC", None, False),
        ("NR", "filter_chain_not_found", False),
    }
    assert "" in {r.get("user_agent") for r in rows}
    assert "PassthroughCluster" in {r.get("upstream_cluster") for r in rows}
    assert any(not r["path"].isascii() for r in rows if "path" in r)


def test_failures_that_never_reached_the_server_have_no_line_there(simulated: Simulate) -> None:
    for lines in by_request(simulated(topology="helloworld", requests=1500).access).values():
        client = [r for r in lines if r.get("direction") != "inbound"]
        server = [r for r in lines if r.get("direction") == "inbound"]
        assert len(client) == 1
        never = client[0].get("response_flags") in ("UH", "UF,URX")
        assert len(server) == (0 if never else 1)


def test_retries_make_a_line_each_at_the_server(simulated: Simulate) -> None:
    requests = by_request(simulated(topology="bookinfo", requests=1500).access)
    found = 0
    for lines in requests.values():
        for client in (r for r in lines if r.get("response_flags") == "URX"):
            tries = sorted((r for r in lines if r.get("direction") == "inbound" and r.get("upstream_service") == client["upstream_service"]), key=begin)  # fmt: skip
            found += 1
            assert [r["response_code"] for r in tries] == [503] * 3
            assert all(begin(b) >= begin(a) + a["duration_ms"] for a, b in pairwise(tries))
            assert begin(tries[-1]) + tries[-1]["duration_ms"] <= begin(client) + client["duration_ms"] + 2
    assert found
