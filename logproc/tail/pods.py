"""Pods as the API describes them: their containers, and what state these are in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logproc.tail.reading import Labels

PROXY = "istio-proxy"
DEFAULT_ANNOTATION = "kubectl.kubernetes.io/default-container"
_APP = ("app", "app.kubernetes.io/name", "service.istio.io/canonical-name")
_VERSION = ("version", "app.kubernetes.io/version", "service.istio.io/canonical-revision")

Pod = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container at one moment. `restart` counts its restarts; `reason` is of its end or of its waiting."""

    running: bool = False
    terminated: bool = False
    has_previous: bool = False
    restart: int = 0
    reason: str = ""

    @property
    def has_log(self) -> bool:
        """There is, or was, a process whose output can be read."""
        return self.running or self.terminated or self.has_previous


@dataclass(frozen=True, slots=True)
class Choice:
    """Which containers of a pod are read: `pattern` over names, all, or the default one."""

    pattern: re.Pattern[str] | None = None
    everything: bool = False

    def of(self, pod: Pod) -> list[str]:
        """The names of the containers."""
        names = container_names(pod)
        if self.everything:
            return names
        if self.pattern is not None:
            return [n for n in names if self.pattern.fullmatch(n)]
        if PROXY in names:
            return [PROXY]
        default = pod["metadata"].get("annotations", {}).get(DEFAULT_ANNOTATION)
        plain = [c["name"] for c in pod["spec"].get("containers", ())]
        return [default] if default in plain else plain[:1]

    def is_a_guess(self, pod: Pod) -> bool:
        """One of several was taken because none is known to be meant."""
        return (
            self.pattern is None
            and not self.everything
            and PROXY not in container_names(pod)
            and DEFAULT_ANNOTATION not in pod["metadata"].get("annotations", {})
            and len(pod["spec"].get("containers", ())) > 1
        )


def container_names(pod: Pod) -> list[str]:
    """All containers: those of the application, native sidecars and others of `initContainers`, ephemeral ones."""
    spec = pod["spec"]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [c["name"] for kind in kinds for c in spec.get(kind) or ()]


def state_of(pod: Pod, container: str) -> ContainerState:
    """A container's state; one that the kubelet has not reported is neither running nor terminated."""
    for status in _statuses(pod):
        if status.get("name") != container:
            continue
        state, last = status.get("state") or {}, status.get("lastState") or {}
        ended = state.get("terminated") or {}
        waiting = state.get("waiting") or {}
        before = last.get("terminated") or {}
        return ContainerState(
            "running" in state,
            bool(ended),
            bool(before),
            int(status.get("restartCount") or 0),
            _reason(ended or before) if ended or before else str(waiting.get("reason") or ""),
        )
    return ContainerState()


def _statuses(pod: Pod) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status") or {}
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        yield from status.get(kind) or ()


def _reason(ended: Mapping[str, Any]) -> str:
    said = str(ended.get("reason") or "")
    code = ended.get("exitCode")
    return ", ".join(part for part in (said, f"exit code {code}" if code is not None else "") if part)


def labels_of(pod: Pod) -> Labels:
    """Application and version by the usual labels."""
    labels = pod["metadata"].get("labels") or {}
    return Labels(_first(labels, _APP), _first(labels, _VERSION))


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[n] for n in names if labels.get(n)), "")


def place_of(pod: Pod) -> tuple[str, str, str]:
    """Namespace, name and uid."""
    meta = pod["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"]), str(meta.get("uid") or meta["name"])
