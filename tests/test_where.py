"""The filter language: what each form selects, and what an error says."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from logproc.columns import MAP, MESSAGE_LOG_TABLE, REJECTED_LINE_TABLE, TIMESTAMP, UUID, WORD
from logproc.errors import EXIT_USAGE, ExpressionError
from logproc.where import compile_filter

ID = "137068b0-3a6d-9e4b-91c4-9787a5af72e0"
NOW = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


ROWS = pa.RecordBatch.from_pydict(
    {
        "timestamp": pa.array(
            [at("2026-11-21 04:00"), at("2026-11-21 04:50"), at("2026-11-20"), None, at("2026-11-21 04:59:59")],
            TIMESTAMP,
        ),
        "method": pa.array(["GET", "POST", "GET", None, "PUT"], WORD),
        "path": pa.array(["/api/a", "/", "/api/b c?x=1", None, "/a'b"], pa.string()),
        "response_code": pa.array([200, 503, 404, None, 0], pa.uint16()),
        "response_flags": pa.array([None, "UF,URX", None, "UO", "DC"], WORD),
        "duration_ms": pa.array([1, 1500, 1501, None, 2**32 - 1], pa.uint32()),
        "bytes_sent": pa.array([0, 10_240, 2**64 - 1, None, 10_000], pa.uint64()),
        "request_id": pa.array([uuid.UUID(ID).bytes, None, *[uuid.UUID(int=7).bytes] * 3], UUID),
        "extra": pa.array([[("k", "v")], [], None, [("k", "w")], []], MAP),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("response_code = 503", [1]),
        ("code = 5xx", [1]),
        ("code != 5xx", [0, 2, 4]),
        ("code in (5xx, 404)", [1, 2]),
        ("code not in (5xx, 404)", [0, 4]),
        ("code >= 4XX", [1, 2]),
        ("code > 4xx", [1]),
        ("code < 70000", [0, 1, 2, 4]),
        ("code = -1", []),
        ("method = GET and path : /api/*", [0, 2]),
        ("method == 'GET' AND NOT path : '/api/?'", [2]),
        ("method <> GET", [1, 4]),
        ("method > GET", [1, 4]),
        ("path = '/a''b'", [4]),
        ("path !: /*", []),
        ("path ~ '^/a'", [0, 2, 4]),
        (r"path =~ '\?x=\d$'", [2]),
        ("path !~ api", [1, 4]),
        ("path is null", [3]),
        ("path is not null", [0, 1, 2, 4]),
        ("has_flag(UF)", [1]),
        ('has_flag("UO", "DC")', [3, 4]),
        ("not has_flag(UF)", [0, 2, 3, 4]),
        ("flags = 'URX,UF'", [1]),
        ("flags is null", [0, 2]),
        ("duration > 1.5s", [2, 4]),
        ("duration <= 1500.5ms", [0, 1]),
        ("duration = 0.5ms", []),
        ("bytes_sent >= 10Ki", [1, 2]),
        ("bytes_sent = 10k", [4]),
        ("bytes_sent > 18_446_744_073_709_551_615", []),
        ("bytes_sent < 99999999999999999999999", [0, 1, 2, 4]),
        ("timestamp >= 2026-11-21", [0, 1, 4]),
        ("timestamp < '2026-11-21 04:50'", [0, 2]),
        ("timestamp = 2026-11-21T05:50:00+01:00", [1]),
        ("time > 15m ago and time <= now", [1, 4]),
        (f"request_id = {ID}", [0]),
        (f"request_id not in ({ID.upper()})", [2, 3, 4]),
        ("extra['k'] = v", [0]),
        ('extra["k"] is null', [1, 2, 4]),
        ("service is null and user_agent is null", [0, 1, 2, 3, 4]),
        ("service = reviews or not service = reviews", []),
        ("method = PUT or method = GET and code = 404", [2, 4]),
        ("(method = PUT or method = GET) and code = 404", [2]),
        ("method = GET\n  and\tcode = 200", [0]),
    ],
)
def test_selects(text: str, rows: list[int]) -> None:
    assert [i for i, chosen in enumerate(compile_filter(text, now=NOW).mask(ROWS)) if chosen] == rows


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a column, has_flag(...), not, or '('"),
        ("code =", 7, "a value"),
        ("code = abc", 8, "a code (503, 5xx)"),
        ("code 5", 6, "an operator"),
        ("(code = 5", 10, "and, or, or ')'"),
        ("code = 5 and", 13, "a column, has_flag(...), not, or '('"),
        ("code = 5 foo = 3", 10, "and, or, or the end"),
        ("method = 'x", 10, "a value with its closing quote"),
        ("path ~ '(a'", 8, "a regular expression (missing )"),
        ("has_flag UO", 10, "'('"),
        ("has_flag(UO", 12, "',' or ')'"),
        ("request_id = 5", 14, "a UUID"),
        (f"request_id > {ID}", 14, "=, != or in"),
        ("extra = 3", 6, 'a key: extra["name"]'),
        ("method['x'] = 3", 7, "an operator"),
        ("duration > 3x", 12, "a duration"),
        ("duration > 3 ago", 12, "a duration"),
        ("time > yesterday", 8, "a time"),
        ("code : 5*", 8, "another operator"),
        ("code is 5", 9, "null or not null"),
        ("\tcode = x", 9, "a code"),
        ("(" * 5000 + "code = 5" + ")" * 5000, 1, "fewer parentheses"),
    ],
)
def test_an_error_names_the_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_filter(text)

    assert (error.value.line, error.value.column) == (1, column)
    assert error.value.expected.startswith(expected)
    assert error.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("respons_code = 5", "did you mean response_code?"),
        ("cod = 5", "did you mean code?"),
        ("zzz = 5", "its columns: timestamp,"),
    ],
)
def test_an_unknown_column_names_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_filter(text)

    assert error.value.hint.startswith(hint)


def test_other_tables_have_their_own_columns() -> None:
    messages = pa.RecordBatch.from_pydict({"level": pa.array(["info", "error"], WORD)})
    rejected = pa.RecordBatch.from_pydict(
        {"raw": pa.array([b"\xff GET", b"x"]), "length": pa.array([5, 1], pa.uint64())}
    )

    assert compile_filter("level = error", MESSAGE_LOG_TABLE).apply(messages).num_rows == 1
    assert list(compile_filter("raw ~ GET and length < 1k", REJECTED_LINE_TABLE).mask(rejected)) == [True, False]
    with pytest.raises(ExpressionError):
        compile_filter("has_flag(UO)", MESSAGE_LOG_TABLE)


def test_it_knows_the_columns_it_reads() -> None:
    assert compile_filter("code = 5xx or not (duration > 1s and has_flag(UO))").columns == {
        "response_code",
        "duration_ms",
        "response_flags",
    }


def test_no_rows() -> None:
    assert compile_filter("code = 5xx and path ~ a and extra['k'] is null").mask(ROWS.slice(0, 0)).tolist() == []
