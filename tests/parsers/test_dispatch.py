"""Many streams, formats and tables: each line is one row of one table, in order, whatever stands beside it."""

from __future__ import annotations

import pytest

from logproc.model import ACCESS_LOG, CRI, MESSAGE_LOG, PLAIN, REJECTED_LINE, Parsed, Text
from parsers import open_parser, parse_lines
from parsers.defaults import TEXT_DEFAULTS
from parsers.lines import KEPT_BYTES
from tests.parsers.lines import render

FORMATS = [d.format for d in TEXT_DEFAULTS]
ISTIO = FORMATS[0]
MESSAGE = "2026-11-21T10:15:42.000000Z\tinfo\txds\tconnected"


def tables_of(parsed: Parsed, lines: int) -> list[str]:
    """The table of each line."""
    found: dict[int, str] = {}
    for table, rows in parsed.rows.items():
        assert len(rows) == parsed.tables[table].num_rows
        assert rows.tolist() == sorted(set(rows.tolist()))
        assert found.keys().isdisjoint(rows.tolist())
        found |= dict.fromkeys(rows.tolist(), table)
        parsed.tables[table].validate(full=True)
    return [found[i] for i in range(lines)]


def test_each_kind_of_line_has_its_table() -> None:
    cut = render(ISTIO)[:90]
    lines = [render(ISTIO), MESSAGE, cut, "plain words", "", "\0\1\2 binary", render(ISTIO)]

    found = parse_lines(lines)

    assert tables_of(found, 7) == [
        ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE, MESSAGE_LOG, MESSAGE_LOG, REJECTED_LINE, ACCESS_LOG,
    ]  # fmt: skip
    rejected = found.tables[REJECTED_LINE].to_pylist()
    assert [r["reason"] for r in rejected] == ["format", "binary"]
    assert [r["raw"] for r in rejected] == [cut.encode(), b"\0\1\2 binary"]


@pytest.mark.parametrize("many", [1, 200])
def test_known_formats_can_alternate_line_by_line(many: int) -> None:
    lines = [render(f, {"duration_ms": str(i)}) for i, f in enumerate(FORMATS * many)]

    found = parse_lines(lines)

    assert tables_of(found, len(lines)) == [ACCESS_LOG] * len(lines)
    table = found.tables[ACCESS_LOG]
    assert table.column("duration_ms").to_pylist() == list(range(len(lines)))
    assert table.column("upstream_host").to_pylist() == ["10.244.1.14:9080"] * len(lines)


def test_a_stream_can_change_its_format() -> None:
    parser = open_parser()
    old, new = FORMATS[4], FORMATS[0]

    def read(format_: object, count: int = 100) -> Parsed:
        data = (render(format_) + "\n") * count  # type: ignore[arg-type]
        return parser.parse([Text("one", PLAIN, data.encode(), count)])

    assert read(new).columnar == 100
    read(old)
    assert read(old).columnar == 100
    assert read(new).tables[ACCESS_LOG].num_rows == 100


def test_streams_of_many_formats_are_read_together() -> None:
    texts = [
        Text(i, CRI, f"2026-11-21T10:15:43.00000000{i}Z stdout F {render(f, {'bytes_sent': str(i)})}\n".encode(), 1)
        for i, f in enumerate(FORMATS[:8])
    ]

    found = open_parser().parse(texts)

    assert found.tables[ACCESS_LOG].column("bytes_sent").to_pylist() == list(range(8))
    assert found.columnar == 8


def test_lines_of_a_frame_tell_the_time_of_what_has_none() -> None:
    data = b"2026-11-21T10:15:43.5Z stderr F plain words\n2026-11-21T10:15:44.5Z stdout F \0\n"

    found = open_parser().parse([Text("a", CRI, data, 2)])

    assert found.tables[MESSAGE_LOG].column("timestamp")[0].as_py().second == 43
    assert found.tables[REJECTED_LINE].column("timestamp")[0].as_py().second == 44


def test_lines_with_carriage_returns() -> None:
    lines = [render(ISTIO) + "\r", MESSAGE + "\r"]

    found = parse_lines(lines)

    assert found.tables[ACCESS_LOG].column("route_name").to_pylist() == ["default"]
    assert found.tables[MESSAGE_LOG].column("message").to_pylist() == ["connected"]


def test_a_line_too_long_is_kept_in_part() -> None:
    line = render(ISTIO, {"path": "/" + "x" * (1 << 20)})

    found = parse_lines([render(ISTIO), line, render(ISTIO)])

    rejected = found.tables[REJECTED_LINE].to_pylist()
    assert [(r["reason"], r["length"], len(r["raw"])) for r in rejected] == [("too_long", len(line), KEPT_BYTES)]
    assert found.rows[ACCESS_LOG].tolist() == [0, 2]


def test_a_line_that_two_formats_could_print_says_what_both_say() -> None:
    """A client's SNI with a blank makes a line of Istio 1.1 look like one of Istio 1.8."""
    own = next(f for f in FORMATS if f.name == "istio-1.1")
    forged = render(own, {"requested_server_name": "evil.example default"})

    found = parse_lines([render(own)] * 20 + [forged])

    row = found.tables[ACCESS_LOG].to_pylist()[-1]
    assert row["doubt"]
    assert row["requested_server_name"] is None
    assert row["route_name"] is None
    assert row["upstream_host"] == "10.244.1.14:9080"
    given = parse_lines([forged], own).tables[ACCESS_LOG].to_pylist()[0]
    assert (given["requested_server_name"], given["doubt"]) == ("evil.example default", None)


def test_a_line_of_a_longer_format_is_not_taken_for_quotes_in_a_value() -> None:
    """Istio 1.3 has a quoted field more than 1.8, behind which 1.8's can seem to hold quotes."""
    own, other = (next(f for f in FORMATS if f.name == name) for name in ("istio-1.8", "istio-1.3"))

    found = parse_lines([render(own)] * 20 + [render(other)])

    row = found.tables[ACCESS_LOG].to_pylist()[-1]
    assert row["doubt"]
    assert row["upstream_transport_failure_reason"] is None
    assert (row["duration_ms"], row["route_name"]) == (35, "default")


def test_nothing_is_read_from_nothing() -> None:
    assert open_parser().parse([]).tables == {}
    assert open_parser().parse([Text("a", PLAIN, b"", 0)]).tables == {}


@pytest.mark.parametrize(
    "text", ["a message", '[2026-11-21T10:15:42.123Z] "GET', "\ufeff" + render(ISTIO), "{", '{"a": 1}', '"', "[", "%"]
)
def test_any_line_alone_is_one_row(text: str) -> None:
    assert len(tables_of(parse_lines([text]), 1)) == 1
