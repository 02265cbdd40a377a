"""What `/metrics`, `/healthz` and `/readyz` say, by the rules that Prometheus's own checker applies."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from logproc.errors import ConfigError
from logproc.exposition import CollectorMetrics
from logproc.metrics import DEAD_LOOP_SECONDS, STUCK_SINK_SECONDS, Histogram, Metrics
from logproc.metrics_http import MetricsServer, parse_listen
from logproc.model import SourceStatus, Stream, StreamLag

NAME = re.compile(r"logproc_[a-z][a-z0-9_]*")
UNITS = ("milliseconds", "ms", "kilobytes", "kb", "minutes", "hours", "percent")


def numbers() -> Metrics:
    """A collector that has seen everything."""
    metrics = Metrics(sink_open=True)
    web, other = Stream("/p/0.log", "shop", 'we"b\\\n-0', "istio-proxy", "1"), Stream("/var/log/a.log")
    again = Stream("/p/1.log", "shop", 'we"b\\\n-0', "istio-proxy", "2", 1)
    metrics.status = SourceStatus(
        3, 60, 7, 2, 1, 1, 99, 4.0, (StreamLag(web, 30, 4.0), StreamLag(again, 20, 1.0), StreamLag(other, 10, 2.0))
    )
    for seconds in (0.001, 0.01, 0.3, 99.0):
        metrics.write_seconds.observe(seconds)
    metrics.read.rows["access_log"] = 5
    return metrics


def scrape(metrics: Metrics, path: str = "/metrics", accept: str = "") -> tuple[int, str]:
    with MetricsServer(("127.0.0.1", 0), CollectorMetrics(metrics, "n", "null:"), metrics.dead, metrics.unready) as at:
        request = urllib.request.Request(f"http://127.0.0.1:{at.port}{path}", headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


def test_the_exposition_is_what_a_strict_parser_takes() -> None:
    status, text = scrape(numbers())
    families = {f.name: f for f in text_string_to_metric_families(text)}
    _, strict = scrape(numbers(), accept="application/openmetrics-text; version=1.0.0")

    assert status == 200
    assert len(list(openmetrics.text_string_to_metric_families(strict))) == len(families)
    assert families["logproc_rows"].samples[0].labels == {"table": "access_log"}
    lag = {tuple(s.labels.values()): s.value for s in families["logproc_stream_lag_bytes"].samples}
    assert lag == {("istio-proxy", "shop", "", 'we"b\\\n-0'): 50, ("", "", "/var/log/a.log", ""): 10}
    assert [s.value for s in families["logproc_lost_bytes"].samples] == [7]


def lint(text: str) -> Iterator[str]:
    """What `promtool check metrics` objects to."""
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("logproc_"):
            continue
        if not NAME.fullmatch(family.name):
            yield f"{family.name}: letters"
        if not family.documentation:
            yield f"{family.name}: no help text"
        if family.type == "counter" and not all(s.name.endswith("_total") for s in family.samples):
            yield f"{family.name}: a counter ends with _total"
        if family.type != "counter" and family.name.endswith("_total"):
            yield f"{family.name}: only a counter ends with _total"
        if family.type != "histogram" and family.name.endswith(("_count", "_sum", "_bucket")):
            yield f"{family.name}: a histogram's suffix"
        if family.name.endswith(UNITS):
            yield f"{family.name}: no base unit"
        if family.type in family.name.split("_"):
            yield f"{family.name}: its type is in its name"
        seen = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
        if len(set(seen)) != len(seen):
            yield f"{family.name}: a series twice"


def test_names_follow_prometheuss_rules() -> None:
    _, text = scrape(numbers())

    assert list(lint(text)) == []
    if shutil.which("promtool"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert "logproc_" not in checked.stdout + checked.stderr
        assert checked.returncode in {0, 3}


def test_the_page_on_metrics_lists_all_of_them() -> None:
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(logproc_\w+)", page, re.MULTILINE))
    _, text = scrape(numbers())

    assert listed == {name for name in re.findall(r"^# HELP (\w+)", text, re.MULTILINE) if name.startswith("logproc_")}


def test_buckets_count_what_is_not_above_their_bound() -> None:
    times = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        times.observe(value)

    assert times.buckets() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]


def test_a_collector_that_works_is_alive_and_ready() -> None:
    metrics = Metrics(sink_open=True)
    assert scrape(metrics, "/healthz") == (200, "ok\n")
    assert scrape(metrics, "/readyz") == (200, "ok\n")
    assert scrape(metrics, "/other")[0] == 404


def test_a_dead_loop_is_neither_alive_nor_ready() -> None:
    metrics = Metrics(sink_open=True, beat_at=time.monotonic() - DEAD_LOOP_SECONDS - 1)
    for path in ("/healthz", "/readyz"):
        status, text = scrape(metrics, path)
        assert (status, "has not come round" in text) == (503, True)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"sink_open": False}, "not reached yet"),
        ({"sink_error": "no route", "sink_error_since": -STUCK_SINK_SECONDS - 1}, "no route"),
        ({"writing_since": -STUCK_SINK_SECONDS - 1}, "hangs"),
        ({"keep_error": "No space left on device"}, "No space left"),
    ],
)
def test_a_stuck_sink_is_alive_but_not_ready(state: dict[str, float | str | bool], why: str) -> None:
    metrics = Metrics(sink_open=True)
    for name, value in state.items():
        setattr(metrics, name, time.monotonic() + value if isinstance(value, float) else value)

    assert scrape(metrics, "/healthz")[0] == 200
    status, text = scrape(metrics, "/readyz")
    assert (status, why in text) == (503, True)


def test_a_short_hiccup_of_the_sink_does_not_matter() -> None:
    metrics = Metrics(sink_open=True, sink_error="away", sink_error_since=time.monotonic() - 1)
    assert metrics.unready() == ""


@pytest.mark.parametrize(
    ("text", "address"),
    [("0.0.0.0:9090", ("0.0.0.0", 9090)), (":9090", ("", 9090)), ("[::1]:0", ("::1", 0)), ("host:1", ("host", 1))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_listen("--metrics-listen", text) == address


@pytest.mark.parametrize("text", ["9090", "host", "host:", "host:70000", "host:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--metrics-listen"):
        parse_listen("--metrics-listen", text)


def test_an_address_in_use_is_said() -> None:
    metrics = Metrics()
    with (
        MetricsServer(("127.0.0.1", 0), CollectorMetrics(metrics, "n", "null:")) as server,
        pytest.raises(ConfigError, match="in use"),
    ):
        MetricsServer(("127.0.0.1", server.port), CollectorMetrics(metrics, "n", "null:"))
