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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from parsers.exact import exact_pattern
from parsers.fields import FIELDS, QUOTES, Field, fields
from parsers.format_string import Format

Span = tuple[int, int]
NOWHERE: Span = (-1, -1)
Spans = Sequence[Span]
"""For each field of the format where its value stands; NOWHERE: not proved."""


@dataclass(frozen=True, slots=True)
class Block:
    """Literals and shaped fields that stand together. `literal` where there is no field in it; `fields`: how many there are."""

    literal: bytes | None
    pattern: re.Pattern[bytes]
    fields: int
    begins: bytes
    """The byte it begins with; empty where a field stands first."""
    probe: bytes
    """The expression without groups."""


class StrictReader:
    """Reads lines of one text format one by one."""

    def __init__(self, format: Format) -> None:
        self.parts = fields(format)
        self.fields: tuple[Field, ...] = tuple(p for p in self.parts if isinstance(p, Field))
        self.quotes = sum(p.count('"') for p in self.parts if isinstance(p, str))
        self.blocks = _blocks(self.parts)
        self.pattern = b"|".join(b.pattern.pattern for b in self.blocks)
        """The same for formats that print the same shapes."""
        # The free fields are the groups before each block but the first, the fields of a block the groups behind them.
        backwards: list[_Behind] = []
        group = self.blocks[0].fields
        for block in self.blocks[1:]:
            group += 1
            ends = block is self.blocks[-1]
            # What stands beside a block that is not proved: the free field before it, its own, and the free one behind it.
            around = slice(group - 1, group + block.fields + (not ends))
            nowhere = (NOWHERE,) * (around.stop - around.start)
            backwards.append(_Behind(block.literal, block.pattern.search, group, around, nowhere))
            group += block.fields
        self._ends_free = bool(backwards) and backwards[-1].literal is not None
        # One that stands at the line's end and has no field has no other place.
        self._backwards = tuple(b for b in reversed(backwards) if b is not backwards[-1] or b.literal is None)

    # Compiled when they are first needed: most known formats are none that lines have.
    @cached_property
    def _exact(self) -> re.Pattern[bytes] | None:
        return exact_pattern(self.parts)

    @cached_property
    def _first(self) -> re.Pattern[bytes]:
        return _first_places(self.blocks)

    def spans(self, line: bytes) -> tuple[Spans, str] | None:
        """Where the fields of a line (without its newline) stand, and why it is doubtful ('' for a sure line); None: it does not fit."""
        # Values without quotes and without the marks that follow them: nothing could stand anywhere else.
        if self._exact is not None and line.count(b'"') == self.quotes:
            found = self._exact.fullmatch(line)
            if found is not None:
                return found.regs[1:], ""
        return self._search(line)

    def exact(self, line: bytes) -> bool:
        """Whether no value of the line holds a mark that also separates fields."""
        if self._exact is None:
            found = self._search(line)
            return found is not None and found[1] == "" and line.count(b'"') == self.quotes
        return self._exact.fullmatch(line) is not None

    def _search(self, line: bytes) -> tuple[Spans, str] | None:
        """From the left: each block at the first place after the one before.

        From the right: each block at the last place before the one after. Where that is its first place, there is no other.
        """
        found = self._first.match(line)
        if found is None:
            return None
        places = found.regs
        spans: list[Span] = []
        limit = places[-1][1] if self._ends_free else len(line)
        for literal, search, group, around, nowhere in self._backwards:
            first = places[group][1]
            limit = _last(search, line, first, limit) if literal is None else line.rfind(literal, first, limit)
            if limit != first:
                if not spans:
                    spans = list(places[1:])
                spans[around] = nowhere
        if not spans:
            return places[1:], ""
        return spans, QUOTES if line.count(b'"') > self.quotes else FIELDS


class _Behind(NamedTuple):
    """A block behind a free field, which is group `group`; `literal` is None where the block has fields."""

    literal: bytes | None
    search: Callable[..., re.Match[bytes] | None]
    group: int
    around: slice
    nowhere: tuple[Span, ...]


def _last(search: Callable[..., re.Match[bytes] | None], line: bytes, first: int, limit: int) -> int:
    """The last place at which a block stands that ends at or before `limit`; `first` is one."""
    found = search(line, first + 1, limit)
    while found is not None:
        first = found.start()
        found = search(line, first + 1, limit)
    return first


def _first_places(blocks: Sequence[Block]) -> re.Pattern[bytes]:
    """One expression that finds each block at the first place behind the one before, and never looks for another one: linear."""
    first, *others = blocks
    found = b"(?>" + first.pattern.pattern + b")"
    for block in others:
        # Up to the next place where the block can begin, and on while it does not stand there: many times as fast as byte by byte.
        other = b"[^" + re.escape(block.begins) + b"]*+"
        begin = re.escape(block.begins)
        free = other + b"(?:(?!" + block.probe + b")" + begin + other + b")*+" if block.begins else b".*?"
        found += b"(?>(" + free + b")" + block.pattern.pattern + b")"
    return re.compile(found, re.DOTALL)


def _blocks(parts: Sequence[str | Field]) -> tuple[Block, ...]:
    """The blocks; a free field stands between any two."""
    blocks: list[Block] = []
    open_parts: list[str | Field] = []
    for part in parts:
        if isinstance(part, Field) and part.shape is None:
            blocks.append(_block(open_parts, b""))
            open_parts = []
        else:
            open_parts.append(part)
    blocks.append(_block(open_parts, rb"\Z"))
    return tuple(blocks)


def _block(parts: Sequence[str | Field], end: bytes) -> Block:
    pattern, probe, literal, held = b"", b"", b"", 0
    for part in parts:
        if isinstance(part, Field):
            shape = part.shape or b""
            pattern, probe, held = pattern + b"(" + shape + b")", probe + b"(?:" + shape + b")", held + 1
        else:
            text = part.encode()
            pattern, probe, literal = pattern + re.escape(text), probe + re.escape(text), literal + text
    begins = parts[0].encode()[:1] if parts and isinstance(parts[0], str) else b""
    return Block(None if held else literal, re.compile(pattern + end), held, begins, probe + end)
