"""Rows as aligned text for people: plain columns without lines around them, as `kubectl get` prints them.

What a log contains is hostile: control characters and direction marks are shown as escapes, never sent to the terminal.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TextIO

MISSING = "-"
GAP = "  "
LEAST = 10
"""Characters to which a column of text may be cut on a terminal; where that does not suffice, rows are printed one below the other."""
WIDEST = 80
"""Characters to which a column is aligned where nothing is cut."""
DECIMALS = 3

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_MICROSECONDS = re.compile(r"\.\d{3}000(?=Z?$)")


class Kind(Enum):
    """How a column is shown."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Heading:
    """Name and kind of one column."""

    name: str
    kind: Kind = Kind.TEXT


class TextTable:
    """Writes rows in blocks; the first block decides how wide the columns are.

    `width`: characters of the terminal, into which rows are made to fit; None where the text goes elsewhere and nothing is cut.
    """

    def __init__(
        self,
        out: TextIO,
        headings: Sequence[Heading],
        *,
        width: int | None = None,
        colour: bool = False,
        header: bool = True,
    ) -> None:
        self._out, self._headings, self._width = out, headings, width
        self._bold, self._dim, self._plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
        self._header = header
        self._widths: list[int] = []
        self._vertical = False
        self._rows = 0

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Print a block of rows: plain Python values, None where one is missing."""
        columns = [cells(heading.kind, [row[i] for row in rows]) for i, heading in enumerate(self._headings)]
        if not self._widths:
            self._begin(columns)
        if self._vertical:
            self._write_vertical(columns, len(rows))
        elif rows:
            padded = [self._padded(i, column) for i, column in enumerate(columns)]
            self._out.write("".join([GAP.join(line) + "\n" for line in zip(*padded, strict=True)]))
        self._rows += len(rows)

    def _begin(self, columns: Sequence[Sequence[str | None]]) -> None:
        names = [printable(heading.name) for heading in self._headings]
        widest = [
            max([display_width(name), *(display_width(c or MISSING) for c in column)])
            for name, column in zip(names, columns, strict=True)
        ]
        if self._width is None:
            # One long text must not push the rest of every row away; what is longer stands out of its column.
            widest = [min(w, WIDEST) for w in widest]
        fitted = fit(widest, [h.kind is Kind.TEXT for h in self._headings], self._width)
        self._vertical = fitted is None
        self._widths = fitted or [max(map(display_width, names))]
        if self._header and not self._vertical:
            shown = [self._padded(i, [name], self._bold)[0] for i, name in enumerate(names)]
            self._out.write(GAP.join(shown) + "\n")

    def _padded(self, place: int, column: Sequence[str | None], style: str = "") -> list[str]:
        """One column's texts at its width, cut where a terminal has no room for them."""
        width, kind = self._widths[place], self._headings[place].kind
        last = place == len(self._headings) - 1
        missing = self._padded(place, [MISSING], self._dim)[0] if None in column else ""
        padded = []
        for text in column:
            if text is None:
                padded.append(missing)
                continue
            shown = text if self._width is None else cut(text, width)
            blanks = " " * (width - display_width(shown))
            if style:
                shown = f"{style}{shown}{self._plain}"
            padded.append(blanks + shown if kind is Kind.NUMBER else shown if last else shown + blanks)
        return padded

    def _write_vertical(self, columns: Sequence[Sequence[str | None]], rows: int) -> None:
        for i in range(rows):
            self._out.write(f"{self._dim}row {self._rows + i + 1}{self._plain}\n")
            for heading, column in zip(self._headings, columns, strict=True):
                text = column[i]
                shown = f"{self._dim}{MISSING}{self._plain}" if text is None else text
                self._out.write(f"  {self._bold}{printable(heading.name):<{self._widths[0]}}{self._plain}  {shown}\n")


def cells(kind: Kind, values: Sequence[Any]) -> list[str | None]:
    """The texts of one column, with as many decimals in each as the column needs."""
    # A whole number among others comes as an integer from JSON.
    if kind is Kind.NUMBER and any(isinstance(v, float) for v in values):
        decimals = max((_decimals(v) for v in values if isinstance(v, float)), default=0)
        return [None if v is None else _number(v, decimals) for v in values]
    texts = [v if v is None or (type(v) is str and v.isascii() and v.isprintable()) else cell(v) for v in values]
    if kind is Kind.TIME and all(t is None or _MICROSECONDS.search(t) for t in texts):
        return [None if t is None else _MICROSECONDS.sub(lambda m: m[0][:4], t) for t in texts]
    return texts


def cell(value: Any) -> str:
    """One value as text without control characters."""
    match value:
        case str():
            return printable(value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.%f")
        case bytes():
            return printable(value.decode("utf-8", "replace"))
        case dict() | list() | tuple():
            return printable(json.dumps(value, ensure_ascii=False, default=cell))
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """The text with everything escaped that could move the cursor, change colours or turn the direction of writing."""
    return _UNSAFE.sub(lambda m: m[0].encode("unicode_escape", "surrogatepass").decode(), text)


def display_width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """The text, shortened to a width with an ellipsis where it is longer."""
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[: max(len(text) - max(1, (display_width(text) - width + 1) // 2), 0)]
    return text + "…"


def fit(widest: Sequence[int], shrinks: Sequence[bool], width: int | None) -> list[int] | None:
    """The widths of columns within a terminal's: the widest ones that may shrink give way first. None where they cannot fit."""
    widths = list(widest)
    if width is None:
        return widths
    room = width - len(GAP) * (len(widths) - 1)
    while sum(widths) > room:
        most = max((w for w, shrinkable in zip(widths, shrinks, strict=True) if shrinkable), default=0)
        if most <= LEAST:
            return None
        # All columns of the greatest width shrink together to the next lower one, or as far as is needed.
        group = [i for i, w in enumerate(widths) if shrinks[i] and w == most]
        below = max([LEAST, *(w for i, w in enumerate(widths) if shrinks[i] and w < most)])
        needed = -(-(sum(widths) - room) // len(group))
        for i in group:
            widths[i] = max(below, most - needed)
    return widths


def _decimals(value: float) -> int:
    text = f"{value:.{DECIMALS}f}".rstrip("0")
    return len(text) - text.index(".") - 1 if "." in text else 0


def _number(value: Any, decimals: int) -> str:
    if value and abs(value) < 10**-DECIMALS:
        return f"{value:.2g}"
    return f"{value:.{decimals}f}"
