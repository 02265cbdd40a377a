"""Collecting beside one Envoy: its access log on a volume that both containers have.

Envoy writes `accessLogFile` and never rotates it: this does, by renaming it and asking Envoy to open it anew, and deletes each rotated
file when the sink has all of it. The pod is known from the downward API. At the end of the pod Envoy still writes while it drains:
reading goes on until it is gone, or half of the grace is over.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urlsplit

from logproc.errors import ConfigError
from logproc.identity import FIRST_LINE_CAP, file_id
from logproc.kube import app_of
from logproc.kube_watch import Pod
from logproc.model import Chunk, Position, Source, SourceStatus, Stream

ADMIN = "http://127.0.0.1:15000"
ROTATE_AT = 32 << 20
LABELS_FILE = Path("/etc/podinfo/labels")
LOOK_SECONDS = 0.25
REOPEN_EVERY_SECONDS = 5.0
"""Envoy opens the new file with its next flush, which can take ten seconds; asking again does no harm."""
QUIET_SECONDS = 2.0
ADMIN_SECONDS = 2.0
GONE_LOOKS = 8
"""So many looks in a row without an answer mean that Envoy has ended."""

_LABEL = re.compile(r'([^=]+)=("(?:[^"\\]|\\.)*")')

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OwnPod:
    """The pod this runs in, as the downward API tells it."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    container: str = "istio-proxy"
    own_labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, labels: Path = LABELS_FILE, environment: Mapping[str, str] = os.environ) -> Self:
        """From POD_NAMESPACE, POD_NAME and POD_UID, and the file of labels where it is mounted."""
        name = environment.get("POD_NAME") or environment.get("HOSTNAME", "")
        try:
            text = labels.read_text()
        except OSError:
            text = ""
        found = {m[1]: json.loads(m[2]) for line in text.splitlines() if (m := _LABEL.fullmatch(line))}
        return cls(environment.get("POD_NAMESPACE", ""), name, environment.get("POD_UID", ""), own_labels=found)

    def app_and_version(self, stream: Stream) -> tuple[str, str]:  # noqa: ARG002
        """App and version by the labels, else by the pod's name."""
        pod = Pod(self.uid, self.namespace, self.name, self.own_labels, "", app_of(self.name))
        return pod.app, pod.version

    def labels(self, uid: str) -> Mapping[str, str] | None:  # noqa: ARG002
        """The labels; there is only this pod."""
        return self.own_labels

    def stream(self, path: str) -> Stream:
        """The stream of a file that this pod's proxy writes.

        Without the uid: Envoy's lines have no nanoseconds, so that the inode has to tell its files apart.
        """
        return Stream(path, self.namespace, self.name, self.container)


class Files(Source, Protocol):
    """A source of files that can be told that they are complete."""

    def no_more(self) -> None:
        """Nothing is written any more."""
        ...


class PodSource:
    """The files of one pod: every chunk carries its facts."""

    def __init__(self, files: Files, pod: OwnPod) -> None:
        self._files, self._pod = files, pod

    @property
    def idle_seconds(self) -> float:
        """How long the caller waits after a read that found nothing."""
        return self._files.idle_seconds

    def read(self, limit: int) -> Sequence[Chunk]:
        """Chunks as they are in the files, with the pod."""
        return [replace(chunk, stream=self._pod.stream(chunk.stream.path)) for chunk in self._files.read(limit)]

    def gone(self) -> Sequence[int]:
        """Files that vanished some minutes ago."""
        return self._files.gone()

    def finished(self) -> bool:
        """Everything was read, and Envoy is gone."""
        return self._files.finished()

    def status(self) -> SourceStatus:
        """How far it is."""
        return self._files.status()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def no_more(self) -> None:
        """Envoy writes no more: read to the end, and finish."""
        self._files.no_more()


class Sidecar:
    """Rotates and deletes one access log, and ends with its Envoy. A thread of its own does the work; `stop` may be called by a signal."""

    def __init__(
        self,
        path: str,
        *,
        admin: str = ADMIN,
        rotate_at: int = ROTATE_AT,
        grace: float = 10.0,
        exit_with_envoy: bool = False,
        pod: OwnPod | None = None,
        say: Say = lambda _: None,
    ) -> None:
        """Raises ConfigError for an admin address that is none, and where the log's folder is not there."""
        self.path = Path(path).absolute()
        if not self.path.parent.is_dir():
            raise ConfigError(
                f"{self.path.parent}: no such folder", "mount the volume that Envoy's accessLogFile is on"
            )
        self._host, self._port = _address(admin)
        self._rotate_at, self._grace, self._exit_with_envoy, self._say = rotate_at, grace, exit_with_envoy, say
        self.pod = pod or OwnPod.read()
        self._ended, self._ending_since = threading.Event(), float("inf")
        self._asked_at = float("-inf")
        self._told: set[str] = set()
        self._unanswered, self._answered = 0, False

    def stop(self) -> None:
        """The pod ends: read on while Envoy drains, then to the end. A second call does not wait for Envoy."""
        self._ending_since = (
            min(self._ending_since, time.monotonic()) if self._ending_since == float("inf") else float("-inf")
        )

    @contextmanager
    def beside(
        self, source: PodSource, stop: Callable[[], None], settled: Callable[[int], Position | None]
    ) -> Iterator[None]:
        """While a pipeline runs: `stop` stops it, `settled` tells how much of a file the sink has."""
        thread = threading.Thread(target=self._run, args=(source, stop, settled), name="sidecar", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(ADMIN_SECONDS + 1)
            self._delete_delivered(settled)

    def _run(self, source: PodSource, stop: Callable[[], None], settled: Callable[[int], Position | None]) -> None:
        reading = True
        while not self._ended.wait(LOOK_SECONDS):
            self._guarded(self._rotate)
            self._guarded(lambda: self._delete_delivered(settled))
            gone = self._envoy_is_gone()
            if gone and self._exit_with_envoy and self._ending_since == float("inf"):
                self._say("Envoy has ended: reading to the end")
                self._ending_since = time.monotonic()
            since = time.monotonic() - self._ending_since
            if reading and since >= 0 and (gone or since > self._grace / 2):
                reading = False
                source.no_more()
            if since > self._grace * 0.75:
                stop()
                return

    def _guarded(self, work: Callable[[], None]) -> None:
        """A failure is said once and does not end the watch over the log."""
        try:
            work()
        except OSError as error:
            self._once(f"warning: {error.filename or self.path}: {error.strerror}")

    # Rotation

    def _rotate(self) -> None:
        if self._ending_since != float("inf"):
            return
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            # Renamed, by us or by a run before us, and not opened anew yet.
            if self._rotated() and time.monotonic() - self._asked_at > REOPEN_EVERY_SECONDS:
                self._ask_to_reopen()
            return
        if size >= self._rotate_at:
            self.path.rename(f"{self.path}.{time.time_ns()}")
            self._ask_to_reopen()

    def _ask_to_reopen(self) -> None:
        self._asked_at = time.monotonic()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ADMIN_SECONDS)
        try:
            connection.request("POST", "/reopen_logs")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self._once(
                f"warning: Envoy's admin port {self._host}:{self._port} does not answer ({error}): its log grows on"
            )
        else:
            if status != http.HTTPStatus.OK:
                self._once(f"warning: Envoy's admin port answers /reopen_logs with {status}: its log grows on")
        finally:
            connection.close()

    def _rotated(self) -> list[Path]:
        """Rotated files, the oldest first."""
        name = re.compile(re.escape(self.path.name) + r"\.\d+")
        found = [p for p in self.path.parent.iterdir() if name.fullmatch(p.name)]
        return sorted(found, key=lambda p: int(p.name.rpartition(".")[2]))

    def _delete_delivered(self, settled: Callable[[int], Position | None]) -> None:
        """Rotated files all of which the sink has, and which Envoy has left."""
        if not self.path.exists():
            return
        for path in self._rotated():
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                first = file.read(FIRST_LINE_CAP).partition(b"\n")[0]
            position = settled(file_id(Stream(str(self.path)), first, stat.st_ino))
            if position is not None and position.offset >= stat.st_size and time.time() - stat.st_mtime > QUIET_SECONDS:
                path.unlink()

    # Envoy

    def _envoy_is_gone(self) -> bool:
        """It has answered before, or the pod ends, and now nothing listens."""
        try:
            socket.create_connection((self._host, self._port), 0.5).close()
        except OSError:
            self._unanswered += 1
        else:
            self._unanswered, self._answered = 0, True
        ending = self._ending_since != float("inf")
        return self._unanswered >= (2 if ending else GONE_LOOKS) and (self._answered or ending)

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)


def _address(admin: str) -> tuple[str, int]:
    parts = urlsplit(admin if "://" in admin else f"http://{admin}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise ConfigError(f"--envoy-admin {admin!r}: write http://HOST:PORT", f"Istio's proxy listens at {ADMIN}")
    return parts.hostname, port
