"""Single lines as objects, and the page that shows the Python API."""

from __future__ import annotations

import doctest
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import ValidationError

from logproc.columns import ACCESS_LOG_TABLE
from logproc.errors import ConfigError
from parsers import AccessLogEntry, NotAccessLogError, compile_format, parse_line
from parsers.defaults import DEFAULTS, TEXT_DEFAULTS
from parsers.samples import sample
from tests.parsers.lines import TEXTS, render

ISTIO = TEXT_DEFAULTS[0].format
PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page_shows_what_happens() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)

    assert tried > 15
    assert failed == 0


def test_its_fields_are_the_columns_that_lines_tell() -> None:
    assert list(AccessLogEntry.model_fields) == [c.name for c in ACCESS_LOG_TABLE.columns if c.from_line]
    assert all(f.description for f in AccessLogEntry.model_fields.values())


def test_values_have_their_types() -> None:
    entry = parse_line(render(ISTIO, {"response_flags": "URX,UF"}).encode() + b"\n")

    assert entry.timestamp == datetime(2026, 11, 21, 10, 15, 42, 123000, UTC)
    assert entry.request_id == UUID(TEXTS["request_id"])
    assert (entry.response_code, entry.downstream_remote_port) == (200, 39764)
    assert (entry.response_flags, entry.flags) == ("UF,URX", {"UF", "URX"})
    assert entry.is_sure
    assert entry.extra == {}
    assert AccessLogEntry.model_validate_json(entry.model_dump_json()) == entry
    with pytest.raises(ValidationError):
        entry.response_code = 500  # type: ignore[misc]


@pytest.mark.parametrize("name", [d.name for d in DEFAULTS])
def test_every_known_format_can_be_read(name: str) -> None:
    default = next(d for d in DEFAULTS if d.name == name)

    entry = parse_line(sample(default))

    assert entry.is_sure
    assert entry.duration_ms == 35
    assert entry.upstream_host == "10.244.1.14:9080"


@pytest.mark.parametrize(
    ("line", "table", "reason"),
    [
        ("hello", "message_log", ""),
        ("", "message_log", ""),
        ('[2026-11-21T10:15:42.123Z] "GET / HTTP/1.1" x', "rejected_line", "format"),
    ],
)
def test_other_lines_are_refused(line: str, table: str, reason: str) -> None:
    with pytest.raises(NotAccessLogError) as caught:
        parse_line(line)

    assert (caught.value.table, caught.value.reason) == (table, reason)


def test_one_line_says_nothing_about_the_next() -> None:
    custom = compile_format("%DURATION% %BYTES_SENT%")
    envoy = next(d.format for d in DEFAULTS if d.name == "envoy")

    for _ in range(3):
        assert parse_line("35 12", custom).bytes_sent == 12
        assert parse_line(render(envoy)).is_sure
        assert parse_line(render(ISTIO)).route_name == "default"


def test_wrong_use_is_said() -> None:
    with pytest.raises(ValueError, match="more than one line"):
        parse_line("a\nb")
    with pytest.raises(ConfigError):
        parse_line("a", "istoi")


def test_threads_do_not_meet() -> None:
    lines = [render(ISTIO, {"duration_ms": str(i)}) for i in range(200)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(parse_line, lines))

    assert [e.duration_ms for e in found] == list(range(200))
