"""Where a statement's FORMAT is and where its data begin, whatever is around them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.errors import QueryError
from logproc.serve.statements import Insert, Query, read, tokens

BLANK = st.sampled_from([" ", "\n", "\t", " /* FORMAT x; */ ", " -- FORMAT y;\n", "  "])
TEXTS = st.sampled_from(
    [
        "'FORMAT CSV'",
        "`FORMAT`",
        '"; --"',
        "'it\\'s'",
        "'it''s'",
        "$$ FORMAT $$",
        "$a$ ' $$ $a$",
        "(1 AS FORMAT)",
        "[1, 2]",
        "x",
        "1.5e3",
        "‘FORMAT a’",
    ]
)


@given(
    words=st.lists(TEXTS, max_size=5),
    blank=BLANK,
    format=st.sampled_from(["", "JSON", "CSVWithNames"]),
    settings=st.booleans(),
    end=st.sampled_from(["", ";", " ; ;", ";-- end"]),
)
def test_only_the_last_format_is_taken(words: list[str], blank: str, format: str, settings: bool, end: str) -> None:
    head = blank.join(["SELECT", ", ".join(["1", *words])])
    tail = f"{blank}SETTINGS a = 1" if format and settings else ""
    statement = read(head + (f"{blank}FORMAT{blank}{format}" if format else "") + tail + end)

    assert isinstance(statement, Query)
    assert (statement.head, statement.format, statement.tail) == (head, format, tail.removeprefix(blank))
    assert statement.into("TSV", "/p").startswith(f"{head}\nINTO OUTFILE '/p' TRUNCATE FORMAT {format or 'TSV'}")


@given(
    table=st.sampled_from(["t", "`FORMAT`", "db.t", "db.`VALUES`", "TABLE t", '"a b"']),
    columns=st.sampled_from(["", "(a, b)", "(`FORMAT`, values)", "(* EXCEPT(x))"]),
    settings=st.sampled_from(["", "SETTINGS a = 1, b = 'FORMAT CSV'"]),
    format=st.sampled_from(["FORMAT CSV\n", "FORMAT Native\n", "format JSONEachRow\n", "VALUES "]),
    blank=BLANK,
    data=st.text(alphabet="ab'\"`;()\n-/*$ FORMATVALUES", min_size=1).filter(lambda t: t[0] not in " \t\n;"),
)  # fmt: skip
def test_the_data_of_an_insert_are_what_follows(
    table: str, columns: str, settings: str, format: str, blank: str, data: str
) -> None:
    text = blank.join(p for p in ("INSERT INTO", table, columns, settings, format) if p) + data
    statement = read(text)

    assert isinstance(statement, Insert)
    assert text[statement.data :].lstrip(" ") == data
    assert statement.format.lower() == format.rsplit(maxsplit=1)[-1].lower()
    assert statement.settings == settings
    reading = statement.reading("/p")
    assert "FROM INFILE '/p'" in reading
    assert reading.endswith(f"FORMAT {statement.format}")


@pytest.mark.parametrize("text", ["", "  ", "-- x", "/* x */", ";", "; ;"])
def test_nothing_is_no_statement(text: str) -> None:
    with pytest.raises(QueryError, match="Empty query"):
        read(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QueryError):
        read(text)
    found = list(tokens(text))
    assert [t.text for t in found] == [text[t.start : t.end] for t in found]
