"""What `tail` was asked to read: files, standard input, a URL, or pods."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from logproc.errors import ConfigError

KINDS = {
    "deploy": "deployments", "deployment": "deployments", "deployments": "deployments",
    "sts": "statefulsets", "statefulset": "statefulsets", "statefulsets": "statefulsets",
    "ds": "daemonsets", "daemonset": "daemonsets", "daemonsets": "daemonsets",
    "rs": "replicasets", "replicaset": "replicasets", "replicasets": "replicasets",
    "job": "jobs", "jobs": "jobs",
    "svc": "services", "service": "services", "services": "services",
    "po": "pods", "pod": "pods", "pods": "pods",
}  # fmt: skip
"""Short and long names of what has pods, to the resource's name in the API."""

_FILE_LIKE = re.compile(r"(?:~|\.{0,2})/.*|.*\.(?:log|gz|txt|out)", re.DOTALL)
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Workload:
    """`deploy/web`: a resource's name in the API (`deployments`) and an object's name."""

    resource: str
    name: str


@dataclass(frozen=True, slots=True)
class Targets:
    """One kind of source: exactly one of the fields is set, or none, which means all pods of the namespace."""

    files: tuple[str, ...] = ()
    stdin: bool = False
    url: str = ""
    workloads: tuple[Workload, ...] = ()
    pods: str = ""
    """A regular expression over pod names."""

    @property
    def kubernetes(self) -> bool:
        """Lines come over the Kubernetes API."""
        return not (self.files or self.stdin or self.url)


def read_targets(names: list[str], *, chosen: bool, piped: bool) -> Targets:
    """Tell files, workloads and pods apart. `chosen`: a selector or namespace was given; `piped`: standard input is no terminal.

    Raises ConfigError where nothing or a mixture is named.
    """
    if not names:
        if chosen or piped:
            return Targets(stdin=not chosen)
        raise ConfigError(
            "nothing is named",
            "logproc tail -l app=storefront, logproc tail deploy/storefront, logproc tail access.log,"
            " or kubectl logs ... | logproc tail -",
        )
    if "-" in names:
        if len(names) > 1:
            raise ConfigError(
                "standard input (-) is read alone", f"leave out {', '.join(n for n in names if n != '-')}"
            )
        return Targets(stdin=True)
    urls = [n for n in names if _URL.match(n)]
    if urls:
        if len(names) > 1:
            raise ConfigError(f"{urls[0]} is read alone", "name one URL")
        return Targets(url=urls[0])
    workloads = [w for w in map(_workload, names) if w is not None]
    if workloads and len(workloads) == len(names):
        return Targets(workloads=tuple(workloads))
    files = [n for n in names if _is_file(n)]
    if files and not chosen:
        if len(files) < len(names):
            other = next(n for n in names if n not in files)
            raise ConfigError(f"{other}: no such file or folder", "files and pods are not read together")
        return Targets(files=tuple(files))
    if workloads or len(names) > 1:
        odd = next(n for n in names if _workload(n) is None)
        raise ConfigError(f"{odd!r} is no workload", "name workloads (deploy/web sts/db), or one pattern of pod names")
    return Targets(pods=names[0])


def _workload(name: str) -> Workload | None:
    kind, slash, rest = name.partition("/")
    resource = KINDS.get(kind.split(".")[0].lower())
    if not slash or resource is None or not rest or "/" in rest or Path(name).exists():
        return None
    return Workload(resource, rest)


def _is_file(name: str) -> bool:
    if Path(name).expanduser().exists():
        return True
    if _FILE_LIKE.fullmatch(name):
        return True
    if "/" in name:
        kind = name.split("/", maxsplit=1)[0]
        raise ConfigError(
            f"{name}: no such file, and {kind!r} is no kind of workload", "kinds: deploy, sts, ds, rs, job, svc, pod"
        )
    return False
