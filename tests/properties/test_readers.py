"""Random formats and values, printed as Envoy prints them: the three readers agree with one another and with what was printed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc.model import ACCESS_LOG, PLAIN, Text
from parsers import compile_format, open_parser, parse_lines
from parsers.columnar import ColumnarReader
from parsers.defaults import TEXT_DEFAULTS
from parsers.detect import strict_reader
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.grammar import Reading, read_line
from parsers.operators import METHOD_SHAPE, NO_BLANK, NO_BLANK_NO_QUOTE, NO_QUOTE, NUMBER_SHAPE, PROTOCOL_SHAPE
from parsers.strict import NOWHERE
from tests.parsers.lines import render

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SHAPED: dict[bytes | None, st.SearchStrategy[str]] = {
    NUMBER_SHAPE: st.integers(0, 70000).map(str) | st.just("-") | st.just("") | st.just("99999999999999999999"),
    METHOD_SHAPE: st.sampled_from(["GET", "POST", "CONNECT", "-", "M-SEARCH"]),
    PROTOCOL_SHAPE: st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3", "-"]),
    NO_BLANK: st.sampled_from(["-", "via_upstream", "a{b,c}", "x", ""]),
    NO_QUOTE: st.sampled_from(["-", "", "10.1.2.3:80", "/run/my app.sock"]),
    NO_BLANK_NO_QUOTE: st.sampled_from(
        [
            "-",
            "",
            "10.1.2.3:80",
            "[2001:db8::1]:443",
            "outbound|80|v1|a.b.svc.cluster.local",
            "inbound|8080||",
            "UF,URX",
            "envoy://x/",
            "/a.sock",
        ]
    ),
}
TIMES = st.sampled_from(
    ["2026-11-21T10:15:42.123Z", "2024-02-29T23:59:59.999Z", "2023-02-29T00:00:00.000Z", "2026-01-01T00:00:00Z"]
)
PIECES = [
    '"',
    '" "',
    " ",
    "-",
    '" 200 - via_upstream - "-" 1 2 3 4 "',
    "HTTP/1.1",
    "outbound|1||evil 6.6.6.6:1",
    "1.1.1.1:1",
    "200",
    "é",
    "a",
    "[",
    "]",
    "|",
    "=",
]
FREE = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.sampled_from(
    ["-", "", "curl/8.7.1", "Mozilla/5.0 (X11; Linux)"]
)
TAME = st.text(st.sampled_from("abcXYZ019./:;_-~é"), max_size=12)


def value(one: Field, *, hostile: bool) -> st.SearchStrategy[str]:
    if one.layout is not None:
        return TIMES
    return SHAPED.get(one.shape, FREE if hostile else TAME)


@st.composite
def printed(draw: st.DrawFn, formats: st.SearchStrategy[Format], *, hostile: bool) -> tuple[Format, list[str], str]:
    """A format, the texts of its fields, and the line."""
    fmt = draw(formats)
    texts: list[str] = []
    line = ""
    for part in fields(fmt):
        if isinstance(part, str):
            line += part
        else:
            texts.append(draw(value(part, hostile=hostile)))
            line += texts[-1]
    return fmt, texts, line


OPERATORS = [
    "%START_TIME%", "%REQ(:METHOD)%", "%REQ(:PATH)%", "%PROTOCOL%", "%RESPONSE_CODE%", "%RESPONSE_FLAGS%", "%BYTES_SENT%", "%DURATION%",
    "%UPSTREAM_CLUSTER%", "%UPSTREAM_LOCAL_ADDRESS%", "%DOWNSTREAM_REMOTE_ADDRESS%", "%REQUESTED_SERVER_NAME%", "%REQ(X-REQUEST-ID)%",
    "%REQ(USER-AGENT)%", "%REQ(X-TEAM)%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "%TRACE_ID%", "%RESPONSE_CODE_DETAILS%",
]  # fmt: skip
WRAPPED = st.sampled_from(["{}", '"{}"', "[{}]", "k={}", 'k="{}"', '"{} {}"', 'k="{} {}";', "<{}>"])
DEFAULT_FORMATS = st.sampled_from([d.format for d in TEXT_DEFAULTS])


@st.composite
def formats(draw: st.DrawFn) -> Format:
    """Words, quoted groups and bracketed pieces between blanks, or other marks between them."""
    between = draw(st.sampled_from([" ", " ", " ", "|", ", ", "  "]))
    pieces = draw(
        st.lists(st.tuples(WRAPPED, st.sampled_from(OPERATORS), st.sampled_from(OPERATORS)), min_size=1, max_size=8)
    )
    return compile_format(between.join(w.format(*operators) for w, *operators in pieces))


def row_of(parsed: Any, index: int) -> dict[str, Any]:
    row = parsed.tables[ACCESS_LOG].slice(index, 1).to_pylist()[0]
    if row.get("timestamp") is not None:
        row["timestamp"] = int(row["timestamp"].timestamp()) * 1_000_000 + row["timestamp"].microsecond
    return {k: v for k, v in row.items() if v is not None}


def expected_row(reading: Reading) -> dict[str, Any]:
    return reading.columns | ({"doubt": reading.doubt} if reading.doubt else {})


def check(format: Format, texts: list[str], line: str) -> None:
    reader = strict_reader(format)
    raw = line.encode()
    found = reader.spans(raw)
    assert found is not None
    spans, doubt = found
    for span, text in zip(spans, texts, strict=True):
        assert span == NOWHERE or raw[span[0] : span[1]].decode() == text
        assert doubt or span != NOWHERE

    reading = read_line(format, line)
    assert reading.failure is None
    assert [t for _, t in reading.fields] == [None if s == NOWHERE else raw[s[0] : s[1]].decode() for s in spans]
    parsed = parse_lines([line], format)
    assert row_of(parsed, 0) == expected_row(reading)


@SETTINGS
@given(printed(DEFAULT_FORMATS, hostile=True))
def test_hostile_values_in_known_formats(case: tuple[Format, list[str], str]) -> None:
    check(*case)


@SETTINGS
@given(printed(formats(), hostile=True))
def test_hostile_values_in_random_formats(case: tuple[Format, list[str], str]) -> None:
    check(*case)


@SETTINGS
@given(st.lists(printed(st.just(TEXT_DEFAULTS[0].format), hostile=False), min_size=1, max_size=20))
def test_tame_values_are_sure_and_read_by_column(cases: list[tuple[Format, list[str], str]]) -> None:
    fmt = cases[0][0]

    parsed = parse_lines([line for _, _, line in cases], fmt)

    assert parsed.tables[ACCESS_LOG].num_rows == len(cases)
    for index, (_, texts, line) in enumerate(cases):
        reading = read_line(fmt, line)
        assert [t for _, t in reading.fields] == texts
        assert row_of(parsed, index) == expected_row(reading)


EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.sampled_from(["", '"', " ", "-", "0", "x", "\t", "é", "[", "HTTP/2"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=4,
)


@SETTINGS
@given(st.sampled_from([d.format for d in TEXT_DEFAULTS]) | formats(), EDITS)
def test_a_mutated_line_is_sure_only_where_the_reference_is(format: Format, edits: list[tuple[int, str, int]]) -> None:
    line = render(format)
    for at, text, removed in edits:
        at %= len(line) + 1
        line = line[:at] + text + line[at + removed :]

    found = ColumnarReader(format, PLAIN)
    reading = read_line(format, line)
    if found.possible and found.read(f"{line}\n".encode(), 1).lines.size:
        assert reading.failure is None
        assert reading.doubt == ""
    parsed = open_parser(format).parse([Text("a", PLAIN, f"{line}\n".encode(), 1)])
    if reading.failure is None:
        assert row_of(parsed, 0) == expected_row(reading)


@SETTINGS
@given(
    st.lists(printed(DEFAULT_FORMATS, hostile=True).map(lambda c: c[2]) | st.text(max_size=40), max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
)
def test_how_lines_are_cut_into_texts_never_shows(lines: list[str], cuts: list[int]) -> None:
    fmt = TEXT_DEFAULTS[0].format
    raw = [line.replace("\n", " ").encode() + b"\n" for line in lines]
    whole = open_parser(fmt).parse([Text(0, PLAIN, b"".join(raw), len(raw))])
    edges = [0, *sorted(min(c, len(raw)) for c in cuts), len(raw)]

    parts = open_parser(fmt).parse(
        [Text(i, PLAIN, b"".join(raw[a:b]), b - a) for i, (a, b) in enumerate(pairwise(edges))]
    )

    assert sum(len(r) for r in whole.rows.values()) == len(raw)
    for table, rows in whole.rows.items():
        assert parts.rows[table].tolist() == rows.tolist()
        assert parts.tables[table].to_pylist() == whole.tables[table].to_pylist()
