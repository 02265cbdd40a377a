"""Which containers of a log root are read: by container, by namespace, by the labels of their pod."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from logproc.errors import ExpressionError
from logproc.model import Stream

Labels = Mapping[str, str]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"[-A-Za-z0-9_.]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<absent_key>{_NAME})|(?P<key>{_NAME})"
    rf"(?:\s*(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})|\s+(?P<set>in|notin)\s*\(\s*(?P<values>{_VALUE}(?:\s*,\s*{_VALUE})*)\s*\))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a label selector: the label is, or is not, one of the values; without values it is there, or is not."""

    key: str
    values: frozenset[str] | None
    wanted: bool

    def fits(self, labels: Labels) -> bool:
        """Whether a pod with these labels fits it. As in Kubernetes `!=` and `notin` hold for a pod without the label too."""
        there = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return there is self.wanted


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """What `kubectl -l` takes: all requirements have to fit."""

    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `app=web,tier!=db,env in (a, b),track notin (canary),managed,!legacy`. Raises ExpressionError with the place."""
        found: list[Requirement] = []
        at = 0
        while True:
            match = _REQUIREMENT.match(text, at)
            if match is None:
                raise ExpressionError("label selector", text, at, "a label such as app=web", "as kubectl -l takes it")
            found.append(_requirement(match))
            at = match.end()
            if at == len(text):
                return cls(tuple(found))
            if text[at] != ",":
                raise ExpressionError("label selector", text, at, "',' or the end", "as kubectl -l takes it")
            at += 1

    def fits(self, labels: Labels) -> bool:
        """Whether a pod with these labels is selected."""
        return all(r.fits(labels) for r in self.requirements)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent_key"], None, False)
    if match["set"]:
        return Requirement(match["key"], frozenset(v.strip() for v in match["values"].split(",")), match["set"] == "in")
    if match["operator"]:
        return Requirement(match["key"], frozenset({match["value"]}), match["operator"] != "!=")
    return Requirement(match["key"], None, True)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which containers of a log root are read. `labels_of` tells a pod's labels by its uid, None while they are not known."""

    containers: frozenset[str] = frozenset({"istio-proxy"})
    """Empty: all."""
    namespaces: tuple[str, ...] = ()
    """Names or patterns; empty: all."""
    labels: LabelSelector | None = None
    labels_of: Callable[[str], Labels | None] | None = None

    @classmethod
    def parse(cls, containers: str, namespaces: str = "", labels: str = "") -> Self:
        """Read `--containers`, `--namespaces` (names with commas between them, `*` for all) and `-l`."""
        names = {name.strip() for name in containers.split(",")} - {""}
        spaces = tuple(name.strip() for name in namespaces.split(",") if name.strip())
        return cls(
            frozenset() if "*" in names else frozenset(names), spaces, LabelSelector.parse(labels) if labels else None
        )

    def takes(self, container: str) -> bool:
        """Whether a container's log is read, where its pod's are."""
        return not self.containers or container in self.containers

    def takes_pod(self, namespace: str, uid: str) -> bool:
        """Whether a pod's logs are read. False while its labels are not known: they are read from their beginning later."""
        if self.namespaces and not any(fnmatchcase(namespace, pattern) for pattern in self.namespaces):
            return False
        if self.labels is None:
            return True
        known = self.labels_of(uid) if self.labels_of else None
        return known is not None and self.labels.fits(known)

    def takes_stream(self, stream: Stream) -> bool:
        """Whether a container's log is read."""
        return self.takes(stream.k8s_container) and self.takes_pod(stream.k8s_namespace, stream.k8s_pod_uid)
