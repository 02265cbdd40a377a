"""The loader: a Deployment that moves batches from Kafka to ClickHouse, as many pods as there is work for."""

from __future__ import annotations

from typing import Any

from logproc.install import parts
from logproc.install.choice import Choice
from logproc.install.parts import Object

NAME = "logproc-loader"
COMPONENT = "loader"
GRACE_SECONDS = 40
REPLICAS = 2
RESOURCES = parts.Resources(cpu="200m", memory="384Mi", cpu_limit="1500m", memory_limit="768Mi")


def settings(choice: Choice) -> dict[str, dict[str, Any]]:
    """The settings file."""
    return {
        "load": {
            "to": choice.clickhouse,
            "grace": GRACE_SECONDS - 10,
            "metrics-listen": f":{parts.METRICS_PORT}",
            "log-format": "json",
        }
    }


def deployment(choice: Choice) -> Object:
    """Pods that need no rights; a new one joins before an old one leaves, so that partitions are without a loader for seconds only."""
    login = parts.login(choice.kafka, choice.clickhouse)
    chosen = parts.labels(COMPONENT)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": parts.metadata(NAME, COMPONENT, choice.namespace),
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": chosen},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": parts.pod_labels(COMPONENT), "annotations": parts.scraped()},
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "securityContext": parts.restricted_pod(choice),
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": chosen},
                        }
                    ],
                    "containers": [
                        {
                            "name": "load",
                            "image": choice.image,
                            "args": ["load", choice.kafka],
                            "env": login.env,
                            "ports": parts.metrics_port(),
                            "resources": RESOURCES.rendered(),
                            "securityContext": parts.restricted_container(),
                            **parts.probes(),
                            "volumeMounts": [
                                {"name": "settings", "mountPath": parts.SETTINGS_FOLDER, "readOnly": True},
                                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                                *login.mounts,
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "settings", "configMap": {"name": NAME}},
                        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
                        *login.volumes,
                    ],
                },
            },
        },
    }


def disruption_budget(choice: Choice) -> Object:
    """A drained node takes one loader at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": parts.metadata(NAME, COMPONENT, choice.namespace),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": parts.labels(COMPONENT)}},
    }


def objects(choice: Choice) -> list[Object]:
    """All of it, but the namespace."""
    ports = parts.ports_of(choice.kafka, choice.clickhouse)
    return [
        parts.service_account(NAME, COMPONENT, choice.namespace, token=False),
        parts.settings_map(NAME, COMPONENT, choice.namespace, settings(choice)),
        deployment(choice),
        disruption_budget(choice),
        parts.network_policy(NAME, COMPONENT, choice.namespace, ports, api=False),
    ]
