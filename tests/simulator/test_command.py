import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "logproc", "simulate"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_lines_to_standard_output_and_the_summary_beside() -> None:
    done = run("helloworld", "--requests", "5", "--start", "2026-11-21T06:00:00Z")

    assert done.returncode == 0
    assert len([line for line in done.stdout.splitlines() if line.startswith("[2026-11-21T06:00:0")]) == 10
    assert done.stderr.startswith("5 requests from 2026-11-21T06:00:00Z: ")


def test_folder_and_truth(tmp_path: Path) -> None:
    done = run(
        "mushop",
        "--out",
        str(tmp_path / "pods"),
        "--requests",
        "50",
        "--truth",
        str(tmp_path / "truth"),
        "--rotate-at",
        "64Ki",
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert {json.loads(line)["table"] for line in (tmp_path / "truth").open()} == {"access_log", "message_log"}
    assert "files under" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["mushopp"], "error: there is no topology 'mushopp'\nhint: did you mean mushop?\n"),
        (["--rotate-at", "10x", "--out", "x"], "error: --rotate-at '10x' is no size\n"),
        (["--start", "noon"], "error: --start 'noon' is no time\n"),
        (["--format", "%START"], "error: format: line 1, column 7: expected"),
        (["--out", "/dev/null/pods"], "error: /dev/null/pods: Not a directory\n"),
        (["--truth", "/nowhere/truth"], "error: /nowhere/truth: No such file or directory\n"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], error: str) -> None:
    done = run(*arguments, "--requests", "1")

    assert done.stderr.startswith(error)
    assert (done.returncode, done.stdout) == (3 if "directory" in error else 2, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([*COMMAND, "--out", str(tmp_path), "--live"], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.rglob("0.log")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "requests from" in stderr
    assert all(p.read_bytes().endswith(b"\n") for p in tmp_path.rglob("0.log"))


def test_a_reader_that_leaves_is_no_error() -> None:
    done = subprocess.run(
        f"{' '.join(COMMAND)} --seconds 600 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
