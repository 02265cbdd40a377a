"""Where log files are: the kubelet's folders, docker's, and links to either."""

from __future__ import annotations

from pathlib import Path

import pytest

from logproc.discovery import Selection
from tests.docker_logs import DOCKER_ID, K8S_LABELS, docker_container, docker_line, docker_writes
from tests.kubelet import Container, Reading


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
