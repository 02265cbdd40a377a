"""Which bytes a FileSource hands on, when, and under which names."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from logproc.discovery import Selection
from logproc.errors import ConfigError
from logproc.identity import file_id
from logproc.model import Stream
from tests.kubelet import Container, Reading, open_handles


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


def test_the_kubelet_layout_gives_namespace_pod_and_container(tmp_path: Path) -> None:
    Container(tmp_path).write(3)
    Container(tmp_path, container="app").write(3)
    reading = Reading(tmp_path, follow=False)

    reading.read()

    stream = reading.chunks[0].stream
    assert (stream.k8s_namespace, stream.k8s_pod, stream.k8s_container) == (
        "shop",
        "web-7d4b9c6f5-x2x4z",
        "istio-proxy",
    )
    assert len(reading.lines()) == 3


def test_one_pods_folder_can_be_named_and_a_root_may_be_called_like_one(tmp_path: Path) -> None:
    root = tmp_path / "tmp_3x_t"
    pod = Container(root)
    pod.write(3)
    for path in (root, pod.folder.parent):
        reading = Reading(path, follow=False)

        reading.read()

        assert reading.lines() == pod.lines


@pytest.mark.parametrize(("containers", "lines"), [("istio-proxy", 3), ("app", 2), ("app, istio-proxy", 5), ("*", 5)])
def test_containers_are_chosen_by_name(tmp_path: Path, containers: str, lines: int) -> None:
    Container(tmp_path).write(3)
    Container(tmp_path, container="app").write(2)
    reading = Reading(tmp_path, follow=False, selection=Selection.parse(containers))

    reading.read()

    assert len(reading.lines()) == lines


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


def test_two_paths_of_one_file_are_one_file(tmp_path: Path) -> None:
    pod = Container(tmp_path)
    pod.write(5)
    (tmp_path / "link.log").symlink_to(pod.current)
    os.link(pod.current, tmp_path / "hard.log")
    reading = Reading(tmp_path, pod.current, tmp_path / "link.log", tmp_path / "hard.log", follow=False)

    reading.read()

    assert len(reading.lines()) == 5


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


def test_how_far_it_is_behind(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"12345\n" * 100_000)
    reading = Reading(tmp_path / "a.log")
    reading.source.read(0)
    before = reading.source.status()
    reading.read()

    assert (before.files, before.lag_bytes, reading.source.status().lag_bytes) == (1, 600_000, 0)
