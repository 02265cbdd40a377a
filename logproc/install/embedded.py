"""One pod that collects, stores and answers: for minikube, kind, and a look at a single node."""

from __future__ import annotations

from typing import Any

from logproc.install import node_agent, parts
from logproc.install.choice import Choice
from logproc.install.parts import Object

NAME = "logproc"
COMPONENT = "embedded"
STORE = f"{node_agent.STATE}/store"
LISTEN = "127.0.0.1:8123"
"""Reached by `kubectl port-forward` and `kubectl exec` alone, so that nobody needs a password."""

RESOURCES = parts.Resources(cpu="250m", memory="768Mi", cpu_limit="2", memory_limit="3Gi")


def settings(choice: Choice) -> dict[str, dict[str, Any]]:
    """The settings file."""
    return {
        "up": {
            "state": f"{node_agent.STATE}/state",
            "listen": LISTEN,
            "spool-max": "256Mi",
            "max-memory": "2Gi",
            "grace": 15,
            "mesh-config": choice.mesh_config,
            "metrics-listen": f":{parts.METRICS_PORT}",
            "log-format": "json",
        }
    }


def daemonset(choice: Choice) -> Object:
    """A pod per node, each with the store of its node."""
    made = node_agent.daemonset(choice)
    made["metadata"] = parts.metadata(NAME, COMPONENT, choice.namespace)
    made["spec"]["selector"] = {"matchLabels": parts.labels(COMPONENT)}
    made["spec"]["template"]["metadata"]["labels"] = parts.pod_labels(COMPONENT)
    pod = made["spec"]["template"]["spec"]
    pod["serviceAccountName"] = NAME
    del pod["priorityClassName"]
    pod["volumes"] = node_agent.volumes(NAME)
    pod["containers"] = [
        {
            "name": "logproc",
            "image": choice.image,
            "args": ["up", node_agent.LOGS, "--store", STORE],
            # What is typed in the pod asks the process that has the store.
            "env": [
                *node_agent.environment(),
                {"name": "LOGPROC_STORE", "value": f"clickhouse://default@{LISTEN}/logproc"},
            ],
            "ports": parts.metrics_port(),
            "resources": RESOURCES.rendered(),
            "securityContext": node_agent.security(),
            **parts.probes(),
            "volumeMounts": node_agent.mounts(),
        }
    ]
    return made


def objects(choice: Choice) -> list[Object]:
    """All of it, but the namespace."""
    return [
        *node_agent.access(choice, NAME, COMPONENT),
        parts.settings_map(NAME, COMPONENT, choice.namespace, settings(choice)),
        daemonset(choice),
        parts.network_policy(NAME, COMPONENT, choice.namespace, [], api=True),
    ]
