"""Log files as docker lays them out."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kubelet import Reading

DOCKER_ID = "0123456789abcdef" * 4


def docker_line(text: str) -> bytes:
    return json.dumps({"log": text + "\n", "stream": "stdout", "time": f"2026-11-21T10:00:00.{len(text)}Z"}).encode()


def docker_rotate(folder: Path) -> None:
    log = folder / f"{DOCKER_ID}-json.log"
    for age in (2, 1):
        if (old := Path(f"{log}.{age}")).exists():
            old.rename(f"{log}.{age + 1}")
    log.rename(f"{log}.1")


def docker_container(root: Path, labels: dict[str, str]) -> Path:
    folder = root / DOCKER_ID
    folder.mkdir(parents=True)
    config = {"Name": "/k8s_istio-proxy_web-0", "Config": {"Labels": labels}}
    (folder / "config.v2.json").write_text(json.dumps(config))
    return folder


K8S_LABELS = {
    "io.kubernetes.pod.uid": "0f3c",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.container.name": "istio-proxy",
    "annotation.io.kubernetes.container.restartCount": "3",
}


def docker_writes(folder: Path, reading: Reading) -> list[bytes]:
    """Ten lines over four files, read as they come."""
    lines, log = [], folder / f"{DOCKER_ID}-json.log"
    for file in range(4):
        for n in range(file + 1):
            lines.append(docker_line(f"{'x' * file} {n}"))
            with log.open("ab") as out:
                out.write(lines[-1] + b"\n")
        if file == 1:
            reading.read(1)
        if file < 3:
            docker_rotate(folder)
    return lines
