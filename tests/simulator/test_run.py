import io
import threading
import time
from pathlib import Path

import pytest

from logproc.errors import ConfigError
from logproc.simulator import BUILDERS, SimulateOptions, Summary, simulate, topology
from tests.simulator import pod_logs
from tests.simulator.conftest import START


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def text(**options: object) -> str:
    out = io.BytesIO()
    simulate(SimulateOptions(**{"stream": out, "start": START, **options}))  # type: ignore[arg-type]
    return out.getvalue().decode()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_seed_and_a_start_repeat_byte_for_byte(tmp_path: Path, name: str) -> None:
    for place, seed in (("a", 7), ("b", 7), ("c", 8)):
        simulate(
            SimulateOptions(topology=name, out=tmp_path / place, truth=tmp_path / f"{place}.jsonl", seed=seed, requests=60, start=START, rotate_at=9000)
        )  # fmt: skip

    assert tree(tmp_path / "a") == tree(tmp_path / "b") != tree(tmp_path / "c")
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()


def test_the_truth_does_not_change_what_is_written(tmp_path: Path) -> None:
    for place, truth in (("with", tmp_path / "truth"), ("without", None)):
        simulate(SimulateOptions(out=tmp_path / place, truth=truth, requests=300, start=START, rotate_at=30_000))

    assert tree(tmp_path / "with") == tree(tmp_path / "without")


def test_rate_and_length_say_how_many_requests(tmp_path: Path) -> None:
    def run(**options: object) -> int:
        return simulate(SimulateOptions(topology="helloworld", stream=io.BytesIO(), **options)).requests  # type: ignore[arg-type]

    assert run(seconds=10, rate=30) == 300
    assert run(seconds=10, rate=30, requests=12) == 12
    assert run(seconds=2, rate=30, requests=1000) == 60
    assert run() == 60 * 20


def test_requests_begin_within_the_run() -> None:
    lines = text(topology="helloworld", seconds=30, rate=20).splitlines()
    starts = sorted(line[1:25] for line in lines if line.startswith("["))

    assert starts[0].startswith("2026-11-21T06:00:00") and "2026-11-21T06:00:29" <= starts[-1] < "2026-11-21T06:00:31"


def test_without_a_start_the_run_ends_now() -> None:
    before = time.time()
    summary = simulate(SimulateOptions(seconds=30, rate=1, stream=io.BytesIO()))

    assert before - 32 <= summary.start <= time.time() - 30


def test_the_rate_of_a_day_follows_the_hour() -> None:
    lines = text(topology="large", services=4, seconds=86_400, rate=0.02, start=START - 6 * 3600).splitlines()
    hours = [int(line[12:14]) for line in lines if line.startswith("[") and "outbound" in line]

    assert sum(12 <= h < 18 for h in hours) > 2 * sum(h < 6 for h in hours)


def test_a_stop_ends_the_run_with_whole_requests(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[Summary] = []

    def report(summary: Summary) -> None:
        seen.append(summary)
        stop.set()

    summary = simulate(SimulateOptions(out=tmp_path, seconds=86_400, rate=50), stop=stop, report=report)

    assert len(seen) == 1
    assert summary.requests == seen[0].requests < 86_400 * 50
    assert summary.rows == len(pod_logs.all_rows(tmp_path))


def test_live_writes_in_real_time(tmp_path: Path) -> None:
    before = time.time()
    summary = simulate(SimulateOptions(topology="helloworld", out=tmp_path, live=True, seconds=1, rate=40))

    assert time.time() >= before + 1
    assert summary.requests == 40
    assert before - 1 <= summary.start <= time.time()
    assert len([line for line in pod_logs.lines_of(tmp_path) if line.startswith("[")]) > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": "bookinf"}, "no topology 'bookinf'"),
        ({"topology": "large", "services": 2}, "from 4 to 400 services"),
        ({"rate": 0}, "rate of 0"),
        ({"requests": 0}, "0 requests are none"),
        ({"seconds": -1}, "-1 seconds"),
        ({"rotate_at": 10, "out": Path("x")}, "too small"),
        ({"keep": 1, "out": Path("x")}, "cannot be kept"),
        ({"keep": 3}, "standard output is not rotated"),
        ({"live": True, "start": 1.0}, "takes no --start"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(SimulateOptions(**options))  # type: ignore[arg-type]


def test_the_nearest_topology_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        topology("travel")

    assert caught.value.hint == "did you mean travels?"
