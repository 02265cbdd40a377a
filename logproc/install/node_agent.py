"""The node agent: a DaemonSet that reads the pods' log files of its node, with the few rights that this takes."""

from __future__ import annotations

from typing import Any

from logproc.install import parts
from logproc.install.choice import Choice
from logproc.install.parts import Object

NAME = "logproc-node-agent"
COMPONENT = "node-agent"
LOGS = "/var/log/pods"
STATE = "/var/lib/logproc"
GRACE_SECONDS = 20
RESOURCES = parts.Resources(cpu="100m", memory="256Mi", cpu_limit="1500m", memory_limit="512Mi")
MEMORY = "320Mi"


def settings(choice: Choice) -> dict[str, dict[str, Any]]:
    """The settings file."""
    return {
        "collect": {
            "to": choice.sink,
            "state": STATE,
            "follow": True,
            "memory": MEMORY,
            "spool-max": "1Gi",
            "grace": GRACE_SECONDS - 5,
            "mesh-config": choice.mesh_config,
            "metrics-listen": f":{parts.METRICS_PORT}",
            "log-format": "json",
        }
    }


def access(choice: Choice, name: str = NAME, component: str = COMPONENT) -> list[Object]:
    """Service account and rights: to see pods, for their labels, and the one ConfigMap with the mesh's log format."""
    mesh_namespace, _, mesh_name = choice.mesh_config.partition("/")
    subject = [{"kind": "ServiceAccount", "name": name, "namespace": choice.namespace}]
    mesh = f"{name}-mesh-config"
    rbac = "rbac.authorization.k8s.io"
    return [
        parts.service_account(name, component, choice.namespace, token=True),
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": parts.metadata(name, component),
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": parts.metadata(name, component),
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": subject,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": parts.metadata(mesh, component, mesh_namespace),
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["configmaps"],
                    "resourceNames": [mesh_name],
                    "verbs": ["get", "list", "watch"],
                }
            ],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": parts.metadata(mesh, component, mesh_namespace),
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": mesh},
            "subjects": subject,
        },
    ]


def security() -> Object:
    """Log files are 0640 root:root and their folders may be 0700: the owner reads them without any capability."""
    return {"runAsUser": 0, "runAsGroup": 0, **parts.restricted_container()}


def environment() -> list[Object]:
    """The node's name, by which the API is asked for its pods and rows are marked."""
    return [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]


def volumes(settings_name: str = NAME) -> list[Object]:
    """Logs, state, settings, and room for temporary files."""
    return [
        {"name": "pod-logs", "hostPath": {"path": LOGS, "type": "Directory"}},
        {"name": "state", "hostPath": {"path": STATE, "type": "DirectoryOrCreate"}},
        {"name": "settings", "configMap": {"name": settings_name}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]


def mounts() -> list[Object]:
    """Where they are mounted."""
    return [
        {"name": "pod-logs", "mountPath": LOGS, "readOnly": True},
        {"name": "state", "mountPath": STATE},
        {"name": "settings", "mountPath": parts.SETTINGS_FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the container's own
    ]


def daemonset(choice: Choice) -> Object:
    """One pod on every node, whatever its taints; restarted one node after the other."""
    login = parts.login(choice.sink)
    pod: Object = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical" if choice.namespace == "kube-system" else "logproc-node-agent",
        "terminationGracePeriodSeconds": GRACE_SECONDS + 5,
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "collect",
                "image": choice.image,
                "args": ["collect", LOGS],
                "env": environment() + login.env,
                "ports": parts.metrics_port(),
                "resources": RESOURCES.rendered(),
                "securityContext": security(),
                **parts.probes(),
                "volumeMounts": mounts() + login.mounts,
            }
        ],
        "volumes": volumes() + login.volumes,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": parts.metadata(NAME, COMPONENT, choice.namespace),
        "spec": {
            "selector": {"matchLabels": parts.labels(COMPONENT)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": parts.pod_labels(COMPONENT), "annotations": parts.scraped()},
                "spec": pod,
            },
        },
    }


def priority_class() -> Object:
    """Above ordinary pods: a node agent that is evicted reads nothing, and the kubelet deletes what it should have read."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": parts.metadata("logproc-node-agent", COMPONENT),
        "value": 1_000_000,
        "preemptionPolicy": "PreemptLowerPriority",
        "globalDefault": False,
        "description": "logproc's node agent",
    }


def objects(choice: Choice) -> list[Object]:
    """All of it, but the namespace."""
    network = parts.network_policy(NAME, COMPONENT, choice.namespace, parts.ports_of(choice.sink), api=True)
    return [
        priority_class(),
        *access(choice),
        parts.settings_map(NAME, COMPONENT, choice.namespace, settings(choice)),
        daemonset(choice),
        network,
    ]
