"""Collecting beside an API server: labels of pods, selection by them, the mesh's own log format; and without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import cli
from tests.kube_server import KubeServer, kube_server, mesh_config, pod

PODS, CONFIGS = "/api/v1/pods", "/api/v1/namespaces/istio-system/configmaps"
LINE = (
    '[2026-11-20T10:00:00.000Z] "GET /a HTTP/1.1" 200 - via_upstream - "-" 0 5 3 2 "-" "curl/8" '
    '"137068b0-3a6d-9e4b-91c4-9787a5af72e0" "web" "10.244.0.7:8080" outbound|80||web.shop.svc.cluster.local '
    "10.244.0.5:40000 10.96.0.1:80 10.244.0.5:50000 - default"
)


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with kube_server() as server:
        yield server


def pod_log(root: Path, uid: str, *lines: str, namespace: str = "shop", name: str = "web-7d4b9c6f5-x2x4z") -> None:
    path = root / f"{namespace}_{name}_{uid}" / "istio-proxy" / "0.log"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"2026-11-20T10:00:00.00000000{i}Z stdout F {line}\n" for i, line in enumerate(lines)))


def collect(tmp_path: Path, *options: str, kube: KubeServer | None = None) -> tuple[list[dict[str, Any]], str]:
    if kube:
        (tmp_path / "kubeconfig").write_text(
            f"current-context: h\nclusters: [{{name: c, cluster: {{server: '{kube.url}'}}}}]\n"
            "users: [{name: u, user: {token: t}}]\ncontexts: [{name: h, context: {cluster: c, user: u}}]\n"
        )
        options = ("--kubeconfig", str(tmp_path / "kubeconfig"), *options)
    out = tmp_path / "out"
    done = cli.run(
        "collect", tmp_path / "pods", "--to", f"parquet://{out}", "--no-follow", *options, env={"NODE_NAME": "node-1"}
    )
    assert done.returncode == 0, done.stderr.decode()
    rows = [row for p in (out / "access_log").glob("*.parquet") for row in pq.read_table(p).to_pylist()]
    return rows, done.stderr.decode()


def test_rows_carry_app_and_version_of_the_labels(tmp_path: Path, kube: KubeServer) -> None:
    kube.put(PODS, pod("u1", labels={"app": "storefront", "version": "v2"}))
    pod_log(tmp_path / "pods", "u1", LINE)

    (row,), _ = collect(tmp_path, kube=kube)

    assert (row["app"], row["version"], row["k8s_node"]) == ("storefront", "v2", "node-1")


def test_pods_are_selected_by_label_and_namespace(tmp_path: Path, kube: KubeServer) -> None:
    kube.put(PODS, pod("u1", labels={"app": "web"}))
    kube.put(PODS, pod("u2", labels={"app": "cart"}))
    pod_log(tmp_path / "pods", "u1", LINE)
    pod_log(tmp_path / "pods", "u2", LINE, name="cart-0")
    pod_log(tmp_path / "pods", "u3", LINE, namespace="bank", name="unknown-0")

    rows, _ = collect(tmp_path, "-l", "app in (web, other)", "--namespaces", "shop,team-*", kube=kube)

    assert [row["app"] for row in rows] == ["web"]


def test_the_format_of_the_mesh_config_is_taken(tmp_path: Path, kube: KubeServer) -> None:
    mesh = "accessLogFile: /dev/stdout\naccessLogFormat: |\n  [%START_TIME%] %RESPONSE_CODE% <%REQ(:METHOD)%> %REQ(:PATH)%\n"
    kube.put(CONFIGS, mesh_config(mesh))
    pod_log(tmp_path / "pods", "u1", "[2026-11-20T10:00:00.000Z] 404 <PUT> /own", LINE, "2026-11-20T10:00:00Z info x")

    rows, said = collect(tmp_path, kube=kube)

    assert [(r["method"], r["path"], r["response_code"]) for r in rows] == [("PUT", "/own", 404), ("GET", "/a", 200)]
    assert "of the mesh config" in said


def test_a_format_that_was_given_is_not_changed(tmp_path: Path, kube: KubeServer) -> None:
    kube.put(CONFIGS, mesh_config("accessLogFormat: '%RESPONSE_CODE%'\n"))
    pod_log(tmp_path / "pods", "u1", LINE)

    rows, _ = collect(tmp_path, "--format", "istio", kube=kube)

    assert [r["path"] for r in rows] == ["/a"]
    assert not any("configmaps" in r["path"] for r in kube.requests)


def test_without_permission_everything_else_works(tmp_path: Path, kube: KubeServer) -> None:
    kube.refuse = 403
    pod_log(tmp_path / "pods", "u1", LINE)

    (row,), said = collect(tmp_path, kube=kube)

    assert (row["app"], row["k8s_pod"]) == ("web", "web-7d4b9c6f5-x2x4z")
    assert said.count("labels of pods are not known") == 1


def test_labels_cannot_select_without_the_api(tmp_path: Path) -> None:
    pod_log(tmp_path / "pods", "u1", LINE)

    done = cli.run("collect", tmp_path / "pods", "--to", "null:", "-l", "app=web")

    assert done.returncode == 2
    assert "needs the Kubernetes API" in done.stderr.decode()
