"""Rows on standard output."""

import json

import pytest

from sinks import make_sink
from tests.batches import batch, span, table_of


def test_rows_are_printed_in_the_order_of_lines_file_after_file(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    make_sink("stdout:").write(batch(0, [span(9, 0, 12), span(2, 5, 9)]))

    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    said = [(r["file_id"], r["line"], r["table"]) for r in rows]
    assert said == [
        (f, n, table_of(n)) for f, lines in ((9, range(12)), (2, range(5, 9))) for n in lines if table_of(n)
    ]


def test_two_spans_of_a_file_stand_together(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    make_sink("stdout:?encoding=json").write(batch(0, [span(9, 0, 3), span(2, 0, 3), span(9, 3, 6)]))

    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(r["file_id"], r["line"]) for r in rows] == [(9, n) for n in range(6)] + [(2, n) for n in range(3)]


def test_a_batch_without_rows_prints_nothing(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    make_sink("stdout:").write(batch(0, [span(9, 8, 9)]))

    assert capfdbinary.readouterr().out == b""
