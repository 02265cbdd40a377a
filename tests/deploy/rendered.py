"""What the manifests say, for the tests that look at them from different sides."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from logproc.install import bundle
from logproc.install.choice import Choice
from logproc.install.kustomize import CLICKHOUSE, KAFKA, OVERLAYS

Object = dict[str, Any]

CHOICES: Mapping[str, Choice] = {
    **OVERLAYS,
    "agent to kafka without login": Choice.of(kafka="kafka://a:9092,b:9093/mesh"),
    "openshift with loader": Choice.of(kafka=KAFKA, clickhouse=CLICKHOUSE, openshift=True),
    "openshift sidecar": Choice.of(sidecar=True, clickhouse=CLICKHOUSE, openshift=True, namespace="shop"),
    "embedded on openshift": Choice.of(embedded=True, openshift=True, namespace="look"),
}


def objects(name: str) -> list[Object]:
    return copy.deepcopy(bundle.objects(CHOICES[name]))


def pod(kept: Object) -> Object | None:
    """The pod template's spec of a workload."""
    template = kept.get("spec", {}).get("template", {}) if kept["kind"] in {"DaemonSet", "Deployment"} else {}
    found: Object | None = template.get("spec")
    return found


def containers(spec: Object) -> Iterator[Object]:
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def workloads(made: list[Object]) -> Iterator[tuple[Object, Object]]:
    for kept in made:
        spec = pod(kept)
        if spec is not None:
            yield kept, spec


def settings_of(made: list[Object], spec: Object) -> str:
    """The settings file that a pod mounts."""
    name = next(v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v)
    found = next(o for o in made if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name)
    text: str = found["data"]["config.toml"]
    return text
