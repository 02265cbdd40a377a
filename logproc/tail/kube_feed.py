"""From what was typed to a feed of pods' lines: which pods are meant, and what is said where there are none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from logproc.errors import ConfigError, ExpressionError
from logproc.frames import KUBECTL_TIMESTAMPS
from logproc.model import Parser
from logproc.tail.cluster import ApiError, Cluster, Unreachable
from logproc.tail.feeds import LineFeed
from logproc.tail.kube_source import KubeSource, Selection
from logproc.tail.order import WINDOW_SECONDS, Order
from logproc.tail.pods import Choice, Pod, container_names, place_of
from logproc.tail.reading import RowReader
from logproc.tail.selectors import check_fields, check_labels, text_of
from logproc.tail.targets import Targets, Workload
from logproc.tail.watch import Query, list_pods

LAST_LINES = 10
_GROUPS = {"deployments": "apis/apps/v1", "statefulsets": "apis/apps/v1", "daemonsets": "apis/apps/v1", "replicasets": "apis/apps/v1", "jobs": "apis/batch/v1", "services": "api/v1"}  # fmt: skip
_API_ERRORS = (ApiError, Unreachable, OSError)


class KubeFeed(LineFeed):
    """Lines of pods, put in order and parsed."""

    def __init__(self, source: KubeSource, parser: Parser, *, keep_raw: bool) -> None:
        reader = RowReader(parser, KUBECTL_TIMESTAMPS, labels=source.labels, keep_raw=keep_raw)
        super().__init__(source, reader, Order(WINDOW_SECONDS))
        self._pods = source

    def sentence(self) -> str:
        """What happened besides lines."""
        return self._pods.sentence()


def open_kubernetes(
    targets: Targets,
    *,
    parser: Callable[[], Parser],
    keep_raw: bool,
    tell: Callable[[str], None],
    labels: str = "",
    fields: str = "",
    namespace: str = "",
    everywhere: bool = False,
    containers: str = "",
    all_containers: bool = False,
    context: str = "",
    follow: bool = True,
    last_lines: int | None = None,
    since: datetime | None = None,
    previous: bool = False,
    max_requests: int = 500,
) -> KubeFeed:
    """Find the pods and begin to read them. `last_lines`: None for the usual number, -1 for all. `parser` opens it.

    Raises ConfigError and SourceError for what cannot be found or read.
    """
    if labels:
        check_labels(labels)
    if fields:
        check_fields(fields)
    names = _pattern("pod name pattern", targets.pods) if targets.pods else None
    choice = Choice(_containers(containers), all_containers)
    cluster = Cluster(context, connections=min(max_requests, 512) + 8)
    space = "" if everywhere else namespace or cluster.namespace
    if targets.workloads and everywhere:
        raise ConfigError("a workload has one namespace", "leave out --all-namespaces, or use -l")
    queries = tuple(_of_workload(cluster, w, space, labels, fields) for w in targets.workloads) or (
        Query(space, labels, fields),
    )
    pods: list[Pod] = []
    versions = []
    for query in queries:
        try:
            found, version = list_pods(cluster, query)
        except _API_ERRORS as error:
            raise _list_failure(cluster, error, query, labels, fields) from error
        known = {place_of(p)[2] for p in pods}
        pods += [p for p in found if place_of(p)[2] not in known]
        versions.append(version)
    count = last_lines
    if (
        count is None
        and since is None
        and not all(w.resource == "pods" for w in targets.workloads or (Workload("", ""),))
    ):
        count = LAST_LINES
    selection = Selection(
        queries,
        names,
        choice,
        None if count is None or count < 0 else count,
        since,
        previous,
        follow and not previous,
        max_requests,
    )
    chosen = [p for p in pods if selection.takes(p)]
    what = _what(targets, labels, fields, space)
    if not chosen:
        _check_namespace(cluster, space)
        tell(f"no pod fits {what}" + ("; waiting for one" if selection.follow else ""))
    elif not any(choice.of(p) for p in chosen):
        there = sorted({n for p in chosen for n in container_names(p)})
        raise ConfigError(f"no pod of {what} has a container {containers!r}", f"their containers: {', '.join(there)}")
    source = KubeSource(cluster, selection, pods, versions, tell)
    # The parser is made while the first lines are on their way.
    return KubeFeed(source, parser(), keep_raw=keep_raw)


def _pattern(what: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ExpressionError(
            what, text, min(error.pos or 0, len(text)), f"a regular expression ({error.msg})"
        ) from error


def _containers(text: str) -> re.Pattern[str] | None:
    parts = [p.strip() for p in text.split(",") if p.strip()]
    return _pattern("container pattern", "|".join(f"(?:{p})" for p in parts)) if parts else None


def _of_workload(cluster: Cluster, workload: Workload, namespace: str, labels: str, fields: str) -> Query:
    """The pods of a workload, by its selector."""
    if workload.resource == "pods":
        _get(cluster, f"/api/v1/namespaces/{namespace}/pods/{workload.name}", workload, namespace)
        return Query(namespace, labels, ",".join(f for f in (f"metadata.name={workload.name}", fields) if f))
    path = f"/{_GROUPS[workload.resource]}/namespaces/{namespace}/{workload.resource}/{workload.name}"
    selector = (_get(cluster, path, workload, namespace).get("spec") or {}).get("selector")
    if not selector:
        raise ConfigError(f"{workload.resource}/{workload.name} selects no pods", "name its pods with -l")
    return Query(namespace, ",".join(s for s in (text_of(selector), labels) if s), fields)


def _get(cluster: Cluster, path: str, workload: Workload, namespace: str) -> dict[str, Any]:
    try:
        return cluster.get(path)
    except ApiError as error:
        if error.status != 404:
            raise cluster.failure(error, f"{workload.resource}/{workload.name} in namespace {namespace}") from error
        _check_namespace(cluster, namespace)
        known = _names(cluster, path.rsplit("/", 1)[0])
        near = difflib.get_close_matches(workload.name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known[:20]) or 'none'}"
        raise ConfigError(f"namespace {namespace} has no {workload.resource}/{workload.name}", hint) from error
    except (Unreachable, OSError) as error:
        raise cluster.failure(error, path) from error


def _list_failure(cluster: Cluster, error: Exception, query: Query, labels: str, fields: str) -> Exception:
    where = f"namespace {query.namespace}" if query.namespace else "all namespaces"
    if isinstance(error, ApiError) and error.status == 400 and (labels or fields):
        return ConfigError(f"the cluster refuses the selector {labels or fields!r}: {error.message}")
    return cluster.failure(error, f"pods in {where}")


def _check_namespace(cluster: Cluster, namespace: str) -> None:
    """Lists of a namespace that does not exist are empty; asking for it tells. Who may not ask is left to wait."""
    if not namespace:
        return
    try:
        cluster.get(f"/api/v1/namespaces/{namespace}")
    except ApiError as error:
        if error.status != 404:
            return
        known = _names(cluster, "/api/v1/namespaces")
        near = difflib.get_close_matches(namespace, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known[:20])}" if known else ""
        raise ConfigError(f"there is no namespace {namespace!r}", hint) from error
    except (Unreachable, OSError):
        return


def _names(cluster: Cluster, path: str) -> list[str]:
    try:
        return [item["metadata"]["name"] for item in cluster.get(path, {"limit": "500"}).get("items") or ()]
    except (*_API_ERRORS, KeyError):
        return []


def _what(targets: Targets, labels: str, fields: str, namespace: str) -> str:
    parts = [f"{w.resource}/{w.name}" for w in targets.workloads]
    parts += [f"-l {labels}"] if labels else []
    parts += [f"--field-selector {fields}"] if fields else []
    parts += [repr(targets.pods)] if targets.pods else []
    return f"{' '.join(parts) or 'any name'} in {f'namespace {namespace}' if namespace else 'all namespaces'}"
