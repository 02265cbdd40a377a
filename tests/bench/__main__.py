"""`make bench [ONLY=parse,store,memory,collect,serve]`: prints one table per subject."""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import data
from tests.bench.collecting import collect
from tests.bench.measure import Run, in_turn, median, python, run
from tests.bench.serving import serve

LOGPROC = [sys.executable, "-m", "logproc"]


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"


def _rate(runs: list[Run]) -> list[float]:
    return [r.said["lines"] / r.said["cpu"] for r in runs]


def parse(repeats: int) -> None:
    """Lines per CPU second of one core, from bytes to typed record batches, with all checks."""
    t5 = data.lines("T5")
    cri = data.cri(t5)
    json_lines = data.lines("json")
    lazy, loads = "lazy", "json_loads"
    # Name, file, arguments of ours, baseline and its arguments.
    subjects: list[tuple[str, Path, tuple[str, ...], str, tuple[str, ...]]] = [
        ("T5 plain", t5, ("plain",), lazy, ("plain",)),
        ("T5 in CRI frames", cri, ("cri",), lazy, ("cri",)),
        ("T5, 1 % hostile", data.hostile(t5, 0.01), ("plain",), lazy, ("plain",)),
        ("T5 in CRI frames, 1 % hostile", data.cri(data.hostile(t5, 0.01)), ("cri",), lazy, ("cri",)),
        ("T5, all hostile", data.hostile(t5, 1.0), ("plain",), lazy, ("plain",)),
        *((name, data.custom(name), ("plain", text), lazy, ("plain", text)) for name, text in data.CUSTOM.items()),
        ("Istio JSON", json_lines, ("plain",), loads, ()),
        ("Istio JSON, shuffled keys", data.shuffled(json_lines), ("plain",), loads, ()),
        ("JSON, nested keys", data.nested(json_lines), ("plain",), loads, ()),
    ]
    print(
        "\nParsing, one core, CPU seconds. x: times the baseline of the same run (lazy `re` per line; JSON: `json.loads`)\n"
    )
    print("| input | B/line | M lines/s | spread | MB/s | baseline M/s | x | by the columnar reader |")
    print("|--|--|--|--|--|--|--|--|")
    for name, path, arguments, base, base_arguments in subjects:
        runs = in_turn(
            {
                "ours": python("parsing:ours", str(path), *arguments),
                "base": python(f"parsing:{base}", str(path), *base_arguments),
            },
            repeats,
        )
        ours, theirs = _rate(runs["ours"]), _rate(runs["base"])
        ratio = median([o / t for o, t in zip(ours, theirs, strict=True)])
        said = runs["ours"][0].said
        print(
            f"| {name} | {said['mb'] * 1e6 / said['lines']:.0f} | {median(ours) / 1e6:.2f} | {_spread([o / 1e6 for o in ours])} "
            f"| {median([r.said['mb'] / r.said['cpu'] for r in runs['ours']]):.0f} | {median(theirs) / 1e6:.3f} | {ratio:.1f} "
            f"| {100 * said['columnar'] / said['lines']:.1f} % |"
        )


def store(repeats: int) -> None:
    """Rows per second from kubelet files to the embedded store, one process, both cores."""
    pods = data.pods()
    print("\nFiles to chdb://, one process, 2 cores\n")
    print("| sink | rows | wall s | rows/s wall | CPU s | peak MB |")
    print("|--|--|--|--|--|--|")
    for sink in ("null:", "chdb"):
        runs = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory(dir=data.FOLDER) as folder:
                to = f"chdb://{folder}/store" if sink == "chdb" else sink
                runs.append(
                    run(
                        [
                            *LOGPROC,
                            "collect",
                            str(pods),
                            "--to",
                            to,
                            "--state",
                            f"{folder}/state",
                            "--no-follow",
                            "-o",
                            "json",
                        ]
                    )
                )
        rows = runs[0].said["lines"]
        seconds = median([r.said["seconds"] for r in runs])
        print(
            f"| {sink} | {rows:,} | {seconds:.1f} | {rows / seconds:,.0f} | {median([r.cpu for r in runs]):.1f} | {median([r.peak_mb for r in runs]):.0f} |"
        )
    from tests.bench.store import main as stored

    stored(min(repeats, 3))


def memory(repeats: int) -> None:
    """Peak memory over 1 GiB."""
    del repeats
    big = data.repeated(data.lines("T5"), 1 << 30)
    print("\nPeak memory over 1 GiB of T5 lines\n\n| command | peak MB | CPU s |\n|--|--|--|")
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as folder:
        for name, argv in {
            "parse --output none": [*LOGPROC, "parse", str(big), "--output", "none", "--stats"],
            "collect --to null:": [
                *LOGPROC,
                "collect",
                str(big),
                "--to",
                "null:",
                "--state",
                folder,
                "--no-follow",
                "-o",
                "json",
            ],
        }.items():
            done = run(argv)
            print(f"| {name} | {done.peak_mb:.0f} | {done.cpu:.1f} |")
    big.unlink()


def kafka(repeats: int) -> None:
    """Collector, loader and both through a real broker."""
    from tests.bench.kafka import main as through_kafka

    through_kafka(min(repeats, 3))


def tail(repeats: int) -> None:
    """The live view: first line, lines per CPU second, memory."""
    from tests.bench.tail import main as live

    live(min(repeats, 5))


SUBJECTS: dict[str, Callable[[int], None]] = {
    "parse": parse,
    "store": store,
    "memory": memory,
    "collect": collect,
    "serve": serve,
    "kafka": kafka,
    "tail": tail,
}


def main() -> None:
    """Run the subjects that were named, or all."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("subjects", nargs="*", choices=[*SUBJECTS, []], help="all when none is named")
    arguments.add_argument("--repeats", type=int, default=5)
    typed = arguments.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {shutil.disk_usage('/').free >> 30} GiB free"
    )
    for subject in typed.subjects or SUBJECTS:
        SUBJECTS[subject](typed.repeats)


if __name__ == "__main__":
    main()
