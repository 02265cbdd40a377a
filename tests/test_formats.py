"""`logproc formats`: what is known by name, and what compiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc.model import ACCESS_LOG
from parsers import parse_lines
from parsers.defaults import DEFAULTS
from parsers.samples import sample
from tests.session import Session


@pytest.fixture(scope="module")
def logproc() -> Iterator[Session]:
    with Session() as session:
        yield session


@pytest.mark.parametrize("default", DEFAULTS, ids=lambda d: d.name)
@pytest.mark.parametrize("given", [True, False], ids=["named", "detected"])
def test_the_sample_of_each_format_is_read_as_it(default: object, given: bool) -> None:
    known = next(d for d in DEFAULTS if d is default)

    parsed = parse_lines([sample(known)], known.name if given else "auto")

    (row,) = parsed.tables[ACCESS_LOG].to_pylist()
    assert row["doubt"] is None
    assert row["response_flags"] == "UF,URX"
    assert row["upstream_host"] == "10.244.1.14:9080"
    assert row["duration_ms"] == 35
    assert known.name == "istio-1.0-tcp" or (row["method"], row["response_code"]) == ("GET", 503)


def test_the_list_has_every_format_with_a_line(logproc: Session) -> None:
    table = logproc("formats").text
    objects = json.loads(logproc("formats", "-o", "json").text)
    lines = [json.loads(line) for line in logproc("formats", "-o", "jsonl").text.splitlines()]

    assert objects == lines
    assert [o["name"] for o in objects] == [d.name for d in DEFAULTS]
    assert {"T0", "T3", "T5", "T6"} <= {a for o in objects for a in o["aliases"]}
    for one in objects:
        assert one["sample"] in table
        assert one["releases"]


@pytest.mark.parametrize("name", ["istio", "T5", "t0", "istio-1.24", "istio-1.9-json", "envoy-gateway"])
def test_what_show_prints_compiles(logproc: Session, name: str) -> None:
    text = logproc("formats", "show", name).text.strip()

    assert "%START_TIME%" in text
    assert len(json.loads(logproc("formats", "check", text, "-o", "json").text)) >= 19


def test_show_proposes_the_nearest_name(logproc: Session) -> None:
    said = logproc("formats", "show", "istoi")

    assert said.code == 2
    assert "did you mean istio?" in said.err


def test_check_tells_operators_and_columns(logproc: Session) -> None:
    rows = json.loads(
        logproc("formats", "check", "%START_TIME% %REQ(X-TENANT)% %DURATION% %DURATION%", "-o", "json").text
    )

    assert [(r["operator"], r["column"]) for r in rows] == [
        ("%START_TIME%", "timestamp"),
        ("%REQ(X-TENANT)%", "extra"),
        ("%DURATION%", "duration_ms"),
        ("%DURATION%", "extra"),
    ]
    assert 'extra["REQ(X-TENANT)"]' in rows[1]["meaning"]


def test_check_tells_the_keys_of_json(logproc: Session) -> None:
    rows = json.loads(
        logproc("formats", "check", '{"at":"%START_TIME%","in":{"ms":"%DURATION%"},"n":4}', "-o", "json").text
    )

    assert [(r["key"], r["column"]) for r in rows] == [("at", "timestamp"), ("in.ms", "duration_ms"), ("n", "extra")]


def test_check_reads_a_file(logproc: Session, tmp_path: Path) -> None:
    path = tmp_path / "format.txt"
    path.write_text("[%START_TIME%] %RESPONSE_CODE%\n")

    assert "response_code" in logproc("formats", "check", path).text


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("[%START_TIME] %DURATION%", 13, "'%'"),
        ("%REQ% %DURATION%", 5, "an argument"),
        ("%REQ(:PATH)%%REQ(:METHOD)%", 13, "something between"),
        ('{"a":"%START_TIME%","a":"%DURATION%"}', 21, "another key"),
    ],
)
def test_a_bad_format_is_shown_with_a_caret(logproc: Session, text: str, column: int, expected: str) -> None:
    said = logproc("formats", "check", text)

    assert said.code == 2
    assert f"column {column}: expected" in said.err
    assert expected in said.err
    assert any(line.strip() == "^" for line in said.err.splitlines())


@pytest.mark.parametrize("content", [b"no operators\n", b"\xff\xfe%", b"mesh:\n  accessLogFormat: '%START_TIME'\n"])
def test_a_file_that_is_no_format_is_named(logproc: Session, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(content)

    said = logproc("formats", "check", path)

    assert said.code == 2
    assert str(path) in said.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("%START_TIM%", "START_TIME"), ("%RESPONSE_COD%", "RESPONSE_CODE"), ("%UPSTREAM_REMOTE_PORT%", "")],
)
def test_an_operator_that_is_but_a_letter_off_is_asked_about(logproc: Session, typed: str, meant: str) -> None:
    (row,) = json.loads(logproc("formats", "check", typed, "-o", "json").text)

    assert row["column"] == "extra"
    assert ("did you mean" in row["meaning"]) == bool(meant)
    assert f"%{meant}%" in row["meaning"] or not meant
