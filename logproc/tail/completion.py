"""What a shell completes: contexts, namespaces, labels, containers and targets. Never an error, and never long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from logproc.errors import LogprocError
from logproc.tail.cluster import ApiError, Cluster, Unreachable
from logproc.tail.login import kubeconfig_files, read_kubeconfigs
from logproc.tail.pods import container_names
from logproc.tail.targets import KINDS

_SHORT_KINDS = ("deploy", "sts", "ds", "job", "svc", "pod")
_GROUPS = {
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "daemonsets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
}
_MOST_PODS = "500"


def complete(what: str, typed: Mapping[str, Any], incomplete: str) -> list[str]:
    """The words of a kind (`contexts`, `namespaces`, `labels`, `containers`, `targets`) that begin like what stands there."""
    kinds: dict[str, Callable[[Mapping[str, Any], str], list[str]]] = {
        "contexts": _contexts,
        "namespaces": _namespaces,
        "labels": _labels,
        "containers": _containers,
        "targets": _targets,
    }
    with suppress(LogprocError, ApiError, Unreachable, OSError, KeyError):
        return sorted(w for w in kinds[what](typed, incomplete) if w.startswith(incomplete))
    return []


def _contexts(typed: Mapping[str, Any], incomplete: str) -> list[str]:  # noqa: ARG001
    return list(read_kubeconfigs(kubeconfig_files()).contexts)


def _namespaces(typed: Mapping[str, Any], incomplete: str) -> list[str]:  # noqa: ARG001
    found = Cluster(str(typed.get("context") or "")).get("/api/v1/namespaces", {"limit": _MOST_PODS})
    return [item["metadata"]["name"] for item in found["items"]]


def _pods(typed: Mapping[str, Any]) -> list[Any]:
    cluster = Cluster(str(typed.get("context") or ""))
    namespace = "" if typed.get("all_namespaces") else str(typed.get("namespace") or cluster.namespace)
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    return list(cluster.get(path, {"limit": _MOST_PODS})["items"])


def _labels(typed: Mapping[str, Any], incomplete: str) -> list[str]:
    """Keys first, then the values of the key that stands there; earlier requirements stay in front."""
    before, comma, last = incomplete.rpartition(",")
    labels = [pod["metadata"].get("labels") or {} for pod in _pods(typed)]
    key, equals, _ = last.partition("=")
    words = (
        {f"{key}={one[key]}" for one in labels if key in one} if equals else {f"{k}=" for one in labels for k in one}
    )
    return [before + comma + word for word in words]


def _containers(typed: Mapping[str, Any], incomplete: str) -> list[str]:  # noqa: ARG001
    return sorted({name for pod in _pods(typed) for name in container_names(pod)})


def _targets(typed: Mapping[str, Any], incomplete: str) -> list[str]:
    kind, slash, _ = incomplete.partition("/")
    if not slash:
        return [f"{k}/" for k in _SHORT_KINDS]
    resource = KINDS.get(kind)
    if resource is None:
        return []
    cluster = Cluster(str(typed.get("context") or ""))
    namespace = str(typed.get("namespace") or cluster.namespace)
    path = f"/{_GROUPS.get(resource, 'api/v1')}/namespaces/{namespace}/{resource}"
    return [f"{kind}/{item['metadata']['name']}" for item in cluster.get(path, {"limit": _MOST_PODS})["items"]]
