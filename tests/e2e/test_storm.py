"""A rotation storm while the collector is killed and its state folder removed: each line once in the store, shown by `audit`."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import cli

ROOT = Path(__file__).parents[2]


def storm(tmp_path: Path, *, rate: int, rotations: int, kills: int, state_losses: int) -> None:
    logs, store, state = tmp_path / "pods", tmp_path / "store", tmp_path / "state"
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.storm", str(logs), "2", str(rate), str(rotations), "0.5", "400"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    lost_at = set(chance.sample(range(kills), state_losses))
    try:
        while not list(logs.rglob("*.log")):
            time.sleep(0.05)
            assert writer.poll() is None
        for kill in range(kills):
            collector = cli.start("collect", logs, "--to", f"chdb://{store}", "--state", state, "--follow")
            try:
                collector.wait(1.5 + chance.random() * 2.5)
                raise AssertionError(collector.communicate()[1].decode())
            except subprocess.TimeoutExpired:
                collector.send_signal(signal.SIGKILL)
                collector.communicate()
            if kill in lost_at:
                shutil.rmtree(state, ignore_errors=True)
        said, _ = writer.communicate(timeout=600)
    finally:
        writer.kill()
        writer.wait()
    written = json.loads(said)["lines"]

    cli.collect([logs], f"chdb://{store}", state)

    audit = cli.run("audit", "--store", store, "--state", state, "--files", logs, "--output", "json")
    report = json.loads(audit.stdout)
    (found,) = cli.query(
        "SELECT count() AS n, uniqExact(path) AS once, uniqExact(file_id, line) AS places FROM access_log", store
    )
    assert found == {"n": written, "once": written, "places": written}
    assert (report["lines"], report["rows"], report["gaps"], report["doubles"]) == (written, written, 0, 0)
    assert audit.returncode == 0, audit.stderr.decode()


def test_a_storm_with_kills_and_a_lost_state_folder(tmp_path: Path) -> None:
    """Twenty rotations of two pods, four kills, and once the state folder is gone too."""
    storm(tmp_path, rate=4000, rotations=20, kills=4, state_losses=1)


@pytest.mark.long
def test_a_hundred_rotations_at_20000_lines_a_second_with_thirty_kills(tmp_path: Path) -> None:
    storm(tmp_path, rate=20_000, rotations=100, kills=30, state_losses=3)
