"""A log that is rotated, gzipped, copied or truncated: every line once, in the order of writing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.kubelet import Container, Reading


def test_all_rotations_are_read_oldest_first_whatever_their_form(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    for _ in range(4):
        pod.write(10)
        pod.rotate()
    pod.write(10)
    pod.gzip_oldest()
    pod.gzip_oldest(linger=True)
    for follow in (False, True):
        reading = Reading(tmp_path, follow=follow)

        reading.read(12)

        assert reading.lines() == pod.lines
        reading.close()


def test_a_rotated_file_is_left_only_after_it_was_quiet(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    reading = Reading(tmp_path)
    reading.read()
    pod.rename()
    pod.moved, late = None, pod.moved
    assert late is not None
    pod.write(1)
    reading.read()
    with late.open("ab") as file:  # the runtime writes its last line after the new file exists
        file.write(b"2026-11-21T10:00:00.9Z stdout F late\n")

    reading.read(5)

    assert reading.lines() == [*pod.lines[:2], b"2026-11-21T10:00:00.9Z stdout F late", pod.lines[2]]


def test_a_late_line_comes_before_the_new_file_though_the_old_one_was_idle_for_long(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    reading = Reading(tmp_path)
    reading.read(20)
    pod.rename()
    old = pod.moved
    pod.reopen()
    pod.write(1)
    reading.read(1)
    assert old is not None
    with old.open("ab") as file:
        file.write(b"2026-11-21T10:00:00.9Z stdout F late\n")

    reading.read(6)

    assert reading.lines() == [*pod.lines[:2], b"2026-11-21T10:00:00.9Z stdout F late", pod.lines[2]]


def test_what_was_read_as_plain_goes_on_where_it_was_when_gzipped(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(200, text="x" * 2000)
    reading = Reading(tmp_path)
    reading.chunks.extend(reading.source.read(1))
    assert 0 < len(reading.lines()) < 200
    pod.write(200, text="x" * 2000)
    for _ in range(3):
        pod.rotate()
        pod.write(1)
        pod.gzip_oldest()
    reading.restart()

    reading.read(10)

    assert reading.lines() == pod.lines


def test_truncation_begins_another_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    reading = Reading(log)
    reading.read()
    log.write_bytes(b"uno\n")
    reading.read(2)

    assert reading.lines() == [b"one", b"two", b"uno"]
    assert len(set(reading.identities())) == 3


def test_truncation_that_begins_with_the_same_line_gives_other_identities(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"header\ntwo\n")
    reading = Reading(log)
    reading.read()
    for text in (b"header\n", b"", b"header\nx\n"):
        log.write_bytes(text)
        reading.read(2)
    reading.restart()
    with log.open("ab") as file:
        file.write(b"more\n")
    reading.read(2)

    assert reading.lines() == [b"header", b"two", b"header", b"header", b"x", b"more"]
    assert len(set(reading.identities())) == 6


def test_truncated_and_regrown_between_two_looks(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    reading = Reading(log)
    reading.read()
    log.write_bytes(b"uno\ndos\ntres\n")

    reading.read(2)

    assert reading.lines() == [b"one", b"uno", b"dos", b"tres"]


def test_truncated_and_regrown_between_a_look_and_a_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    reading = Reading(log)
    reading.read()
    with log.open("ab") as file:
        file.write(b"three\n")
    reading.clock.now += 1
    reading.source.read(0)  # it has seen the file grow
    log.write_bytes(b"uno\ndos\ntres\ncuatro\n")
    reading.chunks.extend(reading.source.read(1 << 20))
    reading.read(2)

    assert reading.lines() == [b"one", b"two", b"uno", b"dos", b"tres", b"cuatro"]


def test_the_rest_of_a_copytruncated_container_log_is_read_from_the_copy(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    reading = Reading(tmp_path)
    reading.read()
    pod.write(2)
    shutil.copy(pod.current, pod.folder / "0.log.20261121-000001")
    os.truncate(pod.current, 0)
    pod.write(2)

    reading.read(6)

    assert sorted(reading.lines()) == pod.lines


def test_a_plain_file_is_followed_through_rotation_and_restart(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    (tmp_path / "a.log.7").write_bytes(b"somebody else's\n")
    log.write_bytes(b"one\n")
    reading = Reading(log)
    reading.read(2)
    with log.open("ab") as file:
        file.write(b"two\n")
    log.rename(tmp_path / "a.log.1")
    log.write_bytes(b"three\n")
    reading.restart()
    reading.read(5)
    log.rename(tmp_path / "a.log.0")
    log.write_bytes(b"four\n")

    reading.read(5)

    assert reading.lines() == [b"one", b"two", b"three", b"four"]
