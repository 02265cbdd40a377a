"""A small client of the Kubernetes API: objects, lists and watches over plain HTTPS, with what ClickHouse's client brings along anyway.

It knows a service account in a pod and a kubeconfig with a token or a certificate; a node agent needs no more (the official client is
100 MB). A token file is read again for each request, because the kubelet replaces it every hour.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logproc.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
GONE = 410
"""The answer to a resource version that the server has forgotten: list again."""
_MOST_OF_A_REFUSAL = 64 << 10


class ApiError(SourceError):
    """The API server refused, or did not answer. `status` is the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server and what to say to it."""

    server: str
    context: ssl.SSLContext | None = None
    token: str = ""
    token_file: Path | None = None

    @classmethod
    def in_cluster(cls, folder: Path = SERVICE_ACCOUNT) -> Self | None:
        """By the service account of the pod this runs in; None where it is in no pod. Raises ConfigError for one that does not read."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        token = folder / "token"
        if not host or not token.is_file():
            return None
        try:
            context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{folder}/ca.crt: {error}") from error
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}", context, token_file=token)

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """By the current context of a kubeconfig with a token or a client certificate. Raises ConfigError."""
        import yaml

        try:
            kept = _Kubeconfig.model_validate(yaml.safe_load(path.read_text()))
        except OSError as error:
            raise ConfigError(f"kubeconfig {path}: {error.strerror}") from error
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"kubeconfig {path} does not read: {error}") from error
        context = next((c.context for c in kept.contexts if c.name == kept.current_context), None)
        cluster = next((c.cluster for c in kept.clusters if context and c.name == context.cluster), None)
        user = next((u.user for u in kept.users if context and u.name == context.user), None)
        if cluster is None or user is None:
            raise ConfigError(f"kubeconfig {path}: its current context {kept.current_context!r} is not complete")
        if not (user.token or user.token_file or user.certificate or user.certificate_data):
            raise ConfigError(
                f"kubeconfig {path}: user {context.user if context else ''} has neither token nor certificate",
                "login plugins are not run here: use the token of a service account",
            )
        try:
            trusted = _trusted(path.parent, cluster, user) if cluster.server.startswith("https:") else None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(f"kubeconfig {path}: its certificates do not read: {error}") from error
        token_file = path.parent / user.token_file if user.token_file else None
        return cls(cluster.server.rstrip("/"), trusted, user.token, token_file)

    def headers(self) -> dict[str, str]:
        """What goes with each request; the token is read anew."""
        token = self.token
        if self.token_file is not None:
            try:
                token = self.token_file.read_text().strip()
            except OSError as error:
                raise ApiError(f"{self.token_file}: {error.strerror}") from error
        return {"Accept": "application/json", "User-Agent": "logproc"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and its object."""

    type: str
    object: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The resource version from which a watch goes on after this event."""
        return str(self.object.get("metadata", {}).get("resourceVersion", ""))


class Api:
    """Requests to one API server. Each thread has its own."""

    def __init__(self, access: Access) -> None:
        import urllib3
        from urllib3.connection import HTTPConnection

        self._access = access
        # A connection whose other end is gone without a word is noticed within a minute.
        keepalive = [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ]
        trust: dict[str, Any] = {"ssl_context": access.context} if access.context is not None else {}
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=2, retries=False, socket_options=[*HTTPConnection.default_socket_options, *keepalive], **trust
        )  # fmt: skip

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object that a path answers with. Raises ApiError."""
        response = self._open(path, parameters or {}, ANSWER_SECONDS)
        try:
            with _explained(path):
                found: dict[str, Any] = json.loads(response.read())
                return found
        finally:
            response.release_conn()

    def post(self, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Send an object; the one that is answered. Raises ApiError."""
        response = self._open(path, {}, ANSWER_SECONDS, content)
        try:
            with _explained(path):
                answered: dict[str, Any] = json.loads(response.read())
                return answered
        finally:
            response.release_conn()

    def date(self) -> str:
        """The server's clock, as HTTP has it (whole seconds); empty where it does not say. Raises ApiError."""
        response = self._open("/version", {}, ANSWER_SECONDS)
        with _explained("/version"):
            response.read()
        response.release_conn()
        return str(response.headers.get("Date", ""))

    def watch(
        self, path: str, parameters: Mapping[str, str], *, seconds: int, silence_seconds: float
    ) -> Iterator[Event]:
        """Events from a resource version on, until the server ends it after `seconds`.

        Raises ApiError: with status GONE where the version is forgotten, and after `silence_seconds` without a byte.
        """
        given = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)} | dict(parameters)
        response = self._open(path, given, silence_seconds)
        try:
            with _explained(path):
                for line in _lines(response):
                    event = json.loads(line)
                    kept = event.get("object") or {}
                    if event.get("type") == "ERROR":
                        raise ApiError(f"{path}: {kept.get('message', 'watch failed')}", int(kept.get("code") or 0))
                    yield Event(str(event.get("type")), kept)
        finally:
            response.close()

    def _open(
        self, path: str, parameters: Mapping[str, str], read_seconds: float, content: Mapping[str, Any] | None = None
    ) -> BaseHTTPResponse:
        import urllib3

        what: dict[str, Any] = {"fields": dict(parameters)} if content is None else {"json": dict(content)}
        with _explained(path):
            response = self._pool.request(
                "GET" if content is None else "POST",
                self._access.server + path,
                **what,
                headers=self._access.headers(),
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            )
            if response.status >= 300:
                refusal = response.read(_MOST_OF_A_REFUSAL)
                response.close()
                raise ApiError(f"{path}: {_said(refusal, response.status)}", response.status)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


class _explained:  # noqa: N801  used like a function
    """Turns what the HTTP library raises into ApiError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        import urllib3

        if isinstance(error, urllib3.exceptions.HTTPError | OSError | ValueError) and not isinstance(error, ApiError):
            raise ApiError(f"{self._path}: no answer: {error}") from error


def _lines(response: BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    while True:
        data = response.read1(1 << 20)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _said(refusal: bytes, status: int) -> str:
    try:
        return f"{json.loads(refusal)['message']} ({status})"
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Cluster(_Part):
    server: str
    ca: str = Field("", alias="certificate-authority")
    ca_data: str = Field("", alias="certificate-authority-data")
    insecure: bool = Field(False, alias="insecure-skip-tls-verify")


class _User(_Part):
    token: str = ""
    token_file: str = Field("", alias="tokenFile")
    certificate: str = Field("", alias="client-certificate")
    certificate_data: str = Field("", alias="client-certificate-data")
    key: str = Field("", alias="client-key")
    key_data: str = Field("", alias="client-key-data")


class _Context(_Part):
    cluster: str
    user: str


class _NamedCluster(_Part):
    name: str
    cluster: _Cluster


class _NamedUser(_Part):
    name: str
    user: _User


class _NamedContext(_Part):
    name: str
    context: _Context


class _Kubeconfig(_Part):
    current_context: str = Field("", alias="current-context")
    clusters: list[_NamedCluster] = []
    users: list[_NamedUser] = []
    contexts: list[_NamedContext] = []


def _trusted(folder: Path, cluster: _Cluster, user: _User) -> ssl.SSLContext:
    if cluster.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif cluster.ca_data:
        context = ssl.create_default_context(cadata=base64.b64decode(cluster.ca_data).decode())
    else:
        context = ssl.create_default_context(cafile=str(folder / cluster.ca) if cluster.ca else None)
    if user.certificate_data and user.key_data:
        # Only files can be loaded; these are gone again at once.
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(user.certificate_data) + b"\n" + base64.b64decode(user.key_data))
            file.flush()
            context.load_cert_chain(file.name)
    elif user.certificate:
        context.load_cert_chain(folder / user.certificate, folder / user.key if user.key else None)
    return context
