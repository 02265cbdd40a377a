"""Rules are applied before anything is kept, and the ledger counts what they leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logproc import codec
from logproc.errors import ExpressionError
from logproc.frames import Framer
from logproc.model import ACCESS_LOG, LEDGER, MESSAGE_LOG, REJECTED_LINE, SinkLimits, Stream
from logproc.pipeline import Pipeline
from logproc.policy import Policy
from logproc.seal import Sealer
from logproc.spool import Spool
from logproc.state import StateFolder
from logproc.testing import FlakySink, MemorySink, MemorySource
from parsers import open_parser

SHOP = Stream("/p/0.log", "shop", "web-7d4b9c6f5-x2x4z", "istio-proxy", "u1")


def access(path: str, code: int = 200, agent: str = "curl/8", n: int = 0) -> str:
    return (
        f'[2026-11-20T10:00:00.000Z] "GET {path} HTTP/1.1" {code} - via_upstream - "-" 0 5 3 2 "192.0.2.{n % 256}" "{agent}" '
        f'"137068b0-3a6d-9e4b-91c4-{n:012x}" "web" "10.244.0.7:8080" outbound|80||web.shop.svc.cluster.local '
        "10.244.0.5:40000 10.96.0.1:80 10.244.0.5:50000 - default"
    )


MESSAGE = "2026-11-20T10:00:00.000001Z\tinfo\tready /a?key=secret"


def collected(
    policy: Policy, lines: list[str], sink: MemorySink | None = None, state: Path | None = None
) -> MemorySink:
    sink = sink or MemorySink(SinkLimits(rows=1000, bytes=1 << 20, seconds=60))
    source = MemorySource.of_lines(*lines, stream=SHOP, per_chunk=10)
    assert state is not None
    with StateFolder(state, "node") as folder:
        Pipeline(
            source, open_parser("auto"), sink, Spool(folder), framer=Framer(), sealer=Sealer("c", "node", policy=policy)
        ).run()
    return sink


def account(sink: MemorySink) -> dict[str, int]:
    (row,) = sink.ledger()
    return {c: row[c] for c in ("lines", "access_rows", "message_rows", "rejected_rows", "joined", "left_out")}


def test_what_is_excluded_is_counted(tmp_path: Path) -> None:
    lines = [access("/a"), access("/healthz", agent="kube-probe/1.33"), MESSAGE, access("/b", n=1)]
    policy = Policy.parse(["level = info"], probes=False)

    sink = collected(policy, lines, state=tmp_path / "s")

    assert [row["path"] for row in sink.rows(ACCESS_LOG)] == ["/a", "/b"]
    assert MESSAGE_LOG not in sink.batches[0].tables
    assert account(sink) == {
        "lines": 4, "access_rows": 2, "message_rows": 0, "rejected_rows": 0, "joined": 0, "left_out": 2,
    }  # fmt: skip


def test_a_batch_of_which_nothing_is_left_still_moves_on(tmp_path: Path) -> None:
    sink = collected(Policy.parse(["path : *"]), [access(f"/{n}", n=n) for n in range(5)], state=tmp_path / "s")

    assert account(sink) | {"x": 0} == {
        "lines": 5, "access_rows": 0, "message_rows": 0, "rejected_rows": 0, "joined": 0, "left_out": 5, "x": 0,
    }  # fmt: skip
    with StateFolder(tmp_path / "s", "node") as folder:
        assert [p.line for p in folder.settled.positions.values()] == [5]


def test_expressions_may_ask_for_the_pod(tmp_path: Path) -> None:
    sink = collected(Policy.parse(["namespace = shop and app = web"]), [access("/a"), MESSAGE], state=tmp_path / "s")

    assert account(sink)["left_out"] == 2


def test_times_of_the_ledger_are_those_of_stored_rows(tmp_path: Path) -> None:
    early = access("/early").replace("10:00:00.000Z", "09:00:00.000Z")

    sink = collected(Policy.parse(["path = /early"]), [early, access("/a"), access("/b")], state=tmp_path / "s")

    (row,) = sink.ledger()
    assert (row["min_time"].hour, row["max_time"].hour) == (10, 10)


def test_sampling_gives_weights_and_counts_the_rest(tmp_path: Path) -> None:
    lines = [access(f"/{n}", code=503 if n % 10 == 0 else 200, n=n) for n in range(500)]

    sink = collected(Policy.parse(sample=["code < 600: 1/4"]), lines, state=tmp_path / "s")

    rows = sink.rows(ACCESS_LOG)
    kept = {code: [r["weight"] for r in rows if r["response_code"] == code] for code in (200, 503)}
    assert kept[503] == [1] * 50
    assert set(kept[200]) == {4}
    assert 60 < len(kept[200]) < 170
    counted = [row["access_rows"] + row["left_out"] for row in sink.ledger()]
    assert sum(counted) == 500


def everywhere(folder: Path, sink: MemorySink) -> bytes:
    """All bytes that went to the sink or stayed on disk, decoded."""
    found = [
        repr(row).encode() for table in (ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE, LEDGER) for row in sink.rows(table)
    ]
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes())
    for batch in sink.batches:
        found += [repr(t.to_pylist()).encode() for t in codec.decode(batch.encoded).values()] if batch.encoded else []
    return b"\n".join(found)


@pytest.mark.parametrize("outcome", ["stored", "rejected"])
def test_what_is_redacted_is_nowhere_not_even_in_dead_letters(tmp_path: Path, outcome: str) -> None:
    lines = [
        access("/orders/4711?card=secret", agent="agent-secret/1", n=200),
        MESSAGE,
        '[2026-11-20T10:00:00.000Z] "GET /x?secret HTTP/1.1" broken "secret',
    ]
    seen: list[Any] = []

    class Watching(FlakySink):
        def write(self, batch: Any) -> None:
            seen.append(repr([t.to_pylist() for t in batch.tables.values()]).encode())
            super().write(batch)

    sink = Watching(lambda n: outcome, SinkLimits(rows=1000, bytes=1 << 20, seconds=60))

    collected(Policy.parse(redact="query,user_agent,ip/24,path-ids"), lines, sink, tmp_path / "s")

    kept = everywhere(tmp_path / "s", sink) + b"".join(seen)
    assert b"/orders/{n}" in kept
    for secret in (b"secret", b"192.0.2.200", b"4711"):
        assert secret not in kept
    if outcome == "rejected":
        assert any((tmp_path / "s" / "dead_letter").iterdir())


def test_an_expression_that_fits_no_table_is_refused() -> None:
    with pytest.raises(ExpressionError):
        Policy.parse(["colour = red"])


def test_rows_without_rules_are_not_touched() -> None:
    rows = pa.RecordBatch.from_pydict({"a": [1]})

    assert Policy().apply(ACCESS_LOG, rows) == (rows, None)
