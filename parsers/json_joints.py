"""Values with few distinct texts, read together: pieces of a line joined to one text, and each distinct text looked at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from parsers import derived, kernels, values
from parsers.arrow import Array, pa
from parsers.json_keys import Keys, Meaning
from parsers.json_marks import Bools
from parsers.operators import NUMBER_COLUMNS, Kind

LITERAL = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false"
"""What JSON has without quotes, apart from `null`."""
VALUE = b'("[^"]*"|null|%s)' % LITERAL
KNOWN_TEXTS = 1 << 14
KNOWN_BYTES = 16 << 20
"""How many texts of a joint are remembered from chunk to chunk, and how long they may be together."""
OFTEN = 4
"""Lines to a distinct text, at least, so that looking at texts pays."""
_NO_TEXT = 0
_MISSING = {b"null", b'"-"'}
_LONGEST_NUMBER = 5
_SERVER_NAME, _CLUSTER = "requested_server_name", "upstream_cluster"
Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Filled:
    """What the values of a key become: the column of access_log named `name` if `is_column`, else texts under the key `name`."""

    name: str
    is_column: bool = False
    read: Callable[[str], str | None] = str
    bits: int = 0
    """Of a column of numbers."""

    def number(self, value: str | None, known: dict[str, int]) -> int | None:
        """The number that stands for a value, -1 for none; None for what is no number of the column's."""
        if value is None or (self.bits and not value):
            return -1
        if not self.bits:
            text = self.read(value)
            return -1 if text is None else known.setdefault(text, len(known))
        digits = value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
        return int(value) if digits and int(value) < 1 << self.bits else None


_DERIVED = tuple(
    Filled(name, True, str, NUMBER_COLUMNS.get(name, 16 * (name == derived.PORT)))
    for name in (derived.DIRECTION, derived.PORT, derived.SERVICE, derived.SUBSET)
)


def filled(keys: Sequence[str], known: Keys, *, typed: bool) -> list[Filled]:
    """What the values of these keys of one object become in a joint: columns only if `typed`, and one of each alone fills its column."""
    meanings = [known.meaning(key) for key in keys]
    columns = [meaning.column for meaning in meanings if meaning is not None]
    return [
        _column(meaning) if typed and meaning is not None and columns.count(meaning.column) == 1 else Filled(key)
        for key, meaning in zip(keys, meanings, strict=True)
    ]


def _column(meaning: Meaning) -> Filled:
    read = values.flags if meaning.kind is Kind.FLAGS else derived.cluster_name if meaning.kind is Kind.CLUSTER else str
    return Filled(meaning.column, True, read, NUMBER_COLUMNS.get(meaning.column, 0))


@dataclass(slots=True)
class Joint:
    """Some values of a line as one text. `pattern` has a group for the value of each of `keys`; `places` are its pieces."""

    places: tuple[int, ...]
    keys: tuple[int, ...]
    fills: tuple[Filled, ...]
    """For each key, and then what follows from the cluster if that is one of them."""
    pattern: re.Pattern[bytes]
    _texts: dict[bytes, int] = field(default_factory=dict)
    """The row of each text in `_table`; 0 for one that does not fit."""
    _size: int = 0
    _known: list[dict[str, int]] = field(default_factory=list)
    """The number of each value, by what it fills."""
    _table: Numbers = field(default_factory=lambda: np.empty((0, 0), np.int32))
    """Of each text: the number of each value, -1 for a missing one, and how many quotes it has."""

    def __post_init__(self) -> None:
        self._clear()

    @classmethod
    def of(cls, pieces: Mapping[int, tuple[int, int]], literals: Sequence[bytes], fills: Sequence[Filled]) -> Joint:
        """The joint of some pieces of a layout, each given by its first and its last literal."""
        keys = [key for first, last in pieces.values() for key in range(first, last)]
        parts = [VALUE.join(map(re.escape, literals[first : last + 1])) for first, last in pieces.values()]
        own = [fills[key] for key in keys]
        columns = {one.name for one in own if one.is_column}
        if _CLUSTER in columns and (_SERVER_NAME in columns or not any(one.name == _SERVER_NAME for one in fills)):
            own += _DERIVED
        return cls(tuple(pieces), tuple(keys), tuple(own), re.compile(b"".join(parts)))

    def _clear(self) -> None:
        self._texts, self._size = {}, 0
        self._known = [{} for _ in self.fills]
        self._table = np.full((1, len(self.fills) + 1), -1, np.int32)

    def read(self, texts: Array) -> Joined:
        """Read one text for each line, a dictionary array."""
        # A line of another layout can be cut within a character.
        distinct = texts.dictionary.view(pa.binary()).to_pylist()
        if len(self._texts) > KNOWN_TEXTS or self._size > KNOWN_BYTES:
            self._clear()
        known = self._texts
        new = [text for text in distinct if text not in known]
        if new:
            self._add(new)
        rows = np.array([known[text] for text in distinct], np.intp)
        numbers = np.ascontiguousarray(self._table.take(rows, axis=0).T)
        return Joined(self, kernels.codes(texts), rows, numbers, [list(one) for one in self._known])

    def _add(self, texts: Sequence[bytes]) -> None:
        """Learn what these texts tell."""
        table: list[list[int]] = []
        for text in texts:
            row = self._row(text)
            self._texts[text] = _NO_TEXT if row is None else len(self._table) + len(table)
            if row is not None:
                table.append(row)
        if table:
            self._table = np.concatenate((self._table, np.array(table, np.int32)))
        self._size += sum(map(len, texts))

    def _row(self, text: bytes) -> list[int] | None:
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        told = [None if group in _MISSING else group.strip(b'"').decode() for group in found.groups()]
        if len(self.fills) > len(self.keys):
            by_name = {one.name: value for one, value in zip(self.fills, told, strict=False)}
            cluster = by_name[_CLUSTER]
            more = derived.of_cluster(cluster, by_name.get(_SERVER_NAME)) if cluster is not None else {}
            told += [more.get(one.name) for one in _DERIVED]
        row: list[int] = []
        for one, value, known in zip(self.fills, told, self._known, strict=True):
            number = one.number(value, known)
            if number is None:
                return None
            row.append(number)
        row.append(text.count(b'"'))
        return row


@dataclass(frozen=True, slots=True)
class Joined:
    """The texts of a joint: `codes` has for each line which of the distinct ones it has. Of these, `rows` are 0 where a text does not fit,
    and `numbers` tell, for each of what the joint fills and then of the quotes, which of `known` or how many.
    """

    joint: Joint
    codes: Numbers
    rows: npt.NDArray[np.intp]
    numbers: Numbers
    known: list[list[str]]

    def filter(self, mask: Bools) -> Joined:
        """Only the lines where `mask` is true."""
        return Joined(self.joint, self.codes[mask], self.rows, self.numbers, self.known)

    def good(self) -> Bools | None:
        """Which lines' texts are values of all keys; None where all are."""
        fit = self.rows != _NO_TEXT
        return None if fit.all() else fit[self.codes]

    def quotes(self) -> Numbers:
        """How many quotes each line's text has."""
        found: Numbers = self.numbers[-1].take(self.codes)
        return found

    def fill(self, texts: dict[str, Any], columns: dict[str, Array]) -> None:
        """Add the columns of access_log, and dictionary arrays of the other values by key; null for `null` and `-`."""
        fills = self.joint.fills
        codes = self.codes.astype(np.intp)
        for one, numbers in zip(fills, self.numbers, strict=False):
            if one.bits:
                found = numbers.take(codes)
                whole = found.astype(f"u{one.bits // 8}")
                columns[one.name] = kernels.masked(whole, kernels.INTEGER[one.bits], found >= 0)
        worded = [i for i, one in enumerate(fills) if not one.bits]
        if worded:
            arrays = kernels.renumbered_all(codes, self.numbers[worded], [self.known[i] for i in worded])
            for i, array in zip(worded, arrays, strict=True):
                (columns if fills[i].is_column else texts)[fills[i].name] = array

    def many(self) -> list[int]:
        """The keys whose values are so many that they are not worth a joint; none where the texts repeat often enough."""
        lines = len(self.codes)
        if len(self.rows) * OFTEN <= lines:
            return []
        keys = self.joint.keys
        counts = [len(np.unique(row)) for row in self.numbers[: len(keys)]]
        return [key for key, n in zip(keys, counts, strict=True) if n * OFTEN > lines or n == max(counts)]


def grouped(pieces: Sequence[Sequence[int]], groups: Sequence[int]) -> list[list[int]]:
    """Which pieces are read together: those whose keys are mostly of one group, of two the later. `pieces`: the keys of each, none for a
    literal.
    """
    found: dict[int, list[int]] = {}
    for place, keys in enumerate(pieces):
        if keys:
            of_keys = [groups[key] for key in keys]
            most = max(of_keys, key=lambda group: (of_keys.count(group), group))
            found.setdefault(most, []).append(place)
    return list(found.values())
