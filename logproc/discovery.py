"""Which log files there are: each place that was named is looked at again and again, cheaply, and says what has changed.

A place is a plain file, or the folder of one container under a kubelet's log root. A look that finds a folder unchanged costs one `stat`.
"""

# Paths stay strings here: these calls run several times a second for every container.
# ruff: noqa: PTH116, PTH208, PTH112
from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from logproc.errors import ConfigError, SourceError
from logproc.kube import log_name, pod_folder, stream_of
from logproc.model import Stream

ROOTS_EVERY_SECONDS = 1.0
"""How often pods are looked for; the folders of known containers are looked at with each poll."""
LOOK_ANYWAY_SECONDS = 10.0
"""A folder is listed that often even if its modification time says that nothing changed (network file systems)."""
_TICK_SECONDS = 0.05
"""A change that follows a listing within a tick of the file system's clock leaves no trace in the modification time."""

Tell = Callable[[str], None]
"""Says one line to the operator, at most once."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file on disk that belongs to a stream."""

    path: str
    stream: Stream
    gzipped: bool = False
    rotated: bool = False
    known_only: bool = False
    """A rotated plain file: read only where a position says that its reading had begun, and after such a one."""


class Place(Protocol):
    """Where the files of one or some streams are."""

    def look(self) -> list[LogFile] | None:
        """All files, of each stream the oldest first; None where nothing has changed since the last look."""
        ...

    def look_again(self) -> None:
        """The next look tells everything, changed or not."""
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Which containers of a log root are read."""

    containers: frozenset[str] = frozenset({"istio-proxy"})
    """Empty: all."""

    @classmethod
    def parse(cls, containers: str) -> Selection:
        """Read `--containers`: names with commas between them, or `*`."""
        names = {name.strip() for name in containers.split(",")} - {""}
        return cls(frozenset() if "*" in names else frozenset(names))

    def takes(self, container: str) -> bool:
        """Whether a container's log is read."""
        return not self.containers or container in self.containers


def tell_on_stderr() -> Tell:
    """A `Tell` that writes each line once to standard error."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told and len(told) < 1000:
            told.add(text)
            print(text, file=sys.stderr)

    return tell


@dataclass(slots=True)
class _Folder:
    """A folder that is listed only when it may have changed."""

    path: str
    tell: Tell
    _changed_at: int = -1
    _listed_at: float = 0.0
    _settled: bool = False

    def look_again(self) -> None:
        """List it the next time, changed or not."""
        self._settled = False

    def entries(self) -> list[str] | None:
        """Names in it; None: unchanged. A vanished folder is empty."""
        try:
            changed_at = os.stat(self.path).st_mtime_ns
        except OSError:
            changed_at = 0
        now = time.time()
        quiet = self._settled and changed_at == self._changed_at and 0 <= now - self._listed_at < LOOK_ANYWAY_SECONDS
        if quiet:
            return None
        self._changed_at, self._listed_at = changed_at, now
        self._settled = abs(now - changed_at / 1e9) > _TICK_SECONDS
        try:
            return os.listdir(self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.tell(f"warning: {self.path}: {error.strerror}; not read")
            return []


@dataclass(slots=True, eq=False)
class ContainerPlace:
    """`<root>/<namespace>_<pod>_<uid>/<container>`: one stream for each restart, each with its rotated files."""

    folder: str
    tell: Tell
    _folder: _Folder = field(init=False)

    def __post_init__(self) -> None:
        self._folder = _Folder(self.folder, self.tell)

    def look(self) -> list[LogFile] | None:
        """The folder's log files by restart and age."""
        names = self._folder.entries()
        if names is None:
            return None
        found = []
        for name in names:
            parsed = log_name(name)
            stream = stream_of(f"{self.folder}/{name}") if parsed else None
            if parsed and stream:
                restart, suffix, gzipped = parsed
                # A gzipped file stands behind the plain one of the same rotation: as long as both are there, the plain one is read.
                order = (restart, suffix or "~", gzipped)
                found.append((order, LogFile(stream.path, stream, gzipped, bool(suffix) or gzipped)))
        return [file for _, file in sorted(found, key=lambda pair: pair[0])]

    def look_again(self) -> None:
        """List the folder at the next look."""
        self._folder.look_again()


@dataclass(slots=True, eq=False)
class PlainPlace:
    """One file named by the user. Files `NAME.1`, `NAME-20261120` beside it are its rotations; what was begun there is read to its end."""

    path: str
    follow: bool
    _seen: tuple[int, int] = (-1, -1)

    def look(self) -> list[LogFile] | None:
        """The rotated files by their age, then the file itself."""
        try:
            now = os.stat(self.path)
            seen = (now.st_dev, now.st_ino)
        except OSError:
            seen = (0, 0)
        if seen == self._seen:
            return None
        self._seen = seen
        siblings = self._siblings() if self.follow else []
        current = [self._file(self.path)] if seen[1] else []
        return siblings + current

    def look_again(self) -> None:
        """Tell the files at the next look."""
        self._seen = (-1, -1)

    def _file(self, path: str, *, rotated: bool = False) -> LogFile:
        stream = stream_of(path) or Stream(path)
        return LogFile(
            path, stream if stream.k8s_pod_uid else Stream(self.path), path.endswith(".gz"), rotated, rotated
        )

    def _siblings(self) -> list[LogFile]:
        name = re.compile(re.escape(Path(self.path).name) + r"[.-][0-9][-0-9T:.]*")
        try:
            entries = [e for e in os.scandir(Path(self.path).parent) if name.fullmatch(e.name) and e.is_file()]
            found = [(e.stat().st_mtime_ns, e.path) for e in entries]
        except OSError:
            return []
        return [self._file(path, rotated=True) for _, path in sorted(found)]


class Discovery:
    """The places of all paths that were named; pods of log roots come and go."""

    def __init__(
        self, paths: Iterable[str], selection: Selection, *, follow: bool, tell: Tell, clock: Callable[[], float]
    ) -> None:
        """Raise ConfigError for a path that is not there or no file or folder, SourceError for one that may not be read."""
        self._selection, self._follow, self._tell, self._clock = selection, follow, tell, clock
        self._roots: list[_Folder] = []
        self._pods: dict[str, _Folder] = {}
        self._containers: dict[str, ContainerPlace] = {}
        self._plain: list[PlainPlace] = []
        self._looked_at = float("-inf")
        for path in dict.fromkeys(str(Path(p).absolute()) for p in paths):
            self._add(path)

    def _add(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                os.listdir(path)
                self._roots.append(_Folder(path, self._tell))
                return
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{path}: neither a file nor a folder", "pipe it in and name it `-`")
            with Path(path).open("rb"):
                pass
        except FileNotFoundError as error:
            if not (self._follow and Path(path).parent.is_dir()):
                raise ConfigError(f"{path}: no such file or folder") from error
            self._tell(f"note: {path} does not exist yet; waiting for it")
        except PermissionError as error:
            raise SourceError(f"{path}: permission denied", "log folders are often readable by root alone") from error
        except OSError as error:
            if error.errno == errno.ENOTDIR:
                raise ConfigError(f"{path}: no such file or folder") from error
            raise SourceError(f"{path}: {error.strerror}") from error
        self._plain.append(PlainPlace(path, self._follow))

    def places(self) -> Sequence[Place]:
        """All places there are now. Pods are looked for once a second."""
        now = self._clock()
        if now - self._looked_at >= ROOTS_EVERY_SECONDS or now < self._looked_at:
            self._looked_at = now
            self._look_for_pods()
        return [*self._plain, *self._containers.values()]

    def covers(self, path: str) -> bool:
        """Whether a file of that path would be found."""
        inside = any(path.startswith(root.path.rstrip("/") + "/") for root in self._roots)
        return inside or any(path == place.path for place in self._plain)

    def roots_without_pods(self) -> list[str]:
        """Folders that were named and hold no pod's folder: most likely not what was meant."""
        return [
            r.path
            for r in self._roots
            if not any(p.startswith(r.path.rstrip("/") + "/") or p == r.path for p in self._pods)
        ]

    def _look_for_pods(self) -> None:
        for root in self._roots:
            names = root.entries()
            if names is None:
                continue
            pods = [f"{root.path.rstrip('/')}/{name}" for name in names if pod_folder(name)]
            if not pods and pod_folder(Path(root.path).name):
                pods = [root.path]  # one pod's folder was named
            for path in pods:
                self._pods.setdefault(path, _Folder(path, self._tell))
        for path, pod in list(self._pods.items()):
            for name in pod.entries() or ():
                folder = f"{path}/{name}"
                if self._selection.takes(name) and not pod_folder(name) and folder not in self._containers:
                    self._containers[folder] = ContainerPlace(folder, self._tell)
            if not os.path.isdir(path):
                del self._pods[path]

    def forget(self, place: Place) -> None:
        """Look no more at a container's folder that is gone."""
        if isinstance(place, ContainerPlace) and not os.path.isdir(place.folder):
            self._containers.pop(place.folder, None)
