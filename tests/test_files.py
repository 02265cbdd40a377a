"""Which bytes a FileSource hands on, when, and under which names: one file, files that come and go."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from logproc.errors import ConfigError
from logproc.identity import file_id
from logproc.model import Stream
from tests.kubelet import Container, Reading


def test_a_file_is_read_to_its_end_and_named_by_its_first_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\nthree\n")
    reading = Reading(log, follow=False)

    reading.read()

    assert reading.lines() == [b"one", b"two", b"three"]
    assert reading.identities() == [(file_id(Stream(str(log)), b"one", log.stat().st_ino), n) for n in range(3)]
    assert reading.source.finished()


def test_the_last_line_without_newline_is_a_line_at_the_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo")
    reading = Reading(log, follow=False)

    reading.read()

    assert reading.lines() == [b"one", b"two"]
    assert [c.span.end for c in reading.chunks if c.last] == [7]


def test_following_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntw")
    reading = Reading(log)
    reading.read(5)
    assert reading.lines() == [b"one"]

    with log.open("ab") as file:
        file.write(b"o\n")
    reading.read(2)

    assert reading.lines() == [b"one", b"two"]


def test_a_file_has_no_name_before_its_first_line_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"fir")
    reading = Reading(log)
    reading.read(3)
    reading.restart()
    with log.open("ab") as file:
        file.write(b"st\n")

    reading.read(2)

    assert reading.identities() == [(file_id(Stream(str(log)), b"first", log.stat().st_ino), 0)]


def test_an_empty_file_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    reading = Reading(tmp_path / "a.log", follow=False)

    reading.read()

    assert reading.lines() == []
    assert reading.source.finished()


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    lines = [b"line %d" % n for n in range(50_000)]
    with gzip.open(tmp_path / "a.log.gz", "wb") as file:
        file.write(b"\n".join(lines))
    reading = Reading(tmp_path / "a.log.gz", follow=False)

    reading.read()

    assert reading.lines() == lines


def test_a_damaged_gzip_file_gives_what_can_be_read_and_says_so(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b"line %d %d\n" % (n, n * n) for n in range(100_000)))
    (tmp_path / "a.log.gz").write_bytes(packed[: len(packed) // 2])
    reading = Reading(tmp_path / "a.log.gz", follow=False)

    reading.read()

    assert len(reading.lines()) > 20_000
    assert [t for t in reading.told if "damaged" in t]


def test_two_paths_of_one_file_are_one_file(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(5)
    (tmp_path / "link.log").symlink_to(pod.current)
    os.link(pod.current, tmp_path / "hard.log")
    reading = Reading(tmp_path, pod.current, tmp_path / "link.log", tmp_path / "hard.log", follow=False)

    reading.read()

    assert len(reading.lines()) == 5


def test_a_restarted_container_is_another_stream_and_the_old_one_ends(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(3)
    reading = Reading(tmp_path)
    reading.read()
    pod.start_again()
    pod.write(2)

    reading.read(5)

    assert reading.lines() == pod.lines
    assert [c.stream.restart for c in reading.chunks if c.last] == [0]


def test_pods_come_and_go(tmp_path: Path) -> None:
    reading = Reading(tmp_path)
    reading.read()
    first = Container(tmp_path, uid="a")
    first.write(2)
    reading.read(2)
    second = Container(tmp_path, uid="b")
    second.write(2)
    first.delete_pod()
    reading.read(4)

    assert reading.lines() == first.lines + second.lines


def test_the_position_of_a_vanished_file_is_given_up_after_ten_minutes(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(2)
    other = Container(tmp_path, uid="b")
    other.write(1)
    reading = Reading(tmp_path)
    reading.read()
    pod.delete_pod()
    reading.read(5)

    assert reading.source.gone() == []
    reading.clock.now += 601

    assert [reading.chunks[0].span.file_id] == reading.source.gone()
    assert reading.source.gone() == []


def test_streams_that_vanished_while_nobody_looked_are_ended(tmp_path: Path) -> None:
    Container(tmp_path).write(1)
    vanished = Stream(f"{tmp_path}/shop_gone-1_77/istio-proxy/0.log", "shop", "gone-1", "istio-proxy", "77")
    elsewhere = Stream("/somewhere/shop_x_78/istio-proxy/0.log", "shop", "x", "istio-proxy", "78")
    reading = Reading(tmp_path, unfinished=[vanished, elsewhere])

    reading.read()

    assert [c.stream for c in reading.chunks if c.last] == [vanished]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Reading(tmp_path / "nothing", follow=False)
    with pytest.raises(ConfigError, match="no such file"):
        Reading(tmp_path / "no" / "thing.log", follow=True)


def test_following_a_file_that_comes_later(tmp_path: Path) -> None:
    reading = Reading(tmp_path / "a.log")
    reading.read()
    (tmp_path / "a.log").write_bytes(b"one\n")

    reading.read()

    assert reading.lines() == [b"one"]
    assert [t for t in reading.told if "waiting" in t]


def test_following_a_folder_that_comes_later(tmp_path: Path) -> None:
    reading = Reading(tmp_path / "pods")
    reading.read()
    pod = Container(tmp_path / "pods")
    pod.write(3)

    reading.read(3)

    assert reading.lines() == pod.lines
