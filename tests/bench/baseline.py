"""The baseline everything is compared with: what people write first, one lazy regular expression per line."""

from __future__ import annotations

import re

FIELDS = 26
LAZY = re.compile(
    rb'^\[(.*?)\] "(.*?) (.*?) (.*?)" (.*?) (.*?) (.*?) (.*?) "(.*?)" (.*?) (.*?) (.*?) (.*?) '
    rb'"(.*?)" "(.*?)" "(.*?)" "(.*?)" "(.*?)" (.*?) (.*?) (.*?) (.*?) (.*?) (.*)$'
)
CRI = re.compile(rb"^(\S+) (\S+) (\S) " + LAZY.pattern[1:])


def lazy(format: str) -> re.Pattern[bytes]:
    """The same for any text format: `(.*?)` for each operator, the last one greedy."""
    pieces = re.split(rb"%[A-Z_]+(?:\([^)]*\))?%", format.encode())
    return re.compile(
        b"^" + b"(.*?)".join(re.escape(piece) for piece in pieces[:-1]) + b"(.*)" + re.escape(pieces[-1]) + b"$"
    )


def tuples(data: bytes, pattern: re.Pattern[bytes] = LAZY) -> list[tuple[bytes, ...]]:
    """All lines of `data` as tuples of bytes; lines that do not match are left out."""
    match = pattern.match
    return [found.groups() for line in data.splitlines() if (found := match(line))]
