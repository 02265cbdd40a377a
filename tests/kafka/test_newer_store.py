"""`logproc load` into a store that a newer logproc made: refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import output, query, run
from tests.kafka.loading import FILE, cuts, send
from tests.kafka.test_load import committed


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """An embedded store whose tables are of a version that does not exist yet."""
    store = tmp_path / "store"
    output("schema", "apply", "--store", store)
    output("query", "INSERT INTO schema_version (version) VALUES (99)", "--store", store)
    return store


def test_a_newer_store_is_refused_and_nothing_is_read(topic: str, newer: Path) -> None:
    send(topic, *cuts(FILE, 30))

    done = run("load", topic, "--to", f"chdb://{newer}", "--group", "g", "--until-idle", "0.5")

    assert done.returncode == 2
    said = done.stderr.decode()
    assert said.count(f"error: chdb://{newer}: its tables have version 99, this logproc writes version 2") == 1
    assert "Traceback" not in said
    assert committed(topic) == {}, "the group has a position, and the next loader would begin there"


def test_rows_of_a_refused_load_come_with_the_loader_that_knows_the_store(
    topic: str, newer: Path, tmp_path: Path
) -> None:
    send(topic, *cuts(FILE, 30))
    assert run("load", topic, "--to", f"chdb://{newer}", "--group", "g", "--until-idle", "0.5").returncode == 2

    known = tmp_path / "known"
    output("load", topic, "--to", f"chdb://{known}", "--group", "g", "--until-idle", "0.5", "-q")

    assert query("SELECT sum(lines) AS n FROM ledger", known) == [{"n": 30}]
    assert committed(topic)[0][0] == 1
