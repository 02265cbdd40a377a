"""A kubelet and a container runtime as far as log files go: they write, rotate, gzip and delete, and remember every line."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from logproc.files import FileSource
from logproc.model import Chunk, Position


@dataclass
class Container:
    """One container of one pod under a log root; `lines` is what it wrote, without newlines, over all its files."""

    root: Path
    pod: str = "web-7d4b9c6f5-x2x4z"
    namespace: str = "shop"
    container: str = "istio-proxy"
    uid: str = "0f3c"
    restart: int = 0
    lines: list[bytes] = field(default_factory=list)
    unfinished: bytes = b""
    rotations: int = 0
    moved: Path | None = None
    """Where the current file went by a rotation whose reopen has not happened yet."""

    @property
    def folder(self) -> Path:
        return self.root / f"{self.namespace}_{self.pod}_{self.uid}" / self.container

    @property
    def current(self) -> Path:
        return self.folder / f"{self.restart}.log"

    def rotated(self) -> list[Path]:
        """Plain rotated files, oldest first."""
        return sorted(p for p in self.folder.glob(f"{self.restart}.log.*") if p.suffix not in {".gz", ".tmp"})

    def write(self, count: int = 1, *, finish: bool = True, text: str = "") -> None:
        """Some lines to the open file, the last one perhaps without its end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.moved or self.current).open("ab") as file:
            for i in range(count):
                number = len(self.lines)
                line = self.unfinished or (
                    b"2026-11-21T10:00:%02d.%09dZ stdout F line %d of %s %s"
                    % (number // 1_000_000_000, number, number, self.uid.encode(), text.encode())
                )
                start = len(line) // 2 if self.unfinished else 0
                if i == count - 1 and not finish and not self.unfinished:
                    file.write(line[: len(line) // 2])
                    self.unfinished = line
                    return
                file.write(line[start:] + b"\n")
                self.unfinished = b""
                self.lines.append(line)

    def rename(self) -> None:
        """First half of a rotation: the runtime goes on writing to the renamed file."""
        if self.moved is None and self.current.exists():
            self.rotations += 1
            self.moved = self.folder / f"{self.restart}.log.20261121-{self.rotations:06d}"
            self.current.rename(self.moved)

    def reopen(self) -> None:
        """Second half: a new file. An unfinished line is ended in the old one."""
        if self.moved is not None:
            if self.unfinished:
                self.write()
            self.moved = None
            self.current.touch()

    def rename_back(self) -> None:
        """The runtime could not reopen its file."""
        if self.moved is not None:
            self.moved.rename(self.current)
            self.moved = None

    def rotate(self) -> None:
        self.rename()
        self.reopen()

    def gzip_oldest(self, *, linger: bool = False) -> None:
        """Compress the oldest rotated file; with `linger` the plain one is still there beside it."""
        candidates = [p for p in self.rotated() if p != self.moved]
        if not candidates:
            return
        oldest = candidates[0]
        temporary = oldest.with_name(oldest.name + ".tmp")
        with oldest.open("rb") as source, gzip.open(temporary, "wb", compresslevel=1) as target:
            shutil.copyfileobj(source, target)
        temporary.rename(oldest.with_name(oldest.name + ".gz"))
        if not linger:
            oldest.unlink()

    def start_again(self) -> None:
        """The container crashed and begins a new log."""
        if self.unfinished:
            self.write()
        self.moved = None
        self.restart += 1
        self.rotations = 0

    def prune(self) -> None:
        """The kubelet has too many files: all but the current one go, and so does a gzip that was being made."""
        for path in self.folder.glob(f"{self.restart}.log.*"):
            if path != self.moved:
                path.unlink()

    def copytruncate(self) -> None:
        """Somebody rotates as it must not be done: a copy, then the file is cut."""
        if self.moved is None and self.current.exists() and self.current.stat().st_size and not self.unfinished:
            self.rotations += 1
            shutil.copy(self.current, self.folder / f"{self.restart}.log.20261121-{self.rotations:06d}")
            os.truncate(self.current, 0)

    def delete_pod(self) -> None:
        shutil.rmtree(self.folder.parent)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Reading:
    """A FileSource that is read, stopped and started again from what was kept."""

    def __init__(self, *paths: Path, follow: bool = True, **options: object) -> None:
        self.paths, self.follow, self.options = [str(p) for p in paths], follow, options
        self.clock = Clock()
        self.chunks: list[Chunk] = []
        self.gone = False
        """Files were deleted that only this process can still read."""
        self.kept = 0
        """Chunks that cannot get lost any more."""
        self.told: list[str] = []
        self.source = self._start({})

    def _start(self, positions: dict[int, Position]) -> FileSource:
        return FileSource(
            self.paths,
            follow=self.follow,
            positions=positions,
            clock=self.clock,
            tell=self.told.append,
            **self.options,  # type: ignore[arg-type]
        )

    def read(self, polls: int = 1, limit: int = 1 << 20) -> None:
        """Poll so often, reading all that is there each time."""
        for _ in range(polls):
            self.clock.now += 1.01  # a root is listed once a second
            while chunks := self.source.read(limit):
                self.chunks.extend(chunks)

    def positions(self) -> dict[int, Position]:
        """What a spool would have kept of the chunks so far."""
        return {
            c.span.file_id: Position(c.span.end, c.span.first_line + c.span.lines) for c in self.chunks if c.span.lines
        }

    def hold(self) -> None:
        """A poll while nothing may be read."""
        self.clock.now += 1.01
        self.source.read(0)

    def restart(self, lose: int = 0) -> None:
        """Kill the process; the last chunks were not kept. Deleted files that it held were read before."""
        if self.gone:
            self.read(8)
            self.gone, self.kept = False, len(self.chunks)
        self.source.close()
        lose = min(lose, len(self.chunks) - self.kept)
        if lose:
            del self.chunks[-lose:]
        self.source = self._start(self.positions())

    def lines(self, chunks: Iterable[Chunk] | None = None) -> list[bytes]:
        """All lines in the order in which they were read."""
        return [line for c in (self.chunks if chunks is None else chunks) for line in c.data.split(b"\n")[:-1]]

    def identities(self) -> list[tuple[int, int]]:
        return [(c.span.file_id, c.span.first_line + i) for c in self.chunks for i in range(c.span.lines)]

    def close(self) -> None:
        self.source.close()


def open_handles(folder: Path) -> int:
    """Files under a folder, deleted ones included, that this process holds open."""
    held = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held += str(entry.readlink()).startswith(str(folder))
        except OSError:
            continue
    return held
