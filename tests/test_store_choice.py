"""Which store is asked when none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from logproc.errors import ConfigError
from logproc.store_choice import choose_store, demo_store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)


def test_the_one_that_is_named() -> None:
    assert choose_store("clickhouse://default@localhost:8123/logproc") == "clickhouse://default@localhost:8123/logproc"


def test_else_the_demos(tmp_path: Path) -> None:
    demo_store().mkdir(parents=True)

    assert choose_store(None) == str(tmp_path / ".local/share/logproc/demo/store")


def test_else_none_and_what_to_do_is_said() -> None:
    with pytest.raises(ConfigError, match="no store is named") as error:
        choose_store("")

    assert "logproc demo" in error.value.hint
