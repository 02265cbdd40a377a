"""A real kube-apiserver with etcd, and kwok in place of kubelets: pods whose log files the tests write, rotate and restart.

kwok reads the files with the kubelet's own code, so a follow behaves as on a node. There is no scheduler and no controller: pods
name their node, and Deployments make none.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NODE, NAMESPACE = "node-1", "mushop"
ADMIN, TAILER, NOBODY = "admin-token", "tailer-token", "nobody-token"
MERGE = "application/merge-patch+json"


def binaries() -> Path:
    """Where the servers and what else is built with them are, or are built to."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("LOGPROC_KUBE_BINARIES") or Path(cache) / "logproc" / "kube")


def missing() -> str:
    """Why the servers cannot be had; empty where they are there or can be built."""
    if (binaries() / "versions").exists() or shutil.which("go"):
        return "" if shutil.which("openssl") else "openssl is missing"
    return "kube-apiserver is not built, and Go, which would build it, is missing"


def build() -> None:
    """Build what is not there, or of other versions: some minutes from empty caches."""
    subprocess.run([HERE / "build.sh", binaries()], check=True, stdout=subprocess.DEVNULL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def stamp(nanoseconds: int) -> str:
    """RFC 3339 with nine decimals."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


class Bed:
    """The servers of one folder. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self.server = ""

    def __enter__(self) -> Bed:
        try:
            self._up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _up(self) -> None:
        build()
        bin_ = binaries()
        client, peer, port, self._kubelet = _free_ports(4)
        self.server = f"https://127.0.0.1:{port}"
        certificates = self.folder / "certificates"
        certificates.mkdir(parents=True)
        etcd = f"http://127.0.0.1:{client}"
        self.start(
            "etcd", f"{bin_}/etcd", "--data-dir", f"{self.folder}/etcd", "--listen-client-urls", etcd,
            "--advertise-client-urls", etcd, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync", "--log-level", "error",
        )  # fmt: skip
        key = certificates / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN},admin,1,"system:masters"\n{TAILER},tailer,2\n{NOBODY},nobody,3\n'
        )
        self._wait("etcd", lambda: b"true" in urllib.request.urlopen(f"{etcd}/health", timeout=2).read())
        self.start(
            "kube-apiserver", f"{bin_}/kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={certificates}", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", f"--token-auth-file={self.folder}/tokens.csv",
            "--service-account-issuer=https://bed", f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--kubelet-preferred-address-types=InternalIP", "--disable-admission-plugins=ServiceAccount",
        )  # fmt: skip
        self._wait("kube-apiserver", lambda: self.api("GET", "/readyz") == b"ok")
        kubeconfig = self.kubeconfig("admin", ADMIN)
        self.api(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            (bin_ / "logs.crd.yaml").read_bytes(),
            "application/yaml",
        )
        self.api("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
        self.api("POST", "/api/v1/nodes", {"metadata": {"name": NODE}, "status": {
            **address, "daemonEndpoints": {"kubeletEndpoint": {"Port": self._kubelet}}, "conditions": [{"type": "Ready", "status": "True"}],
        }})  # fmt: skip
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        rule = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]}
        self.api("POST", f"{rbac}/roles", {"metadata": {"name": "tailer"}, "rules": [rule]})
        self.api("POST", f"{rbac}/rolebindings", {
            "metadata": {"name": "tailer"}, "subjects": [{"kind": "User", "name": "tailer"}],
            "roleRef": {"kind": "Role", "name": "tailer", "apiGroup": "rbac.authorization.k8s.io"},
        })  # fmt: skip
        self._wait("the CRD", lambda: self.api("GET", "/apis/kwok.x-k8s.io/v1alpha1/logs"))
        self.start(
            "kwok", f"{bin_}/kwok", "--config", f"{HERE}/stages.yaml", "--kubeconfig", str(kubeconfig), "--manage-all-nodes",
            "--node-lease-duration-seconds=0", f"--server-address=127.0.0.1:{self._kubelet}", "--enable-crds=Logs",
        )  # fmt: skip

    # Processes

    def start(self, name: str, *command: str) -> None:
        """Start a server, or start it again."""
        self._commands[name] = list(command) or self._commands[name]
        with (self.folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                self._commands[name], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder
            )

    def kill(self, name: str) -> None:
        """As a node or a server dies: at once. `start(name)` brings it back."""
        self._processes[name].kill()
        self._processes[name].wait()

    def wait_for_server(self) -> None:
        """Until the API answers again."""
        self._wait("kube-apiserver", lambda: self.api("GET", "/readyz") == b"ok")

    def down(self) -> None:
        """End everything that was started."""
        for name in ("kwok", "kube-apiserver", "etcd"):
            process = self._processes.get(name)
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def _wait(self, what: str, ready: Callable[[], Any], seconds: float = 60) -> None:
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            for name, process in self._processes.items():
                if process.poll() not in (None, -9):
                    raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.out').read_text()[-2000:]}")
            try:
                if ready():
                    return
            except OSError as error:
                last = error
            time.sleep(0.1)
        raise RuntimeError(f"{what} did not come up: {last}")

    # API

    def api(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request as administrator; the object, or the bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.server + path, data, {"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type}, method=method
        )
        trust = ssl.create_default_context(cafile=str(self.folder / "certificates" / "apiserver.crt"))
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content[:1] == b"{" else content

    def kubeconfig(self, name: str, token: str, namespace: str = NAMESPACE) -> Path:
        """A kubeconfig with one context, `bed`."""
        authority = base64.b64encode((self.folder / "certificates" / "apiserver.crt").read_bytes()).decode()
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bed",
            "clusters": [{"name": "bed", "cluster": {"server": self.server, "certificate-authority-data": authority}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": name, "namespace": namespace}}],
        }))  # fmt: skip
        return path

    # Pods and their logs

    def log(self, pod: str, container: str = "istio-proxy", restart: int | None = None) -> Path:
        """The container's current log file."""
        folder = self.folder / "pods" / f"{NAMESPACE}_{pod}" / container
        number = max((int(f.stem) for f in folder.glob("*.log")), default=0) if restart is None else restart
        return folder / f"{number}.log"

    def write(self, pod: str, *lines: str, container: str = "istio-proxy", tag: str = "F") -> None:
        """Lines as containerd writes them."""
        with self.log(pod, container).open("a") as file:
            for line in lines:
                file.write(f"{stamp(time.time_ns())} stdout {tag} {line}\n")

    def _logs(self, pod: str, containers: list[str]) -> dict[str, Any]:
        """kwok's object: which file is a container's log, and which its previous one's."""
        entries = []
        for container in containers:
            current = self.log(pod, container)
            previous = self.log(pod, container, int(current.stem) - 1)
            entries.append({"containers": [container], "logsFile": str(current), "previousLogsFile": str(previous)})
        return {"spec": {"logs": entries}}

    def add(
        self, pod: str, *, app: str = "storefront", version: str = "original", containers: tuple[str, ...] = ("storefront", "istio-proxy"),
        sidecar: bool = False, wait: bool = True,
    ) -> None:  # fmt: skip
        """A pod that runs. `sidecar`: its istio-proxy is a native one, in initContainers."""
        for container in containers:
            path = self.log(pod, container, 0)
            path.parent.mkdir(parents=True)
            path.touch()
        kwok = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{NAMESPACE}/logs"
        self.api("POST", kwok, {
            "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": {"name": pod}, **self._logs(pod, list(containers)),
        })  # fmt: skip
        made = [{"name": c, "image": f"example/{c}:1"} for c in containers]
        spec: dict[str, Any] = {"nodeName": NODE, "containers": made}
        if sidecar:
            spec["containers"] = [c for c in made if c["name"] != "istio-proxy"]
            spec["initContainers"] = [{**c, "restartPolicy": "Always"} for c in made if c["name"] == "istio-proxy"]
        labels = {"app": app, "version": version}
        self.api(
            "POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": pod, "labels": labels}, "spec": spec}
        )
        if wait:
            path_ = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}"
            self._wait(pod, lambda: self.api("GET", path_)["status"].get("phase") == "Running")

    def remove(self, pod: str) -> None:
        """Delete it: its containers write and exit, then the object goes."""
        self.api("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")
        for folder in (self.folder / "pods" / f"{NAMESPACE}_{pod}").iterdir():
            Path(f"{self.log(pod, folder.name)}.exited").touch()

    def rotate(self, pod: str, container: str = "istio-proxy") -> None:
        """Rename the log and begin another, as the kubelet and the runtime do."""
        path = self.log(pod, container)
        path.rename(f"{path}.{datetime.now(UTC):%Y%m%d-%H%M%S.%f}")
        path.touch()

    def restart(self, pod: str, container: str = "istio-proxy") -> None:
        """The container ends and comes back with another log file."""
        old = self.log(pod, container)
        number = int(old.stem) + 1
        Path(f"{old}.exited").touch()
        new = self.log(pod, container, number)
        new.touch()
        names = [f.name for f in old.parent.parent.iterdir()]
        self.api(
            "PATCH", f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{NAMESPACE}/logs/{pod}", self._logs(pod, names), MERGE
        )
        status = self.api("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")["status"]
        changed = {k: v for k, v in status.items() if k.lower().endswith("containerstatuses")}
        for one in (s for statuses in changed.values() for s in statuses if s["name"] == container):
            ended = {"exitCode": 137, "reason": "OOMKilled", "containerID": one["containerID"]}
            one |= {
                "lastState": {"terminated": ended},
                "restartCount": number,
                "containerID": f"{one['containerID']}-{number}",
            }
        self.api("PATCH", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status", {"status": changed}, MERGE)

    def forget(self, pod: str) -> None:
        """Remove what is left of a pod that was deleted."""
        with contextlib.suppress(OSError):
            self.api("DELETE", f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{NAMESPACE}/logs/{pod}")
        shutil.rmtree(self.folder / "pods" / f"{NAMESPACE}_{pod}", ignore_errors=True)
