"""What the API server tells of a node's pods and of the mesh config, kept up to date beside the reading of logs.

One list and one watch for the node's pods. Reading never waits for it, with one exception: lines of a pod that was born just now wait
half a second for its labels, once.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from logproc.kube import app_of
from logproc.kube_api import GONE, Api, ApiError
from logproc.model import Stream

KEEP_SECONDS = 600.0
"""A pod is known that long after its deletion: its last lines are read later."""
GRACE_SECONDS = 0.5
GRACE_EVERY_SECONDS = 10.0
"""One grace for all pods that appear together: a node's hundred deleted pods, whose logs are still there, cost no more than one."""
WATCH_SECONDS = 290
SILENCE_SECONDS = 330.0
"""Longer than a watch lasts: a server that says nothing in all that time has gone."""
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
LASTED_SECONDS = 5.0

APP_LABELS = ("app", "app.kubernetes.io/name", "service.istio.io/canonical-name")
VERSION_LABELS = ("version", "app.kubernetes.io/version", "service.istio.io/canonical-revision")
_CONFIG_HASH = "kubernetes.io/config.hash"
"""Annotation of a mirror pod: the uid that a static pod's log folder has."""
_CRON_JOB = re.compile(r"-\d{8,10}$")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod."""

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    node: str
    workload: str

    @property
    def app(self) -> str:
        """The app that its labels name, else what made it."""
        return _first(self.labels, APP_LABELS) or self.workload

    @property
    def version(self) -> str:
        """The version that its labels name."""
        return _first(self.labels, VERSION_LABELS)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Pod:
        """From the API's object."""
        metadata = kept.get("metadata") or {}
        labels = {str(k): str(v) for k, v in (metadata.get("labels") or {}).items()}
        name = str(metadata.get("name", ""))
        uid = str((metadata.get("annotations") or {}).get(_CONFIG_HASH) or metadata.get("uid", ""))
        workload = _workload(name, labels, metadata.get("ownerReferences") or [])
        node = str((kept.get("spec") or {}).get("nodeName", ""))
        return cls(uid, str(metadata.get("namespace", "")), name, labels, node, workload)


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _workload(pod: str, labels: Mapping[str, str], owners: Sequence[Mapping[str, Any]]) -> str:
    """The Deployment, StatefulSet, DaemonSet, CronJob ... that a pod belongs to."""
    owner = next((o for o in owners if o.get("controller")), None)
    if owner is None or owner.get("kind") == "Node":
        return app_of(pod)
    name = str(owner.get("name", ""))
    if owner.get("kind") == "ReplicaSet":
        return name.removesuffix(f"-{labels.get('pod-template-hash', '')}") if "pod-template-hash" in labels else name
    return _CRON_JOB.sub("", name) if owner.get("kind") == "Job" else name


class Watch:
    """Keeps a list of objects up to date in a thread: `listed` gets all of them, `changed` each event.

    Failures are said once, and again only after it had worked.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        parameters: Mapping[str, str],
        *,
        listed: Callable[[Sequence[Mapping[str, Any]]], None],
        changed: Callable[[str, Mapping[str, Any]], None],
        what: str,
        say: Say,
        silence_seconds: float = SILENCE_SECONDS,
        first_backoff: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._api, self._path, self._parameters = api, path, parameters
        self._listed, self._changed, self._what, self._say = listed, changed, what, say
        self._silence_seconds, self._first_backoff = silence_seconds, first_backoff
        self._stop = threading.Event()
        self._version = ""
        """Where the watch goes on; empty: list again."""
        self.answered = threading.Event()
        """The first list came, or cannot be had."""
        self.working = False
        """The last request succeeded."""
        self.failed = False
        """The last request failed."""
        self._thread = threading.Thread(target=self._run, name=f"watch of {what}", daemon=True)

    def start(self) -> None:
        """Begin; nothing is waited for."""
        self._thread.start()

    def close(self) -> None:
        """Stop; the thread ends by itself as soon as the server says something."""
        self._stop.set()
        self._api.close()

    def _run(self) -> None:
        pause = self._first_backoff
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                if not self._version:
                    self._list()
                self._follow()
            except ApiError as error:
                if error.status == GONE:
                    self._version = ""
                elif not self._stop.is_set():
                    self._failure(error)
            # The server ends a watch every five minutes; one that it ends at once is not asked for again at once.
            if time.monotonic() - began > LASTED_SECONDS:
                pause = self._first_backoff
            # Spread out, so that the agents of a thousand nodes do not come back in the same moment.
            self._stop.wait(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(2 * pause, LONGEST_BACKOFF_SECONDS)

    def _list(self) -> None:
        # From the server's cache (resourceVersion 0), which spares etcd a read per node.
        found = self._api.get(self._path, {**self._parameters, "resourceVersion": "0"})
        self._tell(partial(self._listed, found.get("items") or []))
        self._success()
        self._version = str((found.get("metadata") or {}).get("resourceVersion", ""))

    def _follow(self) -> None:
        given = {**self._parameters, "resourceVersion": self._version}
        seconds = random.randint(WATCH_SECONDS - 50, WATCH_SECONDS)  # noqa: S311
        for event in self._api.watch(self._path, given, seconds=seconds, silence_seconds=self._silence_seconds):
            if self._stop.is_set():
                return
            self._success()
            if event.type != "BOOKMARK":
                self._tell(partial(self._changed, event.type, event.object))
            self._version = event.version or self._version

    def _tell(self, tell: Callable[[], None]) -> None:
        """Pass on what came. What is no object of Kubernetes (a proxy's answer, say) is a failure like others: the watch must not end of it."""
        try:
            tell()
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._version = ""
            raise ApiError("the API server's answer holds what is no object of its kind") from error

    def _success(self) -> None:
        if self.failed:
            self._say(f"{self._what} are known again")
        self.working, self.failed = True, False
        self.answered.set()

    def _failure(self, error: ApiError) -> None:
        if self.working:
            # A watch that was cut: most likely the server has restarted and answers again in a moment.
            self.working = False
            return
        if not self.failed:
            hint = "grant get, list and watch to its service account" if error.status == 403 else "trying again"
            self._say(f"warning: {self._what} are not known: {error.message}; {hint}; logs are read without")
        self.failed = True
        self.answered.set()


class Pods:
    """The pods of one node by uid."""

    def __init__(
        self,
        api: Api,
        node: str,
        *,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        grace: float = GRACE_SECONDS,
        keep: float = KEEP_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        first_backoff: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._clock, self._grace, self._keep = clock, grace, keep
        self._known = threading.Condition()
        self._pods: dict[str, Pod] = {}
        self._deleted_at: dict[str, float] = {}
        self._synced = False
        self._waited_for: dict[str, None] = {}
        self._wait_until = float("-inf")
        self._watch = Watch(
            api, "/api/v1/pods", {"fieldSelector": f"spec.nodeName={node}"}, listed=self._list, changed=self._change,
            what="labels of pods", say=say, silence_seconds=silence_seconds, first_backoff=first_backoff,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to ask; nothing is waited for."""
        self._watch.start()

    def close(self) -> None:
        """Ask no more."""
        self._watch.close()

    def wait(self, seconds: float) -> bool:
        """Until the pods are known, or cannot be had; false where they are not known by then."""
        self._watch.answered.wait(seconds)
        return self._synced

    def pod(self, uid: str) -> Pod | None:
        """What is known of a pod now."""
        return self._pods.get(uid)

    def labels(self, uid: str) -> Mapping[str, str] | None:
        """A pod's labels, None while they are not known."""
        pod = self._pods.get(uid)
        return None if pod is None else pod.labels

    def app_and_version(self, stream: Stream) -> tuple[str, str]:
        """App and version of the pod that wrote a stream; of a pod that is not known, by its name."""
        pod = self._pods.get(stream.k8s_pod_uid) or self._awaited(stream.k8s_pod_uid)
        return (app_of(stream.k8s_pod), "") if pod is None else (pod.app, pod.version)

    def _awaited(self, uid: str) -> Pod | None:
        """A pod that was just born: its log can be there before the API server's event. Waited for once, and never during a failure."""
        if not uid or uid in self._waited_for:
            return None
        self._waited_for[uid] = None
        while len(self._waited_for) > 10_000:
            self._waited_for.pop(next(iter(self._waited_for)))
        now = self._clock()
        if now > self._wait_until + GRACE_EVERY_SECONDS:
            self._wait_until = now + self._grace
        with self._known:
            self._known.wait_for(lambda: uid in self._pods or self._watch.failed, max(0.0, self._wait_until - now))
        return self._pods.get(uid)

    def _list(self, items: Sequence[Mapping[str, Any]]) -> None:
        found = {pod.uid: pod for pod in map(Pod.read, items)}
        with self._known:
            for uid in self._pods.keys() - found.keys():
                self._deleted_at.setdefault(uid, self._clock())
            for uid in found:
                self._deleted_at.pop(uid, None)
            self._pods.update(found)
            self._synced = True
            self._forget()
            self._known.notify_all()

    def _change(self, kind: str, kept: Mapping[str, Any]) -> None:
        pod = Pod.read(kept)
        with self._known:
            self._pods[pod.uid] = pod
            if kind == "DELETED":
                self._deleted_at[pod.uid] = self._clock()
            else:
                self._deleted_at.pop(pod.uid, None)
            self._forget()
            self._known.notify_all()

    def _forget(self) -> None:
        now = self._clock()
        for uid in [u for u, at in self._deleted_at.items() if now - at > self._keep]:
            del self._deleted_at[uid], self._pods[uid]


class MeshConfig:
    """Istio's mesh config, from its ConfigMap. `latest` is its text, "" while it is not known."""

    def __init__(
        self, api: Api, namespace: str = "istio-system", name: str = "istio", *, say: Say = lambda _: None, **watch: Any
    ) -> None:
        self._text = ""
        self._watch = Watch(
            api, f"/api/v1/namespaces/{namespace}/configmaps", {"fieldSelector": f"metadata.name={name}"},
            listed=self._list, changed=self._change, what="log formats of the mesh config", say=say, **watch,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to ask; nothing is waited for."""
        self._watch.start()

    def close(self) -> None:
        """Ask no more."""
        self._watch.close()

    def latest(self) -> str:
        """The mesh config (YAML) as it is now."""
        return self._text

    def wait(self, seconds: float) -> None:
        """Until it is known, or cannot be had."""
        self._watch.answered.wait(seconds)

    def _list(self, items: Sequence[Mapping[str, Any]]) -> None:
        for item in items:
            self._change("ADDED", item)

    def _change(self, kind: str, kept: Mapping[str, Any]) -> None:
        # A deleted config changes nothing in the proxies that run.
        if kind != "DELETED":
            self._text = str((kept.get("data") or {}).get("mesh", ""))
