"""Batches made of a rule instead of a log: what line N of a file says depends on the file and N alone, however it is cut."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import pyarrow as pa

from logproc import ledger
from logproc.columns import TABLES
from logproc.model import ACCESS_LOG, LEDGER, MESSAGE_LOG, REJECTED_LINE, ROW_TABLES, Batch, Span, SpanCounts, Stream

BYTES_PER_LINE = 100
NOW = int(time.time()) // 3600 * 3600 * 1_000_000
"""The tables drop what is a month old, so the rows are of today."""


def table_of(line: int) -> str | None:
    """The table of a line; None: it is a fragment of the next."""
    return {3: MESSAGE_LOG, 5: REJECTED_LINE, 8: None}.get(line % 10, ACCESS_LOG)


def time_of(line: int) -> int:
    """Ten lines a second, an hour back at line 0, so that a long file spans hours (and sometimes a midnight)."""
    return NOW - 3600 * 1_000_000 + line * 100_000


def request_id(file_id: int, line: int) -> uuid.UUID:
    return uuid.UUID(int=file_id << 64 | line)


def span(file_id: int, first: int, end: int) -> Span:
    return Span(file_id, first * BYTES_PER_LINE, end * BYTES_PER_LINE, first, end - first)


def row(table: str, file_id: int, line: int) -> dict[str, object]:
    common = {
        "timestamp": time_of(line), "received_at": NOW, "k8s_namespace": "shop", "app": f"app-{file_id % 7}",
        "k8s_pod": f"pod-{file_id}", "file_id": file_id, "line": line,
    }  # fmt: skip
    own: dict[str, dict[str, object]] = {
        ACCESS_LOG: {
            "method": "GET", "path": f"/{line}", "response_code": 200 if line % 4 else 503, "duration_ms": line % 300,
            "bytes_received": 10, "bytes_sent": line, "request_id": request_id(file_id, line).bytes, "weight": 1 + line % 3,
            "response_flags": "UF,URX" if line % 4 == 0 else None, "direction": "outbound", "upstream_service": "ratings",
            "extra": [("k", str(line))] if line % 6 == 0 else None,
        },
        MESSAGE_LOG: {"level": "info", "message": f"message {line}"},
        REJECTED_LINE: {"reason": "format", "length": 3, "raw": b"\xff\x00" + bytes([line % 256])},
    }  # fmt: skip
    return common | own[table]


def batch(seq: int, spans: Sequence[Span], collector: str = "c0ffee00c0ffee00", *, doubtful: bool = False) -> Batch:
    """A batch of these spans' lines."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in ROW_TABLES}
    counted = []
    for s in spans:
        counts = dict.fromkeys(ROW_TABLES, 0)
        joined = []
        for line in range(s.first_line, s.first_line + s.lines):
            table = table_of(line)
            if table is None:
                joined.append((line, line + 1))
                continue
            rows[table].append(row(table, s.file_id, line))
            counts[table] += 1
        counted.append(
            SpanCounts(
                s,
                Stream(f"/var/log/{s.file_id}.log"),
                counts[ACCESS_LOG],
                counts[MESSAGE_LOG],
                counts[REJECTED_LINE],
                len(joined),
                0,
                tuple(joined),
                time_of(s.first_line),
                time_of(s.first_line + s.lines - 1),
                doubtful,
            )
        )
    tables = {n: pa.RecordBatch.from_pylist(r, schema=TABLES[n].schema) for n, r in rows.items() if r}
    tables[LEDGER] = ledger.table(collector, seq, "node-1", NOW, counted)
    return Batch(collector, seq, NOW, tuple(counted), tables)


def expected(file_id: int, lines: int) -> dict[str, list[int]]:
    """Per table the lines of a file that have a row in it."""
    return {name: [n for n in range(lines) if table_of(n) == name] for name in ROW_TABLES}


def correction(seq: int, file_id: int, line: int, collector: str = "c0ffee00c0ffee00") -> Batch:
    """A line that was counted as joined is a row after all: a run of no lines."""
    at = Span(file_id, (line + 1) * BYTES_PER_LINE, (line + 1) * BYTES_PER_LINE, line, 0)
    counted = SpanCounts(
        at, Stream(f"/var/log/{file_id}.log"), message_rows=1, joined=-1, min_time=time_of(line), max_time=time_of(line)
    )
    rows = pa.RecordBatch.from_pylist([row(MESSAGE_LOG, file_id, line)], schema=TABLES[MESSAGE_LOG].schema)
    return Batch(
        collector,
        seq,
        NOW,
        (counted,),
        {MESSAGE_LOG: rows, LEDGER: ledger.table(collector, seq, "node-1", NOW, [counted])},
    )
