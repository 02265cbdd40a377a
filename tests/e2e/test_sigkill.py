"""`collect` killed with SIGKILL again and again leaves each line exactly once in the store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from tests import cli

KILLS = 20


def test_twenty_kills_leave_each_line_exactly_once(tmp_path: Path) -> None:
    """A simulated mesh writes and rotates while `collect --follow` is killed at random moments; the last run reads to the end."""
    logs, store, state = tmp_path / "pods", tmp_path / "store", tmp_path / "state"
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    summary = tmp_path / "truth.jsonl"
    writer = cli.start(
        "simulate", "mushop", "--out", logs, "--seed", str(seed % 1000), "--live", "--rate", "300", "--seconds", "40",
        "--rotate-at", "200Ki", "--truth", summary,
    )  # fmt: skip
    try:
        while not logs.exists() or not any(logs.rglob("*.log")):
            time.sleep(0.1)
            assert writer.poll() is None, writer.communicate()[1].decode()
        for _ in range(KILLS):
            collector = cli.start(
                "collect", logs, "--to", f"chdb://{store}", "--state", state, "--follow", "--containers", "*"
            )
            try:
                collector.wait(1.0 + chance.random() * 2.5)
                raise AssertionError(collector.communicate()[1].decode())
            except subprocess.TimeoutExpired:
                collector.send_signal(signal.SIGKILL)
                collector.communicate()
        assert writer.wait(120) == 0
    finally:
        writer.kill()
        writer.communicate()

    cli.collect([logs], f"chdb://{store}", state, "--containers", "*")

    written = sum(1 for _ in summary.open())
    rows = cli.query(
        "SELECT count() AS n, uniqExact(file_id, line) AS once FROM"
        " (SELECT file_id, line FROM access_log UNION ALL SELECT file_id, line FROM message_log"
        "  UNION ALL SELECT file_id, line FROM rejected_line)",
        store,
    )
    ledger = cli.query(
        "SELECT sum(lines) AS lines, sum(access_rows + message_rows + rejected_rows) AS rows, sum(joined) AS joined FROM ledger",
        store,
    )
    assert rows == [{"n": written, "once": written}]
    assert int(ledger[0]["rows"]) == written
    assert int(ledger[0]["lines"]) == written + int(ledger[0]["joined"])
