"""`logproc report`: the ready questions give the right numbers, say what they count, and name what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from logproc import reports, when
from logproc.errors import ConfigError
from parsers.flags import RESPONSE_FLAGS
from tests.asking import NOON, open_session
from tests.session import Session

WINDOW = ("--since", f"{NOON:%Y-%m-%d %H:%M}", "--until", f"{NOON + timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}")


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from open_session(tmp_path_factory.mktemp("report"))


def rows(logproc: Session, name: str, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logproc("report", name, *WINDOW, "-o", "jsonl", *options).text.splitlines()]


def by(found: list[dict[str, Any]], *keys: str) -> dict[Any, dict[str, Any]]:
    named = {tuple(row[k] for k in keys): row for row in found}
    assert len(named) == len(found)
    return named


def test_traffic(logproc: Session) -> None:
    found = by(rows(logproc, "traffic"), "service", "direction", "type")

    assert set(found) == {
        ("page", "outbound", "http"),
        ("reviews", "inbound", "http"),
        ("ledger", "inbound", "http"),
        ("db.shop.svc.cluster.local", "outbound", "tcp"),
    }
    client = found["page", "outbound", "http"]
    assert (client["requests"], client["error_pct"]) == (1000, 1.0)
    assert (client["p50_ms"], client["p95_ms"], client["p99_ms"]) == (49, 94, 98)
    assert client["per_second"] == pytest.approx(1000 / 599.4, abs=0.01)
    server = found["reviews", "inbound", "http"]
    assert (server["requests"], server["error_pct"], server["p50_ms"], server["p99_ms"]) == (990, 2.02, 10, 5000)
    assert found["ledger", "inbound", "http"]["requests"] == 100, "a sampled line counts by its weight"
    assert found["db.shop.svc.cluster.local", "outbound", "tcp"]["error_pct"] == 37.5


def test_errors(logproc: Session) -> None:
    found = by(rows(logproc, "errors"), "flags", "service", "direction")

    assert set(found) == {
        ("UF,URX", "page", "outbound"),
        ("-", "reviews", "inbound"),
        ("UO", "db.shop.svc.cluster.local", "outbound"),
        ("NEWFLAG", "db.shop.svc.cluster.local", "outbound"),
    }
    failed = found["UF,URX", "page", "outbound"]
    assert (failed["code"], failed["requests"], failed["cluster"]) == (
        503,
        10,
        f"outbound|80|v1|{'reviews.shop.svc.cluster.local'}",
    )
    assert failed["pct"] == pytest.approx(10 / 9, abs=0.01), "of the cluster's 900"
    assert failed["details"] == "upstream_reset_before_response_started{connection_failure}"
    assert failed["meaning"] == f"{RESPONSE_FLAGS['UF'].meaning}; {RESPONSE_FLAGS['URX'].meaning}"
    own = found["-", "reviews", "inbound"]
    assert (own["code"], own["requests"], own["meaning"]) == (500, 20, "the application answered so")
    assert "extension" in found["NEWFLAG", "db.shop.svc.cluster.local", "outbound"]["meaning"]
    assert len(rows(logproc, "errors", "--param", "limit=1")) == 1


def wilson(share: float, n: int) -> tuple[float, float]:
    """The textbook's formula."""
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return 100 * (centre - half), 100 * (centre + half)


def test_canary(logproc: Session) -> None:
    found = by(rows(logproc, "canary"), "service", "by", "name")

    assert set(found) == {
        ("reviews.shop.svc.cluster.local", "subset", "v1"),
        ("reviews.shop.svc.cluster.local", "subset", "v2"),
        ("reviews", "version", "v1"),
        ("reviews", "version", "v2"),
    }
    beta = found["reviews.shop.svc.cluster.local", "subset", "v2"]
    low, high = wilson(0.1, 1000)
    assert (beta["direction"], beta["requests"], beta["share_pct"]) == ("outbound", 100, 10.0)
    assert (beta["low_pct"], beta["high_pct"]) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert found["reviews", "version", "v2"]["direction"] == "inbound"
    assert found["reviews.shop.svc.cluster.local", "subset", "v1"]["error_pct"] == pytest.approx(10 / 9, abs=0.01)


def test_graph(logproc: Session) -> None:
    found = by(rows(logproc, "graph"), "source", "destination", "subset")

    assert set(found) == {
        ("page", "reviews.shop.svc.cluster.local", "v1"),
        ("page", "reviews.shop.svc.cluster.local", "v2"),
        ("(unknown)", "db.shop.svc.cluster.local", ""),
    }
    edge = found["page", "reviews.shop.svc.cluster.local", "v1"]
    assert (edge["direction"], edge["requests"], edge["flags"]) == ("outbound", 900, "UF,URX")
    assert found["(unknown)", "db.shop.svc.cluster.local", ""]["type"] == "tcp"


def test_latency(logproc: Session) -> None:
    found = by(rows(logproc, "latency"), "service", "direction")

    server = found["reviews", "inbound"]
    assert (server["p50_ms"], server["p90_ms"], server["p99_ms"], server["max_ms"]) == (10, 10, 5000, 5000)
    assert (server["service_p50_ms"], server["proxy_p50_ms"], server["proxy_p99_ms"]) == (7, 3, 3)
    assert [found["ledger", "inbound"][k] for k in ("service_p50_ms", "proxy_p99_ms")] == [None, None]
    assert ("db.shop.svc.cluster.local", "outbound") not in found, "connections have no latency"


def test_slow(logproc: Session) -> None:
    found = rows(logproc, "slow")

    assert [(r["service"], r["direction"], r["route"]) for r in found] == [
        ("page", "outbound", "/"),
        ("reviews", "inbound", "/reviews/{n}"),
        ("ledger", "inbound", "/"),
    ]
    assert found[1]["total_s"] == pytest.approx((20 * 5000 + 970 * 10) / 1000)
    assert [r["service"] for r in rows(logproc, "slow", "--param", "least=500")] == ["page", "reviews"]


@pytest.mark.parametrize("name", reports.names())
def test_each_report_can_be_narrowed_and_says_its_direction(logproc: Session, name: str) -> None:
    everything = rows(logproc, name)

    assert everything
    assert all(row["direction"] in {"inbound", "outbound", "-"} for row in everything)
    assert all(row.get("namespace") == "shop" for row in rows(logproc, name, "-n", "shop") if "namespace" in row)
    assert rows(logproc, name, "-n", "nowhere") == []
    narrowed = rows(logproc, name, "--service", "reviews")
    assert narrowed
    assert all(row in everything for row in narrowed)


@pytest.mark.parametrize("name", reports.names())
def test_the_printed_sql_is_the_report(logproc: Session, name: str) -> None:
    sql = logproc("report", name, *WINDOW, "--sql").text

    assert reports.placeholders(sql) == {}
    assert [
        json.loads(line) for line in logproc("query", "-", "-o", "jsonl", stdin=sql.encode()).text.splitlines()
    ] == rows(logproc, name)


def test_the_list(logproc: Session) -> None:
    lines = logproc("report").text.splitlines()

    assert [line.split()[0] for line in lines] == ["report", *reports.names()]
    assert reports.names()[0] == "traffic"


def test_an_empty_answer_says_where_the_lines_are(logproc: Session) -> None:
    said = logproc("report", "traffic", "--since", "15m")

    assert said.text.splitlines()[1:] == []
    assert f"try --since '{NOON - timedelta(days=1):%Y-%m-%d %H:%M:%S}'" in said.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--service", "review"), "none of service 'review'; did you mean reviews, reviews."),
        (("--service", "xyz"), "none of service 'xyz'; there are "),
        (("-n", "shp"), "none of namespace 'shp'; did you mean shop?"),
        (("--param", "least=1000000"), "none that this report shows"),
    ],
)
def test_an_empty_answer_names_what_there_is_instead(logproc: Session, args: tuple[str, ...], said: str) -> None:
    done = logproc("report", "slow", *WINDOW, *args)

    assert done.text.splitlines()[1:] == []
    assert said in done.err
    assert "--since" not in done.err


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("eror",), "hint: did you mean errors?"),
        (("traffic", "--since", "soon"), "error: --since 'soon' is neither"),
        (("traffic", "--until", "1d"), "error: the window is empty"),
        (("slow", "--param", "least=x"), "a number was expected"),
        (("traffic", "--param", "limit=5"), "is no parameter of traffic"),
        (("traffic", "-o", "yaml"), "error: report: --output 'yaml': one of table,"),
    ],
)
def test_what_is_typed_wrong(logproc: Session, args: tuple[str, ...], error: str) -> None:
    said = logproc("report", *args)

    assert (said.code, said.out) == (2, b"")
    assert error in said.err


@pytest.mark.parametrize("name", reports.names())
def test_each_file_explains_itself(name: str) -> None:
    report = reports.read(name)

    assert report.title
    assert not report.title.endswith(".")
    assert report.about
    assert set(reports.placeholders(report.text)) >= {"since", "until", "namespace", "service"}
    assert all(f"{{{p.name}:" in report.sql and int(p.default) and p.meaning for p in report.parameters)


def test_filled_in() -> None:
    sql = "SELECT {a:String}, {b:UInt8}, {c:Array(String)}, {d:DateTime64(6, 'UTC')}, '{not}'"

    assert reports.filled_in(sql, {"a": "it's \\", "b": 3, "c": ["x", "'"], "d": "2026-11-21 00:00:00"}) == (
        "SELECT 'it\\'s \\\\', 3, ['x', '\\''], toDateTime64('2026-11-21 00:00:00', 6, 'UTC'), '{not}'"
    )


NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("15m", NOW - timedelta(minutes=15)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("1.5s", NOW - timedelta(seconds=1.5)),
        ("now", NOW),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
    ],
)
def test_when(text: str, at: datetime) -> None:
    assert when.since(text, NOW) == at


@pytest.mark.parametrize("text", ["", "15", "m", "1h 30x", "yesterday", "2026-13-01", "9999999w", "1" * 400 + "w"])
def test_when_it_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        when.since(text, NOW)


def test_an_unknown_report_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        reports.read("../traffic")
