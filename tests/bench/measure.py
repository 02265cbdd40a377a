"""One measurement is one fresh process: its CPU seconds and peak memory are the kernel's own accounting."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """CPU and wall seconds, peak memory in MB, and what the process printed as its last JSON line."""

    cpu: float
    wall: float
    peak_mb: float
    said: dict[str, float]


def run(argv: Sequence[str], *, stdin: Path | None = None, env: dict[str, str] | None = None) -> Run:
    """Run a command to its end. Raises RuntimeError with its standard error where it fails."""
    started = time.perf_counter()
    with stdin.open("rb") if stdin else open(os.devnull, "rb") as source:  # noqa: PTH123
        process = subprocess.Popen(
            argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | (env or {}), cwd=ROOT
        )
        out, err = process.stdout, process.stderr
        assert out is not None and err is not None
        said = out.read()
        errors = err.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {errors.decode(errors='replace')[-2000:]}")
    last = (said.strip() or errors.strip()).splitlines()[-1:] or [b"{}"]
    try:
        numbers = json.loads(last[0])
    except ValueError:
        numbers = {}
    return Run(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024, numbers)


def python(code: str, *args: str) -> list[str]:
    """The command that runs a function of this folder, `module:function`, in a process of its own."""
    module, function = code.split(":")
    return [
        sys.executable,
        "-c",
        f"import sys; from tests.bench.{module} import {function} as f; f(*sys.argv[1:])",
        *args,
    ]


def in_turn(commands: dict[str, list[str]], repeats: int) -> dict[str, list[Run]]:
    """Run all commands in turn, `repeats` times, so that a change of the machine's speed meets all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, argv in commands.items():
            runs[name].append(run(argv))
    return runs


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def own_cpu() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
