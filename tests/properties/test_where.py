"""The compiled filter selects what a plain row-by-row reading of the same expression selects."""

from __future__ import annotations

import fnmatch
import operator
import random
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.columns import WORD
from logproc.where import compile_filter

Row = dict[str, Any]
Truth = bool | None

TEXTS = ["", "a", "ab", "b/a", "/api/x y", "a'b", 'say "b"', "ü"]
FLAGS = ["UO", "UF", "UF,URX", "DC", "X1"]
NUMBERS = [0, 1, 199, 200, 299, 404, 499, 500, 503, 599, 600, 65535]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

COLUMNS: dict[str, list[Any]] = {
    "response_code": NUMBERS,
    "duration_ms": [0, 1, 999, 1000, 1001, 60_000, 2**32 - 1],
    "method": TEXTS,
    "path": TEXTS,
    "response_flags": FLAGS,
}
_random = random.Random(1)
ROWS: list[Row] = [{name: _random.choice([None, *values]) for name, values in COLUMNS.items()} for _ in range(300)]
"""So many that every value of a column meets many of the others: only the expressions need to be found."""


def unknown(test: Callable[[Any], bool], column: str) -> Callable[[Row], Truth]:
    return lambda row: None if row[column] is None else test(row[column])


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def flipped(test: Callable[[Row], Truth]) -> Callable[[Row], Truth]:
    return lambda row: None if (t := test(row)) is None else not t


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Callable[[Row], Truth]]:
    kind = draw(st.sampled_from(["number", "class", "duration", "text", "in", "glob", "regex", "flag", "null"]))
    sign = draw(st.sampled_from(sorted(OPERATORS)))
    compare = OPERATORS[sign]
    text_column = draw(st.sampled_from(["method", "path"]))
    text = draw(st.sampled_from(TEXTS))
    if kind == "number":
        value = draw(st.sampled_from([*NUMBERS, -1, 65536]))
        return f"response_code {sign} {value}", unknown(lambda v: compare(v, value), "response_code")
    if kind == "class":
        value = draw(st.integers(1, 5))
        return f"code {sign} {value}xx", unknown(lambda v: compare(v // 100, value), "response_code")
    if kind == "duration":
        seconds = draw(st.sampled_from(["0.001", "1", "1.0005", "60", "5000000"]))
        return f"duration {sign} {seconds}s", unknown(lambda v: compare(v, float(seconds) * 1000), "duration_ms")
    if kind == "text":
        return f"{text_column}{sign}{quote(text)}", unknown(lambda v: compare(v, text), text_column)
    if kind == "in":
        some = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3))
        return f"{text_column} in ({', '.join(map(quote, some))})", unknown(lambda v: v in some, text_column)
    if kind == "glob":
        pattern = draw(st.sampled_from(["*", "a*", "*a*", "?", "??", "/api/*", "*'*"]))
        return f"{text_column} : {quote(pattern)}", unknown(lambda v: fnmatch.fnmatchcase(v, pattern), text_column)
    if kind == "regex":
        pattern = draw(st.sampled_from(["a", "^a", "a$", "[ab]+/", "^$"]))
        return f"{text_column} ~ {quote(pattern)}", unknown(lambda v: re.search(pattern, v) is not None, text_column)
    if kind == "flag":
        some = draw(st.lists(st.sampled_from(["UO", "UF", "URX", "DC", "X"]), min_size=1, max_size=2))
        return f"has_flag({', '.join(some)})", lambda row: bool(
            set((row["response_flags"] or "").split(",")) & set(some)
        )
    return f"{text_column} is null", lambda row: row[text_column] is None


def joined(parts: list[tuple[str, Callable[[Row], Truth]]], word: str) -> tuple[str, Callable[[Row], Truth]]:
    deciding = word == "or"

    def truth(row: Row) -> Truth:
        answers = [test(row) for _, test in parts]
        if deciding in answers:
            return deciding
        return None if None in answers else not deciding

    return f" {word} ".join(f"({text})" for text, _ in parts), truth


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=3)
    return (
        inner.map(lambda p: (f"not ({p[0]})", flipped(p[1])))
        | several.map(lambda p: joined(p, "and"))
        | several.map(lambda p: joined(p, "or"))
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(conditions(), grow, max_leaves=6), st.booleans())
def test_equals_a_reading_row_by_row(expression: tuple[str, Callable[[Row], Truth]], dictionaries: bool) -> None:
    text, test = expression
    word = WORD if dictionaries else pa.string()
    types = {"response_code": pa.uint16(), "duration_ms": pa.uint32(), "path": pa.string()}
    batch = pa.RecordBatch.from_pydict(
        {name: pa.array([row[name] for row in ROWS], types.get(name, word)) for name in COLUMNS}
    )

    assert compile_filter(text).mask(batch).tolist() == [test(row) is True for row in ROWS]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("code=5x'\"()[] and or not in:~<>!has_flag,.\t\n"), max_size=40))
def test_any_text_reads_or_is_an_expression_error(text: str) -> None:
    from logproc.errors import ExpressionError

    try:
        compile_filter(text)
    except ExpressionError as error:
        assert 0 <= error.offset <= len(text)
