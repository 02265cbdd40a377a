"""The account of a batch: which lines of which files are in it, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logproc import columns
from logproc.model import Span, SpanCounts

_SCHEMA = columns.LEDGER_TABLE.schema
_NUMBERS = (
    "received_at", "seq", "first_line", "lines", "start", "end", "min_time", "max_time", "access_rows", "message_rows",
    "rejected_rows", "joined", "left_out",
)  # fmt: skip
"""Columns of 64 bits of which no value reaches 2^63."""


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
    # Numbers as rows of one table, so that a column is a part of it: 21 conversions of short lists would cost most of a small batch.
    numbers = np.array(
        [
            (
                sealed_at, seq, s.span.first_line, s.span.lines, s.span.start, s.span.end, s.min_time, s.max_time,
                s.access_rows, s.message_rows, s.rejected_rows, s.joined, s.left_out,
            )
            for s in spans
        ],
        np.int64,
    ).reshape(n, len(_NUMBERS))  # fmt: skip
    values: dict[str, Any] = dict(zip(_NUMBERS, np.ascontiguousarray(numbers.T), strict=True))
    values |= {
        "file_id": np.array([s.span.file_id for s in spans], np.uint64),
        "collector": [collector] * n,
        "k8s_node": [node] * n,
        "k8s_namespace": [s.stream.k8s_namespace for s in spans],
        "k8s_pod": [s.stream.k8s_pod for s in spans],
        "k8s_container": [s.stream.k8s_container for s in spans],
        "path": [s.stream.path for s in spans],
        "state": [state] * n,
    }
    return pa.RecordBatch.from_arrays([_array(values[f.name], f.type) for f in _SCHEMA], schema=_SCHEMA)


def word_of(values: Sequence[str]) -> tuple[npt.NDArray[np.int32], Any]:
    """The number of each value's word, and the words."""
    words = {word: i for i, word in enumerate(dict.fromkeys(values))}
    numbers = np.fromiter(map(words.__getitem__, values), np.int32, len(values))
    return numbers, pa.array(list(words), pa.string())


def fixed(values: npt.NDArray[Any], kind: pa.DataType) -> Any:
    """An array without nulls over the memory of `values`, whose items have the kind's width."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values.data)])


def _array(values: Any, kind: pa.DataType) -> Any:
    if isinstance(values, np.ndarray):
        return fixed(values, kind)
    if pa.types.is_dictionary(kind):
        numbers, words = word_of(values)
        return pa.DictionaryArray.from_arrays(fixed(numbers, pa.int32()), words, safe=False)
    return pa.array(values, kind)
