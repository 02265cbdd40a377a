"""What Kubernetes tells by names alone: the kubelet's log paths, and the application behind a pod's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from logproc.model import Stream

# k8s.io/apimachinery util/rand: vowels and look-alikes are left out, so that no words arise.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIXES = (
    re.compile(rf"-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}$"),  # Deployment: template hash, pod
    re.compile(rf"-[0-9a-f]{{8,10}}-[{_SAFE}]{{5}}$"),  # Deployment of an old cluster: hash in hex or decimal
    re.compile(rf"-\d{{8,10}}-[{_SAFE}]{{5}}$"),  # CronJob: minute, pod
    re.compile(rf"-[{_SAFE}]{{5}}$"),  # DaemonSet, Job, ReplicaSet
    re.compile(r"-\d{1,4}$"),  # StatefulSet: ordinal
)
_POD_FOLDER = re.compile(r"([a-z0-9][-a-z0-9]*)_([a-z0-9][-a-z0-9.]*)_([-0-9A-Za-z]+)")
_LOG_NAME = re.compile(r"(\d+)\.log(?:\.(?!gz$)([^/]+?))?(\.gz)?")


class PodFacts(Protocol):
    """What is known of pods beyond their names."""

    def app_and_version(self, stream: Stream) -> tuple[str, str]:
        """App and version of the pod that wrote a stream."""
        ...

    def labels(self, uid: str) -> Mapping[str, str] | None:
        """A pod's labels, None while they are not known."""
        ...


@lru_cache(8192)
def app_of(pod: str) -> str:
    """The pod's name without what its controller appended: `web-7d4b9c6f5-x2x4z`, `web-0` and `web-x2x4z` are `web`."""
    for suffix in _SUFFIXES:
        name = suffix.sub("", pod)
        if name != pod:
            return name
    return pod


def pod_folder(name: str) -> tuple[str, str, str] | None:
    """Namespace, pod and uid of a folder `<namespace>_<pod>_<uid>` under the kubelet's log root; None where it is none."""
    match = _POD_FOLDER.fullmatch(name)
    return (match[1], match[2], match[3]) if match else None


def log_name(name: str) -> tuple[int, str, bool] | None:
    """Restart, rotation suffix (empty: being written) and whether it is gzipped, of a file in a container's folder.

    `.tmp`, which the kubelet writes while it compresses, is no log file.
    """
    match = _LOG_NAME.fullmatch(name)
    if match is None or name.endswith(".tmp"):
        return None
    return int(match[1]), match[2] or "", bool(match[3])


def stream_of(path: str) -> Stream | None:
    """The stream of a file by its path `.../<namespace>_<pod>_<uid>/<container>/<restart>.log*`; None for any other path."""
    parts = path.split("/")
    if len(parts) < 3:
        return None
    pod, name = pod_folder(parts[-3]), log_name(parts[-1])
    if pod is None or name is None:
        return None
    return Stream(path, pod[0], pod[1], parts[-2], pod[2], name[0])
