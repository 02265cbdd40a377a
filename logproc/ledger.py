"""The account of a batch: which lines of which files are in it, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from logproc import columns
from logproc.model import Span, SpanCounts

_SCHEMA = columns.LEDGER_TABLE.schema


def merged(spans: Iterable[SpanCounts]) -> list[SpanCounts]:
    """Adjoining spans of a file as one, at the place of the first."""
    found: list[SpanCounts] = []
    places: dict[int, int] = {}
    for counts in spans:
        span = counts.span
        place = places.get(span.file_id)
        before = found[place].span if place is not None else None
        if place is None or before is None or not span.lines or _after(before) != (span.start, span.first_line):
            if span.lines:
                places[span.file_id] = len(found)
            found.append(counts)
        else:
            found[place] = _joined(found[place], counts)
    return found


def _after(span: Span) -> tuple[int, int]:
    return span.end, span.first_line + span.lines


def _joined(a: SpanCounts, b: SpanCounts) -> SpanCounts:
    times = [t for t in (a.min_time, b.min_time) if t]
    runs = a.joined_runs + b.joined_runs
    if a.joined_runs and b.joined_runs and a.joined_runs[-1][1] == b.joined_runs[0][0]:
        whole = (a.joined_runs[-1][0], b.joined_runs[0][1])
        runs = (*a.joined_runs[:-1], whole, *b.joined_runs[1:])
    return SpanCounts(
        replace(a.span, end=b.span.end, lines=a.span.lines + b.span.lines),
        b.stream,
        a.access_rows + b.access_rows,
        a.message_rows + b.message_rows,
        a.rejected_rows + b.rejected_rows,
        a.joined + b.joined,
        a.left_out + b.left_out,
        runs,
        min(times, default=0),
        max(a.max_time, b.max_time),
        a.doubtful_time or b.doubtful_time,
    )


def table(
    collector: str, seq: int, node: str, sealed_at: int, spans: Sequence[SpanCounts], *, state: str = "stored"
) -> pa.RecordBatch:
    """The ledger's rows of a batch."""
    n = len(spans)
    values: dict[str, list[Any]] = {
        "received_at": [sealed_at] * n,
        "collector": [collector] * n,
        "seq": [seq] * n,
        "k8s_node": [node] * n,
        "k8s_namespace": [s.stream.k8s_namespace for s in spans],
        "k8s_pod": [s.stream.k8s_pod for s in spans],
        "k8s_container": [s.stream.k8s_container for s in spans],
        "file_id": [s.span.file_id for s in spans],
        "path": [s.stream.path for s in spans],
        "first_line": [s.span.first_line for s in spans],
        "lines": [s.span.lines for s in spans],
        "start": [s.span.start for s in spans],
        "end": [s.span.end for s in spans],
        "min_time": [s.min_time for s in spans],
        "max_time": [s.max_time for s in spans],
        "access_rows": [s.access_rows for s in spans],
        "message_rows": [s.message_rows for s in spans],
        "rejected_rows": [s.rejected_rows for s in spans],
        "joined": [s.joined for s in spans],
        "left_out": [s.left_out for s in spans],
        "state": [state] * n,
    }
    return pa.RecordBatch.from_arrays([_array(values[f.name], f.type) for f in _SCHEMA], schema=_SCHEMA)


def _array(values: list[Any], kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)
