"""Where the cluster is and what to say to it: kubeconfigs merged as kubectl does it, a pod's service account, and login plugins.

A token or a certificate is used as it stands. Everything else (exec plugins, OIDC, proxies, passwords) is the official client's; it is
loaded only then, because that takes longer than everything up to the first line.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from logproc.errors import ConfigError, SourceError
from logproc.kube_api import SERVICE_ACCOUNT, Access

_PLAIN_CLUSTER = {"server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "extensions"}  # fmt: skip
_PLAIN_USER = {"token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data", "extensions"}  # fmt: skip
_PATHS = ("certificate-authority", "tokenFile", "client-certificate", "client-key")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Login(Protocol):
    """How to reach a server and what to say to it."""

    @property
    def server(self) -> str:
        """Its address, without a slash at the end."""
        ...

    @property
    def pool(self) -> Any:
        """Connections: a `urllib3.PoolManager`."""
        ...

    def headers(self) -> dict[str, str]:
        """What goes with each request. Called by one thread at a time; a token that has expired is read again."""
        ...


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the kubeconfigs say, by name; of entries with one name the first file's stands."""

    current: str = ""
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    users: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def kubeconfig_files() -> list[Path]:
    """The files that KUBECONFIG names and that exist, else ~/.kube/config where it exists."""
    named = os.environ.get("KUBECONFIG")
    if named:
        files = [Path(p).expanduser() for p in named.split(os.pathsep) if p]
        found = [f for f in files if f.is_file()]
        if not found:
            raise ConfigError(f"KUBECONFIG names {named}, which is not there")
        return found
    usual = Path.home() / ".kube" / "config"
    return [usual] if usual.is_file() else []


def in_cluster() -> bool:
    """Whether this runs in a pod that has a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").is_file()


def read_kubeconfigs(files: list[Path]) -> Kubeconfig:
    """All of them together; paths in them are as their own file means them. Raises ConfigError for a file that is no kubeconfig."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
    kept: dict[str, dict[str, Mapping[str, Any]]] = {"contexts": {}, "clusters": {}, "users": {}}
    current = ""
    for file in files:
        try:
            content = yaml.load(file.read_text(), loader) or {}  # noqa: S506  both are safe loaders
            current = current or content.get("current-context") or ""
            for kind, known in kept.items():
                for entry in content.get(kind) or []:
                    one = dict(entry.get(kind[:-1]) or {})
                    one |= {k: str(file.parent / str(one[k])) for k in _PATHS if one.get(k)}
                    known.setdefault(str(entry["name"]), one)
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise ConfigError(f"kubeconfig {file} does not read: {reason}") from error
    return Kubeconfig(str(current), kept["contexts"], kept["clusters"], kept["users"])


def plain_login(kept: Kubeconfig, context: str, connections: int) -> Login | None:
    """A login by token or certificate of a context, or of the pod's service account where there are no contexts.

    None: it is more than that, or does not read; the official client knows, or says what is wrong.
    """
    if any(os.environ.get(name) for name in _PROXIES):
        return None
    try:
        access = _access(kept, context) if kept.contexts else Access.in_cluster()
    except (OSError, ValueError, ConfigError):
        return None
    return _Plain(access, connections) if access is not None else None


def _access(kept: Kubeconfig, context: str) -> Access | None:
    chosen = kept.contexts[context]
    cluster, user = kept.clusters.get(str(chosen.get("cluster"))), kept.users.get(str(chosen.get("user")))
    if cluster is None or user is None or not set(cluster) <= _PLAIN_CLUSTER or not set(user) <= _PLAIN_USER:
        return None
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        return None
    token_file = Path(user["tokenFile"]) if user.get("tokenFile") else None
    if token_file is not None and not token_file.is_file():
        return None
    return Access(
        server, _trust(cluster, user) if server.startswith("https:") else None, str(user.get("token") or ""), token_file
    )


def _trust(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    data, file = cluster.get("certificate-authority-data"), cluster.get("certificate-authority")
    context = ssl.create_default_context(
        cafile=None if data else file, cadata=base64.b64decode(data).decode() if data else None
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parts = [_bytes(user, "client-certificate"), _bytes(user, "client-key")]
    if any(parts):
        # Certificates can be loaded from files only; this one is readable by nobody else, and gone again at once.
        with tempfile.NamedTemporaryFile() as file_of_both:
            file_of_both.write(b"\n".join(parts))
            file_of_both.flush()
            context.load_cert_chain(file_of_both.name)
    return context


def _bytes(user: Mapping[str, Any], key: str) -> bytes:
    if user.get(f"{key}-data"):
        return base64.b64decode(user[f"{key}-data"])
    return Path(user[key]).read_bytes() if user.get(key) else b""


class _Plain:
    """By a token or a certificate."""

    def __init__(self, access: Access, connections: int) -> None:
        import urllib3

        self._access = access
        trust: dict[str, Any] = {"ssl_context": access.context} if access.context is not None else {}
        if access.context is not None and access.context.verify_mode == ssl.CERT_NONE:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            trust["cert_reqs"] = "CERT_NONE"
        self.pool = urllib3.PoolManager(num_pools=1, maxsize=connections, **trust)

    @property
    def server(self) -> str:
        return self._access.server

    def headers(self) -> dict[str, str]:
        try:
            return self._access.headers()
        except SourceError as error:  # a token file that is being replaced is there again soon
            raise OSError(error.message) from error


def official_login(files: list[Path], context: str, connections: int) -> Login:
    """By the official client: whatever a kubeconfig can say. Raises ConfigError."""
    try:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as error:
        raise ConfigError("the Kubernetes client is not installed", "pip install 'logproc[kubernetes]'") from error
    configuration = client.Configuration()
    configuration.connection_pool_maxsize = connections
    names = ", ".join(map(str, files))
    try:
        if files:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                os.pathsep.join(map(str, files)), context=context or None,
                client_configuration=configuration, persist_config=False,
            )  # fmt: skip
        else:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigError(f"kubeconfig {names}: {error}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"kubeconfig {names} does not read: {error}") from error
    if not configuration.verify_ssl:
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return _Official(configuration, client.ApiClient(configuration).rest_client.pool_manager)


class _Official:
    """By what the official client has loaded; its hook runs an exec plugin again when its token has expired."""

    def __init__(self, configuration: Any, pool: Any) -> None:
        self._configuration, self.pool = configuration, pool
        self.server = str(configuration.host)

    def headers(self) -> dict[str, str]:
        settings = self._configuration.auth_settings().values()
        return {s["key"]: s["value"] for s in settings if s.get("value")}
