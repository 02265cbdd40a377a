"""The machine: may the logs be read, is there room for the state, do the limits suffice."""

from __future__ import annotations

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from logproc.doctor.finding import Finding, bad, good, note
from logproc.sizes import count_text

ENOUGH_FILES = 4096
ENOUGH_MEMORY = 256 << 20
LOOKED_AT = 2000
"""So many log files are opened at most."""

_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_MEMORY_KINDS = {"tmpfs", "ramfs", "overlay"}


def logs(path: Path) -> Iterator[Finding]:
    """Whether every log below a folder can be opened."""
    subject = str(path)
    try:
        children = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        yield bad("logs", subject, f"cannot be listed: {error.strerror}", _rights(path))
        return
    if not path.exists():
        yield bad("logs", subject, "is not there", "in a pod: mount it as a hostPath volume, read-only")
        return
    files = _files(children)
    refused, dangling, count = [], [], 0
    for file in files:
        count += 1
        if not file.exists():
            dangling.append(file)
        elif not os.access(file, os.R_OK):
            refused.append(file)
    if refused:
        yield bad("logs", subject, f"{len(refused)} of {count_text(count, 'file')} cannot be read, for example {refused[0]}", _rights(refused[0]))  # fmt: skip
    if dangling:
        target = dangling[0].readlink().parent if dangling[0].is_symlink() else dangling[0].parent
        yield bad("logs", subject, f"{len(dangling)} links lead to nothing, for example {dangling[0]}", f"mount {target} (or the folder above) too")  # fmt: skip
    if not count:
        yield note("logs", subject, "no log of a container is in it", "is it this node's folder, and does a pod run here?")  # fmt: skip
    elif not refused and not dangling:
        yield good("logs", subject, f"{count_text(count, 'file')} can be read")


def _files(children: list[Path]) -> Iterator[Path]:
    """Log files of a kubelet's folder, or the file itself."""
    left = LOOKED_AT
    for child in children:
        found = sorted(child.glob("*/*.log*")) if child.is_dir() else [child]
        for file in found:
            if left == 0:
                return
            left -= 1
            yield file


def _rights(path: Path) -> str:
    try:
        seen = path.stat()
    except OSError:
        return "run as the owner of the folder above it (root), or with the capability DAC_READ_SEARCH"
    mode = stat.S_IMODE(seen.st_mode)
    return (
        f"it is {mode:04o} and belongs to user {seen.st_uid}, this is user {os.geteuid()}: run as that user, or with the capability DAC_READ_SEARCH;"
        " under SELinux as spc_t or container_logreader_t"
    )


def state(path: Path, spool_max: int) -> Iterator[Finding]:
    """Whether the state folder can be written, lasts, and has room for the spool."""
    subject = str(path)
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir():
        yield bad("state", subject, f"{there} is no folder", "name another one with --state")
        return
    trial = there / f".logproc-doctor-{os.getpid()}"
    try:
        trial.write_bytes(b"x")
        trial.unlink()
    except OSError as error:
        yield bad("state", subject, f"cannot be written: {error.strerror}", f"make it writable for user {os.geteuid()}; in a pod: a hostPath of type DirectoryOrCreate")  # fmt: skip
        return
    free = shutil.disk_usage(there).free
    if free < spool_max:
        yield bad("state", subject, f"{free >> 20:,} MiB are free, the spool may take {spool_max >> 20:,} MiB", "free some, or give a smaller --spool-max")  # fmt: skip
    kind = _kind_of(there)
    if kind in _MEMORY_KINDS:
        yield note("state", subject, f"is on {kind}: it is gone with the container or the next boot, and files are read again from their beginning", "mount a folder of the node or a volume")  # fmt: skip
    elif free >= spool_max:
        yield good("state", subject, f"can be written, {free >> 20:,} MiB are free")


def _kind_of(path: Path) -> str:
    """The type of the file system that a folder is on; empty where it cannot be told."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = [(fields[1], fields[2]) for fields in map(str.split, lines) if len(fields) > 2]
    place = path.resolve()
    fits = [(point, kind) for point, kind in mounts if place.is_relative_to(point)]
    return max(fits, key=lambda found: len(found[0]), default=("", ""))[1]


def limits() -> Iterator[Finding]:
    """Open files and memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        yield bad("limits", "open files", f"at most {hard}", f"allow {ENOUGH_FILES * 16}: ulimit -Hn, LimitNOFILE= of the unit or the container runtime")  # fmt: skip
    else:
        yield good("limits", "open files", "as many as are needed" if hard > (1 << 30) else f"at most {hard:,}")
    memory = _memory_limit()
    if memory and memory < ENOUGH_MEMORY:
        yield bad("limits", "memory", f"{memory >> 20} MiB", f"give the container at least {ENOUGH_MEMORY >> 20} MiB")
    elif memory:
        yield good("limits", "memory", f"{memory >> 20:,} MiB")


def _memory_limit() -> int:
    """Bytes that this container may use; 0 where there is no limit."""
    for path in _CGROUPS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < 1 << 50 else 0
    return 0
