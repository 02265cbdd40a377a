"""The machine dies at any system call, and the last write may be torn: nothing is lost, nothing changes, order stays."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.disk import Disk
from logproc.errors import StateError
from logproc.model import Position
from logproc.spool import Spool
from logproc.state import StateFolder
from tests.test_spool import kept


class Died(BaseException):
    """The power is gone: nobody catches this."""


class FastDisk(Disk):
    """Real power is never cut here."""

    def sync(self, fd: int) -> None:
        pass


class DyingDisk(FastDisk):
    """Dies at the n-th call, before it, or in the middle of a write."""

    def __init__(self, calls: int, torn: float) -> None:
        self._left, self._torn = calls, torn

    def _call(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Died

    def write(self, path: Path, *parts: bytes) -> None:
        try:
            self._call()
        except Died:
            data = b"".join(parts)
            path.write_bytes(data[: int(len(data) * self._torn)])
            raise
        super().write(path, *parts)

    def rename(self, path: Path, to: Path) -> None:
        self._call()
        super().rename(path, to)

    def sync_folder(self, path: Path) -> None:
        self._call()
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        self._call()
        super().remove(path)


class FullDisk(FastDisk):
    """The n-th write fails after a part of it, as on a full disk; the others work."""

    def __init__(self, failing: set[int]) -> None:
        self._writes, self._failing = 0, failing

    def write(self, path: Path, *parts: bytes) -> None:
        self._writes += 1
        if self._writes in self._failing:
            path.write_bytes(parts[0][:10])
            raise OSError(28, "No space left on device")
        super().write(path, *parts)


def drive(folder: Path, disk: Disk, sent: list[int], actions: list[str]) -> None:
    """Append and settle as told; `sent` is what the sink has."""
    with StateFolder(folder, "node", disk) as state:
        spool = Spool(state)
        for action in actions:
            if action == "append":
                spool.append(kept(spool.next_seq))
            else:
                batch = spool.next(0)
                if batch is not None:
                    sent.append(batch.seq)
                    spool.done(batch)
        spool.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=5),
    st.lists(st.sampled_from(["append", "append", "send"]), min_size=1, max_size=12),
)
def test_a_death_at_any_call_loses_nothing(deaths: list[tuple[int, float]], actions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, sent = Path(name) / "state", []
        for calls, torn in deaths:
            try:
                drive(folder, DyingDisk(calls, torn), sent, actions)
            except Died:
                continue
        with StateFolder(folder, "node", FastDisk()) as state:
            spool = Spool(state)
            last = spool.next_seq
            while (batch := spool.next(0)) is not None:
                sent.append(batch.seq)
                spool.done(batch)
            spool.close()
            # Batch n holds lines 2n and 2n+1: the position says exactly what was sealed and kept.
            assert state.settled.positions == ({1: Position(last * 20, last * 2)} if last else {})

        assert list(dict.fromkeys(sent)) == list(range(last))
        assert not list((folder / "spool").iterdir())


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 30), max_size=10), st.integers(1, 8))
def test_a_full_disk_leaves_nothing_half_written(failing: set[int], batches: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        disk = FullDisk(failing)
        try:
            state = StateFolder(folder, "node", disk)
        except StateError:
            return
        with state:
            spool = Spool(state)
            for seq in range(batches):
                while True:
                    try:
                        spool.append(kept(seq))
                        break
                    except OSError:
                        assert not (state.spool / f"{seq:016d}.batch").exists()
        with StateFolder(folder, "node", FastDisk()) as state:
            assert Spool(state).waiting() == batches
