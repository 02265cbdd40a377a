"""The manifests against a real API server: its schemas, and its Pod Security admission at the level that each overlay states."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from logproc.install import bundle
from logproc.install.choice import Part
from tests.deploy.api_types import CONSTRAINT_FIELDS, CONSTRAINT_REQUIRED
from tests.deploy.rendered import CHOICES, Object, objects, workloads
from tests.kube.bed import ADMIN, Bed, binaries

LEVELS = ("restricted", "baseline", "privileged")


def kubectl(bed: Bed, *args: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    config = str(bed.kubeconfig("admin", ADMIN))
    text = None if given is None else "\n".join(json.dumps(item) for item in given)
    return subprocess.run(
        ["kubectl", "--kubeconfig", config, *args], input=text, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def prepared(bed: Bed) -> Bed:
    """What has to be there before the rest can be tried: OpenShift's kind, namespaces, and the class that pods name."""
    described = kubectl(bed, "apply", "-f", str(binaries() / "constraints.crd.yaml"))
    assert described.returncode == 0, described.stderr
    there = kubectl(bed, "wait", "--for=condition=Established", "--timeout=60s", "-f", str(binaries() / "constraints.crd.yaml"))  # fmt: skip
    assert there.returncode == 0, there.stderr
    made = {o["metadata"]["name"]: o for name in CHOICES for o in objects(name) if o["kind"] in {"Namespace", "PriorityClass"}}  # fmt: skip
    for name in {"istio-system", *(o["metadata"].get("namespace", "") for n in CHOICES for o in objects(n))} - {""}:
        made.setdefault(name, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for level in LEVELS:
        enforced = {"pod-security.kubernetes.io/enforce": level}
        made[level] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": level, "labels": enforced}}
    done = kubectl(bed, "apply", "-f", "-", given=made.values())
    assert done.returncode == 0, done.stderr
    return bed


@pytest.mark.parametrize("name", CHOICES)
def test_the_server_takes_every_object(prepared: Bed, name: str) -> None:
    done = kubectl(prepared, "apply", "--dry-run=server", "--validate=strict", "-f", "-", given=objects(name))

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(objects(name))
    assert "unknown field" not in done.stderr


def constraint() -> Object:
    (found,) = (o for o in objects("openshift") if o["kind"] == "SecurityContextConstraints")
    return found


@pytest.mark.parametrize("change", [{"priority": "high"}, {"priority": None, "volums": []}, {"allowHostIPC": None}])
def test_a_constraint_with_a_mistake_is_refused(prepared: Bed, change: Object) -> None:
    changed = {k: v for k, v in (constraint() | change).items() if v is not None}
    done = kubectl(prepared, "apply", "--dry-run=server", "--validate=strict", "-f", "-", given=[changed])

    assert done.returncode == 1
    assert done.stdout == ""


def test_what_is_known_of_constraints_without_a_server_is_what_openshift_says(prepared: Bed) -> None:
    described = yaml.safe_load((binaries() / "constraints.crd.yaml").read_text())
    schema = described["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    # Newer versions may have fields more.
    assert CONSTRAINT_FIELDS.items() <= {name: field["type"] for name, field in schema["properties"].items()}.items()
    assert set(schema["required"]) == CONSTRAINT_REQUIRED


@pytest.mark.parametrize("name", CHOICES)
def test_admission_agrees_with_the_stated_level(prepared: Bed, name: str) -> None:
    choice = CHOICES[name]
    for kept, spec in workloads(objects(name)):
        component = kept["metadata"]["labels"].get("app.kubernetes.io/component")
        part = {"node-agent": Part.DAEMONSET, "loader": Part.LOADER, "embedded": Part.EMBEDDED}.get(component, Part.SIDECAR)  # fmt: skip
        stated = bundle.LEVELS[part]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": spec}
        for level in LEVELS:
            done = kubectl(prepared, "-n", level, "create", "--dry-run=server", "-f", "-", given=[pod])
            allowed = LEVELS.index(level) >= LEVELS.index(stated)
            assert (done.returncode == 0) == allowed, f"{kept['metadata']['name']} in {level}: {done.stderr}"
            assert allowed or "violates PodSecurity" in done.stderr
        assert choice.openshift or spec["securityContext"]
