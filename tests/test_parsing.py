"""Chunks to rows: how the bytes are cut never shows, and every line is counted."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc import reading
from logproc.jsonl import json_lines
from logproc.model import ROW_TABLES
from logproc.parsing import Reader, Totals, conform, schema
from logproc.reading import Input
from parsers import open_parser
from tests.test_parse import BROKEN, MESSAGE, access

CRI = "2026-11-20T08:01:06.859000001Z stdout "
LONG = access("/" + "y" * 400)
PLAIN_LINES = [access(), MESSAGE, LONG, BROKEN, "words", access("/\udcff", 503, "UO"), "\0\0", ""]
CRI_LINES = [
    [f"{CRI}F {access()}"],
    [f"{CRI}P {LONG[:100]}", f"{CRI}P {LONG[100:300]}", f"{CRI}F {LONG[300:]}"],
    [f"{CRI}F {MESSAGE}"],
    [f"{CRI}F {BROKEN}"],
]


def read(path: Path) -> tuple[list[str], Totals]:
    reader = Reader(open_parser())
    found: list[str] = []
    with closing(Input(str(path))) as source:
        for chunk in source.chunks():
            rows = reader.read(chunk)
            assert sum(b.num_rows for b in rows.tables.values()) <= max(chunk.span.lines, 1)
            numbers = {t: b.column("line").to_numpy().astype("int64") for t, b in rows.tables.items()}
            found += bytes(json_lines(rows.tables, numbers)).decode().split("\n")[:-1]
    return found, reader.totals


def assert_the_same_however_it_is_cut(
    file: Path, lines: list[str], block: int, monkeypatch: pytest.MonkeyPatch
) -> Totals:
    file.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    whole, totals = read(file)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "CHUNK_BYTES", block)
        cut, cut_totals = read(file)

    assert cut == whole
    assert cut_totals == totals
    assert totals.lines == len(lines) == len(whole) + totals.joined
    assert sum(totals.rows.values()) == len(whole)
    return totals


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(PLAIN_LINES), max_size=20), st.integers(40, 2000))
def test_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], block: int) -> None:
    # The frame and format of a stream are chosen from its first lines.
    assert_the_same_however_it_is_cut(tmp_path / "f", [access(), *lines], block, monkeypatch)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(CRI_LINES), max_size=12), st.integers(40, 2000))
def test_cri_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: list[list[str]], block: int) -> None:
    lines = [f"{CRI}F {access()}", *(line for group in groups for line in group)]

    totals = assert_the_same_however_it_is_cut(tmp_path / "f", lines, block, monkeypatch)

    assert totals.joined == 2 * sum(len(group) == 3 for group in groups)


def test_a_fragment_without_its_end_is_a_doubtful_row(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text(f"{CRI}F {access()}\n{CRI}P {LONG[:100]}\n")

    found, totals = read(file)

    assert len(found) == totals.lines == 2
    assert totals.joined == 0
    assert '"line":1' in found[1]


def test_oversized_lines_among_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 1000)
    file = tmp_path / "f"
    file.write_text("\n".join([access(), "x" * 2000, BROKEN, "x" * 3000, access()]))

    found, totals = read(file)

    assert totals.rows == {"access_log": 2, "message_log": 0, "rejected_line": 3}
    assert [line.split(",")[1] for line in found] == [f'"line":{n}' for n in range(5)]
    assert '"length":3000' in found[3]


@pytest.mark.parametrize("table", ROW_TABLES)
def test_rows_conform_to_one_schema(tmp_path: Path, table: str) -> None:
    file = tmp_path / "f"
    file.write_text("\n".join([access(), MESSAGE, BROKEN]))
    reader = Reader(open_parser())
    with closing(Input(str(file))) as source:
        (batch,) = [r.tables[table] for r in map(reader.read, source.chunks()) if table in r.tables]

    conformed = conform(batch, schema(table))

    assert conformed.schema == schema(table)
    assert conformed.num_rows == 1
    for name in batch.schema.names:
        assert conformed.column(name).to_pylist() == batch.column(name).to_pylist()
