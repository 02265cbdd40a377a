"""Parsed lines to a batch: place, pod and time are added as columns, and the ledger says which lines are in it.

Nothing here runs once per row in Python: per span, per stream, and columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logproc import columns, ledger
from logproc.frames import RAW_CAP, Framed
from logproc.kube import app_of
from logproc.ledger import fixed, word_of
from logproc.model import (
    ACCESS_LOG,
    LEDGER,
    REJECTED_LINE,
    ROW_TABLES,
    Batch,
    LineNumbers,
    Parsed,
    SpanCounts,
    Stream,
)  # fmt: skip
from logproc.policy import Policy

DAY_MICROSECONDS = 86_400_000_000
Indices = npt.NDArray[np.int32]
Column = Any
"""A pyarrow array; its stubs tell neither dictionaries nor the results of kernels apart."""
Arrays = dict[str, Column]

_SCHEMAS = {name: table.schema for name, table in columns.TABLES.items()}

_FRAME_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(Z|[+-]\d\d:\d\d) ")


class Sealer:
    """Makes batches. `app_and_version` tells them for a stream; by default from the pod's name. `policy` says what is left out.

    `keeps`: seconds that each table of the sink keeps its rows; older ones would vanish there and are left out.
    """

    def __init__(
        self,
        collector: str,
        node: str,
        app_and_version: Callable[[Stream], tuple[str, str]] | None = None,
        policy: Policy | None = None,
        keeps: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._collector, self._node, self._policy, self._keeps = collector, node, policy, keeps
        self._app_and_version = app_and_version or (lambda stream: (app_of(stream.k8s_pod), ""))

    def seal(
        self, seq: int, pieces: Sequence[tuple[Sequence[Framed], Parsed]], sealed_at: int, raw_bytes: int
    ) -> Batch:
        """One row for each line that is not joined. Each piece is what was parsed in one call, with the rows in the order of its texts."""
        sealed = [self._piece(framed, parsed, sealed_at) for framed, parsed in pieces]
        tables: dict[str, pa.RecordBatch] = {}
        for table in ROW_TABLES:
            parts = [found[table] for found, _ in sealed if table in found]
            if parts:
                tables[table] = parts[0] if len(parts) == 1 else _one(parts)
        spans = tuple(ledger.merged(counts for _, of_piece in sealed for counts in of_piece))
        tables[LEDGER] = ledger.table(self._collector, seq, self._node, sealed_at, spans)
        lost = [SpanCounts(f.span, f.stream) for framed, _ in pieces for f in framed if f.lost]
        if lost:
            gone = ledger.table(self._collector, seq, self._node, sealed_at, lost, state="lost")
            tables[LEDGER] = _one([tables[LEDGER], gone])
        return Batch(self._collector, seq, sealed_at, spans, tables, b"", raw_bytes)

    def _piece(
        self, framed: Sequence[Framed], parsed: Parsed, sealed_at: int
    ) -> tuple[dict[str, pa.RecordBatch], list[SpanCounts]]:
        place = _Places(framed, self._node, self._app_and_version)
        lines, owners = _line_numbers(framed)
        tables: dict[str, pa.RecordBatch] = {}
        counts = {table: np.zeros(len(framed), np.int64) for table in ROW_TABLES}
        left_out = np.zeros(len(framed), np.int64)
        times = _Times(len(framed))
        cut = _cut_lines(framed)
        parsed_tables, parsed_rows = _with_oversized(framed, parsed, lines)
        for table in ROW_TABLES:
            batch = parsed_tables.get(table)
            if batch is None or not batch.num_rows:
                continue
            rows = parsed_rows[table]
            owner = owners[rows] if table != REJECTED_LINE else _owners_of(rows, owners, framed)
            number = lines[rows] if table != REJECTED_LINE else _numbers_of(rows, lines, framed)
            arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
            times.replaced(_settle_times(arrays, batch.num_rows, sealed_at, doubts=table == ACCESS_LOG), owner)
            if len(cut) and table != REJECTED_LINE:
                _doubt(arrays, np.isin(rows, cut), "partial")
            place.add(arrays, owner, number, sealed_at, weighted=table == ACCESS_LOG)
            whole = _conform(table, arrays, batch.num_rows)
            if self._policy is not None:
                whole, kept = self._policy.apply(table, whole)
                if kept is not None:
                    left_out += np.bincount(owner[~kept], minlength=len(framed))
                    owner = owner[kept]
                    arrays = {"timestamp": whole.column("timestamp")}
            fresh = _fresh(whole, sealed_at, self._keeps().get(table, 0))
            if fresh is not None:
                left_out += np.bincount(owner[~fresh], minlength=len(framed))
                owner = owner[fresh]
                whole = whole.filter(pa.array(fresh))
                arrays = {"timestamp": whole.column("timestamp")}
            if whole.num_rows:
                tables[table] = whole
                times.add(arrays, owner)
                counts[table] = np.bincount(owner, minlength=len(framed))
        access, message, rejected = (counts[table].tolist() for table in ROW_TABLES)
        spans = [
            SpanCounts(
                f.span, f.stream, access[i], message[i], rejected[i], f.joined, int(left_out[i]), f.joined_runs, *times.of(i)
            )
            for i, f in enumerate(framed)
            if not f.lost
        ]  # fmt: skip
        return tables, spans


def _fresh(rows: pa.RecordBatch, sealed_at: int, seconds: float) -> npt.NDArray[np.bool_] | None:
    """True for each row that its table still keeps; None where it keeps them all."""
    if not seconds or not rows.num_rows:
        return None
    times = rows.column("timestamp").view(pa.int64()).to_numpy(zero_copy_only=False)
    fresh = np.asarray(times >= sealed_at - int(seconds * 1_000_000))
    return None if fresh.all() else fresh


def _one(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return batch


def _line_numbers(framed: Sequence[Framed]) -> tuple[LineNumbers, Indices]:
    """For each line of all texts its physical number and the index of its span."""
    counts = np.array([f.text.lines for f in framed], np.int64)
    owners = np.repeat(np.arange(len(framed), dtype=np.int32), counts)
    starts = np.cumsum(counts) - counts
    shift = np.array([f.span.first_line for f in framed], np.int64) - starts
    lines = np.arange(len(owners), dtype=np.int64) + shift[owners]
    for i, f in enumerate(framed):
        if f.numbers is not None:
            lines[starts[i] : starts[i] + counts[i]] = f.numbers
    return lines, owners


def _cut_lines(framed: Sequence[Framed]) -> LineNumbers:
    """Indices, over all texts, of lines whose end never came."""
    found, base = [], 0
    for f in framed:
        found += [base + i for i in f.partial]
        base += f.text.lines
    return np.array(found, np.int64)


# Oversized lines have no place in the texts: their rows carry indices below zero, -1 for the first.


def _with_oversized(
    framed: Sequence[Framed], parsed: Parsed, lines: LineNumbers
) -> tuple[Mapping[str, pa.RecordBatch], Mapping[str, LineNumbers]]:
    """The parsed tables, with a row in `rejected_line` for each line that was too long to be parsed."""
    found = [(i, o) for i, f in enumerate(framed) for o in f.oversized]
    if not found:
        return parsed.tables, parsed.rows
    names = ("timestamp", "reason", "length", "raw")
    fields: Any = [
        (name, pa.string() if name == "reason" else columns.REJECTED_LINE_TABLE.column(name).arrow) for name in names
    ]
    schema = pa.schema(fields)
    made = pa.table(
        {
            "timestamp": pa.array([_frame_time(o.raw) for _, o in found], columns.TIMESTAMP),
            "reason": pa.array(["too_long"] * len(found)),
            "length": pa.array([o.length for _, o in found], pa.uint64()),
            "raw": pa.array([o.raw[:RAW_CAP] for _, o in found], pa.binary()),
        },
        schema=schema,
    )
    rows = -1 - np.arange(len(found), dtype=np.int64)
    other = parsed.tables.get(REJECTED_LINE)
    if other is not None and other.num_rows:
        theirs = pa.table({f.name: other.column(f.name).cast(f.type) for f in schema}, schema=schema)
        made = pa.concat_tables([theirs, made])
        rows = np.concatenate([parsed.rows[REJECTED_LINE], rows])
        owners = np.repeat(np.arange(len(framed), dtype=np.int32), [f.text.lines for f in framed])
        order = np.lexsort((_numbers_of(rows, lines, framed), _owners_of(rows, owners, framed)))
        made, rows = made.take(order), rows[order]
    batch = made.combine_chunks().to_batches()[0]
    return {**parsed.tables, REJECTED_LINE: batch}, {**parsed.rows, REJECTED_LINE: rows}


def _owners_of(rows: LineNumbers, owners: Indices, framed: Sequence[Framed]) -> Any:
    of_oversized = np.array([i for i, f in enumerate(framed) for _ in f.oversized], np.int32)
    return _either(rows, owners, of_oversized)


def _numbers_of(rows: LineNumbers, lines: LineNumbers, framed: Sequence[Framed]) -> Any:
    return _either(rows, lines, np.array([o.line for f in framed for o in f.oversized], np.int64))


def _either(rows: LineNumbers, of_texts: Any, of_oversized: Any) -> Any:
    return np.concatenate([of_texts, of_oversized[::-1]])[rows] if len(of_oversized) else of_texts[rows]


def _frame_time(line: bytes) -> datetime | None:
    match = _FRAME_TIME.match(line)
    if match is None:
        return None
    try:
        return datetime.fromisoformat((match[1] + match[2]).decode())
    except ValueError:
        return None


def _nulls(rows: int, kind: Any) -> Column:
    return pa.nulls(rows, kind)


def _settle_times(arrays: Arrays, rows: int, sealed_at: int, *, doubts: bool) -> npt.NDArray[np.bool_] | None:
    """A missing time, or one more than a day ahead, becomes the time of sealing; in `access_log` with doubt 'time'. Where that was done."""
    given = arrays.get("timestamp")
    if given is None:
        times = _nulls(rows, columns.TIMESTAMP)
    else:
        times = given if given.type == columns.TIMESTAMP else given.cast(columns.TIMESTAMP)
    values = times.view(pa.int64())
    limit = sealed_at + DAY_MICROSECONDS
    ahead = rows > times.null_count and int(values.drop_null().to_numpy().max()) > limit
    replaced = None
    if times.null_count or ahead:
        wrong = pc.fill_null(pc.greater(values, pa.scalar(limit, pa.int64())), True)
        times = pc.if_else(wrong, pa.scalar(sealed_at, pa.int64()), values).cast(columns.TIMESTAMP)
        replaced = np.asarray(wrong.to_numpy(zero_copy_only=False), bool)
        if doubts:
            _doubt(arrays, replaced, "time")
    arrays["timestamp"] = times
    return replaced


def _doubt(arrays: Arrays, where: npt.NDArray[np.bool_], reason: str) -> None:
    """Give the reason to the rows. It takes the place of another one."""
    if not where.any():
        return
    doubt = arrays.get("doubt")
    texts = doubt.cast(pa.string()) if doubt is not None else pa.nulls(len(where), pa.string())
    arrays["doubt"] = pc.if_else(pa.array(where), reason, texts).dictionary_encode()


class _Times:
    """Earliest and latest `timestamp` of each span's rows."""

    def __init__(self, spans: int) -> None:
        self._min = np.full(spans, np.iinfo(np.int64).max)
        self._max = np.full(spans, np.iinfo(np.int64).min)
        self._doubtful = np.zeros(spans, bool)

    def replaced(self, where: npt.NDArray[np.bool_] | None, owners: Indices) -> None:
        """Rows whose time is that of sealing, of any table: read again they have another one."""
        if where is not None:
            self._doubtful[owners[where]] = True

    def add(self, arrays: Arrays, owners: Indices) -> None:
        values = arrays["timestamp"].view(pa.int64()).to_numpy(zero_copy_only=False)
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        owned = owners[firsts]
        self._min[owned] = np.minimum(self._min[owned], np.minimum.reduceat(values, firsts))
        self._max[owned] = np.maximum(self._max[owned], np.maximum.reduceat(values, firsts))

    def of(self, span: int) -> tuple[int, int, bool]:
        if self._max[span] < self._min[span]:
            return 0, 0, bool(self._doubtful[span])
        return int(self._min[span]), int(self._max[span]), bool(self._doubtful[span])


class _Places:
    """The columns that say where a row comes from: dictionaries of the batch's streams, indexed by span."""

    def __init__(
        self, framed: Sequence[Framed], node: str, app_and_version: Callable[[Stream], tuple[str, str]]
    ) -> None:
        pods = [app_and_version(f.stream) for f in framed]
        self._file_ids = np.array([f.span.file_id for f in framed], np.uint64)
        self._words = {
            "k8s_namespace": word_of([f.stream.k8s_namespace for f in framed]),
            "app": word_of([app for app, _ in pods]),
            "version": word_of([version for _, version in pods]),
            "k8s_pod": word_of([f.stream.k8s_pod for f in framed]),
            "k8s_container": word_of([f.stream.k8s_container for f in framed]),
            "k8s_node": (np.zeros(len(framed), np.int32), pa.array([node], pa.string())),
        }

    def add(self, arrays: Arrays, owners: Indices, lines: LineNumbers, sealed_at: int, *, weighted: bool) -> None:
        pod = arrays.get("k8s_pod")
        if pod is not None:  # the line's frame names the pod (kubectl --prefix, stern)
            encoded = pod if pa.types.is_dictionary(pod.type) else pod.dictionary_encode()
            apps: Column = pa.array([name and app_of(name) for name in encoded.dictionary.to_pylist()], pa.string())
            arrays["app"] = apps.take(encoded.indices)
        alike = fixed(np.zeros(len(owners), np.int32), pa.int32())
        for name, (indices, dictionary) in self._words.items():
            if arrays.get(name) is None:
                of_rows = fixed(indices.take(owners), pa.int32()) if len(dictionary) > 1 else alike
                arrays[name] = pa.DictionaryArray.from_arrays(of_rows, dictionary, safe=False)
        arrays["received_at"] = fixed(np.full(len(owners), sealed_at, np.int64), columns.TIMESTAMP)
        arrays["file_id"] = fixed(self._file_ids.take(owners), pa.uint64())
        arrays["line"] = fixed(np.ascontiguousarray(lines, np.int64), pa.uint64())
        if weighted:
            arrays["weight"] = fixed(np.ones(len(owners), np.uint32), pa.uint32())


def _conform(table: str, arrays: Arrays, rows: int) -> pa.RecordBatch:
    """All columns of the table in order; those the parser did not tell are null."""
    schema = _SCHEMAS[table]
    nothing: dict[pa.DataType, Column] = {}
    cast = []
    for one in schema:
        array = arrays.get(one.name)
        if array is None and (array := nothing.get(one.type)) is None:
            array = nothing[one.type] = _nulls(rows, one.type)
        cast.append(_cast(array, one.type))
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _cast(array: Column, kind: pa.DataType) -> Column:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(kind):
        plain = array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array
        return plain.dictionary_encode().cast(kind)
    return array.cast(kind)
