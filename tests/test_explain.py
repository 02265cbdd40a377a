"""`logproc explain`: one line, field by field, and where a line stops fitting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.model import PLAIN, Text
from parsers.defaults import DEFAULTS, by_name
from parsers.explain import explain
from parsers.samples import sample
from tests.parsers.lines import render
from tests.session import Said, Session

ISTIO = by_name("istio")
assert ISTIO is not None
LINE = render(
    ISTIO,
    {
        "response_code": "503",
        "response_flags": "URX,UF,ZZ",
        "response_code_details": "upstream_reset_before_response_started{connection_failure}",
    },
)


@pytest.fixture(scope="module")
def logproc() -> Iterator[Session]:
    with Session() as session:
        yield session


def objects(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.out)
    return found


def field(said: dict[str, Any], column: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in said["fields"] if f["column"] == column)
    return found


def test_each_field_has_its_operator_column_and_meaning(logproc: Session) -> None:
    said = objects(logproc("explain", LINE, "-o", "json"))

    assert (said["table"], said["format"], said["same_shape"]) == ("access_log", "istio", ["istio-1.9"])
    assert len(said["fields"]) == 24
    assert all(f["meaning"] for f in said["fields"])
    code = field(said, "response_code")
    assert (code["source"], code["text"], code["values"]) == ("%RESPONSE_CODE%", "503", {"response_code": 503})
    assert field(said, "path")["values"]["path_template"] == "/reviews/{n}"
    assert field(said, "upstream_cluster")["values"] == {
        "upstream_cluster": "outbound|9080|v2|reviews.shop.svc.cluster.local",
        "direction": "outbound",
        "upstream_port": 9080,
        "upstream_subset": "v2",
        "upstream_service": "reviews.shop.svc.cluster.local",
    }


def test_flags_and_details_are_told_one_by_one(logproc: Session) -> None:
    page = " ".join(logproc("explain", LINE).text.split())
    flags = field(objects(logproc("explain", LINE, "-o", "json")), "response_flags")["flags"]

    assert [f["short"] for f in flags] == ["UF", "URX", "ZZ"]
    assert "UF UpstreamConnectionFailure: no connection to the upstream could be made; usual code 503" in page
    assert "look at: PeerAuthentication and DestinationRule" in page
    assert "ZZ: no flag that Envoy documents" in page
    assert "the proxy answered: the upstream failed before its answer began" in page
    assert "(here: connection_failure: no connection came about (flag UF)" in page


def test_a_line_from_standard_input_in_its_frame(logproc: Session) -> None:
    framed = f"2026-11-21T10:15:43.000000001Z stdout F {LINE}\n".encode()

    said = objects(logproc("explain", "-", "-o", "json", stdin=framed))

    assert said["frame"] == {"name": "cri", "time": "2026-11-21T10:15:43.000000001Z", "stream": "stdout", "tag": "F"}
    assert said["columns"] == objects(logproc("explain", LINE, "-o", "json"))["columns"]


def test_a_fragment_of_a_line_is_doubtful(logproc: Session) -> None:
    said = objects(logproc("explain", "2026-11-21T10:15:43.000000001Z stdout P half a mess", "-o", "json"))

    assert (said["frame"]["tag"], said["doubt"]["reason"]) == ("P", "partial")
    assert field(said, "message")["text"] == "half a mess"


def test_a_doubtful_line_says_why_and_leaves_open_what_is_not_proved(logproc: Session) -> None:
    line = render(ISTIO, {"user_agent": 'a" "b" "c'})
    said = objects(logproc("explain", line, "-o", "json"))

    assert said["doubt"]["reason"] == "quotes"
    assert field(said, "user_agent")["text"] is None
    assert field(said, "method")["text"] == "GET"
    assert "doubtful" in logproc("explain", line).text


@pytest.mark.parametrize(
    ("good", "bad", "mark", "expected", "operator"),
    [
        (" 503 ", " 50x ", "x ", "' ' after %RESPONSE_CODE%", "%RESPONSE_CODE%"),
        (" 12 4183 ", " 12 many ", "many", "%BYTES_SENT%: a number or -", "%BYTES_SENT%"),
        (" HTTP/1.1", " HTTP/9.9", "HTTP/9.9", "%PROTOCOL%: HTTP/1.0", "%PROTOCOL%"),
        ('"reviews:9080"', "reviews:9080", "reviews:9080", "'\"' after %REQ(X-REQUEST-ID)%", "%REQ(X-REQUEST-ID)%"),
        ("[2026-11-21T", "[2026-11-21 ", "2026-11-21 ", "%START_TIME%: a time", "%START_TIME%"),
    ],
)
def test_a_line_that_fits_nothing_shows_where(
    logproc: Session, good: str, bad: str, mark: str, expected: str, operator: str
) -> None:
    line = LINE.replace(good, bad, 1)
    assert line != LINE

    shown, said = logproc("explain", line), logproc("explain", line, "-o", "json")

    assert (shown.code, said.code) == (1, 1)
    failure = objects(said)["failure"]
    # Without its time a line can still be read.
    assert objects(said)["table"] == ("access_log" if operator == "%START_TIME%" else "rejected_line")
    assert failure["format"] == "istio"
    assert expected in failure["expected"]
    assert failure["operator"] == operator
    if mark:
        assert failure["column"] == line.index(mark) + 1
        text, caret = next(
            (a, b)
            for a, b in zip(shown.out.decode().splitlines(), shown.out.decode().splitlines()[1:], strict=False)
            if b.strip() == "^"
        )
        assert text[caret.index("^") :].startswith(mark)


def test_a_line_cut_off_stops_fitting_at_its_end(logproc: Session) -> None:
    line = LINE[: LINE.index(" 10.96.94.35:9080") + len(" 10.96")]

    failure = objects(logproc("explain", line, "-o", "json"))["failure"]

    assert (failure["format"], failure["column"]) == ("istio", len(line) + 1)
    assert "%DOWNSTREAM_LOCAL_ADDRESS%" in failure["expected"]


def test_a_format_that_was_asked_for_and_does_not_fit(logproc: Session) -> None:
    said = logproc("explain", LINE, "--format", "[%START_TIME%] %RESPONSE_CODE%", "-o", "json")

    assert said.code == 1
    assert objects(said)["format"] == "istio"
    assert objects(said)["failure"] == {
        "format": "the given format",
        "column": LINE.index('"') + 1,
        "expected": "%RESPONSE_CODE%: a number or -",
        "operator": "%RESPONSE_CODE%",
    }


def test_fields_of_a_custom_format_without_a_column(logproc: Session) -> None:
    said = objects(
        logproc("explain", "acme 12", "--format", "%REQ(X-TENANT)% %DURATION%", "-o", "json"),
    )

    assert said["failure"] is None
    assert [(f["source"], f["column"], f["text"]) for f in said["fields"]] == [
        ("%REQ(X-TENANT)%", "extra", "acme"),
        ("%DURATION%", "duration_ms", "12"),
    ]


def test_json_by_its_keys(logproc: Session) -> None:
    line = '{"start_time":"2026-11-21T10:00:00.000Z","response_code":503,"response_flags":"UF","mine":"v","upstream_cluster":null}'
    said = objects(logproc("explain", line, "-o", "json"))

    assert (said["table"], said["format"]) == ("access_log", "json")
    assert [f["source"] for f in said["fields"]] == [
        "start_time",
        "response_code",
        "response_flags",
        "mine",
        "upstream_cluster",
    ]
    assert field(said, "response_flags")["flags"][0]["long"] == "UpstreamConnectionFailure"
    assert field(said, "extra")["source"] == "mine"
    assert field(said, "upstream_cluster")["text"] == "null"

    broken = objects(logproc("explain", line[:-1], "-o", "json"))
    assert (broken["table"], broken["failure"]["column"]) == ("rejected_line", len(line))


@pytest.mark.parametrize(
    ("line", "table", "columns"),
    [
        ("2026-11-21T10:00:00.000000Z\tinfo\tads\tXDS: Pushing", "message_log", {"level", "scope", "message"}),
        (
            '2026-11-20T10:00:00.123456Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.5:4000\tsrc.workload="w"'
            '\tdst.addr=10.0.0.9:80\tdirection="outbound"\tbytes_sent=1\tbytes_recv=2\tduration="12ms"',
            "access_log",
            {"downstream_remote_address", "duration_ms", "extra"},
        ),
        ("just words", "message_log", {"message"}),
    ],
)
def test_other_lines_have_their_table_and_fields(logproc: Session, line: str, table: str, columns: set[str]) -> None:
    said = objects(logproc("explain", line, "-o", "json"))

    assert said["table"] == table
    assert columns <= {f["column"] for f in said["fields"]}
    assert table in logproc("explain", line).text


@pytest.mark.parametrize("default", DEFAULTS, ids=lambda d: d.name)
def test_the_sample_of_each_format_is_known_by_its_name(default: Any) -> None:
    said = explain(Text("line", PLAIN, sample(default).encode() + b"\n", 1))

    assert default.name in (said.format, *said.also)
    assert not said.doubt
    assert said.failure is None


@pytest.mark.parametrize(
    ("args", "word"), [(("",), "empty"), (("a\nb",), "more than one"), (("a", "--format", "%X"), "^")]
)
def test_wrong_usage_is_told(logproc: Session, args: tuple[str, ...], word: str) -> None:
    said = logproc("explain", *args)

    assert said.code == 2
    assert word in said.err


def test_a_file_in_place_of_a_line_is_told(logproc: Session, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(f"{LINE}\n")
    said = logproc("explain", str(path))

    assert (said.code, said.out) == (2, b"")
    assert said.err == f"error: {path} is a file, not a line\nhint: sed -n 1p {path} | logproc explain -\n"


@pytest.mark.parametrize("text", ["503 UO", "UF,URX via_upstream"])
def test_flags_without_their_line_lead_to_their_meaning(logproc: Session, text: str) -> None:
    assert f"logproc flags {text}" in logproc("explain", text).text
    assert "logproc flags" not in logproc("explain", f"{text} x").text


def test_nothing_reaches_the_terminal_unescaped(logproc: Session) -> None:
    line = render(ISTIO, {"user_agent": "\x1b[31mred\x07"}).replace(" 200 ", " 2x ")

    assert b"\x1b" not in logproc("explain", line).out
    assert b"\x1b" not in logproc("explain", line.replace(" 2x ", " 200 ")).out


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_damaged_line_is_explained(data: st.DataObject) -> None:
    line = bytearray(data.draw(st.sampled_from([LINE, *map(sample, DEFAULTS)])).encode())
    start = data.draw(st.integers(0, len(line)))
    line[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=8)).replace(b"\n", b"")

    said = explain(Text("line", PLAIN, bytes(line) + b"\n", 1))

    if said.failure is not None:
        assert 0 <= said.failure.offset <= len(said.line)
        assert said.failure.expected
    if said.failure is None:
        assert said.reason != "format"
    else:
        assert said.reason == "format" or said.doubt
