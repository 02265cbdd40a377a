"""Pages and tables that people see, compared with what they looked like when somebody last looked at them.

After a wanted change: LOGPROC_UPDATE_GOLDEN=1 pytest tests/test_golden.py, then read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc import reports
from tests.asking import open_session
from tests.session import Session
from tests.test_parse import LINES
from tests.test_report import WINDOW

FOLDER = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from open_session(tmp_path_factory.mktemp("golden"))


def compare(name: str, text: str) -> None:
    file = FOLDER / f"{name}.txt"
    if os.environ.get("LOGPROC_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("command", ["query", "report", "parse"])
def test_help(logproc: Session, command: str) -> None:
    compare(f"help_{command}", logproc(command, "--help").text)


@pytest.mark.parametrize("name", reports.names())
def test_report(logproc: Session, name: str) -> None:
    compare(f"report_{name}", logproc("report", name, *WINDOW).text)


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_parse(logproc: Session, form: str) -> None:
    compare(f"parse_{form}", logproc("parse", "-", "-o", form, stdin="\n".join(LINES).encode()).text)
