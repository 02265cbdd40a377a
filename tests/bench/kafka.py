"""Through a real broker: the collector alone, the loader alone, all at once; rates, bytes per row and what share each process took."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.bench import data
from tests.bench.measure import Run, median, run
from tests.kafka import broker as real

LOGPROC = [sys.executable, "-m", "logproc"]
IDLE_SECONDS = 2.0
"""A loader that ends by itself waits for so long; taken off its time."""


@dataclass(frozen=True, slots=True)
class Round:
    """One repetition: collector alone, loader alone, both at once, each with the broker's CPU seconds; and the topic's bytes."""

    rows: float
    collect: Run
    collect_broker: float
    topic_bytes: int
    load: Run
    load_broker: float
    both_collect: Run
    both_load: Run
    both_broker: float


def _broker_cpu(kafka: real.Kafka) -> float:
    assert kafka._process is not None
    fields = Path(f"/proc/{kafka._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _collect(url: str, state: Path) -> Run:
    return run(
        [*LOGPROC, "collect", str(data.pods()), "--to", url, "--state", str(state), "--no-follow", "-q", "-o", "json"]
    )


def _load(url: str, store: Path, idle: float = IDLE_SECONDS) -> Run:
    return run(
        [
            *LOGPROC,
            "load",
            url,
            "--to",
            f"chdb://{store}",
            "--group",
            "g",
            "--until-idle",
            str(idle),
            "-q",
            "-o",
            "json",
        ]
    )


def _round(kafka: real.Kafka, folder: Path, number: int) -> Round:
    urls = [f"kafka://{kafka.address}/alone{number}", f"kafka://{kafka.address}/both{number}"]
    for url in urls:
        subprocess.run([*LOGPROC, "topics", "apply", url, "--partitions", "1"], check=True, stderr=subprocess.DEVNULL)
    before = _broker_cpu(kafka)
    collected = _collect(urls[0], folder / "s1")
    collect_broker = _broker_cpu(kafka) - before
    size = sum(p.stat().st_size for p in (kafka.folder / "data" / f"alone{number}-0").glob("*.log"))
    before = _broker_cpu(kafka)
    loaded = _load(urls[0], folder / "c1")
    load_broker = _broker_cpu(kafka) - before
    before = _broker_cpu(kafka)
    found: list[Run] = []
    collector = threading.Thread(target=lambda: found.append(_collect(urls[1], folder / "s2")))
    collector.start()
    # It has to outlive the start of the collector.
    both = _load(urls[1], folder / "c2", 10.0)
    collector.join()
    return Round(
        collected.said["lines"],
        collected,
        collect_broker,
        size,
        loaded,
        load_broker,
        found[0],
        both,
        _broker_cpu(kafka) - before,
    )


def main(repeats: int) -> None:
    """Print the table."""
    if why := real.missing():
        print(f"\nKafka: left out, {why}")
        return
    data.pods()
    rounds = []
    for number in range(repeats):
        folder = Path(tempfile.mkdtemp(dir=data.FOLDER))
        try:
            with real.running() as kafka:
                rounds.append(_round(kafka, folder, number))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    rows = rounds[0].rows
    assert all(r.load.said["lines"] == r.both_load.said["lines"] == rows for r in rounds)
    print(
        f"\nThrough a real broker on the same cores, {rows:,.0f} rows from kubelet files, one partition, embedded store\n"
    )
    print("| what | rows/s wall | rows per CPU s | CPU s: collector | broker | loader |")
    print("|--|--|--|--|--|--|")

    def line(what: str, wall: list[float], cpu: list[float], parts: list[list[float]]) -> None:
        shares = " | ".join(f"{median(p):.1f}" if any(p) else "" for p in parts)
        print(f"| {what} | {rows / median(wall):,.0f} | {rows / median(cpu):,.0f} | {shares} |")

    none = [0.0] * len(rounds)
    line(
        "collector into Kafka", [r.collect.said["seconds"] for r in rounds], [r.collect.cpu for r in rounds],
        [[r.collect.cpu for r in rounds], [r.collect_broker for r in rounds], none],
    )  # fmt: skip
    line(
        "loader", [r.load.said["seconds"] - IDLE_SECONDS for r in rounds], [r.load.cpu for r in rounds],
        [none, [r.load_broker for r in rounds], [r.load.cpu for r in rounds]],
    )  # fmt: skip
    line(
        "all at once", [r.both_load.said["seconds"] - 10.0 for r in rounds],
        [r.both_collect.cpu + r.both_broker + r.both_load.cpu for r in rounds],
        [[r.both_collect.cpu for r in rounds], [r.both_broker for r in rounds], [r.both_load.cpu for r in rounds]],
    )  # fmt: skip
    print(f"\n{median([float(r.topic_bytes) for r in rounds]) / rows:.1f} bytes per row on the topic; peak MB: "
          f"collector {median([r.collect.peak_mb for r in rounds]):.0f}, loader {median([r.load.peak_mb for r in rounds]):.0f}")  # fmt: skip
