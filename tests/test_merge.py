"""Which batches are stored together, and what their merge looks like: no broker needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logproc import ledger, message
from logproc.merge import Limits, Overlap, cut, merged
from logproc.model import LEDGER, ROW_TABLES, Batch
from tests.batches import NOW, batch, correction, expected, span

FILE = 42


def rows(of: Batch, table: str) -> list[tuple[int, int]]:
    found = of.tables.get(table)
    if found is None:
        return []
    return list(zip(found.column("file_id").to_pylist(), found.column("line").to_pylist(), strict=True))


def chain(*ends: int, collector: str = "a" * 16) -> list[Batch]:
    return [
        batch(i, [span(FILE, first, end)], collector)
        for i, (first, end) in enumerate(zip((0, *ends), ends, strict=False))
    ]


def test_a_merge_has_all_rows_in_order_and_one_ledger_row_for_adjoining_spans() -> None:
    whole = merged([*chain(20, 45), batch(2, [span(7, 0, 10)], "a" * 16)], "t-0")

    assert [line for _, line in rows(whole, "access_log") if _ == FILE] == expected(FILE, 45)["access_log"]
    runs = whole.tables[LEDGER].to_pylist()
    assert [(r["file_id"], r["first_line"], r["lines"], r["collector"], r["seq"]) for r in runs] == [
        (FILE, 0, 45, "a" * 16, 0),
        (7, 0, 10, "a" * 16, 0),
    ]
    assert whole.sources == (("a" * 16, 0), ("a" * 16, 1), ("a" * 16, 2))
    assert whole.via == "t-0"


def test_collectors_keep_their_own_ledger_rows() -> None:
    whole = merged([*chain(20), batch(0, [span(7, 0, 10)], "b" * 16)], "t-0")

    assert [(r["collector"], r["lines"]) for r in whole.tables[LEDGER].to_pylist()] == [("a" * 16, 20), ("b" * 16, 10)]


def test_rows_that_say_dead_or_lost_come_through_as_they_are() -> None:
    spans = batch(3, [span(FILE, 20, 30)]).spans
    dead = Batch("a" * 16, 3, NOW, spans, {LEDGER: ledger.table("a" * 16, 3, "n", NOW, spans, state="dead")})
    mixed = chain(20)[0]
    lost = ledger.table("a" * 16, 0, "n", NOW, batch(9, [span(9, 0, 5)]).spans, state="lost")
    import pyarrow as pa

    joined = pa.Table.from_batches([mixed.tables[LEDGER], lost]).unify_dictionaries().combine_chunks().to_batches()[0]
    whole = merged([replace(mixed, tables=dict(mixed.tables) | {LEDGER: joined}), dead], "t-0")

    states = [(r["state"], r["file_id"], r["first_line"], r["lines"]) for r in whole.tables[LEDGER].to_pylist()]
    assert sorted(states) == [("dead", FILE, 20, 10), ("lost", 9, 0, 5), ("stored", FILE, 0, 20)]
    assert [s.span.lines for s in whole.spans] == [20]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_cut_never_has_a_line_twice_and_everything_is_cut(data: st.DataObject) -> None:
    batches = []
    for seq in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            first = data.draw(st.integers(0, 60))
            batches.append(
                batch(seq, [span(data.draw(st.sampled_from([1, 2])), first, first + data.draw(st.integers(1, 40)))])
            )
        else:
            batches.append(correction(seq, 1, data.draw(st.sampled_from([8, 18]))))
    limits = Limits(rows=data.draw(st.sampled_from([1, 50, 10_000])))
    left, seen = list(batches), 0
    while left:
        count = cut(((sum(t.num_rows for n, t in b.tables.items() if n != LEDGER), 100, b) for b in left), limits)
        part, left = left[:count], left[count:]
        seen += count
        overlap = Overlap()
        assert all(overlap.add(b) for b in part)
        whole = merged(part, "t-0")
        lines = [identity for table in ROW_TABLES for identity in rows(whole, table)]
        spans = [b.spans[0].span for b in part]
        assert len(lines) == len(set(lines)) or any(not s.lines for s in spans)
        assert sum(r["lines"] for r in whole.tables[LEDGER].to_pylist()) == sum(s.lines for s in spans)
    assert seen == len(batches)


def test_a_message_says_the_batch_and_what_is_no_batch_is_refused() -> None:
    made = batch(5, [span(FILE, 0, 40)])
    headers, value = message.headers_of(made), message.value_of(made)

    told = message.without_tables(headers)
    assert (told.collector, told.seq, told.spans) == (made.collector, 5, made.spans)
    assert message.with_tables(told, value).tables == made.tables

    with pytest.raises(message.Foreign, match="no logproc headers"):
        message.without_tables([])
    with pytest.raises(message.Foreign, match="no number"):
        message.without_tables([(message.VERSION_HEADER, b"one"), headers[1]])
    with pytest.raises(message.NewerError, match="batches of version 9"):
        message.without_tables([(message.VERSION_HEADER, b"9"), headers[1]])
    with pytest.raises(message.Foreign, match="cannot be read"):
        message.without_tables([headers[0], (message.BATCH_HEADER, json.dumps({"collector": "x"}).encode())])
    with pytest.raises(message.Foreign):
        message.with_tables(told, value[:-50])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([message.VERSION_HEADER, message.BATCH_HEADER, "x"]), st.binary(max_size=40))),
    st.binary(max_size=60),
)
def test_whatever_a_message_holds_it_is_foreign_or_newer(headers: list[tuple[str, bytes]], value: bytes) -> None:
    try:
        told = message.without_tables(headers)
        message.with_tables(told, value)
    except (message.Foreign, message.NewerError):
        pass


def test_the_note_that_a_batch_is_dead_leaves_the_batchs_token_free() -> None:
    spans = batch(3, [span(FILE, 20, 30)]).spans
    dead = Batch("a" * 16, 3, NOW, spans, {LEDGER: ledger.table("a" * 16, 3, "n", NOW, spans, state="dead")})

    assert merged([dead], "t-0").sources != merged([batch(3, [span(FILE, 20, 30)], "a" * 16)], "t-0").sources
