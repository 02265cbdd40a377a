"""What the collector asks of a real kube-apiserver: its node's pods and the mesh config. `make test-kube` runs these."""

from __future__ import annotations

from contextlib import closing

import pytest

from logproc.kube_api import Access, Api, ApiError
from logproc.kube_watch import MeshConfig, Pods
from logproc.model import Stream
from tests.kube.bed import NAMESPACE, NOBODY, NODE, Bed
from tests.kube_server import until

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("kube")]

CONFIGS = "/api/v1/namespaces/istio-system/configmaps"
MERGE = "application/merge-patch+json"


def uid(bed: Bed, pod: str) -> str:
    return str(bed.api("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")["metadata"]["uid"])


def access(bed: Bed, token: str = "admin-token") -> Access:
    return Access.from_kubeconfig(bed.kubeconfig("collector", token))


def test_labels_are_known_through_births_changes_deaths_and_a_restart_of_the_server(bed: Bed) -> None:
    said: list[str] = []
    bed.add("labels-0", app="first", version="v1")
    pods = Pods(Api(access(bed)), NODE, say=said.append, first_backoff=0.1)
    pods.start()
    with closing(pods):
        known = uid(bed, "labels-0")
        until(lambda: pods.pod(known))
        bed.add("labels-1", app="second", version="v1", wait=False)
        born = uid(bed, "labels-1")
        until(lambda: pods.pod(born))
        bed.api(
            "PATCH", f"/api/v1/namespaces/{NAMESPACE}/pods/labels-0", {"metadata": {"labels": {"version": "v2"}}}, MERGE
        )
        until(lambda: (pod := pods.pod(known)) is not None and pod.version == "v2")
        bed.kill("kube-apiserver")
        bed.start("kube-apiserver")
        bed.wait_for_server()
        bed.add("labels-2", app="third")
        later = uid(bed, "labels-2")
        until(lambda: pods.pod(later), 90)
        bed.remove("labels-1")

        stream = Stream("/p", NAMESPACE, "labels-0", "istio-proxy", known)
        assert pods.app_and_version(stream) == ("first", "v2")
        assert pods.pod(born), "its last lines may still be read"
    for pod in ("labels-0", "labels-2"):
        bed.remove(pod)


def test_pods_of_other_nodes_are_not_asked_for(bed: Bed) -> None:
    bed.add("here-0")
    pods = Pods(Api(access(bed)), "another-node")
    pods.start()
    with closing(pods):
        assert pods.wait(20)
        assert pods.pod(uid(bed, "here-0")) is None
    bed.remove("here-0")


def test_the_mesh_config_is_followed(bed: Bed) -> None:
    bed.api("POST", "/api/v1/namespaces", {"metadata": {"name": "istio-system"}})
    bed.api("POST", CONFIGS, {"metadata": {"name": "istio"}, "data": {"mesh": "accessLogFormat: one\n"}})
    mesh = MeshConfig(Api(access(bed)))
    mesh.start()
    with closing(mesh):
        mesh.wait(20)
        assert mesh.latest() == "accessLogFormat: one\n"
        bed.api("PATCH", f"{CONFIGS}/istio", {"data": {"mesh": "accessLogFormat: two\n"}}, MERGE)
        until(lambda: mesh.latest() == "accessLogFormat: two\n")


def test_without_permission_it_says_what_to_grant(bed: Bed) -> None:
    said: list[str] = []
    pods = Pods(Api(access(bed, NOBODY)), NODE, say=said.append)
    pods.start()
    with closing(pods):
        assert not pods.wait(20)
    assert len(said) == 1
    assert "forbidden" in said[0]
    assert "grant get, list and watch" in said[0]


def test_a_wrong_token_is_refused(bed: Bed) -> None:
    with closing(Api(access(bed, "wrong"))) as api, pytest.raises(ApiError) as refused:
        api.get("/api/v1/pods")
    assert refused.value.status == 401
