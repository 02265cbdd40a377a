"""A text format as a table's cells: what stands between its quotes, and there between blanks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    """What stands before, between or after quotes: its cells, divided by one blank each.

    A stretch without quotes begins and ends with a blank, except at the line's start and end. A quoted one with one cell is that
    cell whole, blanks included.
    """

    quoted: bool
    parts: list[str | Field] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)


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
    return found if any(c.field for s in found for c in s.cells) else None


def _quoted_cells(one: Stretch) -> bool:
    many = sum(isinstance(p, Field) for p in one.parts) > 1
    return _fill(one, _split(one.parts) if many else [one.parts])


def _plain_cells(one: Stretch, *, first: bool, last: bool) -> bool:
    pieces = _split(one.parts)
    if not first:
        if pieces[0] or (len(pieces) == 1 and not last):
            return False
        pieces = pieces[1:]
    if not last:
        if pieces and pieces[-1]:
            return False
        pieces = pieces[:-1]
    # Before the first quote and after the last one there may be nothing at all.
    if (first or last) and pieces == [[]]:
        pieces = []
    return _fill(one, pieces)


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
