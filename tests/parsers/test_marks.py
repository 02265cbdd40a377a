"""Marks of a chunk: every blank, quote and newline, and nothing else."""

from __future__ import annotations

import pytest

from parsers import marks


@pytest.mark.parametrize("line", [b'a "b" c', b'! "!!" !', b'"' + b" " * 999 + b'"', b" " * 99 + b'"!"' + b" !" * 99])
def test_all_marks_are_found_however_many_there_are(line: bytes) -> None:
    rows = 3 * marks.SLAB_BYTES // len(line)
    data = (line + b"\n") * rows

    found = marks.select(data, rows, 2)

    assert found.marks.tolist() == [i for i, byte in enumerate(data) if byte in b' "\n']
    assert len(found.lines) == rows


def test_lines_that_are_no_text_are_left_out() -> None:
    found = marks.select(b'a "b"\n\xff "b"\n\xc3\xa9 "b"\n\x01 "b"\n', 4, 2)

    assert found.lines.tolist() == [0, 2]
