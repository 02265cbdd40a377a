"""Flags > environment > settings file > defaults, and wrong files are refused in one line."""

from pathlib import Path

import pytest

from logproc.errors import ConfigError
from logproc.settings import command_defaults, read_settings

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
