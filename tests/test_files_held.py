"""Files that are deleted before they were read: held open up to a limit, and what is lost beyond it is counted."""

from __future__ import annotations

from pathlib import Path

from logproc.frames import Framer
from logproc.held import HeldLimits
from logproc.model import CRI
from tests.kubelet import Container, Reading, open_handles


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    reading = Reading(tmp_path)
    reading.read()
    pod.write(3)
    pod.delete_pod()

    reading.read(6)

    assert reading.lines() == pod.lines
    assert reading.chunks[-1].last
    assert open_handles(tmp_path) == 0


def test_new_files_are_held_while_nothing_may_be_read(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    reading = Reading(tmp_path)
    reading.read()
    for _ in range(5):
        pod.write(2)
        pod.rotate()
        reading.clock.now += 1
        reading.source.read(0)
    for path in pod.rotated():
        path.unlink()

    reading.read(10)

    assert reading.lines() == pod.lines


def deleted_unread(pod: Container, reading: Reading, files: int) -> None:
    """Rotations while nothing may be read, each file deleted soon after."""
    for _ in range(files):
        pod.write(10, text="x" * 1000)
        pod.rotate()
        reading.clock.now += 1.01
        reading.source.read(0)
        for path in pod.rotated():
            path.unlink()
        reading.clock.now += 1.01
        reading.source.read(0)


def test_deleted_files_are_held_up_to_a_limit_and_the_loss_beyond_it_is_counted(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    reading = Reading(tmp_path, held=HeldLimits(25_000, 100))
    pod.write(5)
    reading.read()

    deleted_unread(pod, reading, 5)
    status = reading.source.status()

    assert (status.held_files, status.lost_lines) == (2, 30)
    assert status.held_bytes <= 25_000
    reading.read(5)
    lost = [c for c in reading.chunks if c.lost]
    assert [(c.span.first_line, c.span.lines, c.data) for c in lost] == [(5, 10, b""), (0, 10, b""), (0, 10, b"")]
    read = [c for c in reading.chunks if not c.lost]
    assert reading.lines(read) == pod.lines[:5] + pod.lines[-20:]
    assert status.lost_bytes == sum(c.span.end - c.span.start for c in lost)
    assert len([t for t in reading.told if "LOST" in t]) == len(lost)
    assert open_handles(tmp_path) == 1


def test_held_files_are_bounded_in_number_too(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    reading = Reading(tmp_path, held=HeldLimits(1 << 30, 3))
    pod.write(1)
    reading.read()

    deleted_unread(pod, reading, 10)

    assert reading.source.status().held_files == 3
    assert open_handles(tmp_path) == 4


def test_a_held_file_whose_gzipped_copy_is_there_is_let_go_without_loss(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    reading = Reading(tmp_path, held=HeldLimits(1000, 100))
    pod.write(10, text="x" * 1000)
    reading.clock.now += 1.01
    reading.source.read(0)
    for _ in range(3):
        pod.rotate()
        pod.write(10, text="x" * 1000)
        pod.gzip_oldest()
        reading.clock.now += 1.01
        reading.source.read(0)

    assert reading.source.status().lost_lines == 0
    reading.read(8)

    assert reading.lines() == pod.lines


def test_a_line_that_was_begun_before_a_loss_ends_with_doubt(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    reading = Reading(tmp_path, held=HeldLimits(0, 0))
    pod.write(1)
    with pod.current.open("ab") as file:
        file.write(b"2026-11-21T10:00:00.9Z stdout P begun \n")
    reading.read()
    with pod.current.open("ab") as file:
        file.write(b"2026-11-21T10:00:00.9Z stdout F lost\n")
    pod.rotate()
    reading.clock.now += 1.01
    reading.source.read(0)
    for path in pod.rotated():
        path.unlink()
    with pod.current.open("ab") as file:
        file.write(b"2026-11-21T10:00:01.0Z stdout F another\n")
    reading.read(5)
    framer = Framer(CRI)
    framed = [f for chunk in reading.chunks for f in framer.frame(chunk)]

    texts = b"".join(f.text.data for f in framed)
    assert texts.endswith(b"F begun \n2026-11-21T10:00:01.0Z stdout F another\n")
    assert [(f.span.first_line, f.span.lines) for f in framed if f.lost] == [(2, 1)]
    assert [f.joined for f in framed] == [1, 0, -1, 0]
