"""Fields of few values (code, flags, details; authority, host, cluster), read together as one text, once for each distinct one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import numpy.typing as npt

from parsers import derived, kernels, values
from parsers.arrow import Array, pa
from parsers.cells import Cell, Stretch
from parsers.derived import Columns
from parsers.exact import exact_pattern
from parsers.fields import Field
from parsers.kernels import Mask
from parsers.operators import NUMBER_COLUMNS

TOGETHER = (
    {
        "method",
        "protocol",
        "response_code",
        "response_flags",
        "response_code_details",
        "connection_termination_details",
        "upstream_transport_failure_reason",
    },
    {
        "authority",
        "upstream_host",
        "upstream_cluster",
        "downstream_local_address",
        "requested_server_name",
        "route_name",
    },
    {"x_forwarded_for", "user_agent"},
)
"""Columns that tell of one thing (what was answered, where it went, who asked): together they have few values."""
REMEMBERED_TEXTS = 1 << 14
ENOUGH_ROWS = 256
SKIPPED_CHUNKS = 16
"""Where the texts of a joint turned out to be many, it is not tried again before so many chunks."""
_LONGEST_CODE = 4
_FIRST_ROWS = 256
_MISFIT = 0
_SERVICE, _SERVER_NAME = derived.SERVICE, "requested_server_name"

Place = tuple[int, int]
"""A cell: its stretch, and its number there."""
Run = tuple[Place, Place]
"""Neighbouring cells, from the first to the last one."""


@dataclass(slots=True)
class _Known:
    """Values that were read, each once: for every text, the numbers of its fields' values (-1 for a missing one)."""

    is_number: tuple[bool, ...]
    texts: dict[str, int] = field(default_factory=dict)
    """The row of each text; 0, which has nothing but missing values, for one that does not fit."""
    values: list[list[str]] = field(default_factory=list)
    numbers: list[dict[str, int]] = field(default_factory=list)
    rows: int = 1
    table: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 0), np.int32))
    """A row of numbers for each of the `rows` that are there, and room for more."""

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.texts, self.rows = {}, 1
        self.table = np.full((_FIRST_ROWS, len(self.is_number)), -1, np.int32)
        self.values = [[] for _ in self.is_number]
        self.numbers = [{} for _ in self.is_number]

    def add(self, read: Sequence[str | None]) -> int:
        """The row of these values, one for each column."""
        if self.rows == len(self.table):
            self.table = np.concatenate((self.table, np.full_like(self.table, -1)))
        self.table[self.rows] = [self.number(i, value) for i, value in enumerate(read)]
        self.rows += 1
        return self.rows - 1

    def number(self, column: int, value: str | None) -> int:
        """The number of a column's value, a number's own one; -1 for none."""
        if value is None or value == "":
            return -1 if value is None or self.is_number[column] else self._numbered(column, value)
        return int(value) if self.is_number[column] else self._numbered(column, value)

    def _numbered(self, column: int, value: str) -> int:
        found = self.numbers[column].get(value)
        if found is None:
            found = self.numbers[column][value] = len(self.values[column])
            self.values[column].append(value)
        return found


@dataclass(slots=True)
class Joint:
    """Cells whose fields have few values together: read as one text, once per distinct one. Its `runs` need not be neighbours."""

    runs: tuple[Run, ...]
    places: tuple[Place, ...]
    fields: tuple[Field, ...]
    pattern: re.Pattern[bytes]
    """Of all runs, each but the last with the mark (a blank or a quote) after it, which ends it."""
    columns: tuple[str, ...]
    """What it fills: a column for each field, and those that its cluster tells."""
    known: _Known
    skipped: int = 0

    def read(self, text: str) -> int:
        """The row of a text's values; 0 for a text that does not fit."""
        found = self.pattern.fullmatch(text.encode())
        if found is None:
            return _MISFIT
        read: dict[str, str | None] = {
            one.column: None if group == b"-" else group.decode()
            for one, group in zip(self.fields, found.groups(), strict=True)
        }
        code = read.get("response_code")
        if code and (not code.isascii() or not code.isdigit() or len(code) > _LONGEST_CODE):
            return _MISFIT
        flags, cluster = read.get("response_flags"), read.get("upstream_cluster")
        if flags is not None:
            read["response_flags"] = values.flags(flags)
        if cluster is not None:
            read["upstream_cluster"] = derived.cluster_name(cluster)
            if _SERVICE in self.columns:
                read |= derived.of_cluster(cluster, read.get(_SERVER_NAME))
        return self.known.add([read.get(c) for c in self.columns])


def joints(found: Sequence[Stretch]) -> list[Joint]:
    """The groups of cells that are read so."""
    made: list[Joint] = []
    for names in TOGETHER:
        runs: list[list[Place]] = []
        before = False
        for i, one in enumerate(found):
            for n, cell in enumerate(one.cells):
                if _joins(cell, names):
                    if before:
                        runs[-1].append((i, n))
                    else:
                        runs.append([(i, n)])
                before = _joins(cell, names)
        joint = _joint(found, runs) if sum(map(len, runs)) > 1 else None
        if joint is not None:
            made.append(joint)
    return made


def _joins(cell: Cell, names: set[str]) -> bool:
    return cell.field is not None and cell.field.column in names


def _joint(found: Sequence[Stretch], runs: Sequence[Sequence[Place]]) -> Joint | None:
    pattern = b""
    held: list[Field] = []
    for i, run in enumerate(runs):
        parts = _parts(found, run)
        one = exact_pattern(parts)
        if one is None:
            return None
        opening = 1 if found[run[0][0]].quoted else 0
        pattern += one.pattern[opening:] + (_mark_after(found, run[-1]) if i < len(runs) - 1 else b"")
        held += [p for p in parts if isinstance(p, Field)]
    columns = tuple(f.column for f in held)
    if "upstream_cluster" in columns and (_SERVER_NAME in columns or not _names(found) & {_SERVER_NAME}):
        columns += (derived.DIRECTION, derived.PORT, _SERVICE, derived.SUBSET)
    return Joint(
        tuple((run[0], run[-1]) for run in runs),
        tuple(place for run in runs for place in run),
        tuple(held),
        re.compile(pattern),
        columns,
        _Known(tuple(c in NUMBER_COLUMNS or c == derived.PORT for c in columns)),
    )


def _names(found: Sequence[Stretch]) -> set[str]:
    return {c.field.column for s in found for c in s.cells if c.field is not None}


def _mark_after(found: Sequence[Stretch], place: Place) -> bytes:
    stretch, number = place
    if number < len(found[stretch].cells) - 1 or found[stretch].trail:
        return b" "
    return b'"'


def _parts(found: Sequence[Stretch], run: Sequence[Place]) -> list[str | Field]:
    """Fields and literals of a run; the quote before it, where it begins within quotes."""
    parts: list[str | Field] = ['"'] if found[run[0][0]].quoted else []
    before: Place | None = None
    for stretch, number in run:
        if before is not None and before[0] == stretch:
            parts.append(" ")
        elif before is not None:
            between = found[before[0]].trail.decode()
            for i in range(before[0] + 1, stretch + 1):
                between += '"' + found[i].lead.decode()  # those between have nothing but literals
            parts.append(between)
        cell = found[stretch].cells[number]
        parts += [cell.prefix, *([cell.field] if cell.field is not None else []), cell.suffix]
        before = (stretch, number)
    return _merged(parts)


def _merged(parts: Sequence[str | Field]) -> list[str | Field]:
    """Neighbouring literals as one."""
    found: list[str | Field] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return found


def pays(joint: Joint, texts: Array) -> bool:
    """Whether there are so few distinct ones (of a dictionary array) that reading each costs little."""
    few = len(texts) < ENOUGH_ROWS or len(texts.dictionary) * 4 <= len(texts)
    joint.skipped = 0 if few else SKIPPED_CHUNKS
    return few


def fill(columns: Columns, joint: Joint, array: Array, good: Mask) -> None:
    """Add the columns of a joint from its texts (a dictionary array); rows that do not fit are cleared in `good`."""
    texts = array.dictionary.to_pylist()
    known = joint.known
    if len(known.texts) > REMEMBERED_TEXTS:
        known.clear()
    places = list(map(known.texts.get, texts, repeat(-1)))
    for i, place in enumerate(places):
        if place < 0:
            places[i] = known.texts[texts[i]] = joint.read(texts[i])
    rows = np.array(places, np.intp)
    code = kernels.codes(array).astype(np.intp)
    if _MISFIT in places:
        good &= (rows != _MISFIT).take(code)
    table = np.ascontiguousarray(known.table.take(rows, axis=0).T)
    for name, is_number, column in zip(joint.columns, known.is_number, table, strict=True):
        if is_number:
            numbers = column.take(code, mode="clip")
            columns[name] = kernels.masked(numbers.astype(np.uint16), pa.uint16(), numbers >= 0)
    worded = [i for i, is_number in enumerate(known.is_number) if not is_number]
    if worded:
        arrays = kernels.renumbered_all(code, table[worded], [known.values[i] for i in worded])
        columns.update(zip((joint.columns[i] for i in worded), arrays, strict=True))
