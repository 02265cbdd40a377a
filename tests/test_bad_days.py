"""A whole collector while its disk fails: at every call, full for a while, read-only; each line is one row afterwards."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from logproc.disk import Disk
from logproc.model import SinkLimits
from logproc.testing import FlakySink, MemorySink
from tests.collecting import collect, following, texts, until, until_open, until_rows
from tests.kubelet import Container
from tests.properties.test_spool import Died, DyingDisk

TINY = SinkLimits(rows=4, bytes=1 << 20, seconds=0.01)


@pytest.mark.parametrize("torn", [0.0, 0.6])
def test_a_death_at_each_call_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: float) -> None:
    """The n-th call never returns, for every n there is; a write may be cut. The next run makes up for it."""
    for calls in itertools.count():
        root, state = tmp_path / str(calls) / "pods", tmp_path / str(calls) / "state"
        pod = Container(root)
        pod.write(6)
        with pod.current.open("ab") as file:
            file.write(b"2026-11-21T10:00:00.9Z stdout P begun \n")
        sink = MemorySink(TINY)
        died = False
        with monkeypatch.context() as patch:
            patch.setattr("logproc.state.Disk", lambda calls=calls: DyingDisk(calls, torn))
            patch.setattr("logproc.pipeline.GRACE_SECONDS", 0.0)
            try:
                collect(root, state, sink)
            except Died:
                died = True
        with pod.current.open("ab") as file:
            file.write(b"2026-11-21T10:00:01.0Z stdout F and ended\n")
        pod.rotate()
        pod.gzip_oldest()
        pod.write(2)

        collect(root, state, sink)

        found = texts(sink)
        whole = [text for text in found if b" F line " in text]
        assert whole == sorted(pod.lines), f"call {calls}"
        ledger = [row for row in sink.ledger() if row["state"] == "stored"]
        assert sum(row["lines"] for row in ledger) == 10
        assert sum(row["joined"] for row in ledger) == 10 - len(found)
        if not died:
            break
    assert calls > 8


class FailingDisk(Disk):
    """Writes fail as long as they are told to."""

    error = 0

    def sync(self, fd: int) -> None:
        pass

    def write(self, path: Path, *parts: bytes) -> None:
        if FailingDisk.error:
            path.write_bytes(parts[0][:7])
            raise OSError(FailingDisk.error, os.strerror(FailingDisk.error))
        super().write(path, *parts)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_takes_nothing_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    monkeypatch.setattr("logproc.state.Disk", FailingDisk)
    monkeypatch.setattr("logproc.pipeline.KEEP_AGAIN_SECONDS", 0.05)
    pod = Container(tmp_path / "pods")
    pod.write(10)
    sink = MemorySink(TINY)
    with following(tmp_path / "pods", tmp_path / "state", sink) as said:
        until_rows(sink, 10)
        FailingDisk.error = error
        try:
            pod.write(10)
            until(lambda: any("cannot be written" in line for line in said))
            pod.rotate()
            pod.write(5)
        finally:
            FailingDisk.error = 0
        until_rows(sink, 25)
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert texts(sink) == sorted(pod.lines)
    assert [line for line in said if os.strerror(error) in line]
    assert len([line for line in said if "cannot be written" in line]) <= 4
    assert not list((tmp_path / "state" / "spool").iterdir())


def test_many_streams_at_once(tmp_path: Path) -> None:
    """Three hundred pods with a few lines each, and all of them again: nothing is lost among them."""
    pods = [Container(tmp_path / "pods", pod=f"web-{n}", uid=f"{n:04}") for n in range(300)]
    sink = MemorySink(SinkLimits(rows=500, bytes=1 << 20, seconds=0.05))
    for pod in pods:
        pod.write(5)
    with following(tmp_path / "pods", tmp_path / "state", sink):
        until_rows(sink, 1500)
        for pod in pods:
            pod.write(2)
            pod.rotate()
            pod.write(1)
        until_rows(sink, 2400)

    assert texts(sink) == sorted(line for pod in pods for line in pod.lines)


def test_two_processes_never_share_a_state(tmp_path: Path) -> None:
    """The second one is refused while the first works, and the first is not disturbed."""
    pod = Container(tmp_path / "pods")
    pod.write(5)
    sink, other = MemorySink(TINY), MemorySink(TINY)
    refused = threading.Event()
    with following(tmp_path / "pods", tmp_path / "state", sink):
        until_rows(sink, 5)
        try:
            collect(tmp_path / "pods", tmp_path / "state", other)
        except Exception as error:
            assert "in use by process" in str(error)
            refused.set()
        pod.write(5)
        until_rows(sink, 10)

    assert refused.is_set()
    assert other.batches == []
    assert texts(sink) == sorted(pod.lines)


@pytest.mark.long
def test_two_thousand_streams_of_five_lines_a_second(tmp_path: Path) -> None:
    pods = [Container(tmp_path / "pods", pod=f"web-{n}", uid=f"{n:05}") for n in range(2000)]
    sink = MemorySink(SinkLimits(rows=20_000, bytes=4 << 20, seconds=1.0))
    with following(tmp_path / "pods", tmp_path / "state", sink):
        for second in range(10):
            began = time.monotonic()
            for number, pod in enumerate(pods):
                pod.write(5)
                if (number + second) % 7 == 0:
                    pod.rotate()
            time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
        until_rows(sink, 100_000, 120)

    assert texts(sink) == sorted(line for pod in pods for line in pod.lines)


@pytest.mark.long
def test_one_loud_pod_among_two_hundred_quiet_ones(tmp_path: Path) -> None:
    """It writes as fast as it can for ten seconds and rotates; the others' lines arrive meanwhile."""
    loud = Container(tmp_path / "pods", pod="loud-0", uid="loud")
    quiet = [Container(tmp_path / "pods", pod=f"quiet-{n}", uid=f"{n:05}") for n in range(200)]
    sink = MemorySink(SinkLimits(rows=20_000, bytes=4 << 20, seconds=1.0))
    with following(tmp_path / "pods", tmp_path / "state", sink):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            loud.write(2000, text="x" * 2000)
            loud.rotate()
            for pod in quiet:
                pod.write(1)
        behind = len(loud.lines)
        until_rows(sink, behind + sum(len(pod.lines) for pod in quiet), 240)

    assert texts(sink) == sorted(line for pod in [loud, *quiet] for line in pod.lines)


@pytest.mark.long
def test_a_minute_without_sink(tmp_path: Path) -> None:
    """Sixty seconds of an outage in which the kubelet deletes all but five files: the spool carries it."""
    pods = [Container(tmp_path / "pods", uid=f"{n}", pod=f"web-{n}") for n in range(4)]
    back = threading.Event()
    sink = FlakySink(lambda _: "stored" if back.is_set() else "unavailable", SinkLimits(rows=20_000, bytes=1 << 20))
    with following(tmp_path / "pods", tmp_path / "state", sink):
        for _ in range(60):
            for pod in pods:
                pod.write(500, text="x" * 300)
                until_open(pod.current)
                pod.rotate()
                pod.gzip_oldest()
                for old in sorted(pod.folder.glob("*.gz"))[:-3]:
                    old.unlink()
            time.sleep(0.8)
        back.set()
        until_rows(sink, 120_000, 180)

    assert texts(sink) == sorted(line for pod in pods for line in pod.lines)
