"""Where log files are: a plain file, or the folder of one container. Each place is looked at again and again, cheaply.

A look that finds a folder unchanged costs one `stat`.
"""

# Paths stay strings here: these calls run several times a second for every container.
# ruff: noqa: PTH114, PTH116, PTH208
from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from logproc import docker
from logproc.kube import log_name, stream_of
from logproc.model import Stream

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


@dataclass(slots=True)
class Folder:
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
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._changed_at, self._settled = -1, False
                return None
            self.tell(f"warning: {self.path}: {error.strerror}; not read")
            return []


@dataclass(slots=True, eq=False)
class ContainerPlace:
    """`<root>/<namespace>_<pod>_<uid>/<container>`: one stream for each restart, each with its rotated files."""

    folder: str
    tell: Tell
    _folder: Folder = field(init=False)
    _links: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Logs that are links to elsewhere: their files are replaced without a change of this folder."""

    def __post_init__(self) -> None:
        self._folder = Folder(self.folder, self.tell)

    def look(self) -> list[LogFile] | None:
        """The folder's log files by restart and age."""
        if any(inode_of(link) != inode for link, inode in self._links.items()):
            self._folder.look_again()
        names = self._folder.entries()
        if names is None:
            return None
        found = []
        self._links = {}
        for name in names:
            parsed = log_name(name)
            path = f"{self.folder}/{name}"
            stream = stream_of(path) if parsed else None
            if parsed and stream:
                restart, suffix, gzipped = parsed
                # A gzipped file stands behind the plain one of the same rotation: as long as both are there, the plain one is read.
                order = (restart, suffix or "~", gzipped)
                files = [LogFile(path, stream, gzipped, bool(suffix) or gzipped)]
                if os.path.islink(path):
                    files, self._links[path] = _behind_link(path, stream, self.tell)
                found += [((*order, i), file) for i, file in enumerate(files)]
        return [file for _, file in sorted(found, key=lambda pair: pair[0])]

    def look_again(self) -> None:
        """List the folder at the next look."""
        self._folder.look_again()


@dataclass(slots=True, eq=False)
class DockerPlace:
    """One container's folder under docker's root, `<id>/<id>-json.log` with its rotations."""

    folder: str
    stream: Stream
    tell: Tell
    _folder: Folder = field(init=False)

    def __post_init__(self) -> None:
        self._folder = Folder(self.folder, self.tell)

    def look(self) -> list[LogFile] | None:
        """The container's files by age."""
        names = self._folder.entries()
        return None if names is None else _docker_files(self.folder, names, self.stream)

    def look_again(self) -> None:
        """List the folder at the next look."""
        self._folder.look_again()


def _docker_files(folder: str, names: list[str], stream: Stream) -> list[LogFile]:
    found = []
    for name in names:
        rotation = docker.rotation(name)
        if rotation is not None:
            age, gzipped = rotation
            found.append((-age, gzipped, LogFile(f"{folder}/{name}", stream, gzipped, rotated=age > 0)))
    return [file for _, _, file in sorted(found, key=lambda file: file[:2])]


def _behind_link(link: str, stream: Stream, tell: Tell) -> tuple[list[LogFile], tuple[int, int]]:
    """What a log that is a link stands for: the file and, where docker rotates it, those before it; and the file's inode."""
    target = os.path.realpath(link)
    inode = inode_of(target)
    if inode == (0, 0):
        tell(f"warning: {link} leads to {target}, which cannot be read here; is its folder mounted?")
        return [], inode
    folder, _, name = target.rpartition("/")
    if docker.rotation(name) is None:
        return [LogFile(link, stream)], inode
    try:
        names = os.listdir(folder)
    except OSError:
        names = [name]
    return _docker_files(folder, names, stream), inode


def inode_of(path: str) -> tuple[int, int]:
    """Device and inode of what a path leads to; zeros where that is nothing."""
    try:
        now = os.stat(path)
    except OSError:
        return 0, 0
    return now.st_dev, now.st_ino


@dataclass(slots=True, eq=False)
class PlainPlace:
    """One file named by the user. Files `NAME.1`, `NAME-20261120` beside it are its rotations; what was begun there is read to its end."""

    path: str
    follow: bool
    every_rotation: bool = False
    """Rotated files are read also where nothing of them was: it is known that nobody else rotates this log."""
    _seen: tuple[int, int] = (-1, -1)

    def look(self) -> list[LogFile] | None:
        """The rotated files by their age, then the file itself."""
        seen = inode_of(self.path)
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
            path,
            stream if stream.k8s_pod_uid else Stream(self.path),
            path.endswith(".gz"),
            rotated,
            rotated and not self.every_rotation,
        )

    def _siblings(self) -> list[LogFile]:
        name = re.compile(re.escape(Path(self.path).name) + r"[.-][0-9][-0-9T:.]*")
        try:
            entries = [e for e in os.scandir(Path(self.path).parent) if name.fullmatch(e.name) and e.is_file()]
            found = [(e.stat().st_mtime_ns, e.path) for e in entries]
        except OSError:
            return []
        return [self._file(path, rotated=True) for _, path in sorted(found)]
