"""What names a log file and the machine, for ever: through rename, gzip and copy."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from logproc.model import Stream

FIRST_LINE_CAP = 64 << 10
"""Bytes of the first line that count. A CRI or docker line carries its nanosecond, so the first line tells rotations apart."""


def file_id(stream: Stream, first_line: bytes, inode: int = 0, generation: int = 0) -> int:
    """The 64-bit name of a file by its stream and its whole first physical line (without the newline).

    Where the stream is no container log (no pod uid) the machine and the inode stand in for the pod; the path never counts.
    `generation` counts how often the file was truncated and began with the same line again.
    """
    if stream.k8s_pod_uid:
        owner = f"{stream.k8s_pod_uid}\0{stream.k8s_container}\0{stream.restart}"
    else:
        owner = f"{machine_id()}\0{inode}"
    if generation:
        owner += f"\0{generation}"
    digest = hashlib.blake2b(owner.encode() + b"\0" + first_line[:FIRST_LINE_CAP], digest_size=8).digest()
    return int.from_bytes(digest, "big")


@cache
def machine_id() -> str:
    """The machine's id as systemd keeps it, else the kernel's boot id: different on every machine, stable while files last."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text:
            return text
    return "unknown"
