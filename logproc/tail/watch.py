"""Pods that fit a selection, listed once and watched for as long as it takes."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from logproc.tail.cluster import ApiError, Cluster, Unreachable
from logproc.tail.pods import Pod, place_of

WATCH_SECONDS = 240
SILENT_SECONDS = 90.0
"""Bookmarks come about once a minute: a watch without a word for so long is dead."""
PAGE = 500
POLL_SECONDS = 5.0
"""How often pods are listed where watching them is not allowed."""
EXPIRED = 410


@dataclass(frozen=True, slots=True)
class Query:
    """Pods of one namespace (empty: all) by labels and fields."""

    namespace: str
    labels: str = ""
    fields: str = ""

    @property
    def path(self) -> str:
        """Where they are listed."""
        return f"/api/v1/namespaces/{self.namespace}/pods" if self.namespace else "/api/v1/pods"

    def parameters(self) -> dict[str, str]:
        """The selection."""
        found = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {k: v for k, v in found.items() if v}


def list_pods(cluster: Cluster, query: Query) -> tuple[list[Pod], str]:
    """All pods, and the version of the list from which a watch goes on. Raises ApiError, Unreachable."""
    parameters = {**query.parameters(), "limit": str(PAGE)}
    found: list[Pod] = []
    version = ""
    while True:
        page = cluster.get(query.path, parameters)
        meta = page.get("metadata") or {}
        found += page.get("items") or []
        version = str(meta.get("resourceVersion") or version)
        if not meta.get("continue"):
            return found, version
        parameters["continue"] = str(meta["continue"])


class Watch(threading.Thread):
    """Calls `changed` for each pod that is new or different and `gone` for each that was deleted, from its own thread."""

    def __init__(
        self,
        cluster: Cluster,
        query: Query,
        pods: list[Pod],
        version: str,
        *,
        changed: Callable[[Pod], None],
        gone: Callable[[Pod], None],
        tell: Callable[[str], None],
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        super().__init__(daemon=True, name="watch")
        self._cluster, self._query, self._version = cluster, query, version
        self._changed, self._gone, self._tell, self._silent = changed, gone, tell, silent_seconds
        self._known = {place_of(p)[2]: p for p in pods}
        self._stopped = threading.Event()
        self._lost = False

    def stop(self) -> None:
        """End at the next occasion."""
        self._stopped.set()

    def run(self) -> None:
        """Watch; list again where that is needed."""
        failures = 0
        while not self._stopped.is_set():
            try:
                if not self._version:
                    self._list()
                began = time.monotonic()
                self._watch()
                failures = 0
                if time.monotonic() - began < 1:
                    self._pause(1)
            except ApiError as error:
                if error.status == EXPIRED:
                    self._version = ""
                    continue
                failures += 1
                self._refused(error, failures)
                if error.status != 403 or failures < 3:
                    self._pause(error.retry_after or min(30.0, 0.2 * 2 ** min(failures, 8)))
            except Unreachable as error:
                failures += 1
                if failures > 2:
                    self._say_lost(str(error))
                self._pause(min(10.0, 0.2 * 2 ** min(failures, 6)))

    def _refused(self, error: ApiError, failures: int) -> None:
        if error.status == 403:
            # An API server that has just started refuses for a moment what it allows, so watching is tried again and again.
            if failures > 2:
                self._tell(
                    f"not allowed to watch pods ({error.message}); listing them every {POLL_SECONDS:.0f} s instead"
                )
                self._stopped.wait(POLL_SECONDS)
            self._version = ""
        elif error.status == 401:
            self._tell("the login has expired: log in again, and reading goes on")
        elif failures > 2 and error.status != 429:
            self._say_lost(f"{error.status} {error.message}")

    def _say_lost(self, why: str) -> None:
        self._lost = True
        self._tell(f"the cluster does not answer ({why}); trying again")

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds * random.uniform(0.7, 1.3))  # noqa: S311

    def _list(self) -> None:
        pods, version = list_pods(self._cluster, self._query)
        present = {place_of(p)[2]: p for p in pods}
        for uid, pod in list(self._known.items()):
            if uid not in present:
                del self._known[uid]
                self._gone(pod)
        for uid, pod in present.items():
            self._known[uid] = pod
            self._changed(pod)
        self._version = version
        self._is_back()

    def _is_back(self) -> None:
        if self._lost:
            self._lost = False
            self._tell("the cluster answers again")

    def _watch(self) -> None:
        import urllib3

        parameters = {
            **self._query.parameters(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(WATCH_SECONDS * random.uniform(1, 1.5))),  # noqa: S311
            "resourceVersion": self._version,
        }
        try:
            with self._cluster.open(self._query.path, parameters, read_seconds=self._silent) as response:
                self._is_back()
                for event in _events(response.stream(1 << 16)):
                    if self._stopped.is_set():
                        return
                    self._take(event)
        except urllib3.exceptions.ReadTimeoutError:
            return
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._pause(0.2)
            raise Unreachable(str(error)) from error

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            raise ApiError(int(item.get("code") or 500), str(item.get("message") or "the watch failed"))
        version = (item.get("metadata") or {}).get("resourceVersion")
        if version:
            self._version = str(version)
        if kind in ("ADDED", "MODIFIED"):
            self._known[place_of(item)[2]] = item
            self._changed(item)
        elif kind == "DELETED":
            self._known.pop(place_of(item)[2], None)
            self._gone(item)


def _events(pieces: Iterator[bytes]) -> Iterator[Mapping[str, Any]]:
    pending = b""
    for piece in pieces:
        pending += piece
        *lines, pending = pending.split(b"\n")
        for line in lines:
            if line.strip():
                try:
                    event = json.loads(line)
                except ValueError:
                    raise Unreachable("the watch sent what is no JSON") from None
                if isinstance(event, dict):
                    yield event
