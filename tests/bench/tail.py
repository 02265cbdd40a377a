"""`tail`: start to first line with 50 pods, lines per CPU second, memory with 500 streams. The API server is the tests' fake."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench import data
from tests.bench.collecting import Load, cpu_of, folder_of, writer
from tests.bench.measure import median, run
from tests.fake_api.server import FakeApi
from tests.tail.lines import inbound

LOGPROC = [sys.executable, "-m", "logproc"]


def main(repeats: int) -> None:
    """Print the figures."""
    print("\ntail\n\n| what | figure |\n|--|--|")
    _first_line(repeats)
    _lines_per_cpu_second(repeats)
    _live()
    _memory()


def _first_line(repeats: int) -> None:
    walls, cpus = [], []
    with tempfile.TemporaryDirectory() as folder, _served(50, 20) as api:
        config = api.kubeconfig(Path(folder))
        for _ in range(repeats):
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            process = _start(config)
            assert process.stdout is not None
            process.stdout.readline()
            walls.append(time.perf_counter() - began)
            process.send_signal(signal.SIGINT)
            process.communicate()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"| 50 pods, start to first line | {median(walls):.2f} s wall, {median(cpus):.2f} s CPU until ended |")


def _lines_per_cpu_second(repeats: int) -> None:
    t5 = data.lines("T5")
    lines = t5.read_bytes().count(b"\n")
    for name, further in {
        "one filter, plain output (`--code 5xx`)": ["--code", "5xx"],
        "every row printed": [],
        "`-o jsonl`": ["-o", "jsonl"],
    }.items():
        cpus = [run([*LOGPROC, "tail", str(t5), "--tail", "-1", "--no-follow", *further]).cpu for _ in range(repeats)]
        print(f"| {name} | {lines / median(cpus):,.0f} lines per CPU second, start included |")


def _live(lines_per_second: int = 20_000, seconds: int = 15) -> None:
    """One CRI file that is written while it is shown; start and end excluded."""
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as folder:
        root = Path(folder)
        folder_of(root, 0).mkdir(parents=True)
        log = folder_of(root, 0) / "0.log"
        log.touch()
        with writer(root, Load(1, lines_per_second, seconds)):
            argv = [*LOGPROC, "tail", str(log), "--tail", "0"]
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(4)
            began, before = time.monotonic(), cpu_of(process.pid)
            time.sleep(seconds - 7)
            share = 100 * (cpu_of(process.pid) - before) / (time.monotonic() - began)
            process.send_signal(signal.SIGINT)
            said = process.communicate()[1].decode().strip().splitlines()[-1]
    print(f"| a file written with {lines_per_second:,} lines/s, every row printed | {share:.0f} % of a core ({said}) |")


def _memory() -> None:
    with tempfile.TemporaryDirectory() as folder, _served(500, 20) as api:
        process = _start(api.kubeconfig(Path(folder)))
        came = [0]

        def count() -> None:
            for _ in process.stdout or ():
                came[0] += 1

        drain = threading.Thread(target=count, daemon=True)
        drain.start()
        for turn in range(21):
            end = time.monotonic() + 60
            while came[0] < 10_000 + 500 * turn and time.monotonic() < end:
                time.sleep(0.01)
            if turn < 20:
                for pod in range(500):
                    api.write(f"web-{pod}", inbound(turn))
        peak = next(
            int(line.split()[1])
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        process.send_signal(signal.SIGINT)
        drain.join(20)
        assert process.stderr is not None
        said = process.stderr.read().decode().strip().splitlines()[-1]
        process.wait()
    print(f"| 500 streams, 20,000 lines | {peak / 1024:.0f} MB at the peak ({said}) |")


class _served:  # noqa: N801  a context, read as a word
    def __init__(self, pods: int, lines: int) -> None:
        self._pods, self._lines = pods, lines

    def __enter__(self) -> FakeApi:
        self.api = FakeApi()
        for pod in range(self._pods):
            self.api.add(f"web-{pod}")
            self.api.write(f"web-{pod}", *(inbound(n) for n in range(self._lines)))
        return self.api

    def __exit__(self, *_: object) -> None:
        self.api.close()


def _start(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*LOGPROC, "tail", "-l", "app=web", "--tail", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"KUBECONFIG": str(config)},
    )  # fmt: skip
