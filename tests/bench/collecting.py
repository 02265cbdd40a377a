"""The collector beside writers that keep a pace: CPU, memory and latency, from the kernel's account of its process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tests.bench import data
from tests.bench.measure import ROOT, median, python, run

LOGPROC = [sys.executable, "-m", "logproc"]
TICK = 0.05
OLD = b"2026-01-01T00:00:00.123"
"""The time of the loud pod's lines: the others are told apart by theirs."""
_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What is written: to so many pods, each so many lines a second, for so long."""

    pods: int
    lines_per_second: float
    seconds: float
    loud_bytes_per_second: int = 0
    """One more pod that writes so much."""


def folder_of(root: Path, number: int) -> Path:
    """The container's folder of one pod."""
    return root / f"mesh_web-{number}_{number:08x}" / "istio-proxy"


def write(root: str, pods: str, rate: str, seconds: str, loud: str = "0") -> None:
    """The writer's process: real lines of `T5` in CRI frames, stamped with the time of writing, at a steady pace."""
    count, per_second, until = int(pods), float(rate), time.monotonic() + float(seconds)
    with data.cri(data.lines("T5")).open("rb") as source:
        tails = [line.split(b" ", 3)[3][25:] for line in islice(source, 20_000) if b" stdout F [" in line]
    lines = cycle(tails)
    files = []
    for number in range(count + (int(loud) > 0)):
        folder = folder_of(Path(root), number)
        folder.mkdir(parents=True, exist_ok=True)
        files.append((folder / "0.log").open("ab", buffering=0))
    written, began = [0] * count, time.monotonic()
    big = b"".join(OLD + b"456789Z stdout F [" + OLD + b"Z" + t for t in tails[:2500])
    big_written = 0
    while (now := time.monotonic()) < until:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")[:23].encode()
        head = stamp + b"456789Z stdout F [" + stamp + b"Z"
        for number in range(count):
            # Pods do not all write in the same moment.
            due = int((now - began) * per_second + number / max(count, 1)) - written[number]
            if due > 0:
                files[number].write(b"".join(head + t for t in islice(lines, due)))
                written[number] += due
        while int(loud) and big_written < (now - began) * int(loud) and time.monotonic() < now + TICK:
            big_written += files[-1].write(big)
        time.sleep(max(0.0, TICK - (time.monotonic() - now)))
    print(json.dumps({"lines": sum(written), "loud_mb": big_written / 1e6}))


@contextmanager
def writer(root: Path, load: Load) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes the load, killed at the end."""
    argv = python(
        "collecting:write",
        str(root),
        *map(str, (load.pods, load.lines_per_second, load.seconds, load.loud_bytes_per_second)),
    )
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cpu_of(pid: int) -> float:
    """CPU seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HERTZ


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def beside(load: Load, *options: str, settle: float = 3.0) -> dict[str, float]:
    """Collect into `null:` what the load writes; share of a core, peak memory and lag while it does, start excluded."""
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as name:
        root = Path(name) / "pods"
        for number in range(load.pods):
            folder_of(root, number).mkdir(parents=True)
        with writer(root, load):
            argv = [*LOGPROC, "collect", str(root), "--to", "null:", "--follow", "-q", *options]
            process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL)
            try:
                time.sleep(settle)
                cpu, began = cpu_of(process.pid), time.monotonic()
                time.sleep(max(1.0, load.seconds - settle - 1.0))
                used, took = cpu_of(process.pid) - cpu, time.monotonic() - began
                peak = _peak_mb(process.pid)
            finally:
                process.terminate()
                process.wait(30)
    return {"cpu_percent": 100 * used / took, "peak_mb": peak}


def latencies(root: str, seconds: str) -> None:
    """The collector's process of `latency`: default limits, and a sink that notes how old each line is when it gets it."""
    from threading import Timer

    import numpy as np
    import pyarrow as pa

    from logproc.collector import Options, collector
    from logproc.memory import keep_little
    from logproc.model import ACCESS_LOG, Batch, SinkLimits
    from parsers import open_parser

    keep_little()
    ages: list[Any] = []
    began = time.time()

    class Noting:
        limits = SinkLimits(durable=False)

        def open(self) -> None:
            pass

        def write(self, batch: Batch) -> None:
            rows, now = batch.tables.get(ACCESS_LOG), time.time() * 1e6
            if rows is not None:
                stamps = rows.column("timestamp").cast(pa.int64()).to_numpy()
                fresh = (
                    now - stamps
                ) / 1e6 < now / 1e6 - began - 2.0  # what was there before it started does not count
                ages.append(((now - stamps) / 1e6)[fresh])

        def close(self) -> None:
            pass

    with collector(Options([root], None, follow=True), open_parser("auto"), Noting()) as (pipeline, _):
        Timer(float(seconds), pipeline.stop).start()
        pipeline.run()
    age = np.concatenate(ages)
    print(
        json.dumps(
            {
                "lines": len(age),
                "p50": float(np.percentile(age, 50)),
                "p99": float(np.percentile(age, 99)),
                "max": float(age.max()),
            }
        )
    )


def latency(load: Load) -> dict[str, float]:
    """Seconds from the write of a line to its batch being handed to the sink."""
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as name:
        root = Path(name) / "pods"
        for number in range(load.pods):
            folder_of(root, number).mkdir(parents=True)
        with writer(root, load):
            return run(python("collecting:latencies", str(root), str(load.seconds - 2))).said


def flat_out(repeats: int) -> dict[str, float]:
    """Lines per CPU second from CRI files to parsed batches at `null:`, relative to the parser alone over the same lines."""
    cri = data.cri(data.lines("T5"))
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as name:
        root = Path(name) / "pods"
        pods = 10
        outputs = []
        for number in range(pods):
            folder_of(root, number).mkdir(parents=True)
            outputs.append((folder_of(root, number) / "0.log").open("wb"))
        with cri.open("rb") as source:
            for lines, output in zip(iter(lambda: list(islice(source, 5000)), []), cycle(outputs)):
                output.writelines(lines)
        for output in outputs:
            output.close()
        empty = Path(name) / "empty"
        empty.mkdir()
        base = median([run([*LOGPROC, "collect", str(empty), "--to", "null:", "-q"]).cpu for _ in range(repeats)])
        shares, rates, peaks = [], [], []
        for _ in range(repeats):
            whole = run([*LOGPROC, "collect", str(root), "--to", "null:", "-o", "json", "-q"])
            parser = run(python("parsing:ours", str(cri), "cri"))
            rate = whole.said["lines"] / (whole.cpu - base)
            rates.append(rate)
            shares.append(100 * rate / (parser.said["lines"] / parser.said["cpu"]))
            peaks.append(whole.peak_mb)
        shutil.rmtree(root)
    return {"lines_per_second": median(rates), "percent_of_parser": median(shares), "peak_mb": median(peaks)}


def collect(repeats: int) -> None:
    """All figures of the collector, one table."""
    seconds = 25.0
    print("\nThe collector, files in CRI frames to `null:`\n\n| load | measured | goal |\n|--|--|--|", flush=True)

    def paced(name: str, load: Load, goal: str) -> None:
        said = [beside(load) for _ in range(max(1, repeats // 2))]
        cpu, peak = median([s["cpu_percent"] for s in said]), max(s["peak_mb"] for s in said)
        print(f"| {name} | {cpu:.1f} % of a core, peak {peak:.0f} MB | {goal} |", flush=True)

    paced("10 MB/s, 50 pods of 460 lines/s", Load(50, 460, seconds), "8 %, 180 MB")
    paced("200 pods of 20 lines/s", Load(200, 20, seconds), "15 %")
    paced("200 pods, nothing written", Load(200, 0, seconds), "1 %")
    paced("2,000 pods of 5 lines/s", Load(2000, 5, seconds), "-")
    flat = flat_out(repeats)
    print(
        f"| flat out | {flat['lines_per_second'] / 1e6:.2f} M lines/s of CPU, {flat['percent_of_parser']:.0f} % of the parser alone,"
        f" peak {flat['peak_mb']:.0f} MB | 85 % |"
    )
    for name, load in {
        "latency, 50 pods of 460 lines/s": Load(50, 460, seconds),
        "latency of 200 quiet pods beside one of 100 MB/s": Load(200, 5, seconds, 100_000_000),
    }.items():
        said = latency(load)
        print(
            f"| {name} | p50 {said['p50']:.2f} s, p99 {said['p99']:.2f} s, max {said['max']:.2f} s | p99 1.5 s |",
            flush=True,
        )
