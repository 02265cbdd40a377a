"""Rows as JSON lines."""

import json
import uuid
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from logproc.columns import ACCESS_LOG_TABLE, REJECTED_LINE_TABLE
from logproc.jsonl import json_lines, rows_as_json


def rows_of(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=ACCESS_LOG_TABLE.schema)


def test_a_row_has_table_and_line_first_and_no_nulls() -> None:
    identity = uuid.uuid4()
    (text,) = rows_as_json(
        "access_log",
        rows_of({
            "timestamp": datetime(2026, 11, 21, 4, 37, 0, 123000, tzinfo=UTC), "line": 7, "method": "GET", "path": '/ü"\\\n',
            "response_code": 200, "request_id": identity.bytes, "extra": [("a", '"x"')], "doubt": "",
        }),
    )  # fmt: skip

    assert text.startswith('{"table":"access_log","line":7,"timestamp":"2026-11-21T04:37:00.123000Z"')
    assert json.loads(text) == {
        "table": "access_log", "line": 7, "timestamp": "2026-11-21T04:37:00.123000Z", "method": "GET", "path": '/ü"\\\n',
        "response_code": 200, "request_id": str(identity), "doubt": "", "extra": {"a": '"x"'},
    }  # fmt: skip
    assert "\n" not in text


def test_bytes_that_are_no_utf8_are_shown_with_a_replacement() -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"line": 1, "raw": b"a\xff\x00b", "reason": "format"}], schema=REJECTED_LINE_TABLE.schema
    )

    assert json.loads(rows_as_json("rejected_line", batch)[0])["raw"] == "a\ufffd\0b"


def test_lines_can_be_given_beside_the_rows() -> None:
    batch = pa.RecordBatch.from_pydict({"method": ["GET", None]})

    assert rows_as_json("access_log", batch, np.array([4, 9])) == [
        '{"table":"access_log","line":4,"method":"GET"}',
        '{"table":"access_log","line":9}',
    ]
    assert rows_as_json("access_log", batch)[1] == '{"table":"access_log"}'


def test_no_rows_are_no_lines() -> None:
    assert rows_as_json("access_log", rows_of()) == []
    assert json_lines({}, {}) == b""


@given(st.lists(st.tuples(st.sampled_from(["access_log", "message_log"]), st.text()), max_size=30))
def test_tables_are_merged_in_the_order_given(lines: list[tuple[str, str]]) -> None:
    tables, order = {}, {}
    for table, column in (("access_log", "path"), ("message_log", "message")):
        places = [i for i, (t, _) in enumerate(lines) if t == table]
        tables[table] = pa.RecordBatch.from_pydict(
            {"line": pa.array(places, pa.uint64()), column: pa.array([lines[i][1] for i in places], pa.string())}
        )
        order[table] = np.array(places, np.int64)

    read = [json.loads(text) for text in bytes(json_lines(tables, order)).splitlines()]

    assert [(r["table"], r.get("path", r.get("message"))) for r in read] == lines
    assert [r["line"] for r in read] == list(range(len(lines)))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
            st.one_of(st.none(), st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))),
            st.one_of(st.none(), st.text()),
            st.one_of(st.none(), st.integers(0, 2**32 - 1)),
        ),
        max_size=6,
    ),
    st.integers(0, 3),
)
def test_each_value_reads_back_as_it_was_and_a_slice_as_its_rows(
    values: list[tuple[bytes | None, datetime | None, str | None, int | None]], first: int
) -> None:
    names = ("request_id", "timestamp", "user_agent", "duration_ms")
    batch = rows_of(*({"line": n} | dict(zip(names, row, strict=True)) for n, row in enumerate(values)))

    read = [json.loads(text) for text in rows_as_json("access_log", batch)]

    for row, (identity, at, agent, duration) in zip(read, values, strict=True):
        assert row.get("request_id") == (str(uuid.UUID(bytes=identity)) if identity is not None else None)
        assert row.get("timestamp") == (f"{at:%Y-%m-%dT%H:%M:%S.%fZ}".rjust(27, "0") if at is not None else None)
        assert (row.get("user_agent"), row.get("duration_ms")) == (agent, duration)
    assert [json.loads(text) for text in rows_as_json("access_log", batch.slice(first))] == read[first:]
