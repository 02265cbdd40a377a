"""Lines that nobody printed: no reader raises, every line is one row, and a sure row says what stands in the line."""

from __future__ import annotations

import random

import pytest

from logproc.model import ACCESS_LOG, PLAIN, Parsed, Text
from parsers import open_parser
from parsers.defaults import TEXT_DEFAULTS
from parsers.format_string import Format
from parsers.grammar import read_line
from parsers.nearest import nearest
from tests.parsers.lines import TEXTS, render

PIECES = [
    b'"', b'" "', b" ", b"-", b"\\", b"|", b"[", b"]", b"{", b"\0", b"\t", b"\r", b"\xff", b"\xc3\xa9", b"HTTP/1.1", b'" 200 - ', b"outbound|80||x",
    b"1.2.3.4:80", b"[2026-11-21T10:15:42.123Z] ", b'"GET / HTTP/1.1"', b"99999999999999999999", b"", b"",
]  # fmt: skip
CHECKED = 5
"""One line of so many is read by the grammar too; it is a thousand times slower."""


def fuzzed(random_: random.Random, line: bytes) -> bytes:
    for _ in range(random_.choice((0, 1, 1, 2, 3))):
        at = random_.randrange(len(line) + 1)
        line = line[:at] + random_.choice(PIECES) + line[at + random_.choice((0, 0, 1, 2, 9)) :]
    return line


def check(parsed: Parsed, lines: list[bytes], format: Format, sample: range) -> None:
    """Each line is one row of one table; what is sure equals the reference, and stands in the line."""
    numbers = sorted(n for rows in parsed.rows.values() for n in rows.tolist())
    assert numbers == list(range(len(lines)))
    rows = dict(zip(parsed.rows[ACCESS_LOG].tolist(), range(len(numbers)), strict=False))
    table = parsed.tables[ACCESS_LOG]
    texts = {
        name: table.column(name).to_pylist()
        for name in ("path", "user_agent", "authority", "upstream_host", "route_name", "doubt")
    }
    for number, row in rows.items():
        shown = lines[number].decode(errors="replace")
        for name in ("path", "user_agent", "authority", "upstream_host", "route_name"):
            assert texts[name][row] is None or texts[name][row] in shown
    for number in sample:
        reading = read_line(format, lines[number].rstrip(b"\r"))
        if number not in rows or reading.failure is not None:
            # What does not fit may be read as another format or as a line cut short, but then never as sure by this one.
            continue
        row = table.slice(rows[number], 1).to_pylist()[0]
        # Of several reasons for doubt one is named; that a line is no UTF-8 is one more.
        several = row["doubt"] == "encoding" and reading.doubt and "\ufffd" in lines[number].decode(errors="replace")
        assert (row["doubt"] or "") == reading.doubt or several, lines[number]
        for name in TEXTS:
            if name not in ("timestamp", "request_id"):
                assert row[name] == reading.columns.get(name), (name, lines[number])


def run(count: int, seed: int, every: int) -> None:
    random_ = random.Random(seed)
    for fmt in [d.format for d in TEXT_DEFAULTS]:
        line = render(fmt).encode()
        lines = [fuzzed(random_, line) for _ in range(count)]
        data = b"".join(one.replace(b"\n", b"") + b"\n" for one in lines)

        parsed = open_parser(fmt).parse([Text("a", PLAIN, data, count)])

        check(parsed, lines, fmt, range(0, count, every))


def test_fuzzed_lines() -> None:
    run(300, 1, CHECKED)


@pytest.mark.long
def test_a_million_fuzzed_lines() -> None:
    for seed in range(10):
        run(100_000 // len(TEXT_DEFAULTS) + 1, seed, 200)


def test_where_a_line_stops_fitting_is_where_the_grammar_stops() -> None:
    random_ = random.Random(3)
    same = tried = 0
    for fmt in [d.format for d in TEXT_DEFAULTS]:
        for broken in [fuzzed(random_, render(fmt).encode()) for _ in range(15)]:
            reading = read_line(fmt, broken)
            if reading.failure is None:
                continue
            tried += 1
            found = nearest(broken, [fmt])[1]
            assert 0 <= found.offset <= len(broken)
            assert found.expected
            same += found.offset == reading.failure.offset
    # They differ where one free field ends and both ways of going on are wrong.
    assert tried > 40
    assert same >= 0.6 * tried
