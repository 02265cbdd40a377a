"""Parsed lines become complete tables and an account of every line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from logproc import codec
from logproc.columns import TABLES
from logproc.frames import Framed, Framer, Oversized
from logproc.model import (
    ACCESS_LOG,
    CRI,
    LEDGER,
    MESSAGE_LOG,
    PLAIN,
    REJECTED_LINE,
    ROW_TABLES,
    Batch,
    Chunk,
    Parsed,
    Span,
    Stream,
    Text,
)  # fmt: skip
from logproc.seal import DAY_MICROSECONDS, Sealer
from tests.frames import framed_lines

NOW = 1_800_000_000_000_000
WEB = Stream("/p/web.log", "shop", "web-7d4b9c6f5-x2x4z", "istio-proxy", "u1")
CART = Stream("/p/cart.log", "shop", "cart-0", "istio-proxy", "u2")


def parsed(**tables: tuple[list[int], dict[str, Any]]) -> Parsed:
    return Parsed(
        {t: pa.RecordBatch.from_pydict(columns) for t, (_, columns) in tables.items()},
        {t: np.array(rows, np.int64) for t, (rows, _) in tables.items()},
    )


def times(*microseconds: int | None) -> pa.Array[Any]:
    return pa.array(microseconds, pa.timestamp("us", tz="UTC"))


def seal(framed: list[Framed], found: Parsed) -> Batch:
    return Sealer("c0ffee", "node-1").seal(7, [(framed, found)], NOW, 100)


def test_rows_get_place_and_pod_and_every_column() -> None:
    framed = [framed_lines(["a", "b"], 5, 11, WEB), framed_lines(["c", "d", "e"], 0, 22, CART)]
    found = parsed(
        access_log=([0, 2, 4], {"timestamp": times(1, 2, 3), "method": ["GET", "PUT", None]}),
        message_log=([1], {"timestamp": times(4), "message": ["b"]}),
        rejected_line=([3], {"timestamp": times(None), "reason": ["format"], "length": [1], "raw": [b"d"]}),
    )

    batch = seal(framed, found)

    assert list(batch.tables) == [ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE, LEDGER]
    for name, table in batch.tables.items():
        assert table.schema == TABLES[name].schema
    access = batch.tables[ACCESS_LOG].to_pylist()
    assert [(r["file_id"], r["line"], r["k8s_pod"], r["app"], r["method"]) for r in access] == [
        (11, 5, WEB.k8s_pod, "web", "GET"),
        (22, 0, "cart-0", "cart", "PUT"),
        (22, 2, "cart-0", "cart", None),
    ]
    assert {(r["weight"], r["k8s_node"], r["version"], r["k8s_namespace"]) for r in access} == {
        (1, "node-1", "", "shop")
    }
    (rejected,) = batch.tables[REJECTED_LINE].to_pylist()
    assert (rejected["line"], rejected["timestamp"], rejected["raw"]) == (1, rejected["received_at"], b"d")


def test_the_ledger_accounts_for_every_line() -> None:
    framed = [framed_lines(["a", "b"], 5, 11, WEB), framed_lines(["c"], 0, 22, CART)]
    found = parsed(
        access_log=([0, 2], {"timestamp": times(1_000_000, 2_000_000)}),
        message_log=([1], {"timestamp": times(3_000_000), "message": ["b"]}),
    )

    batch = seal(framed, found)

    ledger = batch.tables[LEDGER].to_pylist()
    assert [
        (r["file_id"], r["first_line"], r["lines"], r["start"], r["end"], r["access_rows"], r["message_rows"])
        for r in ledger
    ] == [(11, 5, 2, 50, 70, 1, 1), (22, 0, 1, 0, 10, 1, 0)]
    assert {(r["collector"], r["seq"], r["state"], r["path"]) for r in ledger} == {
        ("c0ffee", 7, "stored", "/p/web.log"), ("c0ffee", 7, "stored", "/p/cart.log"),
    }  # fmt: skip
    assert [(s.min_time, s.max_time) for s in batch.spans] == [(1_000_000, 3_000_000), (2_000_000, 2_000_000)]


def test_times_that_cannot_be_are_replaced_and_doubted() -> None:
    found = parsed(
        access_log=(
            [0, 1, 2, 3],
            {
                "timestamp": times(1, None, NOW + DAY_MICROSECONDS + 1, NOW + DAY_MICROSECONDS),
                "doubt": [None, None, "quotes", "quotes"],
            },
        )
    )

    batch = seal([framed_lines(list("abcd"))], found)

    rows = batch.tables[ACCESS_LOG].to_pylist()
    assert [r["doubt"] for r in rows] == [None, "time", "time", "quotes"]
    assert [r["timestamp"] == r["received_at"] for r in rows] == [False, True, True, False]
    assert batch.spans[0].doubtful_time


@pytest.mark.parametrize("table", ROW_TABLES)
def test_a_span_with_a_row_that_has_the_time_of_sealing_says_so(table: str) -> None:
    timeless = seal([framed_lines(["a", "b"])], parsed(**{table: ([0, 1], {"timestamp": times(1, None)})}))
    cut = Framer(CRI).frame(Chunk(WEB, Span(11, 0, 33, 0, 1), b"2026-11-20T10:00:01Z stdout P a\n", last=True))
    timeless_and_cut = seal(cut, parsed(**{table: ([0], {"timestamp": times(None)})}))
    timed = seal([framed_lines(["a", "b"])], parsed(**{table: ([0, 1], {"timestamp": times(1, 2)})}))

    assert [b.spans[0].doubtful_time for b in (timeless, timeless_and_cut, timed)] == [True, True, False]


def test_lines_joined_from_fragments_have_the_number_of_the_last() -> None:
    data = b"T1 stdout P a\nT2 stdout F b\nT3 stdout F c\n".replace(b"T", b"2026-11-20T10:00:0").replace(b" s", b"Z s")
    chunk = Chunk(WEB, Span(11, 100, 100 + len(data), 40, 3), data)
    framed = Framer(CRI).frame(chunk)

    batch = seal(framed, parsed(message_log=([0, 1], {"timestamp": times(1, 2), "message": ["ab", "c"]})))

    assert [r["line"] for r in batch.tables[MESSAGE_LOG].to_pylist()] == [41, 42]
    assert (batch.spans[0].joined, batch.spans[0].joined_runs) == (1, ((40, 41),))
    assert batch.spans[0].span.lines == 3


def test_a_line_that_was_cut_is_doubted() -> None:
    framed = Framer(CRI).frame(Chunk(WEB, Span(11, 0, 33, 0, 1), b"2026-11-20T10:00:01Z stdout P a\n", last=True))

    batch = seal(framed, parsed(message_log=([0], {"timestamp": times(1), "message": ["a"]})))

    assert [r["doubt"] for r in batch.tables[MESSAGE_LOG].to_pylist()] == ["partial"]


def test_oversized_lines_stand_among_the_rejected_ones_in_their_order() -> None:
    text = Text(WEB.key, PLAIN, b"b\nd\n", 2)
    raw = b"2026-11-20T10:00:01.123456789Z stdout F zzz"
    framed = Framed(
        WEB, Span(11, 0, 9_000_000, 0, 4), text, np.array([1, 3], np.int64),
        oversized=(Oversized(0, 4_000_000, b"aaa"), Oversized(2, 5_000_000, raw)),
    )  # fmt: skip
    other = framed_lines(["x"], 0, 22, CART)
    found = parsed(
        rejected_line=([0, 2], {"timestamp": times(None, None), "reason": ["format"] * 2, "length": [1, 1], "raw": [b"b", b"x"]}),
        message_log=([1], {"timestamp": times(1), "message": ["d"]}),
    )  # fmt: skip

    batch = seal([framed, other], found)

    rows = batch.tables[REJECTED_LINE].to_pylist()
    assert [(r["file_id"], r["line"], r["reason"], r["length"]) for r in rows] == [
        (11, 0, "too_long", 4_000_000),
        (11, 1, "format", 1),
        (11, 2, "too_long", 5_000_000),
        (22, 0, "format", 1),
    ]
    assert rows[2]["timestamp"].isoformat() == "2026-11-20T10:00:01.123456+00:00"
    assert [s.rejected_rows for s in batch.spans] == [3, 1]


def test_a_pod_told_by_the_frame_goes_before_the_path() -> None:
    found = parsed(
        message_log=([0, 1], {"timestamp": times(1, 2), "message": ["a", "b"], "k8s_pod": ["api-x2x4z", "db-1"]})
    )

    batch = seal([framed_lines(["a", "b"], stream=Stream("-"))], found)

    assert [(r["k8s_pod"], r["app"]) for r in batch.tables[MESSAGE_LOG].to_pylist()] == [
        ("api-x2x4z", "api"),
        ("db-1", "db"),
    ]


def test_pieces_of_a_batch_are_one_table_and_one_row_of_the_ledger() -> None:
    pieces = [
        ([framed_lines(["a"], 4, 11, WEB)], parsed(access_log=([0], {"timestamp": times(5), "method": ["GET"]}))),
        (
            [framed_lines(["b", "c"], 5, 11, WEB), framed_lines(["d"], 0, 22, CART)],
            parsed(access_log=([0, 1, 2], {"timestamp": times(3, 4, 9), "method": ["PUT", None, "GET"]})),
        ),
        ([framed_lines(["f"], 8, 11, WEB)], parsed(message_log=([0], {"timestamp": times(1), "message": ["f"]}))),
    ]

    batch = Sealer("c0ffee", "node-1").seal(7, pieces, NOW, 100)

    rows = batch.tables[ACCESS_LOG].to_pylist()
    assert [(r["file_id"], r["line"], r["method"]) for r in rows] == [
        (11, 4, "GET"),
        (11, 5, "PUT"),
        (11, 6, None),
        (22, 0, "GET"),
    ]
    assert [(s.span.file_id, s.span.first_line, s.span.lines, s.min_time, s.max_time) for s in batch.spans] == [
        (11, 4, 3, 3, 5),
        (22, 0, 1, 9, 9),
        (11, 8, 1, 1, 1),
    ]
    assert batch.tables[LEDGER].num_rows == 3


def test_encoded_tables_come_back_as_they_were() -> None:
    batch = seal([framed_lines(["a"])], parsed(message_log=([0], {"timestamp": times(1), "message": ["a"]})))

    tables = codec.decode(codec.encode(batch.tables))

    assert list(tables) == [MESSAGE_LOG, LEDGER]
    for name, table in tables.items():
        assert table.equals(batch.tables[name])


def test_rows_older_than_the_sink_keeps_them_are_left_out_and_counted() -> None:
    framed = [framed_lines(["a", "b"], 5, 11, WEB), framed_lines(["c", "d"], 0, 22, CART)]
    old = NOW - 31 * DAY_MICROSECONDS
    found = parsed(
        access_log=([0, 1, 2], {"timestamp": times(old, NOW, old), "method": ["GET", "PUT", "GET"]}),
        message_log=([3], {"timestamp": times(old), "message": ["d"]}),
    )

    batch = Sealer("c", "n", keeps=lambda: {ACCESS_LOG: 30 * 86400}).seal(7, [(framed, found)], NOW, 100)

    assert [(r["file_id"], r["line"]) for r in batch.tables[ACCESS_LOG].to_pylist()] == [(11, 6)]
    assert batch.tables[MESSAGE_LOG].num_rows == 1, "that table keeps its rows for ever"
    counted = [
        (r["file_id"], r["lines"], r["access_rows"], r["message_rows"], r["left_out"])
        for r in batch.tables[LEDGER].to_pylist()
    ]
    assert counted == [(11, 2, 1, 0, 1), (22, 2, 0, 1, 1)]
    assert batch.spans[0].min_time == NOW
