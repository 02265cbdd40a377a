"""Messages that collectors of earlier versions sent, read as the loader reads them: batches wait in topics for days while programs change."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pytest

from logproc import codec, message
from logproc.merge import merged
from logproc.model import ACCESS_LOG, Batch
from tests.chdb_store import Database

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.jsonl"))
Recorded = list[tuple[list[tuple[str, bytes]], bytes]]


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Headers and value of each message, in the order of the topic."""
    found = [json.loads(line) for line in Path(request.param).read_text().splitlines()]
    return [([(k, v.encode()) for k, v in m["headers"]], base64.b64decode(m["value"])) for m in found]


def read(recorded: Recorded) -> list[Batch]:
    return [message.with_tables(message.without_tables(headers), value) for headers, value in recorded]


def test_they_are_stored_with_what_their_lines_said(recorded: Recorded, database: Database) -> None:
    """Each message has 20 lines: 16 requests, 2 messages of the proxy and 2 that were cut short."""
    batches = read(recorded)
    sink = database.sink()
    sink.write(merged(batches, "t-0"))
    sink.write(merged(batches, "t-0"))
    (file_id,) = {c.span.file_id for b in batches for c in b.spans}
    stored = database.stored_lines(file_id)

    assert [b.seq for b in batches] == [0, 1]
    assert sorted(line for lines in stored.values() for line in lines) == list(range(40))
    assert {table: len(lines) for table, lines in stored.items()} == {
        "access_log": 32,
        "message_log": 4,
        "rejected_line": 4,
    }
    assert [(r["first_line"], r["lines"], r["state"]) for r in database.ledger(file_id)] == [(0, 40, "stored")]
    assert database.rows(
        "SELECT k8s_namespace, k8s_pod, app, version, method, path, response_code, response_flags, duration_ms, upstream_cluster,"
        " toString(request_id) AS request_id, toUnixTimestamp64Micro(timestamp) AS at FROM {db}.access_log WHERE line = 21"
    ) == [
        {
            "k8s_namespace": "shop", "k8s_pod": "web-v1-7d4b9c6f5d-2xk8p", "app": "web-v1", "version": "", "method": "GET",
            "path": "/cart/21", "response_code": 503, "response_flags": "UF,URX", "duration_ms": 21,
            "upstream_cluster": "outbound|8080|v1|web.shop.svc.cluster.local",
            "request_id": "0b4f9d3e-1c2a-4f7e-9a6b-000000000021", "at": 1_795_248_021_250_000,
        }
    ]  # fmt: skip
    assert database.rollup_difference() == 0


def test_those_of_a_newer_version_are_refused_not_taken_for_foreign(recorded: Recorded) -> None:
    """A foreign message becomes a dead letter and is passed; a newer one stops the partition, so that nothing is skipped."""
    for headers, _ in recorded:
        newer = [(message.VERSION_HEADER, b"%d" % (message.VERSION + 1)), *headers[1:]]
        with pytest.raises(message.NewerError, match="upgrade the loaders before the collectors"):
            message.without_tables(newer)


def test_those_with_a_column_or_table_of_tomorrow_are_refused_not_cut(recorded: Recorded) -> None:
    headers, value = recorded[0]
    told = message.without_tables(headers)
    tables = codec.decode(value)
    wider = tables[ACCESS_LOG].append_column("tomorrow", pa.nulls(tables[ACCESS_LOG].num_rows, pa.string()))

    with pytest.raises(message.NewerError, match=r"a column access_log\.tomorrow"):
        message.with_tables(told, codec.encode(tables | {ACCESS_LOG: wider}))
    with pytest.raises(message.NewerError, match="a table tomorrow"):
        message.with_tables(told, codec.encode(tables | {"tomorrow": tables[ACCESS_LOG]}))
