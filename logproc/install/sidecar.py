"""The sidecar: what to add to a workload whose Envoy writes its log to a volume, shown on a whole Deployment."""

from __future__ import annotations

from typing import Any

from logproc.install import parts
from logproc.install.choice import Choice
from logproc.install.parts import Object

NAME = "logproc-sidecar"
COMPONENT = "sidecar"
FOLDER = "/var/log/istio"
LOG = f"{FOLDER}/access.log"
STATE = f"{FOLDER}/state"
ENVOY_USER = 1337
"""istio-proxy's user: both write into the shared folder."""

GRACE_SECONDS = 30
VOLUME_SIZE = "2Gi"
RESOURCES = parts.Resources(cpu="50m", memory="192Mi", cpu_limit="500m", memory_limit="384Mi")
MEMORY = "256Mi"
APPLICATION = "web"


def settings(choice: Choice) -> dict[str, dict[str, Any]]:
    """The settings file."""
    return {
        "collect": {
            "sidecar": True,
            "to": choice.sink,
            "state": STATE,
            "memory": MEMORY,
            "spool-max": "512Mi",
            "grace": GRACE_SECONDS - 5,
            "metrics-listen": f":{parts.METRICS_PORT}",
            "log-format": "json",
        }
    }


def container(choice: Choice) -> Object:
    """The container. A native sidecar starts before istio-proxy and ends after it, and lets a Job complete."""
    login = parts.login(choice.sink)
    native: Object = {"restartPolicy": "Always"} if choice.native_sidecar else {}
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid", "NODE_NAME": "spec.nodeName"}  # fmt: skip
    return {
        "name": "logproc",
        "image": choice.image,
        **native,
        "args": ["collect", LOG],
        "env": [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": path}}} for n, path in fields.items()] + login.env,
        "ports": parts.metrics_port(),
        "resources": RESOURCES.rendered(),
        "securityContext": parts.restricted_container(),
        **_probes(choice),
        "volumeMounts": [
            {"name": "access-log", "mountPath": FOLDER},
            {"name": "pod-info", "mountPath": "/etc/podinfo", "readOnly": True},
            {"name": "logproc-settings", "mountPath": parts.SETTINGS_FOLDER, "readOnly": True},
            {"name": "logproc-tmp", "mountPath": "/tmp"},  # noqa: S108
            *login.mounts,
        ],
    }


def _probes(choice: Choice) -> Object:
    """No readiness: a sink that is away must not take the application out of its Service."""
    kept = {"livenessProbe": parts.probes()["livenessProbe"]}
    return kept | ({"startupProbe": kept["livenessProbe"] | {"failureThreshold": 6}} if choice.native_sidecar else {})


def deployment(choice: Choice) -> Object:
    """An application with it; of the application only the annotation and the volumes matter."""
    login = parts.login(choice.sink)
    beside = container(choice)
    application = {
        "name": "web",
        "image": "docker.io/istio/examples-helloworld-v1:1.0",
        "ports": [{"name": "http", "containerPort": 5000}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    annotations = {"sidecar.istio.io/userVolumeMount": f'{{"access-log": {{"mountPath": "{FOLDER}"}}}}'}
    in_order: Object = {"initContainers": [beside], "containers": [application]} if choice.native_sidecar else {"containers": [application, beside]}  # fmt: skip
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APPLICATION, "namespace": choice.namespace, "labels": {"app": APPLICATION}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": APPLICATION}},
            "template": {
                "metadata": {"labels": {"app": APPLICATION, "version": "v1"}, "annotations": annotations},
                "spec": {
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "automountServiceAccountToken": False,
                    "securityContext": parts.restricted_pod(choice, ENVOY_USER),
                    **in_order,
                    "volumes": [
                        {"name": "access-log", "emptyDir": {"sizeLimit": VOLUME_SIZE}},
                        {
                            "name": "pod-info",
                            "downwardAPI": {
                                "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                            },
                        },
                        {"name": "logproc-settings", "configMap": {"name": NAME}},
                        {"name": "logproc-tmp", "emptyDir": {"sizeLimit": "64Mi"}},
                        *login.volumes,
                    ],
                },
            },
        },
    }


def objects(choice: Choice) -> list[Object]:
    """All of it, but the namespace, which is the application's."""
    return [parts.settings_map(NAME, COMPONENT, choice.namespace, settings(choice)), deployment(choice)]
