"""A collector whose sink is away, as its operator sees it: metrics, health, messages and the state folder."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests import cli


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_sink_that_is_away_is_seen_and_everything_is_kept(tmp_path: Path) -> None:
    log, state = tmp_path / "a.log", tmp_path / "state"
    log.write_text("hello\n" * 100)
    process = cli.start(
        "collect", log, "--to", "clickhouse://default@127.0.0.1:9/logproc", "--state", state, "--follow",
        "--metrics-listen", "127.0.0.1:0", "--grace", "1",
    )  # fmt: skip
    assert process.stderr is not None
    try:
        records = []
        while not any("metrics:" in r["message"] for r in records):
            records.append(json.loads(process.stderr.readline()))
        (base,) = [m[1] for r in records if (m := re.search(r"(http://\S+)/metrics", r["message"]))]
        deadline = time.monotonic() + 60
        while not re.search(r"^logproc_spool_batches 1\.0", text := get(f"{base}/metrics")[1], re.MULTILINE):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        health, ready = get(f"{base}/healthz"), get(f"{base}/readyz")
        shown = json.loads(cli.output("state", "show", state, "-o", "json"))
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    records += [json.loads(line) for line in errors.splitlines()]

    assert health == (200, "ok\n")
    assert ready[0] == 503
    assert "not reached yet" in ready[1]
    assert "logproc_read_lines_total 100.0" in text
    assert "logproc_sink_ready 0.0" in text
    assert (shown["used_by"], shown["spool"]["lines"]) == (process.pid, 100)
    assert process.returncode == 0
    assert {"warning", "info"} >= {r["level"] for r in records}
    assert any("trying again" in r["message"] for r in records)
    assert any("1 batch waits in the spool" in r["message"] for r in records)


def test_a_state_folder_is_shown_checked_and_reset(tmp_path: Path) -> None:
    log, state = tmp_path / "a.log", tmp_path / "state"
    log.write_text("hello\n" * 3)
    first = cli.output("collect", log, "--to", "stdout:", "--state", state, "-q").count(b"\n")
    again = cli.output("collect", log, "--to", "stdout:", "--state", state, "-q").count(b"\n")
    text = cli.output("state", "show", state).decode()
    sound = cli.run("state", "check", state)
    (state / "positions").write_bytes(b"nonsense")
    damaged = cli.run("state", "check", state, "-o", "json")
    refused = cli.run("collect", log, "--to", "stdout:", "--state", state, "-q")
    cli.output("state", "reset", state)
    afresh = cli.output("collect", log, "--to", "stdout:", "--state", state, "-q").count(b"\n")
    nothing = cli.run("state", "show", tmp_path)

    assert (first, again, afresh) == (3, 0, 3)
    assert "1 file, " in text
    assert "nothing waits" in text
    assert (sound.returncode, sound.stdout) == (0, b"sound: 1 file, nothing waits\n")
    assert damaged.returncode == 1
    assert json.loads(damaged.stdout)["findings"]
    assert refused.returncode == 3
    assert b"positions: damaged" in refused.stderr
    assert nothing.returncode == 3
    assert b"no state folder" in nothing.stderr
