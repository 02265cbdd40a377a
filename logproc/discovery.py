"""Which log files there are: the places of what was named; pods of log roots come and go."""

# Paths stay strings here: these calls run several times a second for every container.
# ruff: noqa: PTH112, PTH114, PTH115, PTH116, PTH118, PTH120, PTH208
from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from logproc.docker import container_folder, described
from logproc.errors import ConfigError, SourceError
from logproc.kube import pod_folder, stream_of
from logproc.places import ContainerPlace, DockerPlace, Folder, Place, PlainPlace, Tell
from logproc.selection import Selection as Selection  # noqa: PLC0414  its place until now

ROOTS_EVERY_SECONDS = 1.0
"""How often pods are looked for; the folders of known containers are looked at with each poll."""

_CONTAINER_LINK = re.compile(r".+_.+_.+-[0-9a-f]{64}\.log")
"""`/var/log/containers/<pod>_<namespace>_<container>-<id>.log`, a link to the container's current file."""


def tell_on_stderr() -> Tell:
    """A `Tell` that writes each line once to standard error."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told and len(told) < 1000:
            told.add(text)
            print(text, file=sys.stderr)

    return tell


class Discovery:
    """The places of all paths that were named; pods of log roots come and go."""

    def __init__(
        self,
        paths: Iterable[str],
        selection: Selection,
        *,
        follow: bool,
        tell: Tell,
        clock: Callable[[], float],
        every_rotation: bool = False,
    ) -> None:
        """Raise ConfigError for a path that is not there or no file or folder, SourceError for one that may not be read."""
        self._selection, self._follow, self._tell, self._clock = selection, follow, tell, clock
        self._every_rotation = every_rotation
        self._roots: list[Folder] = []
        self._pods: dict[str, Folder] = {}
        self._containers: dict[str, ContainerPlace | DockerPlace] = {}
        self._log_roots: set[str] = set()
        """Where the links of folders such as /var/log/containers lead to."""
        self._linked_from: set[str] = set()
        self._plain: list[PlainPlace] = []
        self._looked_at = float("-inf")
        for path in dict.fromkeys(str(Path(p).absolute()) for p in paths):
            self._add(path)

    def _add(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                os.listdir(path)
                self._roots.append(Folder(path, self._tell))
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
        target = _target(path)
        # A link to a container's log has that container's rotations.
        self._plain.append(PlainPlace(target if stream_of(target) else path, self._follow, self._every_rotation))

    def places(self) -> Sequence[Place]:
        """All places there are now. Pods are looked for once a second."""
        now = self._clock()
        if now - self._looked_at >= ROOTS_EVERY_SECONDS or now < self._looked_at:
            self._looked_at = now
            self._look_for_roots()
            self._look_for_pods()
        return [*self._plain, *self._containers.values()]

    def covers(self, path: str) -> bool:
        """Whether a file of that path would be found."""
        roots = [*(root.path.rstrip("/") + "/" for root in self._roots), *self._log_roots]
        inside = any(path.startswith(root) for root in roots)
        return inside or any(path == place.path for place in self._plain)

    def roots_without_pods(self) -> list[str]:
        """Folders that were named and hold no pod's folder: most likely not what was meant."""
        found = [*self._pods, *(p.folder for p in self._containers.values()), *self._linked_from]
        return [
            r.path for r in self._roots if not any(p == r.path or p.startswith(r.path.rstrip("/") + "/") for p in found)
        ]

    def _look_for_roots(self) -> None:
        """What did not exist yet may turn out to be a folder."""
        for place in [p for p in self._plain if os.path.isdir(p.path)]:
            self._plain.remove(place)
            self._roots.append(Folder(place.path, self._tell))

    def _look_for_pods(self) -> None:
        for root in self._roots:
            names = root.entries()
            if names is None:
                continue
            pods = [f"{root.path.rstrip('/')}/{name}" for name in names if pod_folder(name)]
            if not pods and pod_folder(Path(root.path).name):
                pods = [root.path]  # one pod's folder was named
            for path in pods:
                self._pods.setdefault(path, Folder(path, self._tell))
            for name in names:
                path = f"{root.path.rstrip('/')}/{name}"
                if container_folder(name):
                    self._add_docker(path, name)
                elif _CONTAINER_LINK.fullmatch(name) and os.path.islink(path):
                    self._add_linked(path)
            own_name = Path(root.path).name
            if container_folder(own_name):
                self._add_docker(root.path, own_name)
        for path, pod in list(self._pods.items()):
            namespace, _, uid = pod_folder(path.rpartition("/")[2]) or ("", "", "")
            # Asked each time: labels become known, and change.
            for name in (self._selection.takes_pod(namespace, uid) and pod.entries()) or ():
                folder = f"{path}/{name}"
                if self._selection.takes(name) and not pod_folder(name) and folder not in self._containers:
                    self._containers[folder] = ContainerPlace(folder, self._tell)
            if not os.path.isdir(path):
                del self._pods[path]

    def _add_docker(self, folder: str, container_id: str) -> None:
        if folder not in self._containers:
            stream = described(folder, container_id)
            if self._selection.takes_stream(stream):
                self._containers[folder] = DockerPlace(folder, stream, self._tell)

    def _add_linked(self, link: str) -> None:
        target = _target(link)
        stream = stream_of(target)
        if stream is None:
            self._tell(f"warning: {link} leads to {target}, which is no log in a kubelet's folders; not read")
            return
        folder = os.path.dirname(target)
        self._linked_from.add(link)
        self._log_roots.add(os.path.dirname(os.path.dirname(os.path.dirname(target))) + "/")
        if not os.path.isdir(folder):
            self._tell(f"warning: {link} leads to {target}, which cannot be read here; is its folder mounted?")
        elif self._selection.takes_stream(stream) and folder not in self._containers:
            self._containers[folder] = ContainerPlace(folder, self._tell)

    def forget(self, place: Place) -> None:
        """Look no more at a container's folder that is gone."""
        if isinstance(place, ContainerPlace | DockerPlace) and not os.path.isdir(place.folder):
            self._containers.pop(place.folder, None)


def _target(path: str) -> str:
    """Where a link leads to, one step far; any other path is its own target."""
    try:
        return os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    except OSError:
        return path
