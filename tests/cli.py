"""Running the real command line in a process of its own, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOGPROC = [sys.executable, "-m", "logproc"]


def environment(home: Path | None = None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything of logproc's, optionally with another home."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LOGPROC_")}
    if home is not None:
        env["HOME"] = str(home)
        env.pop("XDG_CONFIG_HOME", None)
    return env | {"NO_COLOR": "1", "COLUMNS": "120"} | dict(extra or {})


def run(
    *args: str | Path,
    stdin: bytes | None = None,
    home: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end; nothing is raised for its exit code."""
    return subprocess.run(
        [*LOGPROC, *map(str, args)],
        input=stdin,
        capture_output=True,
        env=environment(home, env),
        timeout=timeout,
        check=False,
    )


def output(*args: str | Path, **options: Any) -> bytes:
    """Standard output of a command that has to succeed."""
    done = run(*args, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def query(sql: str, store: Path | str) -> list[dict[str, Any]]:
    """Rows of a query over a store, through `logproc query`."""
    return [json.loads(line) for line in output("query", sql, "--store", str(store), "--output", "jsonl").splitlines()]


def collect(paths: Sequence[Path | str], to: str, state: Path, *options: str) -> dict[str, Any]:
    """The summary of a one-shot `logproc collect`."""
    said = output(
        "collect", *map(str, paths), "--to", to, "--state", state, "--no-follow", "--output", "json", *options
    )
    summary: dict[str, Any] = json.loads(said)
    return summary


def start(*args: str | Path, home: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a command that runs until it is stopped."""
    return subprocess.Popen(
        [*LOGPROC, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(home)
    )
