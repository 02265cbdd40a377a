"""Sealed batches until the sink has them, and with them how far reading is.

A batch is kept (`append`), handed out (`next`), settled (`done`), strictly in the order of `seq`. Once it is kept it cannot change:
after a crash it is sent again byte for byte. Positions move with the entry that holds the lines before them, never earlier.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import Protocol

from logproc import codec, entry
from logproc.entry import Damaged, Entry
from logproc.errors import StateError
from logproc.frames import Fragment
from logproc.model import Batch, Position
from logproc.sizes import count_text
from logproc.state import Progress, StateFolder, StreamKey

MAX_BYTES = 1 << 30
"""About 10 GiB of log."""
SETTLE_SECONDS = 0.25
"""Positions are written at most that often while batches are waiting: what is sent again after a crash is recognised by the sink."""


class Keeper(Protocol):
    """Where sealed batches wait for the sink. `append` and the rest are called by different threads."""

    durable: bool
    """What it holds survives the process."""
    next_seq: int
    """Number of the batch that comes next."""

    @property
    def bytes(self) -> int:
        """What the batches that are not settled take on disk."""
        ...

    def append(self, new: Entry) -> None:
        """Keep a batch. Raises OSError where that fails: nothing of it is left, and it can be tried again."""
        ...

    def has_room(self, timeout: float) -> bool:
        """Wait until one more batch may be kept."""
        ...

    def next(self, timeout: float) -> Batch | None:
        """The oldest batch that is not settled; None: there is none within the time, or `wake` was called."""
        ...

    def wake(self) -> None:
        """End a `next` that waits."""
        ...

    def done(self, batch: Batch) -> None:
        """The sink has it, or refused it for good and it is a dead letter."""
        ...

    def bury(self, batch: Batch, reason: str) -> Path | None:
        """Keep a batch that the sink refused where a person finds it; the folder it went to. Raises OSError."""
        ...

    def waiting(self) -> int:
        """Batches that are not settled."""
        ...

    def forget(self, file_ids: Iterable[int]) -> None:
        """These files are gone: their positions are of no use."""
        ...

    def close(self) -> None:
        """Write what is settled."""
        ...


class Unkept:
    """For sinks that keep nothing: one batch in memory, no files."""

    durable = False

    def __init__(self) -> None:
        self.next_seq = 0
        self.bytes = 0
        self._changed = Condition()
        self._batch: Batch | None = None

    def append(self, new: Entry) -> None:
        """Take the batch, encoded as it would be for a real sink."""
        batch = replace(new.batch, encoded=codec.encode(new.batch.tables))
        with self._changed:
            self._batch = batch
            self.next_seq = batch.seq + 1
            self._changed.notify_all()

    def has_room(self, timeout: float) -> bool:
        """Wait until the batch before is settled."""
        with self._changed:
            return self._changed.wait_for(lambda: self._batch is None, timeout)

    def next(self, timeout: float) -> Batch | None:
        """The batch that waits."""
        with self._changed:
            if self._batch is None:
                self._changed.wait(timeout)
            return self._batch

    def wake(self) -> None:
        """End a wait for a batch."""
        with self._changed:
            self._changed.notify_all()

    def done(self, batch: Batch) -> None:  # noqa: ARG002
        """Make room for the next one."""
        with self._changed:
            self._batch = None
            self._changed.notify_all()

    def bury(self, batch: Batch, reason: str) -> Path | None:  # noqa: ARG002
        """There is no folder for it."""
        return None

    def waiting(self) -> int:
        """One or none."""
        return int(self._batch is not None)

    def forget(self, file_ids: Iterable[int]) -> None:
        """There are no positions."""

    def close(self) -> None:
        """There is nothing to write."""


class Spool:
    """The entries in `STATE/spool`, at most `max_bytes` of them."""

    durable = True

    def __init__(self, state: StateFolder, max_bytes: int = MAX_BYTES) -> None:
        """Recover what is there. Raises StateError for an entry whose header cannot be read."""
        self._state, self._max_bytes = state, max_bytes
        self._changed = Condition()
        self._sizes: dict[int, int] = {}
        """Entries that are not settled, by seq, ascending."""
        self._held: dict[int, Entry] = {}
        """Those of them that are in memory too: at most one beside the one being sent."""
        self._settled_files: deque[Path] = deque()
        self._written_at = 0.0
        self.latest = state.settled.copy()
        """Progress as of the newest entry: where reading goes on."""
        self.notes: list[str] = []
        """What an operator should know of what was found."""
        try:
            self._recover()
        except OSError as error:
            raise StateError(f"state folder {state.path}: {error.strerror}") from error
        self.next_seq = max([state.next_seq, *(seq + 1 for seq in self._sizes)])

    @property
    def bytes(self) -> int:
        """Size of all entries that are not settled."""
        with self._changed:
            return sum(self._sizes.values())

    def _path(self, seq: int) -> Path:
        return self._state.spool / f"{seq:016d}.batch"

    def _recover(self) -> None:
        damaged: list[Entry] = []
        missing: list[int] = []
        torn: dict[int, Position] = {}
        expected = self._state.next_seq
        for path in sorted(self._state.spool.iterdir()):
            if path.suffix != ".batch" or not path.stem.isdigit():
                if path.suffix != ".tmp":
                    raise StateError(f"{path}: not a spool entry", "move it away")
                path.unlink()
                continue
            seq = int(path.stem)
            if seq < self._state.next_seq:
                path.unlink()
                continue
            missing += range(expected, seq)
            expected = seq + 1
            try:
                kept = entry.read(path, tables=False)
            except Damaged as error:
                if error.entry is None:
                    raise StateError(
                        f"{path}: damaged: {error}",
                        "move it away and start again: its lines are read again, as far as their files are still there",
                    ) from error
                self.notes.append(f"warning: {path}: damaged: {error}; its lines are read again")
                damaged.append(error.entry)
                continue
            self._sizes[seq] = path.stat().st_size
            if missing:
                torn = self._gaps(kept) | torn
                self._state.rewound |= dict.fromkeys(torn, seq)
            self._advance(self.latest, kept)
        if missing:
            named = f"{missing[0]}" + (f" to {missing[-1]}" if len(missing) > 1 else "")
            self.notes.append(
                f"warning: batch {named} is missing in {self._state.spool}; its lines are read again"
                " as far as their files are still there"
            )
        if damaged or torn:
            self._read_again(damaged, torn)

    def _gaps(self, kept: Entry) -> dict[int, Position]:
        """Files of which the entry goes on behind what is known, as an entry between is missing; and what is known."""
        known = {i: self.latest.positions.get(i, Position()) for i in (c.span.file_id for c in kept.batch.spans)}
        return {
            c.span.file_id: known[c.span.file_id]
            for c in kept.batch.spans
            if c.span.start > known[c.span.file_id].offset
        }

    def _read_again(self, damaged: Sequence[Entry], torn: Mapping[int, Position]) -> None:
        """Go back to where the damaged and missing batches began; entries that follow them do not move those files."""
        last = max([*self._sizes, *(e.batch.seq for e in damaged)])
        spans = [counts.span for lost in damaged for counts in lost.batch.spans]
        starts = [(span.file_id, Position(span.start, span.first_line)) for span in spans]
        for file_id, back in [*starts, *torn.items()]:
            now = self.latest.positions.get(file_id, back)
            # Settled ahead of entries that are not sent yet: those do not move these files any more.
            self.latest.positions[file_id] = self._state.settled.positions[file_id] = min(
                now, back, key=lambda p: p.offset
            )
            self._state.rewound[file_id] = last
        if not self._sizes:
            self._state.next_seq = last + 1
        self._state.write_positions()
        for lost in damaged:
            self._state.disk.remove(self._path(lost.batch.seq))

    def _advance(self, progress: Progress, kept: Entry) -> None:
        rewound = self._state.rewound
        moved = {i: p for i, p in kept.positions.items() if rewound.get(i, -1) < kept.batch.seq}
        progress.advance(moved, kept.fragments)

    def append(self, new: Entry) -> None:
        """Encode the batch and make it durable; from here it cannot change."""
        batch = new.batch if new.batch.encoded else replace(new.batch, encoded=codec.encode(new.batch.tables))
        new = replace(new, batch=batch)
        self._see_folder()
        path = self._path(batch.seq)
        parts = new.parts()
        try:
            self._state.disk.replace(path, *parts)
        except OSError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        with self._changed:
            self._sizes[batch.seq] = sum(map(len, parts))
            if len(self._sizes) <= 2:
                self._held[batch.seq] = new
            self._advance(self.latest, new)
            self.next_seq = batch.seq + 1
            self._changed.notify_all()

    def _see_folder(self) -> None:
        """If the folder was removed while we run, make it again with what is known; batches that were on disk alone are lost."""
        if self._state.intact():
            return
        with self._changed:
            missing = [seq for seq in self._sizes if seq not in self._held]
            if missing:
                raise StateError(
                    f"state folder {self._state.path} was removed with {count_text(len(missing), 'batch')} that the sink does not have yet",
                    "start again: the files are read from their beginning, and a ClickHouse sink stores no line twice",
                )
            self._state.restore()
            self._settled_files.clear()
            for seq, held in self._held.items():
                self._state.disk.replace(self._path(seq), *held.parts())

    def has_room(self, timeout: float) -> bool:
        """Wait until the entries take less than the limit."""
        with self._changed:
            return self._changed.wait_for(lambda: self.bytes < self._max_bytes, timeout)

    def next(self, timeout: float) -> Batch | None:
        """The oldest entry, from memory or read back. Raises StateError if it is damaged or gone."""
        with self._changed:
            if not self._sizes:
                self._changed.wait(timeout)
            if not self._sizes:
                return None
            seq = next(iter(self._sizes))
            held = self._held.get(seq)
        if held is None:
            path = self._path(seq)
            try:
                held = entry.read(path)
            except (Damaged, OSError) as error:
                raise StateError(f"{path}: {error}", "start again: its lines are read again") from error
            with self._changed:
                self._held[seq] = held
        return held.batch

    def wake(self) -> None:
        """End a wait for an entry."""
        with self._changed:
            self._changed.notify_all()

    def done(self, batch: Batch) -> None:
        """Settle the oldest entry. Raises OSError if the positions cannot be written; the entry is then settled with the next one."""
        with self._changed:
            held = self._held.pop(batch.seq)
            del self._sizes[batch.seq]
            self._advance(self._state.settled, held)
            self._state.next_seq = batch.seq + 1
            self._state.rewound = {i: seq for i, seq in self._state.rewound.items() if seq > batch.seq}
            self._settled_files.append(self._path(batch.seq))
            idle = not self._sizes
            self._changed.notify_all()
        if idle or time.monotonic() - self._written_at >= SETTLE_SECONDS:
            self._settle()

    def _settle(self) -> None:
        with self._changed:
            if self._settled_files:
                self._see_folder()
                try:
                    self._state.write_positions()
                except OSError as error:
                    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                        raise
                    # The entries themselves can be what fills the disk, and they may go only after the positions. Their tables may go
                    # before: after a crash in this moment their lines are read again under a new seq, and the sink has them.
                    for path in self._settled_files:
                        self._state.disk.cut(path, entry.header_end(path))
                    self._state.write_positions()
                while self._settled_files:
                    self._state.disk.remove(self._settled_files.popleft())
            self._written_at = time.monotonic()

    def bury(self, batch: Batch, reason: str) -> Path | None:
        """Write the batch as an entry to `STATE/dead_letter`, with the reason beside it."""
        folder = self._state.dead_letters
        folder.mkdir(exist_ok=True)
        name = f"{batch.collector}-{batch.seq:016d}"
        self._state.disk.replace(folder / f"{name}.txt", reason.encode() + b"\n")
        self._state.disk.replace(folder / f"{name}.batch", *Entry(batch).parts())
        return folder

    def waiting(self) -> int:
        """Entries that are not settled."""
        with self._changed:
            return len(self._sizes)

    def forget(self, file_ids: Iterable[int]) -> None:
        """Drop positions; an entry that still holds one brings it back until it is forgotten again."""
        with self._changed:
            for file_id in file_ids:
                self.latest.positions.pop(file_id, None)
                self._state.settled.positions.pop(file_id, None)

    def close(self) -> None:
        """Write what is settled. Entries that are not stay for the next start."""
        self._settle()


def progress_of(batch: Batch, fragments: Mapping[StreamKey, Sequence[Fragment]]) -> Entry:
    """The entry of a batch: each of its files is read up to the end of its last span."""
    positions: dict[int, Position] = {}
    for counts in batch.spans:
        span = counts.span
        if span.lines:
            positions[span.file_id] = Position(span.end, span.first_line + span.lines)
    return Entry(batch, positions, fragments)
