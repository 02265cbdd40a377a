"""5,000 pods' worth of events: a collector's view of pods stays small."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PODS = 5_000
EVENTS_EACH = 2
SIZE = 9_000
"""Bytes of a pod as the API sends it: spec, status and managed fields of one with a sidecar."""

CHILD = """
import re, sys, time
from logproc.kube_api import Access, Api
from logproc.kube_watch import Pods

pods = Pods(Api(Access(sys.argv[1])), "node-1", say=lambda text: print(text, file=sys.stderr))
pods.start()
until = time.monotonic() + 100
while time.monotonic() < until and pods.pod("uid-last") is None:
    time.sleep(0.05)
# Not ru_maxrss: a child starts with its parent's.
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]
print(pods.pod("uid-0").app, pods.pod("uid-last").app, peak)
"""


def event(uid: str, kind: str = "ADDED", version: int = 1) -> bytes:
    metadata = {
        "uid": uid, "name": f"web-{uid}", "namespace": "shop", "resourceVersion": str(version), "labels": {"app": "web", "version": "v1"},
        "annotations": {"filler": "x" * SIZE},
    }  # fmt: skip
    return json.dumps({"type": kind, "object": {"kind": "Pod", "metadata": metadata, "spec": {}}}).encode() + b"\n"


class Storm(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if "watch=" not in self.path:
            body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for round_ in range(EVENTS_EACH):
            for number in range(PODS):
                self.chunk(event(f"uid-{number}", "MODIFIED" if round_ else "ADDED", number + 2))
        self.chunk(event("uid-last"))
        threading.Event().wait(60)

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, *args: object) -> None: ...


def test_the_view_of_pods_stays_small() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storm)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, f"http://127.0.0.1:{server.server_port}"],
            capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    first, last, peak = done.stdout.split()
    print(f"peak {int(peak) >> 10} MB for {PODS * EVENTS_EACH:,} events")
    assert (first, last) == ("web", "web")
    assert int(peak) < 150 << 10
