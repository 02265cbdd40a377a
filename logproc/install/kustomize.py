"""The folder `deploy/kubernetes`: a base, overlays for each way to run it, and a component for OpenShift.

What `kubectl kustomize` makes of an overlay is what `logproc install --print` prints for the same choice, but for the suffix of the
ConfigMaps' names, by which a change of the settings restarts the pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from logproc.install import bundle, loader, node_agent, openshift, parts, sidecar
from logproc.install.choice import OPENSHIFT_MESH_CONFIG, Choice, Part
from logproc.install.parts import Object

CLICKHOUSE = "clickhouse://logproc@clickhouse.clickhouse:8123/logproc"
KAFKA = f"kafka://logproc@kafka-bootstrap.kafka:9093/logproc?ca={parts.SECRETS_FOLDER}/kafka/ca.crt"

OVERLAYS: Mapping[str, Choice] = {
    "direct": Choice(frozenset({Part.DAEMONSET}), clickhouse=CLICKHOUSE),
    "kafka": Choice(frozenset({Part.DAEMONSET, Part.LOADER}), kafka=KAFKA, clickhouse=CLICKHOUSE),
    "loader": Choice(frozenset({Part.LOADER}), kafka=KAFKA, clickhouse=CLICKHOUSE),
    "openshift": Choice(
        frozenset({Part.DAEMONSET}), clickhouse=CLICKHOUSE, openshift=True, mesh_config=OPENSHIFT_MESH_CONFIG
    ),
    "sidecar": Choice(frozenset({Part.SIDECAR}), kafka=KAFKA, namespace="default"),
    "sidecar-plain": Choice(frozenset({Part.SIDECAR}), kafka=KAFKA, namespace="default", native_sidecar=False),
    "minikube": Choice.of(embedded=True),
}

PURPOSE = {
    "direct": "A node agent that writes to ClickHouse.",
    "kafka": "A node agent that writes to Kafka, and a loader from there to ClickHouse.",
    "loader": "The loader alone, where sidecars or agents of other clusters write to Kafka.",
    "openshift": "The node agent on OpenShift with Service Mesh 2.6; for more, add ../../components/openshift to another overlay.",
    "sidecar": "An application with logproc as a native sidecar (Kubernetes 1.29 or newer): an example to take from.",
    "sidecar-plain": "The same as a plain container, for Kubernetes older than 1.29: an example to take from.",
    "minikube": "Collector, store and SQL in one pod per node: for minikube, kind and a look.",
}

_BASE_KINDS = ("PriorityClass", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_WRITTEN_BY = "# Written by `logproc install --kustomize`; a test compares.\n"


def files() -> dict[str, str]:
    """Paths in the folder, and their content."""
    written = dict(_base())
    written |= _component()
    for name, choice in OVERLAYS.items():
        written |= {f"overlays/{name}/{path}": text for path, text in _overlay(name, choice).items()}
    return written


def write(folder: Path) -> list[Path]:
    """Write the folder; files that are there and not ours stay."""
    made = []
    for path, text in files().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        made.append(file)
    return made


def _base() -> dict[str, str]:
    bare = Choice(frozenset({Part.DAEMONSET}))
    agent = node_agent.objects(bare)
    rights = [o for o in agent if o["kind"] in _BASE_KINDS]
    content = {
        "namespace.yaml": [parts.namespace_object(bare.namespace, bundle.level(bare))],
        "rights.yaml": rights,
        "node-agent.yaml": [node_agent.daemonset(bare)],
    }
    note = "What every node agent has. Its settings and its destination are in the overlays.\n# Pod Security: privileged (it mounts folders of the node)."
    return _folder("base", note, content)


def _component() -> dict[str, str]:
    bare = Choice(frozenset({Part.DAEMONSET}), openshift=True, mesh_config=OPENSHIFT_MESH_CONFIG)
    constraint = openshift.constraint(bare, node_agent.NAME, node_agent.COMPONENT)
    user = [{"op": "remove", "path": f"/spec/template/spec/securityContext/{k}"} for k in ("runAsUser", "runAsGroup", "fsGroup")]  # fmt: skip
    selinux = [{"op": "add", "path": "/spec/template/spec/securityContext/seLinuxOptions", "value": openshift.SELINUX}]
    mesh = [{"op": "replace", "path": "/rules/0/resourceNames", "value": [OPENSHIFT_MESH_CONFIG.partition("/")[2]]}]
    patches: list[Object] = [
        {"target": {"kind": "DaemonSet", "name": node_agent.NAME}, "patch": bundle.document(selinux)},
        {"target": {"kind": "Deployment", "name": loader.NAME}, "patch": bundle.document(user)},
        {"target": {"kind": "Role", "name": f"{node_agent.NAME}-mesh-config"}, "patch": bundle.document(mesh)},
    ]
    note = "What OpenShift wants besides. Set mesh-config in config.toml to the ConfigMap of your control plane: istio-NAME."
    return _folder(
        "components/openshift", note, {"constraint.yaml": [constraint]}, {"patches": patches}, kind="Component"
    )


def _overlay(name: str, choice: Choice) -> dict[str, str]:
    plain = replace(choice, openshift=False)
    made = bundle.objects(plain)
    own = [o for o in made if o["kind"] != "ConfigMap"]
    more: Object = {}
    content: dict[str, list[Object]] = {}
    if Part.DAEMONSET in choice.parts:
        login = parts.login(choice.sink)
        own = [o for o in own if o not in _base_objects(plain) and o["kind"] != "DaemonSet"]
        if login.env:
            more["patches"] = [{"path": "node-agent-login.yaml"}]
            content["node-agent-login.yaml"] = [_login_patch(login)]
        more["resources"] = ["../../base"]
    if choice.openshift:
        more["components"] = ["../../components/openshift"]
    groups: dict[str, list[Object]] = {}
    for kept in own:
        groups.setdefault(_file_of(kept), []).append(kept)
    resources = list(groups)
    config_files, generators = _generators([o for o in made if o["kind"] == "ConfigMap"])
    more["configMapGenerator"] = generators
    note = f"{PURPOSE[name]}\n# Pod Security: {bundle.level(choice)}."
    commands = bundle.secrets(choice)
    note += "".join(f"\n# Once the namespace is there: {command}" for command in commands)
    return _folder("", note, {f: groups[f] for f in resources} | content, more, not_listed=content) | config_files


def _base_objects(choice: Choice) -> list[Object]:
    return [
        parts.namespace_object(choice.namespace, bundle.LEVELS[Part.DAEMONSET]),
        *(o for o in node_agent.objects(choice) if o["kind"] in _BASE_KINDS),
        *node_agent.access(replace(choice, mesh_config=Choice(frozenset()).mesh_config)),
    ]


def _login_patch(login: parts.Login) -> Object:
    container = {"name": "collect", "env": login.env, "volumeMounts": login.mounts}
    spec = {"containers": [container], "volumes": login.volumes}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": node_agent.NAME, "namespace": Choice(frozenset()).namespace},
        "spec": {"template": {"spec": spec}},
    }


def _file_of(kept: Object) -> str:
    files_of = {"Namespace": "namespace", "NetworkPolicy": "network", "ServiceAccount": "rights"}
    if kept["kind"] in files_of:
        return f"{files_of[kept['kind']]}.yaml"
    name = kept["metadata"]["name"]
    return f"{'application' if name == sidecar.APPLICATION else name.removeprefix('logproc-')}.yaml"


def _generators(maps: Sequence[Object]) -> tuple[dict[str, str], list[Object]]:
    """A settings file for each ConfigMap, `config.toml` where there is one."""
    texts: dict[str, str] = {}
    made: list[Object] = []
    for kept in maps:
        meta = kept["metadata"]
        file = "config.toml" if len(maps) == 1 else f"{meta['name'].removeprefix('logproc-')}.toml"
        texts[file] = kept["data"]["config.toml"]
        made.append(
            {"name": meta["name"], "namespace": meta["namespace"], "files": [f"config.toml={file}"], "options": {"labels": meta["labels"]}}
        )  # fmt: skip
    return texts, made


def _folder(
    place: str,
    note: str,
    content: Mapping[str, Sequence[Object]],
    more: Mapping[str, object] | None = None,
    *,
    kind: str = "Kustomization",
    not_listed: Iterable[str] = (),
) -> dict[str, str]:
    version = "v1alpha1" if kind == "Component" else "v1beta1"
    rest = dict(more or {})
    listed = [*rest.pop("resources", []), *(f for f in content if f not in set(not_listed))]  # type: ignore[misc]
    index: Object = {"apiVersion": f"kustomize.config.k8s.io/{version}", "kind": kind, "resources": listed, **rest}
    prefix = f"{place}/" if place else ""
    written = {f"{prefix}{file}": _WRITTEN_BY + bundle.text(objects) for file, objects in content.items()}
    written[f"{prefix}kustomization.yaml"] = f"{_WRITTEN_BY}# {note}\n{bundle.document(index)}"
    return written
