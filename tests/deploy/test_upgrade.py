"""A state folder that an earlier version left, with a batch that its sink never got: a newer program ends what was begun, an older one keeps off."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.cli import output, run

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.tar.gz"))
LINE = b'2026-11-21T08:00:20.123456789Z stdout F [2026-11-21T08:00:20.123Z] "GET /after HTTP/1.1" 200 - via_upstream - "-" 0 60 2 1 "-" "curl" "-" "web" "10.244.0.7:8080" inbound|8080|| 127.0.0.6:40000 10.244.0.7:8080 10.244.0.5:50000 - default\n'


@pytest.fixture(params=RECORDED, ids=lambda path: path.name.removesuffix(".tar.gz"))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def collect(left: Path, node: str, *options: str) -> dict[str, int]:
    said = output(
        "collect", left / "pods", "--to", f"chdb://{left}/store", "--state", left / "state", "--no-follow", "-o", "json", *options,
        env={"NODE_NAME": node},
    )  # fmt: skip
    summary: dict[str, int] = json.loads(said)
    return summary


@pytest.mark.parametrize("node", ["node-1", "another-node"])
def test_what_was_begun_is_ended_once(left: Path, node: str) -> None:
    """On the same node the batch is sent as it is; a folder that was copied elsewhere does no harm either."""
    (log, *_) = sorted((left / "pods").glob("default_*/istio-proxy/0.log"))
    with log.open("ab") as file:
        file.write(LINE)
    collect(left, node)
    collect(left, node)
    found = json.loads(output("audit", "--store", left / "store", "--files", left / "pods", "-o", "json"))
    lines = sum(p.read_bytes().count(b"\n") for p in (left / "pods").glob("*/istio-proxy/*.log"))

    assert (found["gaps"], found["doubles"], found["dead"], found["lost"]) == (0, 0, 0, 0)
    assert found["lines"] == lines
    assert found["rows"] + found["joined"] == lines


@pytest.mark.parametrize("part", ["spool/0000000000000000.batch", "collector"])
def test_a_state_of_a_newer_format_is_refused_and_left_as_it_is(left: Path, part: str) -> None:
    file = left / "state" / part
    newer = file.read_bytes().replace(b"logproc batch 1\n", b"logproc batch 2\n").replace(b'"format":1', b'"format":2')
    newer = newer.replace(b'"format": 1', b'"format": 2')
    assert newer != file.read_bytes()
    file.write_bytes(newer)
    before = contents(left / "state")
    done = run(
        "collect", left / "pods", "--to", f"chdb://{left}/store", "--state", left / "state", "--no-follow",
        env={"NODE_NAME": "node-1"},
    )  # fmt: skip

    assert done.returncode == 3
    assert b"newer" in done.stderr
    after = contents(left / "state")
    before.pop("lock")
    after.pop("lock")
    assert after == before
