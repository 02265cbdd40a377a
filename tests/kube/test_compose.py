"""deploy/compose.yaml as Docker Compose's own loader understands it, which is what `docker compose config` asks."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_compose import COMPOSE, DEPLOY, OURS
from tests.kube.bed import binaries, build, missing

FILE = DEPLOY / "compose.yaml"


@pytest.fixture(scope="module")
def loader() -> Path:
    if reason := missing():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    build()
    return binaries() / "compose"


def understood(loader: Path, file: Path, **environment: str) -> Any:
    """The project. Raises AssertionError with the loader's words."""
    done = subprocess.run([loader, file], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_understood(loader: Path) -> None:
    project = understood(loader, FILE)

    assert project["name"] == COMPOSE["name"]
    assert set(project["services"]) == set(COMPOSE["services"])
    assert set(project["volumes"]) == set(COMPOSE["volumes"])


def test_what_services_share_is_in_each(loader: Path) -> None:
    services = understood(loader, FILE)["services"]

    for name in OURS:
        assert services[name]["command"] == COMPOSE["services"][name]["command"]
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert Path(services[name]["build"]["context"]) == DEPLOY.parent
    (logs,) = (v for v in services["collector"]["volumes"] if v["target"] == "/var/log/pods")
    assert logs["read_only"] is True


def test_one_password_goes_to_all_who_use_it(loader: Path) -> None:
    services = understood(loader, FILE, CLICKHOUSE_PASSWORD="another")["services"]

    assert services["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD"] == "another"
    for name in ("schema", "loader"):
        assert services[name]["environment"]["LOGPROC_PASSWORD"] == "another"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "read_onyl: true"),
        ("start_period: 15s", "start_period: soon"),
        ("condition: service_healthy", "condition: healthy"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("[kafka:/var/lib/kafka/data]", "[kafak:/var/lib/kafka/data]"),
        ("topic: {condition", "topics: {condition"),
    ],
)
def test_mistakes_are_found(loader: Path, tmp_path: Path, right: str, wrong: str) -> None:
    text = FILE.read_text()
    assert right in text
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace(right, wrong))

    with pytest.raises(AssertionError):
        understood(loader, file)
