"""A Kubernetes API server over real HTTP for the tests: pods, watches and log streams, and everything that goes wrong with them.

Its log behaves as the kubelet's: a follow goes on through a rotation, a new request reads only the current file, `sinceTime` is cut to
whole seconds, and the headers of a follow come with the first line.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECOND = 10**9


def stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


@dataclass
class Log:
    """One container's files: what a new request reads, and what open follows still get."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    written: list[tuple[int, str]] = field(default_factory=list)
    """Everything since the container started, for follows that are open."""
    first_of_file: int = 0
    """Index in `written` of the current file's first line."""
    over: bool = False
    previous: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Refusal:
    status: int
    message: str = "refused"
    retry_after: str = ""
    body: str = ""


class FakeApi:
    """`refuse(predicate, refusal, times)` answers the next requests that fit otherwise."""

    def __init__(self, namespace: str = "shop") -> None:
        self.namespace = namespace
        self.namespaces = {namespace}
        self.pods: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.logs: dict[tuple[str, str], Log] = {}
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.oldest = 0
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.tokens: set[str] = {"good"}
        self.watches_stall = False
        self.bookmarks = True
        self.drip = 0.0
        """Seconds between the bytes of a slow body."""
        self._refusals: list[tuple[Callable[[str, dict[str, str]], bool], Refusal, list[int]]] = []
        self._sockets: dict[str, list[socket.socket]] = {}
        self._ends: dict[str, int] = {}
        self.log_body_instead = ""
        self.times = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 600

            def handle_error(self, *args: Any) -> None:
                pass

        self.httpd = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.httpd.server_port}"

    def close(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
        for key in list(self._sockets):
            self.cut(key)

    def kubeconfig(self, folder: Path, *, token_file: Path | None = None, user: dict[str, Any] | None = None) -> Path:
        login = user or ({"tokenFile": str(token_file)} if token_file else {"token": "good"})
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                    "users": [{"name": "me", "user": login}],
                    "contexts": [
                        {"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": self.namespace}},
                        {"name": "other", "context": {"cluster": "fake", "user": "me", "namespace": "elsewhere"}},
                    ],
                }
            )
        )
        return path

    # What the tests do to the cluster

    def add(
        self,
        name: str,
        *,
        containers: tuple[str, ...] = ("istio-proxy",),
        sidecars: tuple[str, ...] = (),
        labels: dict[str, str] | None = None,
        running: bool = True,
        namespace: str = "",
        annotations: dict[str, str] | None = None,
    ) -> None:
        state = {"running": {}} if running else {"waiting": {"reason": "ContainerCreating"}}
        pod = {
            "metadata": {
                "name": name,
                "namespace": namespace or self.namespace,
                "uid": f"uid-{name}",
                "labels": labels or {"app": "web"},
                "annotations": annotations or {},
            },
            "spec": {
                "containers": [{"name": c} for c in containers],
                "initContainers": [{"name": c, "restartPolicy": "Always"} for c in sidecars],
            },
            "status": {
                "phase": "Running" if running else "Pending",
                "containerStatuses": [{"name": c, "restartCount": 0, "state": state} for c in containers],
                "initContainerStatuses": [{"name": c, "restartCount": 0, "state": state} for c in sidecars],
            },
        }
        with self.changed:
            for container in (*containers, *sidecars):
                self.logs.setdefault((name, container), Log())
            self.pods[name] = pod
            self._event("ADDED", pod)

    def runs(self, name: str) -> None:
        with self.changed:
            pod = self.pods[name]
            for status in self._statuses(pod):
                status["state"] = {"running": {}}
            self._event("MODIFIED", pod)

    def _statuses(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        return [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]

    def remove(self, name: str) -> None:
        with self.changed:
            pod = self.pods.pop(name)
            for (pod_name, _), log in self.logs.items():
                if pod_name == name:
                    log.over = True
            self._event("DELETED", pod)

    def write(self, pod: str, *texts: str, container: str = "istio-proxy", at: int | None = None) -> None:
        with self.changed:
            for text in texts:
                now = at if at is not None else max(time.time_ns(), self.times + 1)
                self.times = max(self.times, now)
                log = self.logs[pod, container]
                log.lines.append((now, text))
                log.written.append((now, text))
            self.changed.notify_all()

    def rotate(self, pod: str, container: str = "istio-proxy") -> None:
        with self.changed:
            log = self.logs[pod, container]
            log.lines = []
            log.first_of_file = len(log.written)

    def restart(self, pod: str, container: str = "istio-proxy", reason: str = "Error") -> None:
        """The open follow ends in order; the next log begins."""
        with self.changed:
            old = self.logs[pod, container]
            old.over = True
            self.logs[pod, container] = Log(previous=list(old.lines))
            for status in self._statuses(self.pods[pod]):
                if status["name"] == container:
                    status["restartCount"] += 1
                    status["lastState"] = {"terminated": {"exitCode": 137, "reason": reason}}
            self._event("MODIFIED", self.pods[pod])

    def finish(self, pod: str, container: str = "istio-proxy") -> None:
        """The container ends for good."""
        with self.changed:
            self.logs[pod, container].over = True
            for status in self._statuses(self.pods[pod]):
                if status["name"] == container:
                    status["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
            self._event("MODIFIED", self.pods[pod])

    def cut(self, key: str = "log") -> int:
        """Reset all connections on which a log (or `watch`) is sent."""
        with self.changed:
            sockets = self._sockets.pop(key, [])
        for sock in sockets:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(sockets)

    def end(self, key: str = "log") -> None:
        """End all open responses in order, though the container runs."""
        with self.changed:
            self._ends[key] = self._ends.get(key, 0) + 1
            self.changed.notify_all()

    def forget_versions(self) -> None:
        """Watches from before now are answered with 410."""
        with self.changed:
            self.version += 10
            self.oldest = self.version
            self.events.clear()

    def refuse(self, refusal: Refusal, times: int = 1, *, path: str = "", watch: bool | None = None) -> None:
        def fits(asked: str, parameters: dict[str, str]) -> bool:
            return path in asked and (watch is None or ("watch" in parameters) is watch)

        self._refusals.append((fits, refusal, [times]))

    @contextmanager
    def refusing(self, refusal: Refusal, *, path: str = "", watch: bool | None = None) -> Iterator[None]:
        self.refuse(refusal, 10**9, path=path, watch=watch)
        try:
            yield
        finally:
            self._refusals.pop()

    def log_requests(self) -> list[dict[str, str]]:
        return [p for path, p, _ in self.requests if path.endswith("/log")]

    def _event(self, kind: str, pod: dict[str, Any]) -> None:
        self.version += 1
        copy = json.loads(json.dumps(pod))
        copy["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, kind, copy))
        self.changed.notify_all()

    # HTTP

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        split = urlsplit(handler.path)
        parameters = {k: v[0] for k, v in parse_qs(split.query, keep_blank_values=True).items()}
        self.requests.append((split.path, parameters, dict(handler.headers.items())))
        token = handler.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            self._status(handler, Refusal(401, "Unauthorized"))
            return
        for fits, refusal, left in self._refusals:
            if left[0] > 0 and fits(split.path, parameters):
                left[0] -= 1
                self._status(handler, refusal)
                return
        parts = split.path.strip("/").split("/")
        if parts[-1] == "log":
            self._log(handler, parts[-2], parameters)
        elif parts[-1] == "pods":
            namespace = parts[-2] if "namespaces" in parts else ""
            (self._watch if "watch" in parameters else self._list)(handler, namespace, parameters)
        elif parts[-2] == "pods":
            pod = self.pods.get(parts[-1])
            self._json(handler, pod) if pod else self._status(handler, Refusal(404, f'pods "{parts[-1]}" not found'))
        elif parts == ["api", "v1", "namespaces"]:
            self._json(handler, {"items": [{"metadata": {"name": n}} for n in sorted(self.namespaces)]})
        elif parts[:3] == ["api", "v1", "namespaces"] and len(parts) == 4:
            known = parts[-1] in self.namespaces
            self._json(handler, {}) if known else self._status(
                handler, Refusal(404, f'namespaces "{parts[-1]}" not found')
            )
        elif split.path in self.objects:
            self._json(handler, self.objects[split.path])
        else:
            found = [o for p, o in self.objects.items() if p.rsplit("/", 1)[0] == split.path]
            if found:
                self._json(handler, {"items": found})
            else:
                self._status(handler, Refusal(404, f"{parts[-2]} {parts[-1]!r} not found"))

    def _status(self, handler: BaseHTTPRequestHandler, refusal: Refusal) -> None:
        body = (
            refusal.body
            or json.dumps({"kind": "Status", "status": "Failure", "message": refusal.message, "code": refusal.status})
        ).encode()
        handler.send_response(refusal.status)
        if refusal.retry_after:
            handler.send_header("Retry-After", refusal.retry_after)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _json(self, handler: BaseHTTPRequestHandler, content: Any) -> None:
        body = json.dumps(content).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _fits(self, pod: dict[str, Any], namespace: str, parameters: dict[str, str]) -> bool:
        if namespace and pod["metadata"]["namespace"] != namespace:
            return False
        fields = dict(f.split("=") for f in parameters.get("fieldSelector", "").split(",") if "=" in f)
        if fields.get("metadata.name", pod["metadata"]["name"]) != pod["metadata"]["name"]:
            return False
        wanted = dict(s.split("=") for s in parameters.get("labelSelector", "").split(",") if "=" in s)
        return all(pod["metadata"]["labels"].get(k) == v for k, v in wanted.items())

    def _list(self, handler: BaseHTTPRequestHandler, namespace: str, parameters: dict[str, str]) -> None:
        with self.changed:
            pods = sorted(
                (p for p in self.pods.values() if self._fits(p, namespace, parameters)),
                key=lambda p: p["metadata"]["name"],
            )
            begin = int(parameters.get("continue") or 0)
            page = pods[begin : begin + int(parameters.get("limit") or 500)]
            meta = {"resourceVersion": str(self.version)}
            if begin + len(page) < len(pods):
                meta["continue"] = str(begin + len(page))
        self._json(handler, {"kind": "PodList", "metadata": meta, "items": page})

    def _begin_chunks(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

    def _chunk(self, handler: BaseHTTPRequestHandler, data: bytes) -> None:
        if self.drip and data:
            for i in range(0, len(data), 7):
                piece = data[i : i + 7]
                handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                handler.wfile.flush()
                time.sleep(self.drip)
            return
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()

    def _watch(self, handler: BaseHTTPRequestHandler, namespace: str, parameters: dict[str, str]) -> None:
        since = int(parameters.get("resourceVersion") or 0)
        self._begin_chunks(handler)
        if since < self.oldest:
            status = {"kind": "Status", "code": 410, "message": "too old resource version"}
            self._chunk(handler, json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            self._chunk(handler, b"")
            return
        with self.changed:
            self._sockets.setdefault("watch", []).append(handler.connection)
            ends = self._ends.get("watch", 0)
        if self.watches_stall:
            time.sleep(3600)
        beat = time.monotonic()
        while True:
            with self.changed:
                fresh = [e for e in self.events if e[0] > since]
                if not fresh and self._ends.get("watch", 0) == ends:
                    self.changed.wait(0.1)
                over = self._ends.get("watch", 0) != ends
            for version, kind, pod in fresh:
                since = version
                if self._fits(pod, namespace, parameters):
                    self._chunk(handler, json.dumps({"type": kind, "object": pod}).encode() + b"\n")
            if self.bookmarks and time.monotonic() - beat > 0.5:
                beat = time.monotonic()
                mark = {"kind": "Pod", "metadata": {"resourceVersion": str(since)}}
                self._chunk(handler, json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
            if over:
                self._chunk(handler, b"")
                return

    def _log(self, handler: BaseHTTPRequestHandler, pod: str, parameters: dict[str, str]) -> None:
        container = parameters.get("container", "istio-proxy")
        log = self.logs.get((pod, container))
        if pod not in self.pods or log is None:
            self._status(handler, Refusal(404, f'pods "{pod}" not found'))
            return
        if self.log_body_instead:
            body, self.log_body_instead = self.log_body_instead, ""
            self._begin_chunks(handler)
            self._chunk(handler, body.encode())
            self._chunk(handler, b"")
            return
        stamped = parameters.get("timestamps") == "true"
        since = 0
        if "sinceTime" in parameters:
            since = int(datetime.fromisoformat(parameters["sinceTime"]).timestamp()) * SECOND
        with self.changed:
            if parameters.get("previous"):
                if not log.previous:
                    self._status(handler, Refusal(400, f'previous terminated container "{container}" not found'))
                    return
                lines = [line for line in log.previous if line[0] >= since]
                following = False
            else:
                lines = [line for line in log.lines if line[0] >= since]
                following = parameters.get("follow") == "true"
            if "tailLines" in parameters:
                count = int(parameters["tailLines"])
                lines = lines[-count:] if count else []
            at = len(log.written)
            ends = self._ends.get("log", 0)
            self._sockets.setdefault("log", []).append(handler.connection)
        begun = False
        while True:
            if lines or not following:
                if not begun:
                    self._begin_chunks(handler)
                    begun = True
                data = "".join((f"{stamp(t)} " if stamped else "") + text + "\n" for t, text in lines).encode()
                if data:
                    self._chunk(handler, data)
            if not following:
                break
            with self.changed:
                if at >= len(log.written) and not log.over and self._ends.get("log", 0) == ends:
                    self.changed.wait(0.2)
                lines = log.written[at:]
                at = len(log.written)
                following = not (log.over or self._ends.get("log", 0) != ends) or bool(lines)
                if log.over or self._ends.get("log", 0) != ends:
                    following = False
        self._chunk(handler, b"")
