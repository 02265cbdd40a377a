"""The pieces that several objects share: names and labels, settings, secrets, probes, rights, network rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from logproc.errors import ConfigError
from logproc.install.choice import Choice
from logproc.settings import toml_value
from logproc.urls import Url

Object = dict[str, Any]

METRICS_PORT = 9090
USER = 10001
"""The image's own user."""

SETTINGS_FOLDER = "/etc/logproc"
"""`/etc/logproc/config.toml` is read without being named."""

SECRETS_FOLDER = "/run/secrets/logproc"
DEFAULT_PORTS = {"kafka": 9092, "clickhouse": 8123}

# Most networks look at a packet when the Service's port has become the pod's.
DNS_PORTS = (53, 5353)
"""Of the resolver's pods: OpenShift's listen on the second."""

API_PORTS = (443, 6443, 8443)
"""Of API servers: minikube's listens on the third."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container; docs/sizing.md has the measurements behind them."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str

    def rendered(self) -> Object:
        """As a container has them."""
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory},
            "limits": {"cpu": self.cpu_limit, "memory": self.memory_limit},
        }


def labels(component: str) -> dict[str, str]:
    """What selects the pods of one component."""
    return {"app.kubernetes.io/name": "logproc", "app.kubernetes.io/component": component}


def metadata(name: str, component: str, namespace: str = "", **more: Any) -> Object:
    """Name, namespace and labels of an object."""
    placed = {"namespace": namespace} if namespace else {}
    return {"name": name, **placed, "labels": labels(component) | {"app.kubernetes.io/part-of": "logproc"}, **more}


def settings_map(name: str, component: str, namespace: str, tables: Mapping[str, Mapping[str, Any]]) -> Object:
    """The ConfigMap with the settings file."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, component, namespace),
        "data": {"config.toml": toml(tables)},
    }


def toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A settings file of flat tables."""
    parts = [
        "\n".join([f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())])
        for name, table in tables.items()
    ]
    return "\n\n".join(parts) + "\n"


def secret_name(scheme: str) -> str:
    """The Secret with what logs in at a Kafka or a ClickHouse."""
    return f"logproc-{scheme}"


def certificates(url: Url) -> list[str]:
    """The files that a URL names, as paths in a container."""
    return [value for name, value in url.options if name in {"ca", "cert", "key"}]


@dataclass(frozen=True, slots=True)
class Login:
    """What a container needs to log in: an environment, volumes and where they are mounted."""

    env: list[Object]
    volumes: list[Object]
    mounts: list[Object]


def login(*urls: str) -> Login:
    """Secrets of the URLs that name a user or a file of certificates; none where nobody logs in.

    A Secret that is missing lets the container start and say so: a pod that waits for a volume says nothing in its log.
    """
    env: list[Object] = []
    volumes: list[Object] = []
    mounts: list[Object] = []
    for url in (Url.parse(text) for text in urls if text):
        folder = f"{SECRETS_FOLDER}/{url.scheme}"
        if url.scheme == "clickhouse":
            # For `kubectl exec ... -- logproc query`.
            env.append({"name": "LOGPROC_STORE", "value": str(url)})
        files = certificates(url)
        for value in files:
            if not value.startswith(f"{folder}/"):
                raise ConfigError(
                    f"{url}: {value} will not be in the container", f"keys of the Secret {secret_name(url.scheme)} are files in {folder}"
                )  # fmt: skip
        if not url.user and not files:
            continue
        if url.user:
            variable = "LOGPROC_KAFKA_PASSWORD_FILE" if url.scheme == "kafka" else "LOGPROC_PASSWORD_FILE"
            env.append({"name": variable, "value": f"{folder}/password"})
        name = secret_name(url.scheme)
        volumes.append({"name": name, "secret": {"secretName": name, "optional": True, "defaultMode": 0o440}})
        mounts.append({"name": name, "mountPath": folder, "readOnly": True})
    return Login(env, volumes, mounts)


def restricted_container() -> Object:
    """What a container of Pod Security's level `restricted` has to say."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def restricted_pod(choice: Choice, user: int = USER) -> Object:
    """Of a pod that needs no rights. OpenShift gives each namespace its own range of users, so it chooses there."""
    chosen: Object = {} if choice.openshift else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
    return {"runAsNonRoot": True, **chosen, "seccompProfile": {"type": "RuntimeDefault"}}


def probes() -> Object:
    """Ready while lines reach their destination; restarted only when the loop stands still."""
    return {
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "metrics"},
            "periodSeconds": 10,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "metrics"},
            "initialDelaySeconds": 15,
            "periodSeconds": 20,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def metrics_port() -> list[Object]:
    """The container's one port."""
    return [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}]


def scraped() -> dict[str, str]:
    """Annotations by which many a Prometheus finds pods; and no proxy is to be injected into what reads proxies' logs."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(METRICS_PORT)}


def pod_labels(component: str) -> dict[str, str]:
    """Labels of a pod: no sidecar is injected."""
    return labels(component) | {"sidecar.istio.io/inject": "false"}


def ports_of(*urls: str) -> list[int]:
    """The ports that the URLs' servers listen on."""
    found: set[int] = set()
    for url in (Url.parse(text) for text in urls if text):
        default = DEFAULT_PORTS[url.scheme]
        if url.scheme == "clickhouse" and url.option("secure", "0").lower() in {"1", "true"}:
            default = 8443
        found.add(url.port or default)
        found |= {int(other.rpartition(":")[2]) for other in url.others if ":" in other}
        found |= {default for other in url.others if ":" not in other}
    return sorted(found)


def network_policy(name: str, component: str, namespace: str, ports: Iterable[int], *, api: bool) -> Object:
    """In: metrics, from pods of the cluster. Out: DNS, the destinations' ports, and the API server where it is asked."""
    egress: list[Object] = [{"ports": [{"protocol": p, "port": port} for port in DNS_PORTS for p in ("UDP", "TCP")]}]
    ports = list(ports)
    if ports:
        egress.append({"ports": [{"protocol": "TCP", "port": port} for port in ports]})
    if api:
        egress.append({"ports": [{"protocol": "TCP", "port": port} for port in API_PORTS]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, component, namespace),
        "spec": {
            "podSelector": {"matchLabels": labels(component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": METRICS_PORT}]}],
            "egress": egress,
        },
    }


def namespace_object(name: str, level: str) -> Object:
    """The namespace, with the level of Pod Security that its pods need."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/part-of": "logproc",
                "istio-injection": "disabled",
                **{f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")},
            },
        },
    }


def service_account(name: str, component: str, namespace: str, *, token: bool) -> Object:
    """A service account; without a token where nobody asks the API."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(name, component, namespace),
        "automountServiceAccountToken": token,
    }
