"""clickhouse-go over HTTP as it is, against a server: what Grafana's data source uses."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.components import CACHE, absent
from tests.serve.servers import Running

HERE = Path(__file__).parent / "go"


@pytest.fixture(scope="module")
def program() -> Path:
    """The program, built once for its sources."""
    made = hashlib.blake2b(
        b"".join((HERE / n).read_bytes() for n in ("main.go", "go.mod", "go.sum")), digest_size=6
    ).hexdigest()
    path = CACHE / "go" / f"client-{made}"
    if not path.exists():
        if shutil.which("go") is None:
            absent("Go is not installed")
        path.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["go", "build", "-o", str(path), "."],
            cwd=HERE,
            env={**os.environ, "GOFLAGS": "-mod=readonly"},
            capture_output=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            absent(f"go build failed: {done.stderr.decode()[-300:]}")
    return path


def test_clickhouse_go_works_unchanged(server: Running, program: Path) -> None:
    done = subprocess.run([str(program), f"127.0.0.1:{server.port}"], capture_output=True, timeout=240, check=False)

    assert (done.stdout.decode(), done.returncode) == ("ok\n", 0), done.stderr.decode()
