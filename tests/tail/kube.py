"""A source over the fake API, read in the test's own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from logproc.tail.cluster import Cluster
from logproc.tail.kube_source import KubeSource, Selection
from logproc.tail.watch import Query, list_pods
from tests.fake_api.server import FakeApi


class Seen:
    """What came out of a source: texts by pod, without the runtime's time."""

    def __init__(self, source: KubeSource, told: list[str], api: FakeApi) -> None:
        self.source, self.told, self.api = source, told, api
        self.by_pod: dict[str, list[str]] = {}

    def read(self) -> None:
        for chunk in self.source.read(1 << 20):
            texts = [line.split(b" ", 1)[1].decode() for line in chunk.data.split(b"\n")[:-1]]
            assert len(texts) == chunk.span.lines
            self.by_pod.setdefault(chunk.stream.k8s_pod, []).extend(texts)

    def of(self, pod: str) -> list[str]:
        return self.by_pod.get(pod, [])

    def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.by_pod, self.told)
            self.read()

    def until_count(self, pod: str, count: int) -> None:
        self.until(lambda: len(self.of(pod)) >= count)

    def until_more_requests(self) -> None:
        before = len(self.api.log_requests())
        self.until(lambda: len(self.api.log_requests()) > before)

    def for_(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()

    def heard(self, part: str) -> bool:
        return any(part in text for text in self.told)


@contextmanager
def source_over(
    api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch, *, query: Query | None = None, **options: Any
) -> Iterator[Seen]:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(folder)))
    told: list[str] = []
    silent = {k: options.pop(k) for k in ("silent_seconds", "watch_silent_seconds") if k in options}
    cluster = Cluster(connections=64)
    asked = query or Query(api.namespace, "app=web")
    pods, version = list_pods(cluster, asked)
    source = KubeSource(cluster, Selection((asked,), **options), pods, [version], told.append, **silent)
    try:
        yield Seen(source, told, api)
    finally:
        source.close()
