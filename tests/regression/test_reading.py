"""What users of other collectors report about log files that are rotated, gzipped or deleted, each as a test that it does not happen here.

Each docstring is the symptom as a user sees it.
"""

from __future__ import annotations

import os
from pathlib import Path

from logproc.held import HeldLimits
from logproc.model import Position
from tests.docker_logs import DOCKER_ID, K8S_LABELS, docker_container, docker_line
from tests.kubelet import Container, Reading, open_handles


def test_rest_of_a_burst_is_read_after_rotation(tmp_path: Path) -> None:
    """A burst is still being read when the file is rotated; some seconds later the rest of it is dropped, without a warning."""
    pod = Container(tmp_path)
    pod.write(3000, text="x" * 1000)
    reading = Reading(tmp_path)
    reading.chunks.extend(reading.source.read(1))
    pod.rotate()
    for _ in range(60):  # a minute in which almost nothing is read
        pod.write(1)
        reading.hold()

    reading.read(3)

    assert reading.lines() == pod.lines


def test_a_million_bytes_in_one_breath_over_many_files(tmp_path: Path) -> None:
    """A million lines in a burst: two thirds arrive, and the new file is never read."""
    pod = Container(tmp_path)
    reading = Reading(tmp_path)
    reading.read()
    for _ in range(20):
        pod.write(500, text="x" * 100)
        pod.rotate()
        pod.gzip_oldest()
    pod.write(3)

    reading.read(5)

    assert reading.lines() == pod.lines


def test_files_that_are_gzipped_before_anybody_looked(tmp_path: Path) -> None:
    """Files are compressed faster than the collector looks for them: the plain file is gone and the compressed one is left out."""
    pod = Container(tmp_path)
    pod.write(1)
    reading = Reading(tmp_path)
    reading.read()
    for _ in range(4):
        pod.write(10)
        pod.rotate()
        pod.gzip_oldest()
        pod.gzip_oldest()

    reading.read(3)

    assert reading.lines() == pod.lines


def test_two_rotations_between_two_looks(tmp_path: Path) -> None:
    """The file is rotated twice before the collector looks again: the one in the middle is never read."""
    pod = Container(tmp_path)
    pod.write(1)
    reading = Reading(tmp_path)
    reading.read()
    for _ in range(2):
        pod.write(10)
        pod.rotate()
    pod.write(1)

    reading.read(6)

    assert reading.lines() == pod.lines


def test_following_goes_on_after_rotation(tmp_path: Path) -> None:
    """`logs -f` falls silent when the file is rotated, and stays silent."""
    pod = Container(tmp_path)
    reading = Reading(tmp_path)
    for _ in range(10):
        pod.write(2)
        reading.read(1)
        pod.rename()
        reading.read(2)
        pod.reopen()
        reading.read(1)
    pod.write(1)
    reading.read(5)

    assert reading.lines() == pod.lines


def test_an_inode_that_is_given_to_the_next_file(tmp_path: Path) -> None:
    """The file system gives the inode of a deleted file to the next one: reading begins in the middle of it."""
    log = tmp_path / "a.log"
    reading = Reading(log)
    wanted, inodes = [], []
    for n in range(12):
        lines = [b"file %d line %d" % (n, i) for i in range(5 + n % 3)]
        log.write_bytes(b"".join(line + b"\n" for line in lines))
        inodes.append(log.stat().st_ino)
        wanted += lines
        reading.read(6)
        reading.restart()  # what has no handle any more cannot keep its inode
        reading.source.close()
        log.unlink()
        reading.source = reading._start(reading.positions())

    assert reading.lines() == wanted
    assert len(set(reading.identities())) == len(wanted)


def test_a_position_behind_the_end_of_the_file(tmp_path: Path) -> None:
    """The remembered position is larger than the file: it is not read for a day."""
    log = tmp_path / "a.log"
    log.write_bytes(b"header\n" + b"old\n" * 100)
    reading = Reading(log)
    reading.read()
    reading.source.close()
    os.truncate(log, 0)
    with log.open("ab") as file:
        file.write(b"header\nnew\n")
    reading.source = reading._start(reading.positions())

    reading.read(3)

    assert reading.lines()[-2:] == [b"header", b"new"]
    assert len(set(reading.identities())) == 103


def test_dockers_numbered_rotation(tmp_path: Path) -> None:
    """With docker's `-json.log.1`, `.2` every rotation renames all files: some are read again, some not at all."""
    folder = docker_container(tmp_path, K8S_LABELS)
    log = folder / f"{DOCKER_ID}-json.log"
    reading, wanted = Reading(tmp_path), []
    for n in range(8):
        for i in range(3):
            wanted.append(docker_line(f"{'x' * n} {i}"))
            with log.open("ab") as file:
                file.write(wanted[-1] + b"\n")
        reading.read(1)
        for age in (2, 1):
            if Path(f"{log}.{age}").exists():
                Path(f"{log}.{age}").rename(f"{log}.{age + 1}")
        log.rename(f"{log}.1")
        if n % 3 == 2:
            reading.restart()
    reading.read(6)

    assert reading.lines() == wanted


def test_a_gzipped_file_is_no_new_file(tmp_path: Path) -> None:
    """Rotated files are compressed, and all of their lines come a second time."""
    pod = Container(tmp_path)
    reading = Reading(tmp_path)
    for _ in range(4):
        pod.write(10)
        pod.rotate()
        reading.read(4)
        pod.gzip_oldest()
        reading.read(2)
        reading.restart()
    pod.write(1)
    reading.read(4)

    assert reading.lines() == pod.lines


def test_deleted_files_do_not_fill_the_nodes_disk(tmp_path: Path) -> None:
    """The collector holds handles to deleted logs: the disk fills up, nobody sees by what, the node evicts its pods."""
    pod = Container(tmp_path)
    pod.write(1)
    reading = Reading(tmp_path, held=HeldLimits(100_000, 1000))
    for _ in range(30):
        pod.write(20, text="x" * 1000)
        pod.rotate()
        reading.hold()
        pod.prune()
        reading.hold()
    status = reading.source.status()

    assert status.held_bytes <= 100_000
    assert open_handles(tmp_path) <= 6
    assert status.lost_bytes > 0
    assert any("LOST" in line for line in reading.told)


def test_what_is_remembered_does_not_grow_with_pods_that_come_and_go(tmp_path: Path) -> None:
    """Memory grows with every pod that ever ran on the node, until the collector is killed."""
    reading = Reading(tmp_path)
    idle = Container(tmp_path, pod="idle", uid="idle")
    idle.write(0)
    for n in range(60):
        pod = Container(tmp_path, pod=f"job-{n}", uid=f"{n:04}")
        pod.write(2)
        reading.read(1)
        pod.delete_pod()
        reading.read(4)
    reading.clock.now += 700
    reading.source.gone()
    reading.clock.now += 700
    reading.source.gone()
    source = reading.source
    files = source._files

    assert (len(files.tails), len(files.by_inode), len(files.positions), len(files._vanished)) == (1, 1, 0, 0)
    assert len(files.sites) == len(source._discovery._containers) == len(source._discovery._pods) == 1


def test_a_position_survives_a_gap_of_the_process(tmp_path: Path) -> None:
    """While the collector was stopped its file was rotated and compressed: it begins at the new file, or at the old one's start."""
    pod = Container(tmp_path)
    pod.write(10)
    reading = Reading(tmp_path)
    reading.read()
    reading.source.close()
    pod.write(10)
    pod.rotate()
    pod.write(10)
    pod.rotate()
    pod.gzip_oldest()
    pod.write(1)
    reading.source = reading._start(reading.positions())

    reading.read(5)

    assert reading.lines() == pod.lines
    assert all(isinstance(p, Position) for p in reading.positions().values())


def test_a_quiet_pod_does_not_wait_for_a_loud_one(tmp_path: Path) -> None:
    """One pod writes tens of megabytes a second, and the lines of all others come minutes late."""
    loud = Container(tmp_path, uid="loud")
    quiet = [Container(tmp_path, uid=f"{n:03}", pod=f"quiet-{n}") for n in range(50)]
    reading = Reading(tmp_path)
    reading.read()
    loud.write(20_000, text="x" * 500)
    for pod in quiet:
        pod.write(1)
    reading.clock.now += 1.01

    first = reading.source.read(4 << 20)

    assert {c.stream.k8s_pod for c in first} >= {pod.pod for pod in quiet}
