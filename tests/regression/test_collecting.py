"""What users of other collectors report about outages, restarts and pods that go, each as a test that it does not happen here.

Each docstring is the symptom as a user sees it.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from logproc.model import Batch, SinkLimits
from logproc.testing import FlakySink, MemorySink
from tests.collecting import collect, following, texts, until, until_open, until_rows
from tests.kubelet import Container

LIMITS = SinkLimits(rows=1000, bytes=64 << 10, seconds=0.05)


def test_reading_does_not_wait_for_metadata(tmp_path: Path) -> None:
    """After quick rotations, or while metadata is missing, shipping stops at random and nothing says so."""
    pod = Container(tmp_path / "pods", pod="brand-new-1", uid="nobody-knows-it")
    pod.write(5)
    sink = MemorySink(LIMITS)
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert texts(sink) == sorted(pod.lines)
    assert {row["k8s_pod"] for row in sink.rows("message_log")} == {"brand-new-1"}


def test_a_renamed_file_keeps_its_pod(tmp_path: Path) -> None:
    """A file that is read late, under its rotated name, is refused: the name does not fit the pattern of container logs."""
    pod = Container(tmp_path / "pods")
    pod.write(5)
    pod.rotate()
    pod.gzip_oldest()
    sink = MemorySink(LIMITS)
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert {(r["k8s_namespace"], r["k8s_pod"], r["k8s_container"]) for r in sink.rows("message_log")} == {
        ("shop", pod.pod, "istio-proxy")
    }


def test_last_lines_of_a_deleted_pod(tmp_path: Path) -> None:
    """A pod is deleted, and its last lines were read but never delivered."""
    pod = Container(tmp_path / "pods")
    pod.write(10)
    away = threading.Event()
    sink = FlakySink(lambda _: "stored" if away.is_set() else "unavailable", LIMITS)
    with following(tmp_path / "pods", tmp_path / "state", sink):
        until_open(pod.current)
        pod.write(10)
        pod.delete_pod()
        away.set()
        until_rows(sink, 20)

    assert texts(sink) == sorted(pod.lines)


def test_a_sink_that_failed_is_tried_for_ever(tmp_path: Path) -> None:
    """After one fatal error of its client the collector drops everything until somebody restarts it."""
    pod = Container(tmp_path / "pods")
    pod.write(200)
    chance = random.Random(1)
    sink = FlakySink(
        lambda n: "stored" if n > 5 and chance.random() < 0.5 else "unavailable", SinkLimits(rows=20, seconds=0.05)
    )
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert texts(sink) == sorted(pod.lines)


def test_a_deleted_state_folder_is_made_again_in_mid_run(tmp_path: Path) -> None:
    """Somebody empties the state folder of a running collector: it crashes, or reads all files again and doubles their lines."""
    pod = Container(tmp_path / "pods")
    pod.write(10)
    sink = MemorySink(LIMITS)
    with following(tmp_path / "pods", tmp_path / "state", sink):
        until_rows(sink, 10)
        shutil.rmtree(tmp_path / "state")
        pod.write(10)
        until_rows(sink, 20)
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert texts(sink) == sorted(pod.lines)


def test_the_clock_jumps_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's clock is set back an hour: until it has caught up nothing is read, nothing is sent, or files are read again."""
    pod = Container(tmp_path / "pods")
    pod.write(10)
    sink = MemorySink(LIMITS)
    real, real_ns = time.time, time.time_ns
    with following(tmp_path / "pods", tmp_path / "state", sink):
        until_rows(sink, 10)
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: real() - 3600)
            patch.setattr(time, "time_ns", lambda: real_ns() - 3600 * 10**9)
            pod.write(10)
            pod.rotate()
            os.utime(pod.folder, (real() - 3600, real() - 3600))
            until_rows(sink, 20)
            pod.write(5)
            until_rows(sink, 25)

    assert texts(sink) == sorted(pod.lines)


def test_an_outage_longer_than_the_node_keeps_files(tmp_path: Path) -> None:
    """The sink is away for longer than the kubelet keeps rotated files: what was rotated meanwhile is lost."""
    pod = Container(tmp_path / "pods")
    pod.write(5)
    back = threading.Event()
    sink = FlakySink(lambda _: "stored" if back.is_set() else "unavailable", LIMITS)
    with following(tmp_path / "pods", tmp_path / "state", sink):
        for _ in range(12):
            pod.write(50, text="x" * 500)
            until_open(pod.current)
            pod.rotate()
            pod.gzip_oldest()
            for old in sorted(pod.folder.glob("*.gz"))[:-3]:
                old.unlink()
        back.set()
        until_rows(sink, len(pod.lines))

    assert texts(sink) == sorted(pod.lines)


def test_a_full_spool_holds_the_files_instead(tmp_path: Path) -> None:
    """The buffer on disk is full: new data is dropped, or the process stops."""
    pod = Container(tmp_path / "pods")
    pod.write(5)
    back = threading.Event()
    sink = FlakySink(lambda _: "stored" if back.is_set() else "unavailable", LIMITS)
    with following(tmp_path / "pods", tmp_path / "state", sink, spool_max=1):
        for _ in range(6):
            pod.write(50, text="x" * 500)
            until_open(pod.current)
            pod.rotate()
            pod.prune()
        back.set()
        until_rows(sink, len(pod.lines))

    assert texts(sink) == sorted(pod.lines)


def test_what_is_lost_is_in_the_ledger(tmp_path: Path) -> None:
    """Lines are lost, and nobody can say which and how many."""
    pod = Container(tmp_path / "pods")
    pod.write(5)
    back = threading.Event()
    sink = FlakySink(lambda _: "stored" if back.is_set() else "unavailable", LIMITS)
    with following(tmp_path / "pods", tmp_path / "state", sink, spool_max=1, held_max=30_000) as said:
        for _ in range(5):
            pod.write(20, text="x" * 1000)
            until_open(pod.current)
            pod.rotate()
            pod.prune()
        until(lambda: any("LOST" in line for line in said))
        back.set()
        until(lambda: sum(r["lines"] for r in sink.ledger()) == len(pod.lines))
    rows = sink.ledger()
    lost = sum(r["lines"] for r in rows if r["state"] == "lost")
    stored = sum(r["lines"] for r in rows if r["state"] == "stored")

    assert lost > 0
    assert lost + stored == len(pod.lines)
    assert len(texts(sink)) == stored
    assert any("LOST" in line for line in said)


def test_a_batch_is_never_parsed_twice(tmp_path: Path) -> None:
    """After a crash lines are read again from files that have changed meanwhile, and the same line is two rows."""
    pod = Container(tmp_path / "pods")
    pod.write(20)

    class Dies(BaseException):
        pass

    class Dying(MemorySink):
        deaths = 1

        def write(self, batch: Batch) -> None:
            super().write(batch)
            if self.deaths:
                self.deaths -= 1
                raise Dies

    sink = Dying(LIMITS)
    try:
        collect(tmp_path / "pods", tmp_path / "state", sink)
    except Dies:
        pod.rotate()
        pod.gzip_oldest()
    first = sink.batches[0].encoded
    collect(tmp_path / "pods", tmp_path / "state", sink)

    assert texts(sink) == sorted(pod.lines)
    assert sink.batches[0].encoded == first
