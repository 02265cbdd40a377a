"""A text format as a table's cells: what stands between its quotes, and there between blanks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from parsers.fields import Field

BLANK, QUOTE = " ", '"'


@dataclass(slots=True)
class Cell:
    """One piece between blanks: `prefix`, at most one field, `suffix`."""

    prefix: str = ""
    field: Field | None = None
    suffix: str = ""


@dataclass(slots=True)
class Stretch:
    """What stands before, between or after quotes: `lead`, cells divided by one blank each, `trail`.

    Between quotes the lead ends with a blank and the trail begins with one (`" a=%X% b="`: lead ` `, one cell, trail ` b=`). Without
    a field the lead is all there is. A quoted stretch with one cell is that cell whole, blanks included.
    """

    quoted: bool
    parts: list[str | Field] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    lead: bytes = b""
    trail: bytes = b""
    inner: list[str | Field] = field(default_factory=list)
    """The parts between lead and trail."""

    @property
    def blanks(self) -> int | None:
        """How many blanks stand in it; None: any number, since its one value can hold some."""
        if self.quoted and len(self.cells) == 1:
            return None
        return self.lead.count(b" ") + max(len(self.cells) - 1, 0) + self.trail.count(b" ")


def stretches(parts: Sequence[str | Field]) -> list[Stretch] | None:
    """The stretches of a format, quoted ones at odd places; None where its quotes and blanks do not divide it so."""
    found = [Stretch(False)]
    for part in parts:
        if isinstance(part, Field):
            found[-1].parts.append(part)
            continue
        for i, text in enumerate(part.split(QUOTE)):
            if i:
                found.append(Stretch(not found[-1].quoted))
            if text:
                found[-1].parts.append(text)
    if found[-1].quoted:
        return None
    for i, one in enumerate(found):
        if not (_quoted_cells(one) if one.quoted else _plain_cells(one, first=i == 0, last=i == len(found) - 1)):
            return None
    if not any(c.field for s in found for c in s.cells):
        return None
    # The words of a quoted stretch need a blank before them that can be copied.
    for before, one in pairwise(found):
        if (
            one.quoted
            and len(one.cells) > 1
            and before is not found[0]
            and BLANK.encode() not in before.lead + before.trail
        ):
            return None
    return found


def _quoted_cells(one: Stretch) -> bool:
    one.inner = one.parts
    many = sum(isinstance(p, Field) for p in one.parts) > 1
    return _fill(one, _split(one.parts) if many else [one.parts])


def _plain_cells(one: Stretch, *, first: bool, last: bool) -> bool:
    inner = list(one.parts)
    if not any(isinstance(p, Field) for p in inner):
        one.lead = "".join(str(p) for p in inner).encode()
        return True
    if not first:
        begin = inner[0]
        if not isinstance(begin, str) or BLANK not in begin:
            return False
        at = begin.index(BLANK) + 1
        one.lead, inner[0] = begin[:at].encode(), begin[at:]
    if not last:
        end = inner[-1]
        if not isinstance(end, str) or BLANK not in end:
            return False
        at = end.rindex(BLANK)
        one.trail, inner[-1] = end[at:].encode(), end[:at]
    one.inner = [p for p in inner if p != ""]
    return _fill(one, _split(one.inner))


_Piece = list["str | Field"]


def _split(parts: Sequence[str | Field]) -> list[_Piece]:
    found: list[_Piece] = [[]]
    for part in parts:
        if isinstance(part, Field):
            found[-1].append(part)
            continue
        for i, text in enumerate(part.split(BLANK)):
            if i:
                found.append([])
            if text:
                found[-1].append(text)
    return found


def _fill(one: Stretch, pieces: list[_Piece]) -> bool:
    for piece in pieces:
        cell = Cell()
        for part in piece:
            if isinstance(part, Field):
                if cell.field is not None or (part.layout is not None and part.layout.holds_blank):
                    return False
                cell.field = part
            elif cell.field is None:
                cell.prefix += part
            else:
                cell.suffix += part
        if cell.field is None and cell.prefix == "-":
            return False  # a missing value is told by its cell being exactly `-`
        one.cells.append(cell)
    return True
