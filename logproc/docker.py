"""Docker's own layout, `<root>/<id>/<id>-json.log` with `.1`, `.2` ... behind it: the highest number is the oldest.

A kubelet on docker has links to these files in its folders; both ways lead to the same files.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from logproc.model import Stream

_ID = re.compile(r"[0-9a-f]{64}")
_LOG = re.compile(r"([0-9a-f]{64})-json\.log(?:\.(\d+))?(\.gz)?")


def container_folder(name: str) -> bool:
    """Whether a folder of that name holds the log of one of docker's containers."""
    return _ID.fullmatch(name) is not None


def described(folder: str, container_id: str) -> Stream:
    """The stream of a container by docker's description of it: a pod's where the kubelet made it, else the container's name.

    Without a readable description the container's id is all there is; it stands for the pod's uid in any case where there is no pod.
    """
    path = f"{folder}/{container_id}-json.log"
    try:
        config = json.loads(Path(folder, "config.v2.json").read_bytes())
        name, labels = str(config["Name"]).lstrip("/"), dict(config["Config"]["Labels"] or {})
    except (OSError, ValueError, KeyError, TypeError):
        return Stream(path, k8s_container=container_id[:12], k8s_pod_uid=container_id)
    uid = labels.get("io.kubernetes.pod.uid")
    if not uid:
        return Stream(path, k8s_container=name, k8s_pod_uid=container_id)
    restart = str(labels.get("annotation.io.kubernetes.container.restartCount", "0"))
    return Stream(
        path,
        str(labels.get("io.kubernetes.pod.namespace", "")),
        str(labels.get("io.kubernetes.pod.name", "")),
        str(labels.get("io.kubernetes.container.name", name)),
        str(uid),
        int(restart) if restart.isdigit() else 0,
    )


def rotation(name: str) -> tuple[int, bool] | None:
    """How often a log file was rotated and whether it is gzipped; None where the name is no log's."""
    match = _LOG.fullmatch(name)
    return (int(match[2] or 0), bool(match[3])) if match else None
