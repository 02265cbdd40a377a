"""A Kubernetes API server as far as lists and watches go, over real HTTP, with the faults that real ones have."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from logproc.kube_api import Access


def pod(uid: str, name: str = "web-7d4b9c6f5-x2x4z", namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    """A pod of node-1."""
    kept = {"uid": uid, "name": name, "namespace": namespace, "labels": {"app": "web"}} | metadata
    return {"kind": "Pod", "metadata": kept, "spec": {"nodeName": "node-1"}}


def mesh_config(text: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": text}}


@dataclass
class KubeServer:
    """Objects of one kind per path, their history, and what is to go wrong."""

    url: str = ""
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    version: int = 100
    oldest: int = 0
    """Versions before it are gone: a watch from there gets 410."""
    tokens: set[str] | None = None
    """Tokens that are accepted; None: all."""
    refuse: int = 0
    """Answer everything with this status."""
    silent: bool = False
    """Take connections and never answer: half-open."""
    requests: list[dict[str, str]] = field(default_factory=list)
    _log: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _drop: int = 0

    def access(self, **given: Any) -> Access:
        return Access(self.url, **given)

    def put(self, path: str, kept: dict[str, Any]) -> None:
        """Make or change an object."""
        name = kept["metadata"].get("uid") or kept["metadata"]["name"]
        self._event(path, "MODIFIED" if name in self.objects.setdefault(path, {}) else "ADDED", name, kept)

    def delete(self, path: str, name: str) -> None:
        self._event(path, "DELETED", name, self.objects[path][name])

    def bookmark(self, path: str) -> None:
        self._event(path, "BOOKMARK", "", {"kind": "Pod", "metadata": {}})

    def forget(self) -> None:
        """Compact: versions until now are gone, and watches are ended as by a restart."""
        with self._changed:
            self.oldest = self.version + 1
            self.version += 10
        self.drop()

    def drop(self) -> None:
        """Cut all watches without an end of the answer."""
        with self._changed:
            self._drop += 1
            self._changed.notify_all()

    def _event(self, path: str, kind: str, name: str, kept: dict[str, Any]) -> None:
        with self._changed:
            self.version += 1
            kept = kept | {"metadata": kept["metadata"] | {"resourceVersion": str(self.version)}}
            if kind == "DELETED":
                del self.objects[path][name]
            elif kind != "BOOKMARK":
                self.objects.setdefault(path, {})[name] = kept
            self._log.append((self.version, path, kind, kept))
            self._changed.notify_all()

    def watching(self) -> int:
        return sum(r.get("watch") == "1" for r in self.requests)

    # What the handler asks

    def events(self, path: str, since: int, seconds: float) -> Iterator[dict[str, Any] | None]:
        """Events after a version; None: the connection is to be cut."""
        end, dropped = time.monotonic() + seconds, self._drop
        with self._changed:
            while time.monotonic() < end:
                for version, where, kind, kept in self._log:
                    if version > since and where == path:
                        yield {"type": kind, "object": kept}
                since = self.version
                if self._drop != dropped:
                    yield None
                    return
                self._changed.wait(min(0.5, end - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kube: KubeServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        given = dict(parse_qsl(url.query))
        kube = self.kube
        kube.requests.append({"path": url.path, "token": self.headers.get("Authorization", ""), **given})
        while kube.silent:
            time.sleep(0.02)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if kube.refuse or (kube.tokens is not None and token not in kube.tokens):
            self._json(kube.refuse or 401, {"kind": "Status", "message": "no", "code": kube.refuse or 401})
        elif given.get("watch") == "1":
            self._watch(url.path, given)
        else:
            items = list(kube.objects.get(url.path, {}).values())
            self._json(200, {"kind": "List", "metadata": {"resourceVersion": str(kube.version)}, "items": items})

    def _watch(self, path: str, given: Mapping[str, str]) -> None:
        kube, since = self.kube, int(given["resourceVersion"])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if since < kube.oldest:
            gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
            self._chunk({"type": "ERROR", "object": gone})
            self.wfile.write(b"0\r\n\r\n")
            return
        try:
            for event in kube.events(path, since, float(given["timeoutSeconds"])):
                if event is None:
                    self.close_connection = True
                    return
                self._chunk(event)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _chunk(self, event: Mapping[str, Any]) -> None:
        data = json.dumps(event).encode() + b"\n"
        # In two pieces, as a network may cut it.
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()

    def _json(self, status: int, answer: Mapping[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def kube_server() -> Iterator[KubeServer]:
    """A server on a free port of this machine."""
    kube = KubeServer()
    handler = type("Handler", (_Handler,), {"kube": kube})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    kube.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield kube
    finally:
        kube.silent = False
        kube.drop()
        server.shutdown()
        server.server_close()


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for something that has to happen."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
