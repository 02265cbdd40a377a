"""Envoy's format language: what is read, what is refused, and where."""

from __future__ import annotations

import pytest

from logproc.errors import ConfigError, ExpressionError
from parsers import compile_format, resolve_format
from parsers.defaults import ALIASES, DEFAULTS, TEXT_DEFAULTS, by_name
from parsers.format_string import Operator


def test_operators_arguments_lengths_and_literals() -> None:
    found = compile_format('[%START_TIME(%Y-%m-%dT%H:%M:%S%z)%] "%REQ(X-FOO?BAR):10%" 100%%\n')

    assert [p if isinstance(p, str) else (p.command, p.argument, p.length) for p in found.parts] == [
        "[",
        ("START_TIME", "%Y-%m-%dT%H:%M:%S%z", None),
        '] "',
        ("REQ", "X-FOO?BAR", 10),
        '" 100%',
    ]


def test_an_operator_keeps_its_text_and_place() -> None:
    operator = compile_format("code %RESPONSE_CODE%").operators[0]

    assert (operator.text, operator.name, operator.offset) == ("%RESPONSE_CODE%", "RESPONSE_CODE", 5)


def test_unknown_operators_are_kept() -> None:
    operator = compile_format("%NEW_THING(a:b)%").operators[0]

    assert operator == Operator("NEW_THING", "a:b")
    assert operator.meaning.column == ""


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("%REQ(:METHOD)%", "method"),
        ("%REQUEST_HEADER(:method)%", "method"),
        ("%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%", "method"),
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "path"),
        ("%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "path"),
        ("%PATH(NQ)%", "path"),
        ("%REQ(:AUTHORITY)%", "authority"),
        ("%REQ(X-ENVOY-ORIGINAL-HOST?:AUTHORITY)%", "authority"),
        ("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "upstream_service_time_ms"),
        ("%REQ(X-B3-TRACEID)%", "trace_id"),
        ("%TRACE_ID%", "trace_id"),
        ("%UPSTREAM_CLUSTER_RAW%", "upstream_cluster"),
        ("%REQ(X-TEAM)%", ""),
        ("%REQ(USER-AGENT?X-TEAM)%", ""),
        ("%REQ(USER-AGENT):20%", "user_agent"),
        ("%DURATION%", "duration_ms"),
    ],
)
def test_operators_become_columns_by_their_meaning(text: str, column: str) -> None:
    assert compile_format(text).operators[0].meaning.column == column


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("%START_TIME", 12, "'%' at the operator's end"),
        ("a %REQ%", 7, "an argument"),
        ("%REQ()%", 6, "an argument"),
        ("%REQ(A?B?C)%", 9, "one alternative"),
        ("%REQ(A):x%", 9, "a number of characters"),
        ("%DURATION(3)%", 10, "takes no argument"),
        ("%DURATION%%BYTES_SENT%", 11, "cannot be told apart"),
        ("%lower%", 2, "a command such as START_TIME"),
        ("100 %", 6, "a command such as START_TIME"),
        ('{"a": "%DURATION%", "a": 1}', 21, "another key"),
        ('{"a": {"b": "%REQ%"}}', 18, "an argument"),
    ],
)
def test_a_bad_format_is_refused_with_its_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_format(text)

    assert caught.value.column == column
    assert expected in caught.value.expected
    assert caught.value.caret.splitlines()[-1].index("^") - 2 == column - 1


def test_the_second_line_of_a_format_is_named() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_format("%DURATION%\n%REQ%")

    assert (caught.value.line, caught.value.column) == (2, 5)


def test_a_path_and_a_protocol_can_stand_without_a_blank() -> None:
    assert len(compile_format("%REQ(:PATH)%%PROTOCOL%").operators) == 2


def test_json_templates_nest_and_keep_literals() -> None:
    found = compile_format(
        '{"t": "%START_TIME%", "up": {"host": "%UPSTREAM_HOST%", "n": [1, "%DURATION% ms"]}, "v": true}'
    )

    assert found.parts == ()
    assert found.json is not None
    assert [o.command for o in found.operators] == ["START_TIME", "UPSTREAM_HOST", "DURATION"]
    assert found.json["v"] is True
    assert found.json["up"]["n"][0] == 1


def test_text_in_the_shape_of_json_is_text() -> None:
    found = compile_format('{"code":%RESPONSE_CODE%}')

    assert found.json is None
    assert len(found.parts) == 3


def test_every_default_compiles_and_is_found_by_its_name() -> None:
    for default in DEFAULTS:
        assert by_name(default.name) is default.format
    for alias in ALIASES:
        assert by_name(alias) is not None


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("1.31", "istio"),
        ("1.23", "istio"),
        ("1.22.3", "istio-1.9"),
        ("1.8", "istio-1.8"),
        ("1.5", "istio-1.3"),
        ("1.0", "istio-1.0"),
    ],
)
def test_a_release_names_its_format(release: str, name: str) -> None:
    found = by_name(f"istio-{release}")

    assert found is not None
    assert found.name == name


def test_todays_text_has_24_fields() -> None:
    assert len(TEXT_DEFAULTS[0].format.operators) == 24


def test_names_strings_and_mistakes() -> None:
    assert resolve_format("auto") is None
    assert resolve_format("%DURATION%") is not None
    with pytest.raises(ConfigError, match="did you mean istio"):
        resolve_format("istoi")
