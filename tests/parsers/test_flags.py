"""The tables of flags and details, and the command that shows them."""

from __future__ import annotations

import json
import re

import pytest

from logproc import main
from logproc.commands import flags as command
from logproc.commands.flags import Output
from logproc.errors import ConfigError
from parsers.flags import RESPONSE_CODE_DETAILS, RESPONSE_FLAGS, SHORT_NAMES
from parsers.values import details, flags


def test_there_are_thirty_flags_each_with_everything_a_reader_needs() -> None:
    assert len(RESPONSE_FLAGS) == len(SHORT_NAMES) == 30
    for short, flag in RESPONSE_FLAGS.items():
        assert short == flag.short
        assert re.fullmatch("[A-Z]{2,5}", short)
        assert re.fullmatch("[A-Z][A-Za-z]+", flag.long)
        assert flag.meaning
        assert flag.look_at


def test_a_tables_names_read_as_themselves() -> None:
    assert flags(",".join(SHORT_NAMES)) == ",".join(sorted(RESPONSE_FLAGS))
    assert all(details(name).name == name for name in RESPONSE_CODE_DETAILS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UF", ["UF"]),
        ("uf", ["UF"]),
        ("URX,UF", ["URX", "UF"]),
        ("UF, UF", ["UF"]),
        ("UpstreamOverflow", ["UO"]),
        ("UO,UpstreamRequestTimeout", ["UO", "UT"]),
        ("via_upstream", ["via_upstream"]),
        ("UC,via_upstream", ["UC", "via_upstream"]),
        ("upstream_reset_before_response_started{a,b}", ["upstream_reset_before_response_started"]),
        ("rbac_access_denied_matched_policy[none]", ["rbac_access_denied_matched_policy"]),
        ("503 UO", ["UO"]),
        ("429", ["RL"]),
        ("504", ["UT", "SI", "UMSDR"]),
    ],
)
def test_find(text: str, expected: list[str]) -> None:
    assert [getattr(entry, "short", None) or entry.name for entry in command.find(text)] == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "near"), [("UXX", "URX"), ("via_upstrem", "via_upstream"), ("UpstreamOverflo", "UpstreamOverflow")]
)
def test_an_unknown_name_is_answered_with_the_nearest(text: str, near: str) -> None:
    with pytest.raises(ConfigError) as error:
        command.find(text)
    assert error.value.exit_code == 2
    assert near in error.value.hint


def test_a_name_like_no_other_is_answered_with_the_lists() -> None:
    with pytest.raises(ConfigError) as error:
        command.find("%%%%")
    assert "logproc flags" in error.value.hint


def test_several_arguments_are_one_question() -> None:
    assert command.find("503", "UF", "URX,UF") == command.find("UF,URX")


def test_a_code_without_a_flag_is_the_applications() -> None:
    with pytest.raises(ConfigError, match="418") as error:
        command.find("418")
    assert "via_upstream" in error.value.hint


def test_a_word_of_a_meaning_names_its_flags() -> None:
    with pytest.raises(ConfigError) as error:
        command.find("connectionPool")
    assert "logproc flags UO" in error.value.hint


@pytest.mark.parametrize("details", [False, True])
def test_a_narrow_terminal_gets_paragraphs_that_fit(
    details: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    command.run([], details, Output.table)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(not line.startswith(" ") for line in lines) == len(RESPONSE_CODE_DETAILS if details else RESPONSE_FLAGS)


def test_the_table_has_one_line_per_flag_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    command.run([], False, Output.table)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(RESPONSE_FLAGS)
    assert "UpstreamOverflow" in lines[8]
    assert "DestinationRule" in lines[8]


def test_json_and_json_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command.run([], False, Output.json)
    objects = json.loads(capsys.readouterr().out)
    command.run([], False, Output.jsonl)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == objects
    assert {"short": "UO", "long": "UpstreamOverflow", "protocols": "HTTP, TCP", "code": "503"}.items() <= objects[
        7
    ].items()


def test_details_have_a_table_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    command.run([], True, Output.table)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(RESPONSE_CODE_DETAILS)


def test_one_flag_on_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["logproc", "flags", "UAEX"])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 0
    assert "AuthorizationPolicy" in capsys.readouterr().out


def test_an_unknown_flag_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["logproc", "flags", "UXX"])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "URX" in captured.err
