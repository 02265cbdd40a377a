"""`@clickhouse/client` of npm as it is, against a server: what its documentation shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.components import CACHE, absent
from tests.serve.servers import Running

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def installed() -> Path:
    """The client at its pinned version, in a folder outside of git."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        absent("Node.js is not installed")
    folder, lock = CACHE / "node", HERE / "package-lock.json"
    done = folder / "installed"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for path in (HERE / "package.json", lock):
            shutil.copy(path, folder)
        said = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, timeout=300, check=False
        )
        if said.returncode:
            absent(f"npm ci failed: {said.stderr.decode()[-300:]}")
        done.write_bytes(lock.read_bytes())
    return folder


def test_the_npm_client_works_unchanged(server: Running, installed: Path) -> None:
    done = subprocess.run(
        ["node", str(HERE / "client.mjs"), server.url],
        env={**os.environ, "CLIENT_FOLDER": str(installed)},
        capture_output=True,
        timeout=240,
        check=False,
    )

    checks = [json.loads(line) for line in done.stdout.splitlines()]
    assert [c for c in checks if not c["ok"]] == []
    assert done.returncode == 0, done.stderr.decode()
    assert len(checks) == 21
    assert server.value("SELECT count() FROM system.processes") == "1", "an aborted query is still running"
