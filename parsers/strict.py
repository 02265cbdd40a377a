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


_Match = re.Match[bytes]


class StrictReader:
    """Reads lines of one text format one by one."""

    def __init__(self, format: Format) -> None:
        self.parts = fields(format)
        self.fields: tuple[Field, ...] = tuple(p for p in self.parts if isinstance(p, Field))
        self.quotes = sum(p.count('"') for p in self.parts if isinstance(p, str))
        self.blocks = _blocks(self.parts)
        self._exact = exact_pattern(self.parts)
        self.pattern = b"|".join(b.pattern.pattern for b in self.blocks)
        """The same for formats that print the same shapes."""
        self._start, self._end = self.blocks[0].pattern, self.blocks[-1]
        # A block with fields has a literal of size 0; without fields it is never empty, or its neighbours were one free field.
        self._middle = [(b.literal or b"", len(b.literal or b""), b.pattern.search) for b in self.blocks[1:-1]]
        self._backwards = [(*m, b.fields) for m, b in zip(self._middle[::-1], self.blocks[-2:0:-1], strict=True)]

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
        found = self._start.match(line)
        if found is None:
            return None
        if len(self.blocks) == 1:
            return (found.regs[1:], "") if found.end() == len(line) else None
        # From the left: each block at the first place after the one before.
        at = found.end()
        starts, ends, matches = [0], [at], [found]
        for literal, size, search in self._middle:
            if size:
                start = line.find(literal, at)
                if start < 0:
                    return None
                at = start + size
            else:
                match = search(line, at)
                if match is None:
                    return None
                start, at = match.span()
                matches.append(match)
            starts.append(start)
            ends.append(at)
        first, last, match = _reaching_the_end(self._end, line, at)
        if first < 0:
            return None
        starts.append(first)
        if match is not None:
            matches.append(match)
        return self._proved(line, starts, ends, matches, last)

    def _proved(
        self, line: bytes, starts: list[int], ends: list[int], matches: list[_Match], limit: int
    ) -> tuple[Spans, str]:
        """From the right: each block at the last place before the one after. Where that is its first place, there is no other.

        `starts`, `ends`: the first places of the blocks (without the end of the last); `matches`: of those with fields; `limit`: the
        last place of the last block.
        """
        found: list[Span] = []  # from the last field to the first
        after = sure = limit == starts[-1]
        if self._end.fields:
            end_match = matches.pop()
            found += end_match.regs[:0:-1] if after else (NOWHERE,) * self._end.fields
        right = starts.pop()
        for literal, size, search, held in self._backwards:
            first = starts.pop()
            if size:
                limit = line.rfind(literal, first, limit)
            else:
                last = search(line, first + 1, limit)
                limit = first if last is None else _last(search, line, last.start(), limit)
            end = ends.pop()
            if limit == first:
                found.append((end, right) if after else NOWHERE)
                if held:
                    found += matches.pop().regs[:0:-1]
                after = True
            else:
                found.append(NOWHERE)
                if held:
                    matches.pop()
                    found += (NOWHERE,) * held
                after = sure = False
            right = first
        found.append((ends[0], right) if after else NOWHERE)
        found += matches[0].regs[:0:-1]
        found.reverse()
        if sure:
            return found, ""
        return found, QUOTES if line.count(b'"') > self.quotes else FIELDS


def _last(search: Callable[..., _Match | None], line: bytes, first: int, limit: int) -> int:
    """The last place at which a block stands that ends at or before `limit`; `first` is one."""
    found = search(line, first + 1, limit)
    while found is not None:
        first = found.start()
        found = search(line, first + 1, limit)
    return first


def _reaching_the_end(block: Block, line: bytes, at: int) -> tuple[int, int, _Match | None]:
    """First and last place at or after `at` from which the block reaches the line's end; -1 for none."""
    if block.literal is not None:
        start = len(line) - len(block.literal)
        return (start, start, None) if start >= at and line.endswith(block.literal) else (-1, -1, None)
    found = block.pattern.search(line, at)
    if found is None:
        return -1, -1, None
    last, more = found.start(), block.pattern.search(line, found.start() + 1)
    while more is not None:
        last, more = more.start(), block.pattern.search(line, more.start() + 1)
    return found.start(), last, found


def _blocks(parts: Sequence[str | Field]) -> tuple[Block, ...]:
    """The blocks; a free field stands between any two."""
    blocks: list[Block] = []
    pattern, literal, held = b"", b"", 0
    for part in parts:
        if isinstance(part, str):
            text = part.encode()
            pattern, literal = pattern + re.escape(text), literal + text
        elif part.shape is None:
            blocks.append(Block(None if held else literal, re.compile(pattern), held))
            pattern, literal, held = b"", b"", 0
        else:
            pattern += b"(" + part.shape + b")"
            held += 1
    blocks.append(Block(None if held else literal, re.compile(pattern + rb"\Z"), held))
    return tuple(blocks)
