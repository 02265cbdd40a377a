"""The numbers of every report, computed once more from the rows themselves: sampled lines, no clusters, one row, nothing but errors."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from logproc.reports import literal
from tests.asking import NOON
from tests.session import Session

WINDOW = ("--since", f"{NOON:%Y-%m-%d %H:%M}", "--until", f"{NOON + timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}")
COLUMNS = (
    "app", "version", "log_type", "direction", "upstream_service", "upstream_subset", "upstream_cluster", "authority", "path_template",
    "response_code", "response_flags", "duration_ms", "upstream_service_time_ms", "weight",
)  # fmt: skip
Row = dict[str, Any]


def made() -> list[Row]:
    chosen = random.Random(7)
    rows: list[Row] = []
    for number in range(400):
        side = chosen.choice(["inbound", "outbound", "", "inbound-vip"])
        service = (
            "" if side in {"", "inbound"} else chosen.choice(["a.x.svc.cluster.local", "b.x.svc.cluster.local", ""])
        )
        duration = chosen.randint(0, 300)
        row: Row = dict.fromkeys(COLUMNS, "") | {
            "app": chosen.choice(["page", "shop", ""]), "version": chosen.choice(["v1", "v2"]), "direction": side,
            "log_type": chosen.choice(["http", "http", "tcp", "l4"]), "upstream_service": service,
            "upstream_subset": chosen.choice(["", "red", "blue"]) if service else "",
            "upstream_cluster": f"{side}|80||{service}" if service else "", "authority": chosen.choice(["h1", "h2"]),
            "path_template": chosen.choice(["/a", "/b"]), "response_code": chosen.choice([0, 200, 404, 500, 503]),
            "response_flags": chosen.choice(["", "", "UF", "DC", "UF,URX"]), "duration_ms": duration,
            "upstream_service_time_ms": chosen.choice([None, duration // 2, duration + 3]), "weight": chosen.choice([1, 1, 3, 10]),
        }  # fmt: skip
        rows.append(row | {"timestamp": NOON + timedelta(milliseconds=100 * number)})
    one = dict.fromkeys(COLUMNS, "") | {
        "app": "alone",
        "direction": "inbound",
        "log_type": "http",
        "duration_ms": 7,
        "weight": 5,
    }
    rows.append(
        one | {"response_code": 503, "upstream_service_time_ms": None, "path_template": "/a", "timestamp": NOON}
    )
    return rows


ROWS = made()
SECONDS = 39.9


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("numbers")
    with Session({"LOGPROC_STORE": str(folder / "store")}, home=folder) as session:
        assert session("schema", "apply").code == 0
        values = ", ".join(
            f"('{row['timestamp']:%Y-%m-%d %H:%M:%S.%f}', 'ns', "
            + ", ".join("NULL" if row[c] is None else literal(row[c]) for c in COLUMNS)
            + ")"
            for row in ROWS
        )
        said = session(
            "query", f"INSERT INTO access_log (timestamp, k8s_namespace, {', '.join(COLUMNS)}) VALUES {values}"
        )
        assert (said.code, said.err) == (0, "")
        yield session


def asked(logproc: Session, name: str, *options: str) -> list[Row]:
    return [json.loads(line) for line in logproc("report", name, *WINDOW, "-o", "jsonl", *options).text.splitlines()]


def grouped(rows: Sequence[Row], key: Callable[[Row], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def weight(rows: Sequence[Row]) -> int:
    return sum(int(row["weight"]) for row in rows)


def quantile(rows: Sequence[Row], level: float, of: Callable[[Row], int] = lambda row: int(row["duration_ms"])) -> int:
    """The least value that `level` of the weight does not exceed."""
    below, wanted = 0, level * weight(rows)
    for row in sorted(rows, key=of):
        below += row["weight"]
        if below >= wanted:
            return of(row)
    raise AssertionError


def failed(row: Row) -> bool:
    return row["response_code"] >= 500 or (
        row["log_type"] != "http" and row["response_flags"] not in {"", "DC", "DI", "DT"}
    )


def percent(rows: Sequence[Row], of: Callable[[Row], bool]) -> float:
    return 100 * weight([r for r in rows if of(r)]) / weight(rows)


def service(row: Row) -> str:
    return str(row["app"] or row["upstream_service"] or row["authority"])


def side(row: Row) -> str:
    return str(row["direction"] or "-")


def close(value: float) -> Any:
    return pytest.approx(value, abs=0.0051)


def test_traffic(logproc: Session) -> None:
    wanted = grouped(ROWS, lambda r: (service(r), side(r), r["log_type"]))
    found = {(r["service"], r["direction"], r["type"]): r for r in asked(logproc, "traffic")}

    assert set(found) == set(wanted)
    for key, rows in wanted.items():
        got = found[key]
        assert (got["requests"], got["per_second"], got["error_pct"]) == (
            weight(rows),
            close(weight(rows) / SECONDS),
            close(percent(rows, failed)),
        )
        assert [got["p50_ms"], got["p95_ms"], got["p99_ms"]] == [quantile(rows, q) for q in (0.5, 0.95, 0.99)]


def test_graph(logproc: Session) -> None:
    outside = [r for r in ROWS if r["direction"] not in {"inbound", "inbound-vip"}]
    wanted = grouped(
        outside,
        lambda r: (
            r["app"] or "(unknown)",
            r["upstream_service"] or r["upstream_cluster"] or r["authority"],
            r["upstream_subset"],
            r["log_type"],
        ),
    )
    found = {(r["source"], r["destination"], r["subset"], r["type"]): r for r in asked(logproc, "graph")}

    assert set(found) == set(wanted)
    for key, rows in wanted.items():
        got = found[key]
        assert (got["requests"], got["error_pct"]) == (weight(rows), close(percent(rows, failed)))
        assert (got["p50_ms"], got["p99_ms"]) == (quantile(rows, 0.5), quantile(rows, 0.99))


def test_errors(logproc: Session) -> None:
    def place(row: Row) -> tuple[Any, ...]:
        return service(row), side(row), row["upstream_cluster"] or row["authority"]

    every = grouped(ROWS, place)
    wanted = grouped(
        [r for r in ROWS if r["response_flags"] or r["response_code"] >= 500],
        lambda r: (r["response_flags"] or "-", r["response_code"], *place(r)),
    )
    found = {
        (r["flags"], r["code"], r["service"], r["direction"], r["cluster"]): r
        for r in asked(logproc, "errors", "--param", "limit=1000")
    }

    assert set(found) == set(wanted)
    for key, rows in wanted.items():
        assert (found[key]["requests"], found[key]["pct"]) == (
            weight(rows),
            close(100 * weight(rows) / weight(every[key[2:]])),
        )
    assert found["-", 503, "alone", "inbound", ""]["pct"] == 100


def test_latency(logproc: Session) -> None:
    wanted = grouped([r for r in ROWS if r["log_type"] == "http"], lambda r: (service(r), side(r)))
    found = {(r["service"], r["direction"]): r for r in asked(logproc, "latency")}

    assert set(found) == set(wanted)
    for key, rows in wanted.items():
        got, says = found[key], [r for r in rows if r["upstream_service_time_ms"] is not None]
        assert (got["requests"], got["max_ms"]) == (weight(rows), max(r["duration_ms"] for r in rows))
        assert [got[f"p{n}_ms"] for n in (50, 90, 95, 99, 999)] == [
            quantile(rows, q) for q in (0.5, 0.9, 0.95, 0.99, 0.999)
        ]
        for level, name in ((0.5, "p50"), (0.99, "p99")):
            behind = quantile(says, level, lambda r: int(r["upstream_service_time_ms"])) if says else None
            here = (
                quantile(says, level, lambda r: max(0, int(r["duration_ms"]) - int(r["upstream_service_time_ms"])))
                if says
                else None
            )
            assert (got[f"service_{name}_ms"], got[f"proxy_{name}_ms"]) == (behind, here)


def test_slow(logproc: Session) -> None:
    def key(row: Row) -> tuple[Any, ...]:
        destination = (row["upstream_service"] or row["authority"]) if row["direction"] == "outbound" else ""
        return service(row), side(row), destination, row["path_template"]

    wanted = {
        k: rows for k, rows in grouped([r for r in ROWS if r["log_type"] == "http"], key).items() if weight(rows) >= 5
    }
    found = {
        (r["service"], r["direction"], r["destination"], r["route"]): r
        for r in asked(logproc, "slow", "--param", "limit=1000")
    }

    assert set(found) == set(wanted)
    for k, rows in wanted.items():
        got = found[k]
        assert (got["requests"], got["p95_ms"], got["max_ms"]) == (
            weight(rows),
            quantile(rows, 0.95),
            max(r["duration_ms"] for r in rows),
        )
        assert got["total_s"] == pytest.approx(sum(r["duration_ms"] * r["weight"] for r in rows) / 1000, abs=0.051)
        assert got["error_pct"] == close(percent(rows, lambda r: bool(r["response_code"] >= 500)))


def test_canary(logproc: Session) -> None:
    def place(row: Row) -> tuple[str, str]:
        return (row["app"] if row["direction"] == "inbound" else row["upstream_service"], row["direction"])

    def name(row: Row) -> str:
        return str(row["version"] if row["direction"] == "inbound" else row["upstream_subset"])

    sides = grouped([r for r in ROWS if r["direction"] in {"inbound", "outbound"} and place(r)[0]], place)
    wanted = {
        (*k, n or "(none)"): (part, rows)
        for k, rows in sides.items()
        if len({name(r) for r in rows}) > 1
        for (n,), part in grouped(rows, lambda r: (name(r),)).items()
    }
    found = {(r["service"], r["direction"], r["name"]): r for r in asked(logproc, "canary")}

    assert set(found) == set(wanted)
    assert ("alone", "inbound", "(none)") not in found, "a service of one version is no canary"
    for key, (part, rows) in wanted.items():
        got, share = found[key], weight(part) / weight(rows)
        lines = weight(rows) ** 2 / sum(r["weight"] ** 2 for r in rows)
        middle = (share + 1.92073 / lines) / (1 + 3.8416 / lines)
        assert (got["requests"], got["share_pct"]) == (weight(part), close(100 * share))
        assert (got["low_pct"] + got["high_pct"]) / 2 == pytest.approx(100 * middle, abs=0.02)
        assert got["low_pct"] < got["share_pct"] < got["high_pct"]
