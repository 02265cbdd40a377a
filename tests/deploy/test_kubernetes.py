"""The manifests: written from the code, rendered by kubectl, understood by the commands they run, by the API and by Pod Security."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from logproc import main
from logproc.install import bundle, kustomize, sidecar
from logproc.install.kustomize import KAFKA
from logproc.settings import command_defaults
from logproc.urls import Url
from tests.deploy import pod_security
from tests.deploy.api_types import unknown_fields
from tests.deploy.rendered import CHOICES, Object, containers, objects, settings_of, workloads

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "kubernetes"


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        reason = "kubectl, which renders the overlays, is not on PATH"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def test_the_folder_is_what_the_code_writes() -> None:
    for path, text in kustomize.files().items():
        assert (FOLDER / path).read_text() == text, f"{path}: run `logproc install --kustomize deploy/kubernetes`"


def test_nothing_else_lies_in_its_folders() -> None:
    ours = set(kustomize.files())
    there = {
        str(p.relative_to(FOLDER)) for d in ("base", "overlays", "components") for p in (FOLDER / d).rglob("*.yaml")
    }

    assert there == {path for path in ours if path.endswith(".yaml")}


def by_identity(made: list[Object]) -> dict[tuple[str, str, str], Object]:
    found = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in made}
    assert len(found) == len(made)
    return found


def without_suffix(text: str, names: list[str]) -> str:
    for name in names:
        text = re.sub(rf"\b{name}-[a-z0-9]{{10}}\b", name, text)
    return text


def in_order(value: Any) -> Any:
    """Volumes and variables have names; a patch puts its own first."""
    if isinstance(value, dict):
        return {key: in_order(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [in_order(item) for item in value]
        named = all(isinstance(i, dict) and "name" in i for i in items)
        return sorted(items, key=lambda i: i["name"]) if named else items
    return value


@pytest.mark.parametrize("name", kustomize.OVERLAYS)
def test_an_overlay_is_what_print_prints(kubectl: str, name: str) -> None:
    done = subprocess.run(
        [kubectl, "kustomize", FOLDER / "overlays" / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    wanted = objects(name)
    maps = [o["metadata"]["name"] for o in wanted if o["kind"] == "ConfigMap"]
    rendered = list(yaml.safe_load_all(without_suffix(done.stdout, maps)))

    assert by_identity(in_order(rendered)) == by_identity(in_order(wanted))


def test_the_kustomization_that_the_page_shows_is_rendered(kubectl: str, tmp_path: Path) -> None:
    page = (FOLDER.parent.parent / "docs" / "deploy.md").read_text()
    (shown,) = re.findall(r"```yaml\n(# kustomization.yaml\n.*?)```", page, re.DOTALL)
    place = os.path.relpath(FOLDER / "overlays" / "direct", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(re.sub(r"github\.com/\S+/overlays/direct", place, shown))
    (store,) = re.findall(r'value: "(clickhouse:.+?)"', shown)
    settings = (FOLDER / "overlays" / "direct" / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(re.sub(r'(?m)^to = ".*"', f'to = "{store}"', settings))
    done = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))

    assert len(made) == len(objects("direct"))
    (spec,) = (spec for _, spec in workloads(made))
    (container,) = containers(spec)
    assert container["image"] == "registry.example/logproc:0.1.0"
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env["LOGPROC_STORE"] == tomllib.loads(settings_of(made, spec))["collect"]["to"] == store
    (before,) = (spec for _, spec in workloads(objects("direct")))
    assert {e["name"] for e in next(containers(before))["env"]} == set(env)


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_printed_reads_back(name: str) -> None:
    assert list(yaml.safe_load_all(bundle.text(objects(name)))) == objects(name)


@pytest.mark.parametrize("name", CHOICES)
def test_every_container_is_understood_by_its_command(name: str) -> None:
    made = objects(name)
    ran = 0
    for _, spec in workloads(made):
        for container in containers(spec):
            if "logproc" not in container["image"]:
                continue
            command, *args = container["args"]
            read = tomllib.loads(settings_of(made, spec))
            loaded = main.load(command)
            known = [str(p.name) for p in loaded.params]
            defaults = command_defaults(Path("config.toml"), read, command, main.command_names(), lambda _, k=known: k)  # type: ignore[misc]
            context = loaded.make_context(command, list(args), default_map=defaults)
            assert context.params["paths" if command in {"collect", "up"} else "topic"]
            assert set(read) == {command}
            ran += 1
    assert ran


@pytest.mark.parametrize("name", CHOICES)
def test_the_api_knows_every_field(name: str) -> None:
    for kept in objects(name):
        assert unknown_fields(kept) == [], kept["metadata"]["name"]


def test_a_misspelt_field_is_found() -> None:
    kept = next(o for o in objects("direct") if o["kind"] == "DaemonSet")
    kept["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    kept["spec"]["updateStrategy"] = "RollingUpdate"

    assert unknown_fields(kept) == [
        "spec.updateStrategy: an object was expected",
        "spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem: unknown",
    ]


def test_a_misspelt_a_missing_and_a_wrong_field_of_openshift_are_found() -> None:
    kept = next(o for o in objects("openshift") if o["kind"] == "SecurityContextConstraints")
    del kept["priority"]
    kept |= {"volums": [], "allowHostIPC": "no"}

    assert unknown_fields(kept) == ["volums: unknown", "allowHostIPC: boolean was expected", "priority: missing"]


@pytest.mark.parametrize("name", CHOICES)
def test_the_stated_level_of_pod_security_is_enough(name: str) -> None:
    choice, made = CHOICES[name], objects(name)
    level = bundle.level(choice)
    labels = next((o["metadata"]["labels"] for o in made if o["kind"] == "Namespace"), {})

    assert labels.get("pod-security.kubernetes.io/enforce", level) == level
    if level == "restricted":
        for _, spec in workloads(made):
            assert pod_security.violations(spec, openshift=choice.openshift) == []


@pytest.mark.parametrize("name", CHOICES)
def test_a_privileged_pod_only_mounts_folders_of_the_node(name: str) -> None:
    for _, spec in workloads(objects(name)):
        found = pod_security.violations(spec, openshift=CHOICES[name].openshift)
        allowed = {"hostPath volume pod-logs", "hostPath volume state", "runs as root", "SELinux type spc_t"}
        assert set(found) <= allowed


@pytest.mark.parametrize("name", CHOICES)
def test_every_container_of_ours_is_bounded_and_locked_down(name: str) -> None:
    for _, spec in workloads(objects(name)):
        for container in containers(spec):
            resources = container["resources"]
            assert resources["requests"]["memory"]
            assert resources["limits"]["memory"]
            if "logproc" in container["image"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True
                assert container["livenessProbe"]
        mounted = {m["name"] for c in containers(spec) for m in c.get("volumeMounts", [])}
        assert {v["name"] for v in spec["volumes"]} == mounted


def test_logs_of_the_node_are_mounted_read_only() -> None:
    for name in CHOICES:
        for _, spec in workloads(objects(name)):
            for container in containers(spec):
                for mount in container.get("volumeMounts", []):
                    assert mount["name"] != "pod-logs" or mount["readOnly"] is True


@pytest.mark.parametrize("name", CHOICES)
def test_selectors_find_their_pods_and_references_their_objects(name: str) -> None:
    made = objects(name)
    there = {(o["kind"], o["metadata"]["name"]) for o in made}
    pods = [kept["spec"]["template"]["metadata"]["labels"] for kept, _ in workloads(made)]
    for kept in made:
        selector = kept.get("spec", {}).get("selector") or kept.get("spec", {}).get("podSelector")
        if selector:
            assert any(selector["matchLabels"].items() <= labels.items() for labels in pods), kept["metadata"]["name"]
        if kept["kind"].endswith("RoleBinding") or kept["kind"] == "ClusterRoleBinding":
            assert (kept["roleRef"]["kind"], kept["roleRef"]["name"]) in there
            assert all(("ServiceAccount", s["name"]) in there for s in kept["subjects"])
    for _, spec in workloads(made):
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in there
        if "priorityClassName" in spec:
            assert ("PriorityClass", spec["priorityClassName"]) in there
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there


def rules(made: list[Object]) -> list[Any]:
    return [rule for o in made if o["kind"] in {"Role", "ClusterRole"} for rule in o["rules"]]


def test_rights_are_no_more_than_reading_pods_and_one_config_map() -> None:
    assert rules(objects("direct")) == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["istio"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    assert rules(objects("minikube")) == rules(objects("kafka")) == rules(objects("direct"))
    assert rules(objects("loader")) == rules(objects("sidecar")) == []


def test_what_asks_nobody_has_no_token() -> None:
    for name in ("loader", "sidecar", "sidecar-plain"):
        for _, spec in workloads(objects(name)):
            assert spec["automountServiceAccountToken"] is False


def test_grace_ends_before_the_kubelet_kills() -> None:
    for name in CHOICES:
        made = objects(name)
        for _, spec in workloads(made):
            (table,) = tomllib.loads(settings_of(made, spec)).values()
            assert table["grace"] < spec["terminationGracePeriodSeconds"]


def test_a_secret_is_mounted_where_its_url_logs_in_and_nowhere_else() -> None:
    def secrets(name: str) -> dict[str, set[str]]:
        return {
            kept["metadata"]["name"]: {v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
            for kept, spec in workloads(objects(name))
        }

    assert secrets("direct") == {"logproc-node-agent": {"logproc-clickhouse"}}
    assert secrets("kafka") == {
        "logproc-node-agent": {"logproc-kafka"},
        "logproc-loader": {"logproc-kafka", "logproc-clickhouse"},
    }
    assert secrets("agent to kafka without login") == {"logproc-node-agent": set()}


def test_the_network_policy_opens_the_ports_of_the_urls() -> None:
    (policy,) = (o for o in objects("agent to kafka without login") if o["kind"] == "NetworkPolicy")

    assert {"ports": [{"protocol": "TCP", "port": 9092}, {"protocol": "TCP", "port": 9093}]} in policy["spec"]["egress"]


@pytest.mark.parametrize("name", CHOICES)
def test_the_network_policy_lets_every_resolver_and_api_server_be_asked(name: str) -> None:
    """Their pods' ports, for a Service's port is not what most networks compare: OpenShift's resolver, minikube's API server."""
    for policy in (o for o in objects(name) if o["kind"] == "NetworkPolicy"):
        opened = {(p["protocol"], p["port"]) for rule in policy["spec"]["egress"] for p in rule["ports"]}
        asks = policy["metadata"]["name"] != "logproc-loader"

        assert {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)} <= opened
        assert ({("TCP", port) for port in (443, 6443, 8443)} <= opened) == asks


def test_users_of_kafka_are_those_that_the_rights_are_for() -> None:
    script = (FOLDER.parent / "kafka" / "acls.sh").read_text()

    assert f"COLLECTOR:-{Url.parse(KAFKA).user}" in script
    assert "LOADER:-$collector" in script


def test_what_turns_access_logs_on_fits_the_collectors() -> None:
    found = {p.stem: yaml.safe_load(p.read_text()) for p in (FOLDER / "istio").glob("*.yaml")}

    assert {o["kind"] for o in found.values()} == {"Telemetry", "IstioOperator", "ServiceMeshControlPlane"}
    assert found["mesh-config-sidecar"]["spec"]["meshConfig"]["accessLogFile"] == sidecar.LOG
    assert sidecar.LOG in (FOLDER / "istio" / "telemetry-sidecar.yaml").read_text()
    smcp = found["openshift-service-mesh-2"]["metadata"]
    assert CHOICES["openshift"].mesh_config == f"{smcp['namespace']}/istio-{smcp['name']}"
    pages = "".join(p.read_text() for p in (FOLDER.parent.parent / "docs").rglob("*.md"))
    assert all(f"{name}.yaml" in pages for name in found)
