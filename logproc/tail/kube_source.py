"""Log lines of pods over the Kubernetes API, as a source of chunks like files are one."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from logproc.kube import app_of
from logproc.model import Chunk, SourceStatus, Stream
from logproc.sizes import count_text
from logproc.tail.cluster import Cluster
from logproc.tail.follow import SILENT_SECONDS, Begin, Follow, Mailbox, Mark, Slots
from logproc.tail.overlap import REMEMBERED, SECOND, Overlap
from logproc.tail.pods import Choice, ContainerState, Pod, labels_of, place_of, state_of
from logproc.tail.reading import Labels
from logproc.tail.texts import clock
from logproc.tail.watch import Query, Watch

STACK_BYTES = 256 << 10
LINGER_SECONDS = 5.0
"""A response that is still open so long after its pod was deleted is closed."""
REMEMBERED_TOGETHER = 2_000_000
LEAST_REMEMBERED = 2_048
WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pods and containers, and where their logs begin."""

    queries: tuple[Query, ...]
    names: re.Pattern[str] | None = None
    choice: Choice = field(default_factory=Choice)
    last_lines: int | None = None
    since: datetime | None = None
    previous: bool = False
    follow: bool = True
    max_requests: int = 500

    def takes(self, pod: Pod) -> bool:
        """Whether a pod's name fits."""
        return self.names is None or bool(self.names.search(place_of(pod)[1]))


@dataclass(slots=True)
class _Counts:
    reopened: int = 0
    repeated: int = 0
    gaps: int = 0
    restarts: int = 0


@dataclass(slots=True)
class _Known:
    """A pod and the containers of it that are read."""

    labels: Labels
    follows: dict[str, Follow] = field(default_factory=dict)
    gone_at: float | None = None


class KubeSource:
    """Follows every container of the selection, also of pods that come later. `tell` says what happens to the person."""

    idle_seconds = 0.0

    def __init__(
        self,
        cluster: Cluster,
        selection: Selection,
        pods: Sequence[Pod],
        versions: Sequence[str],
        tell: Callable[[str], None],
        *,
        silent_seconds: float = SILENT_SECONDS,
        watch_silent_seconds: float = 90.0,
    ) -> None:
        """`pods`: those of the first lists, of which `versions` are the versions."""
        self._cluster, self._selection, self._tell, self._silent = cluster, selection, tell, silent_seconds
        self._mailbox = Mailbox()
        self._slots = Slots(selection.max_requests, self._tell_full)
        self._lock = threading.RLock()
        self._pods: dict[str, _Known] = {}
        self._begun, self._alive = False, 0
        self.counts = _Counts()
        self._watches: list[Watch] = []
        chosen = [p for p in pods if selection.takes(p)]
        for pod in chosen:
            self._changed(pod)
        self._begun = True
        self._tell_beginning(len(chosen))
        if selection.follow and not selection.previous:
            for query, version in zip(selection.queries, versions, strict=True):
                mine = [p for p in pods if not query.namespace or place_of(p)[0] == query.namespace]
                watch = Watch(
                    cluster, query, mine if len(versions) == 1 else [], version, changed=self._changed, gone=self._deleted, tell=tell,
                    silent_seconds=watch_silent_seconds,
                )  # fmt: skip
                watch.start()
                self._watches.append(watch)

    # As a source

    def read(self, limit: int) -> Sequence[Chunk]:  # noqa: ARG002  what is there is bounded by the mailbox
        """What has come from all containers; waits 50 ms for it."""
        entries = self._mailbox.take(WAIT_SECONDS)
        chunks: list[Chunk] = []
        at = 0
        while at < len(entries):
            follow, what, number = entries[at]
            at += 1
            if isinstance(what, Mark):
                self._marked(follow, what, number, chunks)
                continue
            pieces = [what]
            while at < len(entries) and entries[at][0] is follow and isinstance(entries[at][1], bytes):
                pieces.append(entries[at][1])  # type: ignore[arg-type]
                at += 1
            self._add(chunks, follow.overlap.add(b"".join(pieces), self._mailbox.taken_since))
            self._complain(follow)
        if not entries:
            self._linger()
        return chunks

    def _add(self, chunks: list[Chunk], chunk: Chunk | None) -> None:
        if chunk is not None:
            chunks.append(chunk)

    def _marked(self, follow: Follow, mark: Mark, number: int, chunks: list[Chunk]) -> None:
        overlap = follow.overlap
        if mark is Mark.OPENED or mark is Mark.CONTINUED:
            overlap.opened(again=mark is Mark.CONTINUED)
            self.counts.reopened += mark is Mark.CONTINUED
        elif mark is Mark.RESTARTED:
            overlap.restarted(number)
            self.counts.restarts += 1
        elif mark is Mark.ENDED:
            gaps = overlap.gaps
            self._add(chunks, overlap.ended(final=False))
            self._complain(follow)
            self._count_gaps(follow, gaps)
            follow.settled.set()
        else:
            self._add(chunks, overlap.ended(final=True))
            self.counts.repeated += overlap.repeated
            with self._lock:
                self._alive -= 1

    def _complain(self, follow: Follow) -> None:
        """What came as a log and is none: the kubelet or the API server speaks."""
        overlap = follow.overlap
        for text in dict.fromkeys(overlap.complaints):
            if text:
                self._tell(f"{follow.name}: instead of the log came: {text[:300]}")
        overlap.complaints.clear()
        self._count_gaps(follow, 0)

    def _count_gaps(self, follow: Follow, before: int) -> None:
        overlap = follow.overlap
        if overlap.gaps > before:
            self.counts.gaps += overlap.gaps
            overlap.gaps = 0
            self._tell(
                f"{follow.name}: its log was rotated while the connection was cut;"
                f" lines before {clock(overlap.last)} may be missing (the API has only the current file)"
            )

    def finished(self) -> bool:
        """Nothing more can come: everything was read, and nothing is watched."""
        return not self._watches and self._alive <= 0 and not self._mailbox.waits

    def gone(self) -> Sequence[int]:
        """Positions are not kept."""
        return ()

    def status(self) -> SourceStatus:
        """How many containers are read, and what waits."""
        return SourceStatus(self._alive, self._mailbox.waits, 0, self._alive)

    def close(self) -> None:
        """Stop all threads without waiting for them."""
        for watch in self._watches:
            watch.stop()
        self._mailbox.close()
        with self._lock:
            follows = [f for known in self._pods.values() for f in known.follows.values()]
        for follow in follows:
            follow.stop()

    def labels(self, stream: Stream) -> Labels:
        """Application and version of the pod that wrote a line."""
        known = self._pods.get(stream.k8s_pod_uid)
        return known.labels if known is not None else Labels()

    # Told by the watches, in their threads

    def _changed(self, pod: Pod) -> None:
        if not self._selection.takes(pod):
            return
        namespace, name, uid = place_of(pod)
        with self._lock:
            known = self._pods.get(uid)
            if known is None:
                known = self._pods[uid] = _Known(labels_of(pod))
                if self._selection.choice.is_a_guess(pod):
                    names = [c["name"] for c in pod["spec"]["containers"]]
                    self._tell(
                        f"{app_of(name)}: reading {names[0]}, one of {len(names)} containers ({', '.join(names)});"
                        " -c NAME or --all-containers"
                    )
            for container in self._selection.choice.of(pod):
                state = state_of(pod, container)
                follow = known.follows.get(container)
                if follow is None:
                    if state.has_log:
                        self._start(known, Stream("", namespace, name, container, uid, state.restart), state)
                    continue
                if state.restart > follow.overlap.stream.restart and self._begun:
                    self._tell(f"~ {name}/{container} restarted" + (f" ({state.reason})" if state.reason else ""))
                follow.state_is(state)

    def _start(self, known: _Known, stream: Stream, state: ContainerState) -> None:
        chosen = self._selection
        # What joins later is read from its first line.
        begin = Begin() if self._begun else Begin(chosen.last_lines, chosen.since, chosen.previous)
        if chosen.previous and not state.has_previous:
            self._tell(f"{stream.k8s_pod}/{stream.k8s_container}: it has not restarted, so there is no previous log")
            return
        containers = 1 + sum(len(k.follows) for k in self._pods.values())
        remembered = max(LEAST_REMEMBERED, min(REMEMBERED, REMEMBERED_TOGETHER // containers))
        overlap = Overlap(stream, remembered)
        if begin.since is not None:
            overlap.not_before = int(begin.since.timestamp() * SECOND)
        follow = Follow(
            self._cluster, overlap, begin, state, mailbox=self._mailbox, slots=self._slots, tell=self._tell,
            following=chosen.follow, silent_seconds=self._silent,
        )  # fmt: skip
        known.follows[stream.k8s_container] = follow
        self._alive += 1
        if self._begun:
            self._tell(f"+ {stream.k8s_pod}/{stream.k8s_container}")
        before = threading.stack_size(STACK_BYTES)
        follow.start()
        threading.stack_size(before)

    def _deleted(self, pod: Pod) -> None:
        _, name, uid = place_of(pod)
        with self._lock:
            known = self._pods.get(uid)
            if known is None or known.gone_at is not None:
                return
            known.gone_at = time.monotonic()
            for follow in known.follows.values():
                follow.pod_is_gone()
        self._tell(f"- {name} is gone")

    def _linger(self) -> None:
        """Responses of pods that are gone are closed after a while; what is known of the pods is forgotten."""
        now = time.monotonic()
        with self._lock:
            for uid, known in list(self._pods.items()):
                if known.gone_at is None or now - known.gone_at < LINGER_SECONDS:
                    continue
                alive = [f for f in known.follows.values() if f.is_alive()]
                for follow in alive:
                    follow.cut_if_gone()
                if not alive and now - known.gone_at > 2 * LINGER_SECONDS:
                    del self._pods[uid]

    # Told to the person

    def _tell_full(self) -> None:
        self._tell(
            f"{self._selection.max_requests} log streams are open, the limit (--max-log-requests): more containers wait for one to end"
        )

    def _tell_beginning(self, pods: int) -> None:
        containers = sum(len(k.follows) for k in self._pods.values())
        if pods and containers > 1:
            verb = "following" if self._selection.follow else "reading"
            self._tell(f"{verb} {containers} containers of {count_text(pods, 'pod')}")

    def sentence(self) -> str:
        """What happened besides lines, for the line at the end."""
        c = self.counts
        repeated = c.repeated + sum(
            f.overlap.repeated for k in self._pods.values() for f in k.follows.values() if f.is_alive()
        )
        parts = [f"{c.reopened:,} reopened"] if c.reopened else []
        parts += [f"{repeated:,} repeated line{'' if repeated == 1 else 's'} dropped"] if repeated else []
        parts += [f"{c.restarts:,} restart{'' if c.restarts == 1 else 's'}"] if c.restarts else []
        parts += [f"{c.gaps:,} gap{'' if c.gaps == 1 else 's'}: lines missing"] if c.gaps else []
        return "; ".join(parts)
