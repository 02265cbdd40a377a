"""Pods and the mesh config stay known through everything an API server does."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from logproc.errors import ConfigError
from logproc.kube_api import Access, Api, ApiError
from logproc.kube_watch import MeshConfig, Pod, Pods
from logproc.model import Stream
from tests.kube_server import KubeServer, kube_server, mesh_config, pod, until

PODS = "/api/v1/pods"
CONFIGS = "/api/v1/namespaces/istio-system/configmaps"


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with kube_server() as server:
        yield server


@contextmanager
def watched(kube: KubeServer, access: Access | None = None, **given: Any) -> Iterator[Pods]:
    pods = Pods(Api(access or kube.access()), "node-1", **{"first_backoff": 0.02} | given)
    pods.start()
    with closing(pods):
        yield pods


def stream(uid: str, name: str = "web-7d4b9c6f5-x2x4z") -> Stream:
    return Stream("/p", "shop", name, "istio-proxy", uid)


def test_a_list_and_a_watch_tell_labels(kube: KubeServer) -> None:
    kube.put(PODS, pod("u1", labels={"app": "shop", "version": "v2"}))
    with watched(kube) as pods:
        until(lambda: pods.pod("u1"))
        kube.put(PODS, pod("u2", labels={"app.kubernetes.io/name": "cart", "app.kubernetes.io/version": "1.4"}))
        until(lambda: pods.pod("u2"))
        kube.put(PODS, pod("u1", labels={"app": "shop", "version": "v3"}))
        until(lambda: pods.app_and_version(stream("u1"))[1] == "v3")

        assert pods.app_and_version(stream("u1")) == ("shop", "v3")
        assert pods.app_and_version(stream("u2")) == ("cart", "1.4")
        assert pods.labels("u3") is None
    listed, *watches = kube.requests
    assert (listed["fieldSelector"], listed["resourceVersion"]) == ("spec.nodeName=node-1", "0")
    assert len(watches) == 1
    assert watches[0]["allowWatchBookmarks"] == "true"
    assert watches[0]["resourceVersion"] == "101"


def test_a_deleted_pod_stays_known_for_its_last_lines(kube: KubeServer) -> None:
    kube.put(PODS, pod("u1"))
    kube.put(PODS, pod("u2"))
    now = [0.0]
    with watched(kube, clock=lambda: now[0], keep=600, grace=0) as pods:
        until(lambda: pods.pod("u1"))
        kube.delete(PODS, "u1")
        now[0] = 599
        kube.put(PODS, pod("u3"))
        until(lambda: pods.pod("u3"))
        assert pods.app_and_version(stream("u1")) == ("web", "")
        assert pods.pod("u1")
        now[0] = 1300
        kube.put(PODS, pod("u4"))
        until(lambda: pods.pod("u4"))

        assert pods.pod("u1") is None
        assert pods.pod("u2")


def test_a_forgotten_version_is_listed_again_and_finds_what_was_missed(kube: KubeServer) -> None:
    kube.put(PODS, pod("u1"))
    with watched(kube, keep=0) as pods:
        until(lambda: kube.watching() == 1)
        kube.objects[PODS]["u5"] = pod("u5")  # without an event
        del kube.objects[PODS]["u1"]
        kube.forget()
        until(lambda: pods.pod("u5"))
        until(lambda: kube.watching() >= 3)
    assert sum("watch" not in r for r in kube.requests) == 2


def test_a_cut_watch_goes_on_where_it_was(kube: KubeServer) -> None:
    kube.put(PODS, pod("u1"))
    with watched(kube) as pods:
        until(lambda: kube.watching() == 1)
        kube.bookmark(PODS)
        kube.put(PODS, pod("u2"))
        until(lambda: pods.pod("u2"))
        kube.drop()
        until(lambda: kube.watching() == 2)
        kube.put(PODS, pod("u3"))
        until(lambda: pods.pod("u3"))
    assert [r["resourceVersion"] for r in kube.requests] == ["0", "101", "103"]


def test_a_server_that_goes_silent_is_left(kube: KubeServer) -> None:
    kube.put(PODS, pod("u1"))
    with watched(kube, silence_seconds=0.3) as pods:
        until(lambda: kube.watching() == 1)
        kube.silent = True
        time.sleep(0.5)
        kube.silent = False
        kube.put(PODS, pod("u2"))
        until(lambda: pods.pod("u2"))


def test_an_expired_token_is_read_again(kube: KubeServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    kube.tokens = {"first"}
    kube.put(PODS, pod("u1"))
    said: list[str] = []
    with watched(kube, kube.access(token_file=token), say=said.append) as pods:
        until(lambda: pods.pod("u1"))
        kube.tokens = {"second"}
        kube.drop()
        until(lambda: said)
        token.write_text("second\n")
        kube.put(PODS, pod("u2"))
        until(lambda: pods.pod("u2"))
        until(lambda: len(said) == 2)
    assert "no (401)" in said[0]
    assert said[1] == "labels of pods are known again"


def test_without_permission_reading_goes_on_and_says_so_once(kube: KubeServer) -> None:
    kube.refuse = 403
    said: list[str] = []
    with watched(kube, say=said.append, grace=60) as pods:
        until(lambda: len(kube.requests) >= 3)
        began = time.monotonic()

        assert pods.app_and_version(stream("u1")) == ("web", "")
        assert time.monotonic() - began < 30
    assert len(said) == 1
    assert "grant get, list and watch" in said[0]


def test_an_answer_that_makes_no_sense_does_not_end_the_watch(kube: KubeServer) -> None:
    kube.objects[PODS] = {"u1": None}  # type: ignore[dict-item]
    said: list[str] = []
    with watched(kube, say=said.append) as pods:
        until(lambda: len(said) == 1)
        assert "no object of its kind; trying again" in said[0]
        kube.objects[PODS] = {"u1": pod("u1")}
        until(lambda: pods.pod("u1"))
        until(lambda: len(said) == 2)


def test_a_pod_that_is_just_born_gets_a_moment(kube: KubeServer) -> None:
    with watched(kube, grace=20) as pods:
        until(lambda: kube.watching() == 1)
        import threading

        threading.Timer(0.2, lambda: kube.put(PODS, pod("u1", labels={"app": "born"}))).start()

        assert pods.app_and_version(stream("u1")) == ("born", "")


def test_pods_that_are_gone_wait_one_moment_all_together(kube: KubeServer) -> None:
    with watched(kube, grace=0.3) as pods:
        until(lambda: kube.watching() == 1)
        began = time.monotonic()
        for n in range(100):
            pods.app_and_version(stream(f"gone-{n}"))

        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("labels", "owner", "app"),
    [
        ({"app": "a", "app.kubernetes.io/name": "b"}, None, "a"),
        ({"service.istio.io/canonical-name": "c"}, None, "c"),
        ({"pod-template-hash": "7d4b9c6f5"}, ("ReplicaSet", "orders-7d4b9c6f5"), "orders"),
        ({}, ("StatefulSet", "db"), "db"),
        ({}, ("Job", "report-29386800"), "report"),
        ({}, ("Node", "node-1"), "web"),
        ({}, None, "web"),
    ],
)
def test_the_app_of_a_pod(labels: dict[str, str], owner: tuple[str, str] | None, app: str) -> None:
    owners = [{"controller": True, "kind": owner[0], "name": owner[1]}] if owner else None

    assert Pod.read(pod("u1", labels=labels, ownerReferences=owners)).app == app


def test_a_static_pod_is_known_by_the_hash_in_its_folders_name() -> None:
    assert Pod.read(pod("api-uid", annotations={"kubernetes.io/config.hash": "abc"})).uid == "abc"


def test_the_mesh_config_is_followed(kube: KubeServer) -> None:
    kube.put(CONFIGS, mesh_config("accessLogFormat: one\n"))
    mesh = MeshConfig(Api(kube.access()), first_backoff=0.02)
    mesh.start()
    with closing(mesh):
        until(lambda: mesh.latest() == "accessLogFormat: one\n")
        kube.put(CONFIGS, mesh_config("accessLogFormat: two\n"))
        until(lambda: mesh.latest() == "accessLogFormat: two\n")
        kube.delete(CONFIGS, "istio")
        kube.put(CONFIGS, mesh_config("accessLogFormat: three\n"))
        until(lambda: mesh.latest() == "accessLogFormat: three\n")


def test_a_kubeconfig_with_a_token(kube: KubeServer, tmp_path: Path) -> None:
    kube.tokens = {"secret"}
    path = tmp_path / "config"
    path.write_text(
        f"""
current-context: here
clusters: [{{name: c, cluster: {{server: "{kube.url}/"}}}}]
users: [{{name: u, user: {{token: secret}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
"""
    )
    with closing(Api(Access.from_kubeconfig(path))) as api:
        assert api.get(PODS)["items"] == []


@pytest.mark.parametrize(
    "text", ["{", "current-context: x", "clusters: 3", "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
    "clusters: [{name: c, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: {exec: {command: aws}}}]"]
)  # fmt: skip
def test_a_kubeconfig_that_cannot_work_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        Access.from_kubeconfig(path)


def test_certificates_in_a_kubeconfig_are_used(tmp_path: Path) -> None:
    authority = trustme.CA()
    client = authority.issue_cert("logproc")
    ca = base64.b64encode(authority.cert_pem.bytes()).decode()
    certificate = base64.b64encode(client.cert_chain_pems[0].bytes()).decode()
    key = base64.b64encode(client.private_key_pem.bytes()).decode()
    path = tmp_path / "config"
    path.write_text(
        f"""
current-context: here
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:6443", certificate-authority-data: {ca}}}}}]
users: [{{name: u, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
"""
    )

    access = Access.from_kubeconfig(path)

    assert access.context is not None
    assert [dict(x[0] for x in c["issuer"])["organizationName"][:7] for c in access.context.get_ca_certs()] == [
        "trustme"
    ]


def test_outside_a_cluster_there_is_no_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert Access.in_cluster(tmp_path) is None


def test_no_answer_is_an_error_of_the_api() -> None:
    with closing(Api(Access("http://127.0.0.1:1"))) as api, pytest.raises(ApiError, match="no answer"):
        api.get(PODS)
