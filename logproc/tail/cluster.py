"""The Kubernetes API as `tail` needs it: GET requests whose answers are read as they come, with credentials that are renewed.

`login` finds the cluster and the credentials (kubeconfig, context, in-cluster, exec plugins, token files). Requests are made on a
connection pool, because the official client's generated calls wait for whole answers.
"""

from __future__ import annotations

import difflib
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from logproc.errors import ConfigError, SourceError
from logproc.kube_api import SERVICE_ACCOUNT
from logproc.tail.login import (
    Kubeconfig,
    Login,
    in_cluster,
    kubeconfig_files,
    official_login,
    plain_login,
    read_kubeconfigs,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
RENEW_SECONDS = 1.0
"""Credentials are read again at most that often, however many streams were refused."""


class ApiError(Exception):
    """The API server refused a request. `retry_after` is in seconds, 0 where it says none."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.retry_after = status, message, retry_after


class Unreachable(Exception):  # noqa: N818  says what is the case
    """No answer: refused, timed out, cut, or no trust in the server."""


class Cluster:
    """One API server. Threads may call it at the same time."""

    def __init__(self, context: str = "", connections: int = 16) -> None:
        """Read the configuration. Raises ConfigError where there is none, or no such context."""
        self._context, self._connections = context, connections
        self._lock = threading.Lock()
        self._renewed_at = 0.0
        self.namespace = "default"
        self.complaints: list[str] = []
        """What an exec plugin or a token file had to say."""
        self._login = self._load()
        self.server = self._login.server
        self.ahead = 0.0
        """Seconds by which the server's clock is ahead of this one's."""

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object that a path answers with. Raises ApiError, Unreachable."""
        with self.open(path, parameters, read_seconds=ANSWER_SECONDS) as response:
            try:
                found: dict[str, Any] = json.loads(response.read())
            except Exception as error:
                raise Unreachable(f"{self.server}{path}: {error}") from error
            stamped = response.headers.get("Date")
            if stamped:
                self.ahead = parsedate_to_datetime(stamped).timestamp() - time.time()
            return found

    @contextmanager
    def open(
        self, path: str, parameters: Mapping[str, str] | None = None, *, read_seconds: float
    ) -> Iterator[BaseHTTPResponse]:
        """An answer with a good status, to be read as it comes. Raises ApiError, Unreachable.

        A refused token is read again once.
        """
        response = self._request(path, parameters, read_seconds)
        try:
            yield response
        finally:
            # What is left unread would be read before the connection could be used again: it is closed instead.
            response.close()
            response.release_conn()

    def _request(self, path: str, parameters: Mapping[str, str] | None, read_seconds: float) -> BaseHTTPResponse:
        import urllib3

        for attempt in range(2):
            login = self._login
            url = login.server + path + (f"?{urlencode(parameters)}" if parameters else "")
            try:
                response: BaseHTTPResponse = login.pool.request(
                    "GET",
                    url,
                    headers=self._headers(login),
                    preload_content=False,
                    retries=False,
                    redirect=False,
                    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                )
            except urllib3.exceptions.ReadTimeoutError:
                raise
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unreachable(_reason(error)) from error
            if response.status < 300:
                return response
            refusal = _refusal(response)
            response.close()
            if response.status == 401 and attempt == 0 and self._renew(login):
                continue
            raise refusal
        raise AssertionError

    def _headers(self, login: Login) -> dict[str, str]:
        # An expired token is read again here; one thread at a time.
        with self._lock, self._complaints_heard():
            return {"Accept": "application/json, */*", "User-Agent": "logproc"} | login.headers()

    def _renew(self, refused: Login) -> bool:
        """Read the credentials again, unless another thread just did; false where that happened too recently to help."""
        with self._lock:
            if self._login is not refused:
                return True
            if time.monotonic() - self._renewed_at < RENEW_SECONDS:
                return False
            self._renewed_at = time.monotonic()
            try:
                self._login = self._load()
            except ConfigError:
                return False
            return True

    def _load(self) -> Login:
        files = kubeconfig_files()
        if not files and not in_cluster():
            raise ConfigError(
                "there is no cluster to ask: no kubeconfig",
                "set KUBECONFIG, or log in with your cluster's tool, which writes ~/.kube/config",
            )
        kept = read_kubeconfigs(files)
        name = self._check_context(files, kept) if files else ""
        if not files:
            self.namespace = _read(SERVICE_ACCOUNT / "namespace") or "default"
        plain = plain_login(kept, name, self._connections)
        if plain is not None:
            return plain
        with self._complaints_heard():
            return official_login(files, self._context, self._connections)

    def _check_context(self, files: list[Path], kept: Kubeconfig) -> str:
        known = kept.contexts
        name = self._context or kept.current
        if not name:
            raise ConfigError(
                f"kubeconfig {', '.join(map(str, files))} has no current context",
                f"--context NAME; there are: {', '.join(known) or 'none'}",
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
            raise ConfigError(f"the kubeconfig has no context {name!r}", hint)
        self.namespace = str(known[name].get("namespace") or "default")
        return name

    @contextmanager
    def _complaints_heard(self) -> Iterator[None]:
        """The client logs what an exec plugin said and goes on without a token; it belongs into the error."""
        complaints = self.complaints

        class Hear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                complaints.append(record.getMessage().strip().replace("\n", " "))
                del complaints[:-3]

        handler = Hear(logging.WARNING)
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)

    def failure(self, error: Exception, what: str) -> ConfigError | SourceError:
        """The error for a person of a request that failed at the start; `what` was asked for."""
        said = f"; {self.complaints[-1]}" if self.complaints else ""
        if isinstance(error, Unreachable):
            return SourceError(
                f"no cluster answers at {self.server}: {error}{said}",
                "is it up, and is the context right? `kubectl config current-context`, --context",
            )
        if not isinstance(error, ApiError):
            return SourceError(f"{self.server} did not answer in time when asked for {what}")
        match error.status:
            case 401:
                return SourceError(
                    f"{self.server} does not accept the login (401 {error.message}){said}",
                    "it has expired, most likely: log in again",
                )
            case 403:
                return SourceError(
                    f"not allowed to read {what}: {error.message}",
                    "pods need get, list and watch; their logs need get on pods/log",
                )
            case 400 | 404 | 422:
                return ConfigError(f"{what}: {error.message}")
        return SourceError(f"{self.server}: {error.status} {error.message} when asked for {what}")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _reason(error: Exception) -> str:
    """What is wrong, without the client's names of objects."""
    inner = getattr(error, "reason", None) or error.__cause__ or error
    text = str(inner) or type(inner).__name__
    return text.rsplit(">: ", 1)[-1].rsplit("): ", 1)[-1] if ">: " in text else text


def _refusal(response: BaseHTTPResponse) -> ApiError:
    """The error that a body tells: a Status object, or text."""
    import urllib3

    try:
        body = response.read(64 << 10)
    except (urllib3.exceptions.HTTPError, OSError):
        body = b""
    try:
        message = str(json.loads(body).get("message") or response.reason)
    except (ValueError, AttributeError):
        message = (
            body.decode("utf-8", "replace").strip().splitlines()[0][:300] if body.strip() else str(response.reason)
        )
    try:
        retry_after = float(response.headers.get("Retry-After") or 0)
    except ValueError:
        retry_after = 1.0
    return ApiError(response.status, message, retry_after)
