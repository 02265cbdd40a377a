"""The strict reader: any line of a text format, however hostile, in linear time.

A format is blocks (literals with the fields Envoy alone makes, whose shape is known) with free fields between them, which can hold
anything, quotes included. A line fits where every block stands in it in order, the first at its start, the last at its end. A block
is *proved* where it can stand in exactly one place, a free field where both its neighbours are. All blocks proved: the line is sure.
Of a doubtful line only what is proved is filled; nothing is ever guessed.

All places a block can stand lie between the earliest (each block as far left as the ones before it allow) and the latest; so one
search from the left and one from the right decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from parsers.fields import FIELDS, QUOTES, Field, fields
from parsers.format_string import Format
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE

Spans = list[tuple[int, int] | None]
"""For each field of the format where its value stands; None: not proved."""


@dataclass(frozen=True, slots=True)
class Block:
    """Literals and shaped fields that stand together. `literal` where there is no field in it."""

    literal: bytes | None
    pattern: re.Pattern[bytes]
    fields: tuple[int, ...]


_Place = tuple[int, int, "re.Match[bytes] | None"]


class StrictReader:
    """Reads lines of one text format one by one."""

    def __init__(self, format: Format) -> None:
        self.parts = fields(format)
        self.fields: tuple[Field, ...] = tuple(p for p in self.parts if isinstance(p, Field))
        self.quotes = sum(p.count('"') for p in self.parts if isinstance(p, str))
        self.blocks, self.free = _blocks(self.parts)
        self._simple = simple(self.parts)
        self.pattern = b"|".join(b.pattern.pattern for b in self.blocks)
        """The same for formats that print the same shapes."""
        self._simple_groups = tuple(range(1, len(self.fields) + 1))

    def spans(self, line: bytes) -> tuple[Spans, str] | None:
        """Where the fields of a line (without its newline) stand, and why it is doubtful ('' for a sure line); None: it does not fit."""
        # Values without quotes and without the marks that follow them: nothing could stand anywhere else.
        found = self._simple.fullmatch(line) if self._simple else None
        if found is not None:
            return [found.span(g) for g in self._simple_groups], ""
        return self._search(line)

    def exact(self, line: bytes) -> bool:
        """Whether no value of the line holds a mark that also separates fields."""
        if self._simple is None:
            found = self._search(line)
            return found is not None and found[1] == ""
        return self._simple.fullmatch(line) is not None

    def _search(self, line: bytes) -> tuple[Spans, str] | None:
        blocks = self.blocks
        spans: Spans = [None] * len(self.fields)
        first = blocks[0].pattern.match(line)
        if first is None or (len(blocks) == 1 and first.end() != len(line)):
            return None
        for group, index in enumerate(blocks[0].fields, 1):
            spans[index] = first.span(group)
        if len(blocks) == 1:
            return spans, ""
        earliest: list[_Place] = [(0, first.end(), first)]
        at = first.end()
        for block in blocks[1:-1]:
            place = _first(block, line, at)
            if place is None:
                return None
            earliest.append(place)
            at = place[1]
        ends = _ends(blocks[-1], line, at)
        if not ends:
            return None
        earliest.append(ends[0])
        latest = [*earliest[:-1], ends[-1]]
        limit = ends[-1][0]
        for i in range(len(blocks) - 2, 0, -1):
            latest[i] = _last(blocks[i], line, earliest[i], limit)
            limit = latest[i][0]
        sure = True
        proved = [a[0] == b[0] for a, b in zip(earliest, latest, strict=True)]
        for i in range(1, len(blocks)):
            if not proved[i]:
                sure = False
                continue
            match = earliest[i][2]
            if match is not None:
                for group, index in enumerate(blocks[i].fields, 1):
                    spans[index] = match.span(group)
            if proved[i - 1]:
                spans[self.free[i - 1]] = (earliest[i - 1][1], earliest[i][0])
        if sure:
            return spans, ""
        return spans, QUOTES if line.count(b'"') > self.quotes else FIELDS


def _first(block: Block, line: bytes, at: int) -> _Place | None:
    if block.literal is not None:
        start = line.find(block.literal, at)
        return None if start < 0 else (start, start + len(block.literal), None)
    found = block.pattern.search(line, at)
    return None if found is None else (found.start(), found.end(), found)


def _last(block: Block, line: bytes, first: _Place, limit: int) -> _Place:
    """The last place that ends at or before `limit`; `first` is one."""
    if block.literal is not None:
        start = line.rfind(block.literal, first[0], limit)
        return (start, start + len(block.literal), None)
    last = first
    search = block.pattern.search
    found = search(line, first[0] + 1, limit)
    while found is not None:
        last = (found.start(), found.end(), found)
        found = search(line, found.start() + 1, limit)
    return last


def _ends(block: Block, line: bytes, at: int) -> list[_Place]:
    """First and last place at or after `at` from which the block reaches the line's end."""
    if block.literal is not None:
        start = len(line) - len(block.literal)
        return [(start, len(line), None)] if start >= at and line.endswith(block.literal) else []
    places: list[_Place] = []
    found = block.pattern.search(line, at)
    while found is not None:
        places[1:] = [(found.start(), found.end(), found)]
        found = block.pattern.search(line, found.start() + 1)
    return places


def _blocks(parts: Sequence[str | Field]) -> tuple[tuple[Block, ...], tuple[int, ...]]:
    """The blocks, and the number of the free field before each but the first."""
    blocks: list[Block] = []
    free: list[int] = []
    pattern, literal, held, index = b"", b"", list[int](), 0
    for part in parts:
        if isinstance(part, str):
            text = part.encode()
            pattern, literal = pattern + re.escape(text), literal + text
            continue
        if part.shape is None:
            blocks.append(Block(None if held else literal, re.compile(pattern), tuple(held)))
            free.append(index)
            pattern, literal, held = b"", b"", []
        else:
            pattern += b"(" + part.shape + b")"
            held.append(index)
        index += 1
    blocks.append(Block(None if held else literal, re.compile(pattern + rb"\Z"), tuple(held)))
    return tuple(blocks), tuple(free)


def simple(parts: Sequence[str | Field]) -> re.Pattern[bytes] | None:
    """All fields in one expression, for lines whose values hold no mark that also stands between fields.

    In such a line every mark counts: it has as many as the format, so none can be a part of a value, and there is one reading only.
    The marks are the quotes and, in each stretch between two quotes, the characters that follow its free fields. None where a value
    of fixed shape can hold a mark.
    """
    stretches: list[list[str | Field]] = [[]]
    for part in parts:
        if isinstance(part, Field):
            stretches[-1].append(part)
            continue
        for i, text in enumerate(part.split('"')):
            if i:
                stretches.append([])
            if text:
                stretches[-1].append(text)
    patterns: list[bytes] = []
    for number, stretch in enumerate(stretches):
        marks = {
            after[0] if isinstance(after, str) else ""
            for field, after in zip(stretch, stretch[1:], strict=False)
            if isinstance(field, Field) and field.shape is None
        }
        shaped = any(isinstance(p, Field) and p.shape is not None for p in stretch)
        if any(not m.isascii() or not m or (shaped and m != " ") for m in marks):
            return None
        if number % 2 == 0:
            marks.add(" ")
        other = b'([^"' + b"".join(re.escape(m.encode()) for m in sorted(marks)) + b"]*+)"
        pattern = b""
        for part in stretch:
            if isinstance(part, str):
                pattern += re.escape(part.encode())
            elif part.shape is None:
                pattern += other
            else:
                pattern += b"(" + (NO_BLANK_NO_QUOTE if part.shape == NO_BLANK else part.shape) + b")"
        patterns.append(pattern)
    return re.compile(b'"'.join(patterns))
