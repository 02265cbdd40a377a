"""Real lines that others posted: each access line is read as a plain reading of it says, and what is not is named with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from logproc.model import ACCESS_LOG
from parsers import parse_lines
from tests import plain_reading

FOLDER = Path(os.environ.get("LOGPROC_TEST_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "lines.jsonl").exists(), reason="the corpus of posted lines is not part of the repository"
)

ACCESS_KINDS = {"istio_text", "istio_text_old", "tcp_text", "envoy_default", "json", "prefixed"}
UNREADABLE = ("not valid JSON", "shortened with '...'", "missing and cut with '...'")
"""Notes on lines that whoever posted them has changed so that no access line is left."""
CHANGED = ("truncated", "ztunnel", "extra trailing", "html-unescaped", "instead of a timestamp")
"""Notes on lines that are no whole line of a known format: what can be read of them is doubtful."""


def corpus() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "lines.jsonl").open()] if FOLDER.exists() else []


def row_of(line: str) -> dict[str, Any] | None:
    batch = parse_lines([line.replace("\n", " ")]).tables.get(ACCESS_LOG)
    if batch is None:
        return None
    row = {k: v for k, v in batch.to_pylist()[0].items() if v is not None and k not in ("k8s_pod", "k8s_container")}
    return row | ({"extra": dict(row["extra"])} if "extra" in row else {})


def plain(entry: dict[str, Any]) -> dict[str, Any] | None:
    line = entry["line"]
    if not line.startswith("{"):
        return plain_reading.read_text(line)
    found = json.loads(line)
    inner = found.get("log", found.get("message"))
    if isinstance(inner, str):
        line = inner.rstrip("\n")
    return plain_reading.read_json(line) if line.startswith("{") else plain_reading.read_text(line)


def test_every_access_line_is_one_and_sure_or_named() -> None:
    unread = []
    for entry in corpus():
        if entry["kind"] not in ACCESS_KINDS:
            continue
        row = row_of(entry["line"])
        if row is None and not any(note in entry["notes"] for note in UNREADABLE):
            unread.append(("not read", entry["id"], entry["notes"]))
        elif row is not None and "doubt" in row and not any(note in entry["notes"] for note in CHANGED):
            unread.append((row["doubt"], entry["id"], entry["notes"]))
    assert unread == []


def test_every_sure_line_equals_a_plain_reading() -> None:
    read = skipped = 0
    for entry in corpus():
        if entry["kind"] not in ACCESS_KINDS or "not valid JSON" in entry["notes"]:
            continue
        row, expected = row_of(entry["line"]), plain(entry)
        if row is None or expected is None or "doubt" in row:
            skipped += 1
            continue
        read += 1
        others = expected.pop("_others", None)
        if others is not None:
            extra = row.pop("extra", {})
            expected.pop("extra", None)
            # Keys of people's own can mean a column; then they are not in `extra`.
            assert extra.items() <= others.items(), entry["id"]
            row = {k: v for k, v in row.items() if k in expected or k not in plain_reading.JSON_COLUMNS.values()}
        assert row == expected, entry["id"]
    assert read > 6 * skipped


def test_a_doubtful_line_says_nothing_wrong() -> None:
    for entry in corpus():
        row, expected = row_of(entry["line"]) if entry["kind"] in ACCESS_KINDS else None, None
        if row is not None and "doubt" in row:
            expected = plain(entry) if "not valid JSON" not in entry["notes"] else None
        if row is None or expected is None:
            continue
        assert {
            k: v for k, v in row.items() if k in expected and k not in ("extra", "log_type")
        }.items() <= expected.items(), entry["id"]


ELASTIC = {
    "http.response.status_code": "response_code", "status_code": "response_code", "ResponseCode": "response_code",
    "status": "response_code", "RESPONSE_CODE": "response_code",
    "http.request.method": "method", "method": "method", "Method": "method", "request_method": "method",
    "url.original": "path", "path": "path", "Path": "path", "uri_path": "path",
    "protocol": "protocol", "Protocol": "protocol",
    "authority": "authority", "Authority": "authority", "istio.access.authority": "authority", "url.domain": "authority",
    "user_agent": "user_agent", "UserAgent": "user_agent", "user_agent.original": "user_agent",
    "route_name": "route_name", "RouteName": "route_name", "istio.access.route_name": "route_name",
    "UpstreamCluster": "upstream_cluster", "istio.access.upstream.cluster": "upstream_cluster",
    "upstream_host": "upstream_host", "UpstreamHost": "upstream_host", "istio.access.upstream.host": "upstream_host",
    "istio.access.bytes.received": "bytes_received", "bytes_received": "bytes_received", "BytesReceived": "bytes_received",
    "istio.access.bytes.sent": "bytes_sent", "bytes_sent": "bytes_sent", "BytesSent": "bytes_sent",
    "istio.access.duration": "duration_ms", "duration": "duration_ms", "Duration": "duration_ms", "DURATION": "duration_ms",
    "istio.access.response.code_details": "response_code_details", "ResponseCodeDetails": "response_code_details",
    "istio.access.response.flags": "response_flags", "response_flags": "response_flags", "ResponseFlags": "response_flags",
    "istio.access.downstream.local_address": "downstream_local_address", "DownstreamLocalAddress": "downstream_local_address",
    "istio.access.requested_server_name": "requested_server_name", "RequestedServerName": "requested_server_name",
    "istio.access.x-forwarded-for": "x_forwarded_for", "XForwardedFor": "x_forwarded_for",
    "UpstreamTransportFailureReason": "upstream_transport_failure_reason",
    "XEnvoyUpstreamServiceTime": "upstream_service_time_ms",
    "upstream_service_time": "upstream_service_time_ms", "kubernetes.pod.name": "k8s_pod",
}  # fmt: skip
"""Names that other projects' tests use for the columns."""


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": inner}
    return found


def test_what_other_projects_expect_of_their_lines() -> None:
    compared = 0
    for entry in [json.loads(line) for line in (FOLDER / "oracle.jsonl").open()]:
        parsed = parse_lines([entry["line"].replace("\n", " ")])
        assert ACCESS_LOG in parsed.tables, entry["line"]
        row = parsed.tables[ACCESS_LOG].to_pylist()[0]
        for key, value in flat(entry["expected"]).items():
            if key in ELASTIC:
                compared += 1
                said = "-" if row.get(ELASTIC[key]) is None else row[ELASTIC[key]]
                assert str(said).removesuffix(".0") == str(value).removesuffix(".0"), (key, entry["line"])
    assert compared > 80
