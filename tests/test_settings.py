"""Flags > environment > settings file > defaults, and wrong files are refused in one line."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from logproc import main
from logproc.commands.settings import _all_commands, problems
from logproc.errors import ConfigError
from logproc.settings import command_defaults, read_settings
from logproc.settings_values import unknown_variables
from logproc.urls import secret, secret_hint
from tests.cli import run

COMMANDS = ("collect", "query")


def options(command: str) -> list[str]:
    return {"collect": ["to", "state", "spool_max"], "query": ["store", "output"]}[command]


def defaults(tmp_path: Path, text: str, command: str) -> dict[str, object]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return command_defaults(path, read_settings(path), command, COMMANDS, options)


def test_a_commands_table_gives_its_defaults(tmp_path: Path) -> None:
    text = 'store = "chdb:///x"\n[collect]\nto = "null:"\nspool-max = "2GiB"\n'

    assert defaults(tmp_path, text, "collect") == {"to": "null:", "spool_max": "2GiB"}
    assert defaults(tmp_path, text, "query") == {"store": "chdb:///x"}


def test_a_table_overrides_the_shared_key(tmp_path: Path) -> None:
    assert defaults(tmp_path, 'store = "a"\n[query]\nstore = "b"\n', "query") == {"store": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[colect]\nto='x'", "did you mean collect?"),
        ("[collect]\nspool_maximum='x'", "did you mean spool-max?"),
        ("stroe='x'", "did you mean store?"),
        ("[collect]\nto={a=1}", "is a table"),
        ("[collect\n", "line 1"),
    ],
)
def test_a_wrong_file_is_refused_with_the_nearest_known_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        defaults(tmp_path, text, "collect")

    assert said in str(error.value)
    assert "config.toml" in str(error.value)


def said(text: str, path: Path) -> list[str]:
    path.write_text(text)
    return [f"{e.message} | {e.hint}" for e in problems(path, {})]


def test_a_check_names_the_line_and_what_was_expected(tmp_path: Path) -> None:
    text = '# a comment\n[load]\nrows = "many"\nuntil-idle = -1\n\n[collect]\noutput = "xml"\nfollow = 3\nsample = "a:1/2"\nto = true\n'
    found = said(text, tmp_path / "config.toml")

    assert [f.partition("config.toml, ")[2].partition(" |")[0] for f in found] == [
        "line 3: [load] rows = 'many': a whole number, at least 1 was expected",
        "line 4: [load] until-idle = -1: a number, at least 0 was expected",
        "line 7: [collect] output = 'xml': one of text, json was expected",
        "line 8: [collect] follow = 3: true or false was expected",
        "line 9: [collect] sample = 'a:1/2': a list of texts was expected",
        "line 10: [collect] to = True: a text was expected",
    ]


def test_a_check_lists_everything_at_once(tmp_path: Path) -> None:
    found = said('stroe = "x"\n[collect]\nfoo = 1\nspool-maxx = "1Gi"\n[colect]\na = 1\n', tmp_path / "c.toml")

    assert len(found) == 4
    assert "did you mean spool-max?" in found[2]


def test_a_right_file_has_no_problems(tmp_path: Path) -> None:
    text = 'store = "x"\n[collect]\nto = "null:"\nfollow = true\nsample = ["a:1/2"]\ngrace = 3\nspool-max = 1000\n'

    assert said(text, tmp_path / "c.toml") == []


def test_environment_variables_are_named_when_wrong() -> None:
    given = {"LOGPROC_LOAD_ROWS": "many", "LOGPROC_COLLECT_FOLOW": "1", "LOGPROC_SCHEMA_APPLY_CLUSTER": "main"}
    first, second = problems(None, given)

    assert "LOGPROC_LOAD_ROWS=many: a whole number" in first.message
    assert "LOGPROC_COLLECT_FOLOW" in second.message
    assert second.hint == "did you mean LOGPROC_COLLECT_FOLLOW?"


def test_a_missing_secret_says_how_to_create_it() -> None:
    (found,) = problems(None, {"LOGPROC_PASSWORD_FILE": "/run/secrets/logproc/clickhouse/password"})

    assert "kubectl -n NAMESPACE create secret generic logproc-clickhouse --from-literal=password=" in found.hint


@pytest.mark.parametrize(
    ("name", "variable"), [("clickhouse", "LOGPROC_PASSWORD"), ("kafka", "LOGPROC_KAFKA_PASSWORD")]
)
def test_so_does_a_command_that_needs_it(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{variable}_FILE", f"/run/secrets/logproc/{name}/password")
    monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ConfigError) as error:
        secret(variable)

    assert f"{variable}_FILE /run/secrets/logproc/{name}/password: No such file" in str(error.value)
    assert f"create secret generic logproc-{name} --from-literal=password=" in error.value.hint


def test_a_missing_certificate_is_the_file_of_a_secret() -> None:
    assert secret_hint("/run/secrets/logproc/kafka/ca.crt").endswith("secret generic logproc-kafka --from-file=ca.crt")
    assert "Secret:" not in secret_hint("/etc/ssl/ca.pem")


def test_every_variable_of_the_code_is_known() -> None:
    root = Path(__file__).parent.parent
    read = {
        name
        for folder in ("logproc", "parsers", "sinks")
        for path in (root / folder).rglob("*.py")
        for name in re.findall(r'"(LOGPROC_[A-Z_]+)"', path.read_text())
    }
    commands = dict(_all_commands(main.command_names()))

    assert list(unknown_variables(commands, dict.fromkeys(read, "x"))) == []


def test_a_command_refuses_wrong_values_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[load]\nrows = "many"\n')
    by_file = run("--config", path, "load", "kafka://x/y", "--to", "null:")
    by_variable = run("load", "kafka://x/y", "--to", "null:", env={"LOGPROC_LOAD_ROWS": "many"})

    assert by_file.returncode == by_variable.returncode == 2
    assert b"c.toml, line 2: [load] rows = 'many'" in by_file.stderr
    assert b"environment variable LOGPROC_LOAD_ROWS=many" in by_variable.stderr


def test_settings_print_says_where_a_value_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[collect]\nto = "null:"\ngrace = 4\n')
    done = run("--config", path, "settings", "print", "--changed", env={"LOGPROC_COLLECT_GRACE": "3"})
    read = tomllib.loads(done.stdout.decode())

    assert read == {"collect": {"to": "null:", "grace": "3"}}
    assert f"# {path}".encode() in done.stdout
    assert b"# LOGPROC_COLLECT_GRACE" in done.stdout


def test_what_settings_print_shows_of_a_default_is_a_value_that_means_it() -> None:
    """A word such as `all` would be a name as soon as it stood in a file."""
    printed = run("settings", "print", "collect").stdout.decode()
    facts = json.loads(run("settings", "print", "collect", "-o", "json").stdout)

    assert re.search(r"^# namespaces = +# default: all$", printed, re.MULTILINE)
    assert facts["namespaces"] == {"value": None, "origin": "default", "unset": "all"}
    assert facts["spool-max"] == {"value": "1Gi", "origin": "default"}
