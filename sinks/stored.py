"""What is stored already: which lines of a batch go in unasked, what is asked, and what is left to insert.

A run of lines that begins exactly where the file's last one ended goes in unasked. Every other one is asked for first: the first
of a file after a start, a repeat, a file read again, a gap. The ledger answers by its runs; what it does not cover is looked up in
the row tables by `(file_id, line)`: rows without a ledger row are the trace of a crash between two inserts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logproc.model import ACCESS_LOG, LEDGER, ROW_TABLES, Batch
from sinks.connection import quoted

REMEMBERED_FILES = 100_000
FILES_PER_QUESTION = 500
"""A query text is at most 256 KiB; a file needs about 200 bytes of it."""
HOUR = 3600 * 1_000_000

Ask = Callable[[str], pa.Table]
Numbers = npt.NDArray[np.uint64]


class Run(NamedTuple):
    """Lines `[first, end)` and bytes `[start, stop)` of a file."""

    first: int
    end: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Missing:
    """What is left of a batch: the tables to insert, without empty ones, the ledger last.

    `dropped` names for each table the lines that were taken out of it (they belong into the insert's token);
    `hours` are the hours, in microseconds since 1970, of rows that were found without a ledger row: there the rollup can lack them.
    """

    tables: Mapping[str, pa.RecordBatch]
    dropped: Mapping[str, bytes] = field(default_factory=dict)
    hours: tuple[int, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What was found out about the files of one batch, until the batch is stored."""

    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    """Files of which more may be stored beyond this batch: their next run is asked for too."""


class Stored:
    """Answers for one store. `ask` runs a SELECT; `remembered` bounds the files whose end is kept in memory."""

    def __init__(self, ask: Ask, database: str, remembered: int = REMEMBERED_FILES) -> None:
        self._ask = ask
        self._database = database
        self._remembered = remembered
        self._ends: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._plan = _Plan()

    def missing(self, batch: Batch) -> Missing:
        """What of the batch is not stored yet. Ask again after every failed insert, and call `settle` after the last insert."""
        tables = {name: batch.tables[name] for name in (*ROW_TABLES, LEDGER) if name in batch.tables}
        ledger = tables.get(LEDGER)
        if ledger is None:
            return Missing(_not_empty(tables))
        runs = _runs(ledger)
        asked = self._files_to_ask(runs)
        if not asked:
            return Missing(_not_empty(tables))
        return self._without_stored(batch, tables, runs, asked)

    def settle(self) -> None:
        """The batch of the last `missing` is stored: remember where its files ended."""
        for file_id, end in self._plan.ends.items():
            self._ends.pop(file_id, None)
            if file_id not in self._plan.unsure:
                self._ends[file_id] = end
        while len(self._ends) > self._remembered:
            self._ends.popitem(last=False)

    def forget(self) -> None:
        """An insert failed, and nobody knows how far it got: the files of that batch are asked for again."""
        for file_id in self._plan.ends:
            self._ends.pop(file_id, None)

    def _files_to_ask(self, runs: Mapping[int, Sequence[tuple[int, Run]]]) -> list[int]:
        self._plan = _Plan()
        asked = []
        for file_id, of_file in runs.items():
            end = self._ends.get(file_id)
            follows = True
            for _, run in of_file:
                if run.end == run.first:
                    follows = False
                    continue
                follows = follows and end == (run.first, run.start)
                end = (run.end, run.stop)
            if end is not None:
                self._plan.ends[file_id] = end
            if not follows:
                asked.append(file_id)
        return asked

    def _without_stored(
        self,
        batch: Batch,
        tables: dict[str, pa.RecordBatch],
        runs: Mapping[int, Sequence[tuple[int, Run]]],
        asked: Sequence[int],
    ) -> Missing:
        covered: dict[int, list[Run]] = {}
        corrected: set[tuple[int, int]] = set()
        for files in _groups(asked):
            for file_id, run in self._ledger_rows(files, runs):
                if run.end == run.first:
                    corrected.add((file_id, run.first))
                else:
                    covered.setdefault(file_id, []).append(run)
        left = {f: [p for _, run in runs[f] for p in uncovered(run, covered.get(f, ()))] for f in asked}
        found, last = self._rows_found(batch, {f: pieces for f, pieces in left.items() if pieces})
        for file_id in asked:
            end = self._plan.ends.get(file_id, (-1, 0))[0]
            beyond = max([r.end for r in covered.get(file_id, ())] + [last.get(file_id, -1) + 1])
            # A wholly covered run says nothing about rows that a crash left behind it, without ledger row.
            if beyond > end or not left[file_id]:
                self._plan.unsure.add(file_id)
        return _cut(batch, tables, runs, _Answer(covered, corrected, found))

    def _ledger_rows(
        self, files: Sequence[int], runs: Mapping[int, Sequence[tuple[int, Run]]]
    ) -> Iterator[tuple[int, Run]]:
        firsts = [min(run.first for _, run in runs[f]) for f in files]
        ids = ", ".join(map(str, files))
        answer = self._ask(
            f"SELECT file_id, first_line, toUInt64(first_line + lines) AS end_line, start, end FROM {quoted(self._database, LEDGER)} "
            f"WHERE file_id IN ({ids}) AND state = 'stored' "
            f"AND first_line + lines >= transform(file_id, {_array(files)}, {_array(firsts)}, toUInt64(0))"
        )
        columns = [answer[c].to_pylist() for c in ("file_id", "first_line", "end_line", "start", "end")]
        for file_id, first, end, start, stop in zip(*columns, strict=True):
            yield file_id, Run(first, end, start, stop)

    def _rows_found(
        self, batch: Batch, left: Mapping[int, Sequence[Run]]
    ) -> tuple[dict[str, dict[int, Numbers]], dict[int, int]]:
        """Per table and file the lines that are there, and per file the last line of any table from the first one asked for."""
        since = _first_hour(batch, left)
        found: dict[str, dict[int, Numbers]] = {}
        last: dict[int, int] = {}
        for files in _groups(left):
            answer = self._ask(self._rows_question(files, left, since))
            columns = [answer[c] for c in ("name", "file_id", "found", "last")]
            for name, file_id, lines, last_line in zip(*columns, strict=True):
                file = file_id.as_py()
                if len(lines.values):
                    found.setdefault(name.as_py(), {})[file] = lines.values.to_numpy(zero_copy_only=False)
                last[file] = max(last.get(file, -1), last_line.as_py())
        return found, last

    def _rows_question(self, files: Sequence[int], left: Mapping[int, Sequence[Run]], since: int) -> str:
        # Not bounded above in time: rows behind the run show whether the file's next run has to be asked for.
        hours = f"AND timestamp >= fromUnixTimestamp64Micro({since}) " if since else ""
        ids = ", ".join(map(str, files))
        firsts = [min(r.first for r in left[f]) for f in files]
        ends = [max(max(r.end, r.first + 1) for r in left[f]) for f in files]
        selects = [
            f"SELECT '{name}' AS name, file_id, "
            "groupArrayIf(line, line < transform(file_id, files, ends, toUInt64(0))) AS found, max(line) AS last "
            f"FROM {quoted(self._database, name)} WHERE file_id IN ({ids}) {hours}"
            "AND line >= transform(file_id, files, firsts, toUInt64(0)) GROUP BY file_id"
            for name in ROW_TABLES
        ]
        return (
            f"WITH {_array(files)} AS files, {_array(firsts)} AS firsts, {_array(ends)} AS ends "
            f"SELECT * FROM ({' UNION ALL '.join(selects)})"
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the store said: runs in the ledger, corrections in it (file, line), and lines in the row tables without ledger row."""

    covered: Mapping[int, Sequence[Run]]
    corrected: set[tuple[int, int]]
    found: Mapping[str, Mapping[int, Numbers]]


def uncovered(run: Run, covered: Sequence[Run]) -> list[Run]:
    """The parts of a run that no covering run has, in order.

    A run without lines (the correction of a line counted as joined) is never covered by runs.
    """
    if run.end == run.first:
        return [run]
    pieces = []
    line, byte = run.first, run.start
    for other in sorted(covered):
        if other.end <= line:
            continue
        if other.first >= run.end:
            break
        if other.first > line:
            pieces.append(Run(line, other.first, byte, other.start))
        line, byte = other.end, other.stop
    if line < run.end:
        pieces.append(Run(line, run.end, byte, run.stop))
    return pieces


def _cut(
    batch: Batch,
    tables: Mapping[str, pa.RecordBatch],
    runs: Mapping[int, Sequence[tuple[int, Run]]],
    answer: _Answer,
) -> Missing:
    """The batch without what the answer has."""
    kept: dict[str, pa.RecordBatch] = {}
    dropped: dict[str, bytes] = {}
    hours: set[int] = set()
    uncut: dict[str, pa.RecordBatch] = {}
    corrections = {(f, run.first) for f, of_file in runs.items() for _, run in of_file if run.end == run.first}
    for name in ROW_TABLES:
        if name not in tables:
            continue
        rows = tables[name]
        files, lines = _identity(rows)
        in_ledger = np.zeros(len(files), dtype=bool)
        in_table = np.zeros(len(files), dtype=bool)
        for file_id, places in _by_file(files):
            of_file = lines[places]
            in_ledger[places] = _inside(of_file, answer.covered.get(file_id, ()))
            for line in (line for f, line in corrections if f == file_id):
                in_ledger[places[of_file == line]] = False
            there = answer.found.get(name, {}).get(file_id)
            if there is not None:
                in_table[places] = np.isin(of_file, there)
        in_table &= ~in_ledger
        out = in_ledger | in_table
        uncut[name] = rows if not in_ledger.any() else rows.filter(pa.array(~in_ledger))
        kept[name] = rows if not out.any() else rows.filter(pa.array(~out))
        if out.any():
            dropped[name] = np.stack([files[out], lines[out]]).tobytes()
        if in_table.any() and name == ACCESS_LOG:
            times = rows.column("timestamp").cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            hours |= {int(h) * HOUR for h in np.unique(times[in_table] // HOUR)}
    kept[LEDGER], dropped_runs = _cut_ledger(batch, tables[LEDGER], runs, answer, uncut)
    if dropped_runs:
        dropped[LEDGER] = dropped_runs
    return Missing(_not_empty(kept), dropped, tuple(sorted(hours)))


def _cut_ledger(
    batch: Batch,
    ledger: pa.RecordBatch,
    runs: Mapping[int, Sequence[tuple[int, Run]]],
    answer: _Answer,
    rows: Mapping[str, pa.RecordBatch],
) -> tuple[pa.RecordBatch, bytes]:
    """The ledger rows of what its runs do not cover yet, and the name of what was taken out."""
    whole = np.ones(ledger.num_rows, dtype=bool)
    pieces: list[dict[str, object]] = []
    for file_id, of_file in runs.items():
        for place, run in of_file:
            if run.end == run.first:
                whole[place] = (file_id, run.first) not in answer.corrected
                continue
            parts = uncovered(run, answer.covered.get(file_id, ()))
            if parts == [run]:
                continue
            whole[place] = False
            old = ledger.slice(place, 1).to_pylist()[0]
            pieces += [old | _counted(batch, file_id, part, rows) for part in parts]
    if whole.all():
        return ledger, b""
    taken_out = ledger.filter(pa.array(~whole))
    name = repr(list(zip(*(taken_out[c].to_pylist() for c in ("file_id", "first_line", "lines")), strict=True)))
    name += repr([(p["file_id"], p["first_line"], p["lines"]) for p in pieces])
    kept = pa.Table.from_batches(
        [ledger.filter(pa.array(whole)), pa.RecordBatch.from_pylist(pieces, schema=ledger.schema)]
    )
    return kept.unify_dictionaries().combine_chunks().to_batches()[0] if kept.num_rows else ledger.slice(
        0, 0
    ), name.encode()


def _counted(batch: Batch, file_id: int, run: Run, rows: Mapping[str, pa.RecordBatch]) -> dict[str, object]:
    """The columns of a ledger row that a smaller run changes, counted again from the rows and the joined runs."""
    counts: dict[str, int] = dict.fromkeys(ROW_TABLES, 0)
    times: list[npt.NDArray[np.int64]] = []
    for name, table in rows.items():
        files, lines = _identity(table)
        inside = (files == file_id) & (lines >= run.first) & (lines < run.end)
        counts[name] = int(inside.sum())
        times.append(table.column("timestamp").filter(pa.array(inside)).drop_null().cast(pa.int64()).to_numpy())
    all_times = np.concatenate(times) if times else np.empty(0, dtype=np.int64)
    joined = sum(
        max(0, min(end, run.end) - max(first, run.first))
        for counted in batch.spans
        if counted.span.file_id == file_id
        for first, end in counted.joined_runs
    )
    lines_in_all = run.end - run.first
    return {
        "first_line": run.first,
        "lines": lines_in_all,
        "start": run.start,
        "end": run.stop,
        "min_time": int(all_times.min()) if all_times.size else 0,
        "max_time": int(all_times.max()) if all_times.size else 0,
        "access_rows": counts["access_log"],
        "message_rows": counts["message_log"],
        "rejected_rows": counts["rejected_line"],
        "joined": joined,
        "left_out": lines_in_all - sum(counts.values()) - joined,
    }


def _runs(ledger: pa.RecordBatch) -> dict[int, list[tuple[int, Run]]]:
    """Per file the runs of the ledger's stored rows, each with the index of its row."""
    runs: dict[int, list[tuple[int, Run]]] = {}
    names = ("file_id", "first_line", "lines", "start", "end", "state")
    columns = [ledger.column(n).to_pylist() for n in names]
    for place, (file_id, first, lines, start, stop, state) in enumerate(zip(*columns, strict=True)):
        if state == "stored":
            runs.setdefault(file_id, []).append((place, Run(first, first + lines, start, stop)))
    return runs


def _first_hour(batch: Batch, left: Mapping[int, Sequence[Run]]) -> int:
    """Microseconds of the hour in which the rows asked for begin; 0 where their times do not tell."""
    first = 0
    for counted in batch.spans:
        if counted.span.file_id not in left:
            continue
        if counted.doubtful_time:
            return 0
        if counted.min_time:
            first = min(first or counted.min_time, counted.min_time)
    return first - first % HOUR


def _identity(rows: pa.RecordBatch) -> tuple[Numbers, Numbers]:
    return (
        rows.column("file_id").to_numpy(zero_copy_only=False).astype(np.uint64, copy=False),
        rows.column("line").to_numpy(zero_copy_only=False).astype(np.uint64, copy=False),
    )


def _by_file(files: Numbers) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Each file with the indexes of its rows, in their order."""
    order = np.argsort(files, kind="stable")
    _, starts = np.unique(files[order], return_index=True)
    for places in np.split(order, starts[1:]):
        if places.size:
            yield int(files[places[0]]), places


def _inside(lines: Numbers, runs: Sequence[Run]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(lines.size, dtype=bool)
    for run in runs:
        inside |= (lines >= run.first) & (lines < run.end)
    return inside


def _array(numbers: Sequence[int]) -> str:
    return f"CAST([{', '.join(map(str, numbers))}], 'Array(UInt64)')"


def _groups(files: Iterable[int]) -> Iterator[Sequence[int]]:
    rest = iter(files)
    while group := tuple(islice(rest, FILES_PER_QUESTION)):
        yield group


def _not_empty(tables: Mapping[str, pa.RecordBatch]) -> dict[str, pa.RecordBatch]:
    return {name: rows for name, rows in tables.items() if rows.num_rows}
