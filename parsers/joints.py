"""Neighbouring fields of few values (code, flags, details), read as one text, once for each distinct one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parsers import kernels, values
from parsers.arrow import Array, pa
from parsers.cells import Stretch
from parsers.derived import Columns
from parsers.exact import exact_pattern
from parsers.fields import Field
from parsers.kernels import Mask
from parsers.operators import Kind

FEW_VALUES = {
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
}
REMEMBERED_TEXTS = 1 << 14


@dataclass(slots=True)
class Joint:
    """Neighbouring stretches `first` to `last` whose fields have few values: read as one text, once per distinct one."""

    first: int
    last: int
    fields: tuple[Field, ...]
    pattern: re.Pattern[bytes]
    known: dict[str, tuple[str | None, ...] | None] = field(default_factory=dict)

    def read(self, text: str) -> tuple[str | None, ...] | None:
        """The values, None for missing ones; None for a text that does not fit."""
        found = self.pattern.fullmatch(text.encode())
        if found is None:
            return None
        read = tuple(None if g == b"-" else g.decode() for g in found.groups())
        for one, value in zip(self.fields, read, strict=True):
            if one.kind is Kind.NUMBER and value and (not value.isascii() or not value.isdigit() or len(value) > 4):
                return None
        return read


def joints(found: Sequence[Stretch], *, framed: bool) -> list[Joint]:
    """The runs of stretches that are read so; with a frame its words stand in the first stretch, which is left out."""
    found_joints: list[Joint] = []
    start = 1 if framed else 0
    while start < len(found):
        stop = start
        while stop < len(found) and _has_few_values(found[stop]):
            stop += 1
        if sum(len(s.cells) for s in found[start:stop]) > 1:
            parts: list[str | Field] = []
            for i in range(start, stop):
                parts += ['"', found[i].lead.decode()] if i > start else []
                parts += [*found[i].inner, found[i].trail.decode() if i < stop - 1 else ""]
            pattern = exact_pattern([p for p in parts if p != ""])
            if pattern is not None:
                found_joints.append(Joint(start, stop - 1, tuple(p for p in parts if isinstance(p, Field)), pattern))
        start = max(stop, start + 1)
    return found_joints


def _has_few_values(one: Stretch) -> bool:
    return bool(one.cells) and all(c.field is not None and c.field.column in FEW_VALUES for c in one.cells)


def fill(columns: Columns, joint: Joint, array: Array, good: Mask) -> None:
    """Add the columns of a joint from its texts (a dictionary array); rows that do not fit are cleared in `good`."""
    texts = array.dictionary.to_pylist()
    known = joint.known
    if len(known) > REMEMBERED_TEXTS:
        known.clear()
    read: list[tuple[str | None, ...] | None] = []
    for text in texts:
        if text not in known:
            known[text] = joint.read(text)
        read.append(known[text])
    code = kernels.codes(array)
    if None in read:
        good &= np.array([r is not None for r in read])[code]
    for i, one in enumerate(joint.fields):
        column = [None if r is None else r[i] for r in read]
        if one.kind is Kind.NUMBER:
            numbers = np.array([int(v) if v else 0 for v in column], np.uint16)
            there = np.array([bool(v) for v in column])
            columns[one.column] = kernels.masked(numbers[code], pa.uint16(), there[code])
        elif one.kind is Kind.FLAGS:
            columns[one.column] = kernels.mapped(array, [None if v is None else values.flags(v) for v in column])
        else:
            columns[one.column] = kernels.mapped(array, column)
