"""The state folder of a collector: its lock, its name, and the positions up to which everything is in the sink.

STATE/lock          one process at a time; its id is inside
STATE/collector     the collector's id, bound to the machine and node; a copied folder gets a new one
STATE/positions     what is settled; written before spool entries are deleted
STATE/partition     with a topic: the partition that the node's batches go to
STATE/spool/        sealed batches that the sink does not have yet
STATE/dead_letter/  batches that the sink refused for good
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from logproc.disk import Disk, checksum
from logproc.errors import StateError
from logproc.frames import Fragment
from logproc.identity import machine_id
from logproc.model import Position

FORMAT = 1
"""Of everything in the folder. A folder of a newer format is refused."""

KEPT_FILES = ("positions", "partition", "collector")
"""Files that make the folder what it is; each may have one of `.tmp` beside it that was being written."""
LEFT_BY_A_RESET = {"lock", "spool", "dead_letter", "partition", *(f"{name}.tmp" for name in KEPT_FILES)}

StreamKey = tuple[str, str, int]


class Identity(BaseModel):
    """What `STATE/collector` says."""

    model_config = ConfigDict(extra="ignore")

    format: int
    collector: str
    machine_id: str
    node: str


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    next_seq: int
    positions: list[tuple[int, int, int]]
    fragments: list[dict[str, Any]]
    rewound: list[tuple[int, int]] = []


@dataclass(slots=True)
class Progress:
    """How far reading is: positions of files, and open fragments of streams."""

    positions: dict[int, Position] = field(default_factory=dict)
    fragments: dict[StreamKey, list[Fragment]] = field(default_factory=dict)

    def advance(self, positions: Mapping[int, Position], fragments: Mapping[StreamKey, Iterable[Fragment]]) -> None:
        """Apply what one batch changed."""
        self.positions.update(positions)
        for key, kept in fragments.items():
            now_open = list(kept)
            if now_open:
                self.fragments[key] = now_open
            else:
                self.fragments.pop(key, None)

    def copy(self) -> Progress:
        """An independent copy."""
        return Progress(dict(self.positions), dict(self.fragments))


@dataclass(frozen=True, slots=True)
class Settled:
    """What the sink has of all batches before `next_seq`."""

    next_seq: int = 0
    progress: Progress = field(default_factory=Progress)
    rewound: dict[int, int] = field(default_factory=dict)


def read_settled(folder: Path) -> Settled:
    """The positions of a state folder, also while a collector has it; nothing is settled where there are none.

    Raises StateError where they are damaged, OSError where they cannot be read.
    """
    path = folder / "positions"
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return Settled()
    if head != _head(body):
        raise StateError(f"{path}: damaged: its checksum is wrong", _REMOVE)
    try:
        kept = _Kept.model_validate_json(body)
        fragments = [Fragment.from_json(f) for f in kept.fragments]
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: damaged", _REMOVE) from error
    progress = Progress({i: Position(offset, line) for i, offset, line in kept.positions})
    for fragment in fragments:
        progress.fragments.setdefault(fragment.stream.key, []).append(fragment)
    return Settled(kept.next_seq, progress, dict(kept.rewound))


class StateFolder:
    """An opened and locked state folder. `settled` is as of the batch before `next_seq`."""

    def __init__(self, path: Path, node: str, disk: Disk | None = None) -> None:
        """Open or make it. Raises StateError: in use, not ours, of a newer format, damaged, or not writable."""
        self.path, self.node, self.disk = path, node, disk or Disk()
        self.spool, self.dead_letters = path / "spool", path / "dead_letter"
        self._lock = -1
        self.settled = Progress()
        self.next_seq = 0
        self.rewound: dict[int, int] = {}
        """Files read again from an earlier position because a batch was damaged: entries up to this seq do not move them."""
        try:
            self._make()
            self._take_lock()
            self.collector = self._collector()
            self._read_positions()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise StateError(f"state folder {path}: {error.strerror}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        if self.path.is_dir() and not (self.path / "collector").exists():
            foreign = {p.name for p in self.path.iterdir()} - LEFT_BY_A_RESET
            if foreign:
                raise StateError(
                    f"{self.path} is not a state folder: it holds {sorted(foreign)[0]}",
                    "name an empty folder with --state",
                )
        self.spool.mkdir(parents=True, exist_ok=True)

    def _take_lock(self) -> None:
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._lock, 20, 0).decode(errors="replace").strip()
            raise StateError(
                f"state folder {self.path} is in use by process {owner or 'unknown'}",
                "one collector per state folder: stop the other one or name another folder with --state",
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _collector(self) -> str:
        path = self.path / "collector"
        try:
            known = Identity.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return self._name_collector(os.urandom(8).hex())
        except ValidationError as error:
            raise StateError(f"{path}: damaged", _REMOVE) from error
        if known.format > FORMAT:
            raise StateError(f"{self.path} was written by a newer logproc", "use that one, or name another folder")
        if (known.machine_id, known.node) != (machine_id(), self.node):
            return self._name_collector(os.urandom(8).hex())
        return known.collector

    def _name_collector(self, collector: str) -> str:
        identity = Identity(format=FORMAT, collector=collector, machine_id=machine_id(), node=self.node)
        self.disk.replace(self.path / "collector", identity.model_dump_json().encode() + b"\n")
        return collector

    def _read_positions(self) -> None:
        settled = read_settled(self.path)
        self.next_seq, self.settled, self.rewound = settled.next_seq, settled.progress, settled.rewound

    def write_positions(self) -> None:
        """Make `settled`, `next_seq` and `rewound` durable. Raises OSError."""
        kept = {
            "next_seq": self.next_seq,
            "positions": [(i, p.offset, p.line) for i, p in self.settled.positions.items()],
            "fragments": [f.as_json() for of_stream in self.settled.fragments.values() for f in of_stream],
            "rewound": list(self.rewound.items()),
        }
        body = json.dumps(kept, separators=(",", ":")).encode()
        self.disk.replace(self.path / "positions", _head(body) + b"\n", body)

    def intact(self) -> bool:
        """Whether the folder is still the one that was locked."""
        try:
            there = os.stat(self.path / "lock")  # noqa: PTH116
        except OSError:
            return False
        mine = os.fstat(self._lock)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def restore(self) -> None:
        """Make the folder again after it was removed under our feet, with the same name and what is settled.

        Raises OSError, and StateError if another process has it now.
        """
        self._make()
        old, self._lock = self._lock, -1
        os.close(old)
        self._take_lock()
        self._name_collector(self.collector)
        self.write_positions()

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = -1


_REMOVE = (
    "remove the state folder: the files are read again from their beginning, and a ClickHouse sink stores no line twice"
)


def _head(body: bytes) -> bytes:
    return b"logproc positions %d crc32=%08x" % (FORMAT, checksum(body))
