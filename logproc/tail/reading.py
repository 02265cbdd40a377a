"""Chunks of many streams to typed rows, parsed in one call, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logproc.columns import TABLES, WORD
from logproc.frames import KUBECTL_TIMESTAMPS, Framed, Framer
from logproc.kube import app_of
from logproc.model import CRI, REJECTED_LINE, ROW_TABLES, Frame, LineNumbers, Parser, Stream
from logproc.tail.line_times import NO_TIME, Times
from logproc.tail.order import Lines

POD_COLUMNS = ("k8s_namespace", "k8s_pod", "k8s_container", "app", "version")

_FRAME_WORDS = {CRI: 3, KUBECTL_TIMESTAMPS: 1}
"""Words in front of a line that are the runtime's and not the line's."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a pod's labels say."""

    app: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one table. `places`: where each stands among all rows; `times`: the runtime's time of its line (NO_TIME: unknown)."""

    batch: pa.RecordBatch
    places: LineNumbers
    times: Times
    raw: Sequence[bytes] | None = None
    """The lines as they were written; None where they were not asked for or are not known."""

    def take(self, mask: npt.NDArray[np.bool_]) -> Table:
        """The rows for which the mask is true."""
        if mask.all():
            return self
        which = np.flatnonzero(mask)
        raw = None if self.raw is None else [self.raw[i] for i in which.tolist()]
        rows: Any = pa.array(which)
        return Table(self.batch.take(rows), self.places[which], self.times[which], raw)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of all tables. `lines`: physical lines behind them."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    lines: int = 0

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(t.batch.num_rows for t in self.tables.values())


class RowReader:
    """Reads lines of any number of streams; those of one stream come in order."""

    def __init__(
        self,
        parser: Parser,
        frame: Frame | None = None,
        *,
        labels: Callable[[Stream], Labels] | None = None,
        keep_raw: bool = False,
    ) -> None:
        self._parser, self._framer = parser, Framer(frame)
        self._labels, self._keep_raw = labels, keep_raw

    def read(self, pieces: Sequence[Lines]) -> Rows:
        """One row for each line; rows are numbered by time where all pieces have times, else as they came."""
        framed: list[Framed] = []
        owners: list[Lines] = []
        for piece in pieces:
            for one in self._framer.frame(piece.chunk):
                framed.append(one)
                owners.append(piece)
        counts = [f.text.lines for f in framed]
        total = sum(counts)
        lines = sum(p.chunk.span.lines for p in pieces)
        if not total and not any(f.oversized for f in framed):
            return Rows(lines=lines)
        parsed = self._parser.parse([f.text for f in framed])
        times = np.concatenate([_times(f, p) for f, p in zip(framed, owners, strict=True)]) if total else _NONE
        numbers = np.concatenate([_numbers(f) for f in framed]) if total else _NONE
        owner = np.repeat(np.arange(len(framed)), counts)
        places = np.arange(total)
        if len(framed) > 1 and (times != NO_TIME).all():
            places[np.argsort(times, kind="stable")] = np.arange(total)
        raw = _raw(framed) if self._keep_raw else None
        pods = _Pods(framed, self._labels)
        tables: dict[str, Table] = {}
        for name in ROW_TABLES:
            batch = parsed.tables.get(name)
            if batch is None or not batch.num_rows:
                continue
            rows = parsed.rows[name]
            tables[name] = Table(
                pods.beside(batch, owner[rows], numbers[rows]),
                places[rows],
                times[rows],
                None if raw is None else [raw[i] for i in rows.tolist()],
            )
        _add_oversized(framed, pods, tables, total, keep_raw=self._keep_raw)
        return Rows(tables, lines)


_NONE = np.zeros(0, np.int64)


def _numbers(framed: Framed) -> LineNumbers:
    if framed.numbers is not None:
        return framed.numbers
    return np.arange(framed.span.first_line, framed.span.first_line + framed.text.lines, dtype=np.int64)


def _times(framed: Framed, piece: Lines) -> Times:
    if piece.times is None or not len(piece.times):
        return np.full(framed.text.lines, NO_TIME, np.int64)
    if framed.numbers is None and len(piece.times) == framed.text.lines:
        return piece.times
    within = np.clip(_numbers(framed) - piece.chunk.span.first_line, 0, len(piece.times) - 1)
    return piece.times[within]


def _raw(framed: Sequence[Framed]) -> list[bytes]:
    found: list[bytes] = []
    for one in framed:
        lines = one.text.data.split(b"\n")[:-1]
        words = _FRAME_WORDS.get(one.text.frame, 0)
        found += [line.split(b" ", words)[-1] for line in lines] if words else lines
    return found


class _Pods:
    """The columns that say where a line comes from, one value for each text, repeated by rows."""

    def __init__(self, framed: Sequence[Framed], labels: Callable[[Stream], Labels] | None) -> None:
        streams = [f.stream for f in framed]
        known = [labels(s) if labels is not None and s.k8s_pod else Labels() for s in streams]
        self._texts = {
            "k8s_namespace": [s.k8s_namespace for s in streams],
            "k8s_pod": [s.k8s_pod for s in streams],
            "k8s_container": [s.k8s_container for s in streams],
            "app": [k.app or (app_of(s.k8s_pod) if s.k8s_pod else "") for k, s in zip(known, streams, strict=True)],
            "version": [k.version for k in known],
        }

    def beside(self, batch: pa.RecordBatch, owner: Any, numbers: LineNumbers) -> pa.RecordBatch:
        """The batch with these columns; where a frame in the line told the pod, that stands."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        added: dict[str, Any] = {"line": pa.array(numbers, pa.uint64())}
        for name, texts in self._texts.items():
            if any(texts):
                added[name] = _words(texts, owner)
            elif name in columns:
                added[name] = columns[name]
            elif name == "app" and "k8s_pod" in columns:
                added[name] = _apps(columns["k8s_pod"])
        for name in added:
            columns.pop(name, None)
        return pa.RecordBatch.from_arrays([*added.values(), *columns.values()], [*added, *columns])


def _words(texts: Sequence[str], owner: Any) -> Any:
    distinct: dict[str, int] = {}
    codes = np.array([distinct.setdefault(t, len(distinct)) if t else -1 for t in texts], np.int32)[owner]
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(distinct), pa.string()))


def _apps(pods: Any) -> Any:
    plain = pods if pa.types.is_dictionary(pods.type) else pods.dictionary_encode()
    names = [app_of(p) if p else p for p in plain.dictionary.to_pylist()]
    apps = pa.DictionaryArray.from_arrays(plain.indices, pa.array(names, pa.string()))
    return apps.cast(pa.string()).dictionary_encode().cast(WORD)  # two pods of one application are one word


def _add_oversized(
    framed: Sequence[Framed], pods: _Pods, tables: dict[str, Table], total: int, *, keep_raw: bool
) -> None:
    """A row in `rejected_line` for each line that was too long to be read; it comes after the others of this call."""
    found = [(i, o) for i, f in enumerate(framed) for o in f.oversized]
    if not found:
        return
    made = pa.RecordBatch.from_pydict(
        {
            "reason": pa.array(["too_long"] * len(found)).dictionary_encode(),
            "length": pa.array([o.length for _, o in found], pa.uint64()),
            "raw": pa.array([o.raw for _, o in found], TABLES[REJECTED_LINE].column("raw").arrow),
        }
    )
    numbers = np.array([o.line for _, o in found], np.int64)
    batch = pods.beside(made, np.array([i for i, _ in found]), numbers)
    raw = [o.raw for _, o in found] if keep_raw else None
    table = Table(batch, total + np.arange(len(found)), np.full(len(found), NO_TIME, np.int64), raw)
    before = tables.get(REJECTED_LINE)
    tables[REJECTED_LINE] = table if before is None else _after(before, table)


def _after(one: Table, two: Table) -> Table:
    joined = pa.Table.from_batches([one.batch]).unify_dictionaries()
    joined = pa.concat_tables([joined, pa.Table.from_batches([two.batch])], promote_options="default")
    batch = joined.unify_dictionaries().combine_chunks().to_batches()[0]
    raw = None if one.raw is None or two.raw is None else [*one.raw, *two.raw]
    return Table(batch, np.concatenate((one.places, two.places)), np.concatenate((one.times, two.times)), raw)
