"""Where a statement's FORMAT is and where its data begin, whatever is around them."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.errors import QueryError
from logproc.serve.statements import Insert, Query, read, tokens
from tests.serve.servers import Running

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


PIECES = [
    "'", '"', "`", "\\", "/*", "*/", "//", "--", "\n", " ", "$", "a", "$a$", "$$", "#", "# ", "#!", "1", "x1", ".", "(", ")", "‘", "’", "“", "”", "\ufeff", "ü",
    ",", "=", "1e5", "$a b$", "*", "/", "-", "\u00a0", "''",
]  # fmt: skip


def test_the_tokens_are_those_of_the_engine(server: Running) -> None:
    """A text or a comment that only one of the two sees hides what is in it from the other."""
    chosen = random.Random(4711)
    texts = ["".join(chosen.choices(PIECES, k=chosen.randint(1, 14))) for _ in range(3000)]
    rows = "\n".join(json.dumps({"s": text}) for text in texts)
    server.value("CREATE TABLE IF NOT EXISTS token_texts (s String) ENGINE = Memory")
    server.value(rows, query="INSERT INTO token_texts FORMAT JSONEachRow")
    answer = server.value("SELECT s, tokenizeQuery(s) AS t FROM token_texts FORMAT JSONCompactEachRow")
    compared = 0
    for line in answer.splitlines():
        text, said = json.loads(line)
        theirs = [(token["begin"], token["end"], token["type"]) for token in said]
        ours = list(tokens(text))
        if any(t.kind == "open" for t in ours) or any(kind.startswith("Error") for _, _, kind in theirs):
            continue
        compared += 1
        ends = [len(text[:n].encode()) for n in range(len(text) + 1)]
        found = {(ends[t.start], ends[t.end], t.kind) for t in ours if t.kind in {"text", "word"}}
        kinds = {"StringLiteral": "text", "QuotedIdentifier": "text", "HereDoc": "text", "BareWord": "word"}
        wanted = {
            (start, end, kinds[kind])
            for start, end, kind in theirs
            if kind in kinds and not text.encode()[start : start + 1].isdigit()
        }
        assert found == wanted, (text, theirs)
    assert compared > 500


@pytest.mark.parametrize("text", ["SELECT 'a", "SELECT 1 /* /* */", "SELECT $a$ b", "SELECT ‘a"])
def test_what_is_not_closed_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(QueryError, match=r"at position \d+ is not closed"):
        read(text)
