"""The truth against a plain reading of the printed lines, field by field."""

import re
from pathlib import Path

import pytest

from logproc.columns import TABLES
from tests.simulator import pod_logs
from tests.simulator.conftest import Simulate

LINE = re.compile(
    r'\[(?P<timestamp>\S+)Z\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>\S+)" (?P<response_code>[0-9]+) (?P<response_flags>\S+) '
    r'(?P<response_code_details>\S+) (?P<connection_termination_details>\S+) "(?P<upstream_transport_failure_reason>[^"]*)" '
    r"(?P<bytes_received>[0-9]+) (?P<bytes_sent>[0-9]+) (?P<duration_ms>[0-9]+) (?P<upstream_service_time_ms>\S+) "
    r'"(?P<x_forwarded_for>[^"]*)" "(?P<user_agent>[^"]*)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)" "(?P<upstream_host>[^"]*)" '
    r"(?P<upstream_cluster>\S+) (?P<upstream_local_address>\S+) (?P<downstream_local_address>\S+) (?P<downstream_remote_address>\S+) "
    r"(?P<requested_server_name>\S+) (?P<route_name>\S+)"
)


@pytest.mark.parametrize("topology", ["bookinfo", "mushop", "travels", "helloworld", "large"])
def test_truth_says_what_the_line_says(simulated: Simulate, topology: str) -> None:
    run = simulated(topology=topology, requests=150)
    printed = {(row.log.id, row.line): row.text for row in pod_logs.all_rows(run.root)}

    for row in run.access:
        found = LINE.fullmatch(printed[row["file_id"], row["line"]])
        assert found
        plain = {name: value for name, value in found.groupdict().items() if value != "-"}
        for name in ("upstream_local", "downstream_remote"):
            address = row.pop(f"{name}_address", None)
            assert plain.pop(f"{name}_address", None) == (
                None if address is None else f"{address}:{row.pop(f'{name}_port')}"
            )
        plain["timestamp"] += "000Z"
        if "response_flags" in plain:
            plain["response_flags"] = ",".join(sorted(plain["response_flags"].split(",")))
        if "request_id_other" in row:
            row["request_id"] = row.pop("request_id_other")
        assert plain == {name: str(row[name]) for name in LINE.groupindex if name in row}


def test_what_follows_from_cluster_and_name(simulated: Simulate) -> None:
    for row in simulated(topology="bookinfo", requests=1500).access:
        if row["log_type"] == "tcp" or "upstream_cluster" not in row:
            continue
        assert row["upstream_service"].endswith(".default.svc.cluster.local")
        app = row["upstream_service"].split(".")[0]
        if row["direction"] == "inbound":
            assert row["k8s_pod"].startswith(f"{app}-{row.get('upstream_subset', 'v1')}")
        assert row["upstream_port"] == 9080
        assert ("upstream_subset" in row) == (app == "reviews")


def test_truth_has_only_columns_of_its_table(simulated: Simulate) -> None:
    place = {"table", "file_id", "line", "k8s_namespace", "k8s_pod", "k8s_container"}
    for topology in ("mushop", "travels"):
        for row in simulated(topology=topology, requests=150).truth:
            known = {c.name for c in TABLES[row["table"]].columns if c.from_line}
            assert row.keys() - place <= known


def test_messages_have_a_time_and_components_a_level(simulated: Simulate) -> None:
    rows = [r for r in simulated(topology="travels", requests=150).truth if r["table"] == "message_log"]

    assert all(re.fullmatch(r"2026-11-21T0[56]:[0-9:]{5}\.[0-9]{6}Z", r["timestamp"]) for r in rows)
    assert {"sds", "xdsproxy", "envoy main", "cache", "http"} <= {r.get("scope") for r in rows}
    assert {"info", "warning"} <= {r.get("level") for r in rows}


def test_extra_keeps_what_has_no_column(simulated: Simulate) -> None:
    run = simulated(topology="helloworld", requests=20, format="%START_TIME% %ACCESS_LOG_TYPE% %REQ(X-REQUEST-ID)%")

    assert {tuple(row["extra"].items()) for row in run.access} == {(("ACCESS_LOG_TYPE", "DownstreamEnd"),)}
    assert {row["log_type"] for row in run.access} == {"tcp"}


def test_pods_are_where_the_kubelet_puts_them(simulated: Simulate) -> None:
    root: Path = simulated(topology="mushop", requests=150).root

    names = {p.name for p in root.iterdir()}
    assert all(re.fullmatch(r"(mushop|istio-system)_[a-z0-9-]+_[0-9a-f-]{36}", name) for name in names)
    assert {p.name for p in root.glob("mushop_mushop-storefrontv2-*/*")} == {"istio-proxy", "storefront"}
