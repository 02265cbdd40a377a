"""What bounds reading: turns, rates, memory, open files; and how far behind it is."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import pytest

from tests.kubelet import Container, Reading, open_handles


def test_a_quiet_file_is_not_starved_by_a_loud_one(tmp_path: Path) -> None:
    loud, quiet = tmp_path / "a.log", tmp_path / "b.log"
    loud.write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 100_000)
    quiet.write_bytes(b"quiet\n")
    reading = Reading(loud, quiet)

    first = reading.source.read(1 << 20)

    assert b"quiet\n" in [c.data for c in first]
    assert sum(len(c.data) for c in first) < 2 << 20


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", [b"\nafter\n", b""])
def test_an_oversized_line_is_cut_and_its_length_told(tmp_path: Path, end: bytes, packed: bool) -> None:
    content = b"before\n" + b"z" * 5_000_000 + end
    log = tmp_path / ("a.log.gz" if packed else "a.log")
    log.write_bytes(gzip.compress(content) if packed else content)
    reading = Reading(log, follow=False)

    reading.read()

    (cut,) = [c for c in reading.chunks if c.oversized]
    assert cut.oversized == ((0, 5_000_000),)
    assert cut.data == b"z" * 65536 + b"\n"
    assert cut.span.end - cut.span.start == 5_000_000 + bool(end)
    assert [c.data for c in reading.chunks if not c.oversized and c.data] == [b"before\n", b"after\n"][: 1 + bool(end)]
    assert [line for _, line in reading.identities()] == list(range(2 + bool(end)))


def test_an_oversized_line_is_waited_for_without_being_held(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"z" * 3_000_000)
    reading = Reading(log, max_line=100_000)
    reading.read(2)
    with log.open("ab") as file:
        file.write(b"z" * 3_000_000)
    reading.read(2)
    assert reading.chunks == []
    with log.open("ab") as file:
        file.write(b"z\nafter\n")

    reading.read(2)

    assert [c.oversized for c in reading.chunks] == [((0, 6_000_001),), ()]


def test_how_far_it_is_behind(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"12345\n" * 100_000)
    reading = Reading(tmp_path / "a.log")
    reading.source.read(0)
    before = reading.source.status()
    reading.read()

    assert (before.files, before.lag_bytes, reading.source.status().lag_bytes) == (1, 600_000, 0)


def test_what_exceeds_a_pods_rate_waits_in_the_file(tmp_path: Path) -> None:
    loud, quiet = Container(tmp_path, uid="a"), Container(tmp_path, uid="b")
    loud.write(3000, text="x" * 1000)
    quiet.write(3)
    reading = Reading(tmp_path, rate=300_000)

    reading.read()
    first = reading.lines()
    reading.read(2)
    third = len(reading.lines())
    reading.read(20)

    assert sum(map(len, first)) < 700_000
    assert set(quiet.lines) <= set(first)
    assert len(first) < third < 1500
    assert len(reading.lines()) == 3003


def test_the_lag_of_each_stream_is_told(tmp_path: Path) -> None:
    pods = [Container(tmp_path, uid=uid, pod=f"web-{uid}") for uid in ("a", "b")]
    reading = Reading(tmp_path)
    for count, pod in enumerate(pods):
        pod.write(10 + 10 * count)
    reading.clock.now += 1.01
    reading.source.read(0)
    reading.source.status()
    reading.clock.now += 5
    status = reading.source.status()

    assert [(s.stream.k8s_pod, s.seconds) for s in status.streams] == [("web-b", 5.0), ("web-a", 5.0)]
    assert status.lag_bytes == sum(s.bytes for s in status.streams)
    assert status.lag_seconds == 5.0
    reading.read()
    assert reading.source.status().streams == ()
    assert reading.source.status().lag_seconds == 0.0


def test_a_gzipped_file_that_is_all_zeros_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"one\n" + b"\0" * 200_000_000 + b"\nend\n", 9))
    reading = Reading(tmp_path / "a.log.gz", follow=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    reading.read()

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000
    assert [line[:3] for line in reading.lines()] == [b"one", b"\0\0\0", b"end"]


@pytest.mark.parametrize("follow", [False, True])
def test_more_pods_than_files_may_be_open(tmp_path: Path, follow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logproc.open_files.handles_for_logs", lambda: 10)
    pods = [Container(tmp_path, uid=f"{n:03}", pod=f"web-{n}") for n in range(40)]
    for pod in pods:
        pod.write(3)
    reading = Reading(tmp_path, follow=follow)
    for _ in range(200):
        reading.clock.now += 0.3
        while chunks := reading.source.read(1 << 20):
            reading.chunks.extend(chunks)
        if reading.source.finished():
            break
    if follow:
        for pod in pods:
            pod.write(2)
        reading.read(20)
        for pod in pods:
            pod.rotate()
            pod.write(1)
        reading.read(40)

    assert sorted(reading.lines()) == sorted(line for pod in pods for line in pod.lines)
    assert len(set(reading.identities())) == len(reading.lines())
    assert open_handles(tmp_path) <= 10
    assert reading.source.finished() is not follow
    reading.close()
