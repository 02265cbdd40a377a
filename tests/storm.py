"""A writer process that rotates far more often than a kubelet: numbered access lines, gzip of older files, unfinished writes.

    python -m tests.storm ROOT PODS LINES_PER_SECOND ROTATIONS SECONDS_BETWEEN KEEP

Prints how many lines it wrote as JSON. Each line has its number in its path, so that one that is missing can be named.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LINE = (
    '[%s] "GET /pod/%d/line/%d HTTP/1.1" 200 - via_upstream - "-" 0 178 35 27 "-" "curl/8.0"'
    ' "5c82d8bc-2a15-9a25-81bf-c567fe990e6d" "details:9080" "10.244.1.14:9080"'
    " outbound|9080||details.default.svc.cluster.local 10.244.2.19:38918 10.96.94.35:9080 10.244.2.19:39764 - default"
)
TICK = 0.05


@dataclass
class Pod:
    """One container and its files; `keep` of them stay, as many as a kubelet would keep in the time of an outage."""

    folder: Path
    number: int
    keep: int
    lines: int = 0
    rotations: int = 0
    plain: Path | None = None
    archived: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._fd = self._open()

    def _open(self) -> int:
        return os.open(self.folder / "0.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def write(self, count: int) -> None:
        """The lines, the last one in two writes."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        nanos = time.time_ns()
        text = "".join(
            f"{stamp[:19]}.{(nanos + i) % 10**9:09d}Z stdout F {LINE % (stamp, self.number, self.lines + i)}\n"
            for i in range(count)
        ).encode()
        os.write(self._fd, text[:-100])
        os.write(self._fd, text[-100:])
        self.lines += count

    def rotate(self) -> None:
        """As a kubelet does: compress the older file, rename, reopen; the last lines come after the rename."""
        if self.plain is not None:
            packed = Path(f"{self.plain}.gz")
            with self.plain.open("rb") as source, gzip.open(f"{self.plain}.tmp", "wb", 1) as target:
                shutil.copyfileobj(source, target)
            Path(f"{self.plain}.tmp").rename(packed)
            self.plain.unlink()
            self.archived.append(packed)
        while len(self.archived) > self.keep:
            self.archived.pop(0).unlink()
        self.rotations += 1
        self.plain = (self.folder / "0.log").rename(self.folder / f"0.log.20261121-{self.rotations:06d}")
        self.write(1)
        new = self._open()
        self.write(1)
        os.close(self._fd)
        self._fd = new


def main(root: str, pods: str, rate: str, rotations: str, pause: str, keep: str) -> None:
    """Write at a steady pace and rotate."""
    all_pods = [Pod(Path(root) / f"storm_web-{n}_{n:08x}" / "istio-proxy", n, int(keep)) for n in range(int(pods))]
    began = rotated = time.monotonic()
    written = 0
    while all_pods[0].rotations < int(rotations):
        now = time.monotonic()
        due = int((now - began) * float(rate)) - written
        for pod in all_pods:
            if due >= len(all_pods):
                pod.write(due // len(all_pods))
        written += due // len(all_pods) * len(all_pods)
        if now - rotated >= float(pause):
            rotated = now
            for pod in all_pods:
                pod.rotate()
        time.sleep(TICK)
    print(json.dumps({"lines": sum(pod.lines for pod in all_pods), "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
