"""Which bytes a FileSource hands on, when, and under which names."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
from pathlib import Path

import pytest

from logproc.discovery import Selection
from logproc.errors import ConfigError
from logproc.frames import Framer
from logproc.held import HeldLimits
from logproc.identity import file_id
from logproc.model import CRI, Stream
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


DOCKER_ID = "0123456789abcdef" * 4


def docker_line(text: str) -> bytes:
    return json.dumps({"log": text + "\n", "stream": "stdout", "time": f"2026-11-21T10:00:00.{len(text)}Z"}).encode()


def docker_rotate(folder: Path) -> None:
    log = folder / f"{DOCKER_ID}-json.log"
    for age in (2, 1):
        if (old := Path(f"{log}.{age}")).exists():
            old.rename(f"{log}.{age + 1}")
    log.rename(f"{log}.1")


def docker_container(root: Path, labels: dict[str, str]) -> Path:
    folder = root / DOCKER_ID
    folder.mkdir(parents=True)
    config = {"Name": "/k8s_istio-proxy_web-0", "Config": {"Labels": labels}}
    (folder / "config.v2.json").write_text(json.dumps(config))
    return folder


K8S_LABELS = {
    "io.kubernetes.pod.uid": "0f3c",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.container.name": "istio-proxy",
    "annotation.io.kubernetes.container.restartCount": "3",
}


def docker_writes(folder: Path, reading: Reading) -> list[bytes]:
    """Ten lines over four files, read as they come."""
    lines, log = [], folder / f"{DOCKER_ID}-json.log"
    for file in range(4):
        for n in range(file + 1):
            lines.append(docker_line(f"{'x' * file} {n}"))
            with log.open("ab") as out:
                out.write(lines[-1] + b"\n")
        if file == 1:
            reading.read(1)
        if file < 3:
            docker_rotate(folder)
    return lines


@pytest.mark.parametrize("named", ["root", "folder"])
def test_dockers_layout_is_read_through_its_rotations(tmp_path: Path, named: str) -> None:
    folder = docker_container(tmp_path, K8S_LABELS)
    reading = Reading(tmp_path if named == "root" else folder)

    lines = docker_writes(folder, reading)
    reading.read(8)

    assert reading.lines() == lines
    stream = reading.chunks[0].stream
    assert (stream.k8s_namespace, stream.k8s_pod, stream.k8s_container, stream.k8s_pod_uid, stream.restart) == (
        "shop", "web-0", "istio-proxy", "0f3c", 3,
    )  # fmt: skip


@pytest.mark.parametrize("described", [True, False])
def test_a_container_of_docker_alone_has_its_own_name(tmp_path: Path, described: bool) -> None:
    folder = docker_container(tmp_path, {})
    if not described:
        (folder / "config.v2.json").unlink()
    (folder / f"{DOCKER_ID}-json.log").write_bytes(docker_line("a") + b"\n")
    reading = Reading(tmp_path, follow=False, selection=Selection.parse("*"))

    reading.read()

    stream = reading.chunks[0].stream
    assert stream.k8s_container == ("k8s_istio-proxy_web-0" if described else DOCKER_ID[:12])
    assert stream.k8s_pod == ""


def test_a_pods_log_that_is_a_link_to_dockers_is_followed_through_rotation(tmp_path: Path) -> None:
    folder = docker_container(tmp_path / "docker", K8S_LABELS)
    pod = tmp_path / "pods" / "shop_web-0_0f3c" / "istio-proxy"
    pod.mkdir(parents=True)
    (pod / "3.log").symlink_to(folder / f"{DOCKER_ID}-json.log")
    reading = Reading(tmp_path / "pods")

    lines = docker_writes(folder, reading)
    reading.read(8)

    assert reading.lines() == lines
    assert reading.chunks[0].stream.restart == 3


def test_links_of_var_log_containers_lead_to_the_pods_files_and_their_rotations(tmp_path: Path) -> None:
    pod = Container(tmp_path / "pods")
    pod.write(3)
    pod.rotate()
    pod.write(2)
    links = tmp_path / "containers"
    links.mkdir()
    (links / f"web_shop_istio-proxy-{DOCKER_ID}.log").symlink_to(pod.current)
    (links / f"gone_shop_istio-proxy-{DOCKER_ID}.log").symlink_to(tmp_path / "pods/shop_gone_1/istio-proxy/0.log")
    (links / f"odd_shop_istio-proxy-{DOCKER_ID}.log").symlink_to("/nowhere/x.log")
    reading = Reading(links)
    reading.read(4)
    pod.rotate()
    pod.write(4)
    reading.read(5)

    assert reading.lines() == pod.lines
    assert reading.chunks[0].stream.k8s_namespace == "shop"
    assert reading.source.empty_roots() == []
    assert len({t for t in reading.told if "leads to" in t}) == 2


def test_one_link_can_be_named(tmp_path: Path) -> None:
    pod = Container(tmp_path / "pods")
    pod.write(3)
    (tmp_path / "web.log").symlink_to(pod.current)
    reading = Reading(tmp_path / "web.log")
    reading.read()
    pod.rotate()
    pod.write(3)
    reading.read(5)

    assert reading.lines() == pod.lines
    assert reading.chunks[0].stream.k8s_pod == pod.pod


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
    monkeypatch.setattr("logproc.files.handles_for_logs", lambda: 10)
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


def test_following_a_folder_that_comes_later(tmp_path: Path) -> None:
    reading = Reading(tmp_path / "pods")
    reading.read()
    pod = Container(tmp_path / "pods")
    pod.write(3)

    reading.read(3)

    assert reading.lines() == pod.lines
