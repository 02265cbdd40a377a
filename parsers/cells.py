"""A text format as cells of a table: the pieces between blanks, and the quoted ones.

The tokenizer of the columnar reader knows one delimiter (a blank) and one quote. A quoted piece with several fields between blanks
(`"%METHOD% %PATH% %PROTOCOL%"`) is opened: its quotes are turned into blanks, and its fields are cells of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from parsers.fields import Field

BLANK, QUOTE = " ", '"'


@dataclass(slots=True)
class Cell:
    """One piece: `prefix`, at most one field, `suffix`. `edge`: nothing, beside a quote that was turned into a blank."""

    prefix: str = ""
    field: Field | None = None
    suffix: str = ""
    quoted: bool = False
    edge: bool = False


@dataclass(slots=True)
class Cells:
    """The cells of a format in order. `opened`: numbers of the quotes (counted in the line) that are turned into blanks."""

    cells: list[Cell] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    quotes: int = 0


def cells(parts: Sequence[str | Field]) -> Cells | None:
    """The cells of a format; None where blanks and quotes do not divide it into such pieces, so that only the strict reader knows it."""
    found = Cells()
    for piece, quoted in _pieces(parts) or ():
        if piece is None:
            return None
        inner = _split(piece)
        if quoted:
            found.quotes += 2
            if len(inner) > 1:
                found.opened += [found.quotes - 2, found.quotes - 1]
                quoted = False
                found.cells.append(Cell(edge=True))
            else:
                inner = [piece]
        for one in inner:
            cell = _cell(one, quoted)
            if cell is None:
                return None
            found.cells.append(cell)
        if len(inner) > 1:
            found.cells.append(Cell(edge=True))
    return found if any(c.field for c in found.cells) else None


def distances(found: Cells) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """What the places of a line's quotes must be, if they are at the right pieces.

    Each `(left, right, constant, cells)`: from mark `left` (-1: the line's start less one) to mark `right` are `constant` bytes and the
    bytes of those cells; the newline is the last mark. Where all stretches of a line but one and the number of its pieces are right,
    that one is too.
    """
    stretches: list[tuple[int, int, int, tuple[int, ...]]] = []
    mark, held, constant = -1, list[int](), 1
    left = -1
    inside = False
    for number, cell in enumerate(found.cells):
        if cell.edge:
            mark += 1
            stretches.append((left, mark, constant if not inside else constant - 1, tuple(held)))
            left, held, constant, inside = mark, [], 1, not inside
            if not inside:
                constant = 2
            continue
        if cell.quoted:
            mark += 2
            stretches.append((left, mark - 1, constant, tuple(held)))
            left, held, constant = mark, [], 2
        else:
            held.append(number)
            constant += 1
    stretches.append((left, found.quotes, constant - 1, tuple(held)))
    return stretches


_Piece = list["str | Field"]


def _pieces(parts: Sequence[str | Field]) -> list[tuple[_Piece | None, bool]]:
    """The format cut at blanks outside quotes; a piece that is quoted in part only is None."""
    found: list[tuple[_Piece | None, bool]] = []
    piece: _Piece = []
    inside = closed = False
    for part in parts:
        for one in part if isinstance(part, str) else [part]:
            if closed and one != BLANK:
                return [(None, False)]
            if one == QUOTE:
                if not inside and piece:
                    return [(None, False)]
                if inside:
                    found.append((piece, True))
                    piece, closed = [], True
                inside = not inside
            elif one == BLANK and not inside:
                if not closed:
                    found.append((piece, False))
                piece, closed = [], False
            else:
                piece.append(one)
    if inside:
        return [(None, False)]
    if not closed:
        found.append((piece, False))
    return found


def _split(piece: _Piece) -> list[_Piece]:
    """A piece cut at its blanks, if fields stand on both sides of one."""
    if sum(isinstance(p, Field) for p in piece) < 2:
        return [piece]
    found: list[_Piece] = [[]]
    for one in piece:
        if one == BLANK:
            found.append([])
        else:
            found[-1].append(one)
    return found


def _cell(piece: _Piece, quoted: bool) -> Cell | None:
    cell = Cell(quoted=quoted)
    for one in piece:
        if isinstance(one, str):
            if cell.field is None:
                cell.prefix += one
            else:
                cell.suffix += one
        elif cell.field is None:
            cell.field = one
        else:
            return None
    if cell.field is not None and cell.field.layout is not None and cell.field.layout.holds_blank:
        return None
    # A missing value is told by its cell being exactly `-`.
    return None if cell.field is None and cell.prefix == "-" else cell
