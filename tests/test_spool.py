"""What the state folder promises: order, room, locks, and clear words about damage."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from logproc import entry
from logproc.disk import Disk
from logproc.entry import Entry
from logproc.errors import StateError
from logproc.frames import Fragment
from logproc.model import Batch, Parsed, Position, Span, Stream, Text
from logproc.seal import Sealer
from logproc.spool import Spool, Unkept, progress_of
from logproc.state import StateFolder
from logproc.state_report import inspect, reset
from logproc.testing import LineParser
from tests.frames import framed_lines

STREAM = Stream("/p/0.log", "ns", "web-0", "istio-proxy", "uid")


def batch(seq: int, first_line: int = 0, lines: int = 2, collector: str = "c") -> Batch:
    framed = framed_lines([f"line {first_line + i}" for i in range(lines)], first_line=first_line)
    return Sealer(collector, "node").seal(seq, [([framed], LineParser().parse([framed.text]))], 1_000_000, 10)


def kept(seq: int, **options: int) -> Entry:
    return progress_of(batch(seq, seq * 2, **options), {})


def test_entries_come_back_in_order_and_byte_for_byte(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        for seq in range(3):
            spool.append(kept(seq))
        sealed = [entry.read(p).batch.encoded for p in sorted(state.spool.iterdir())]

    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        assert spool.next_seq == 3
        assert spool.latest.positions == {1: Position(6 * 10, 6)}
        for seq in range(3):
            found = spool.next(0)
            assert found is not None
            assert (found.seq, found.encoded) == (seq, sealed[seq])
            assert found.tables["message_log"].to_pylist() == batch(seq, seq * 2).tables["message_log"].to_pylist()
            assert found.spans == batch(seq, seq * 2).spans
            spool.done(found)
        spool.close()
        assert list(state.spool.iterdir()) == []

    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        assert (spool.next_seq, spool.latest.positions, spool.waiting()) == (3, {1: Position(60, 6)}, 0)


def test_open_fragments_are_kept_with_the_position(tmp_path: Path) -> None:
    fragment = Fragment(STREAM, b"stdout", b"T", 1, 7, 99, [b"\xff half"], 6)
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        spool.append(progress_of(batch(0), {STREAM.key: [fragment]}))

    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        assert spool.latest.fragments == {STREAM.key: [fragment]}
        first = spool.next(0)
        assert first is not None
        spool.done(first)
        spool.append(progress_of(batch(1, 2), {STREAM.key: []}))
        spool.close()

    with StateFolder(tmp_path, "node") as state:
        assert state.settled.fragments == {STREAM.key: [fragment]}
        assert Spool(state).latest.fragments == {}


def test_there_is_no_room_beyond_the_limit(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state, max_bytes=1)
        assert spool.has_room(0)
        spool.append(kept(0))
        assert not spool.has_room(0)
        found = spool.next(0)
        assert found is not None
        spool.done(found)
        assert spool.has_room(0)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = "import sys, pathlib, logproc.state as s; s.StateFolder(pathlib.Path(sys.argv[1]), 'node')"
    with StateFolder(tmp_path, "node"):
        done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)

    assert "is in use by process" in done.stderr
    StateFolder(tmp_path, "node").close()


def test_a_copied_folder_gets_another_name(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "a", "node") as state:
        first = state.collector
    with StateFolder(tmp_path / "a", "node") as state:
        assert state.collector == first
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    with StateFolder(tmp_path / "b", "other node") as state:
        assert state.collector != first


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()

    with pytest.raises(StateError, match="not a state folder"):
        StateFolder(tmp_path, "node")


def test_a_folder_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    StateFolder(tmp_path, "node").close()
    known = json.loads((tmp_path / "collector").read_text())
    (tmp_path / "collector").write_text(json.dumps(known | {"format": 99}))

    with pytest.raises(StateError, match="newer"):
        StateFolder(tmp_path, "node")


def test_damaged_positions_are_named(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        state.settled.positions[1] = Position(1, 1)
        state.write_positions()
    text = (tmp_path / "positions").read_text()
    (tmp_path / "positions").write_text(text.replace("[1,1,1]", "[1,2,1]"))

    with pytest.raises(StateError, match="positions: damaged"):
        StateFolder(tmp_path, "node")


def test_lines_of_a_damaged_entry_are_read_again_and_no_others(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        for seq in range(4):
            spool.append(kept(seq))
    damaged = tmp_path / "spool" / f"{1:016d}.batch"
    damaged.write_bytes(damaged.read_bytes()[:-5])

    for _ in range(2):  # the same after another crash
        with StateFolder(tmp_path, "node") as state:
            spool = Spool(state)
            assert spool.latest.positions == {1: Position(20, 2)}
            assert spool.next_seq == 4
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        for seq in (0, 2, 3):
            found = spool.next(0)
            assert found is not None
            assert found.seq == seq
            spool.done(found)
        spool.close()
        assert state.settled.positions == {1: Position(20, 2)}
        spool.append(progress_of(batch(4, 2, lines=6), {}))
        assert spool.latest.positions == {1: Position(80, 8)}


def test_an_entry_without_a_readable_header_is_named(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        Spool(state).append(kept(0))
    path = tmp_path / "spool" / f"{0:016d}.batch"
    path.write_bytes(path.read_bytes()[:30])

    with StateFolder(tmp_path, "node") as state, pytest.raises(StateError, match=path.name):
        Spool(state)


def test_a_foreign_file_in_the_spool_is_named(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        (state.spool / "notes.txt").touch()
        with pytest.raises(StateError, match=r"notes\.txt"):
            Spool(state)


def test_a_folder_removed_while_we_run_is_made_again(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "s", "node") as state:
        spool = Spool(state)
        spool.append(kept(0))
        found = spool.next(0)
        assert found is not None
        shutil.rmtree(tmp_path / "s")
        spool.done(found)
        spool.append(kept(1))
        shutil.rmtree(tmp_path / "s")
        spool.append(kept(2))
        collector = state.collector

    with StateFolder(tmp_path / "s", "node") as state:
        spool = Spool(state)
        assert (state.collector, spool.latest.positions) == (collector, {1: Position(60, 6)})
        assert spool.waiting() == 2


def test_removed_with_batches_that_nobody_has_it_is_an_error(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "s", "node") as state:
        spool = Spool(state)
        for seq in range(4):
            spool.append(kept(seq))
        shutil.rmtree(tmp_path / "s")

        with pytest.raises(StateError, match="was removed with"):
            spool.append(kept(4))


def test_positions_of_gone_files_are_dropped(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        spool.append(kept(0))
        found = spool.next(0)
        assert found is not None
        spool.done(found)
        spool.forget([1])
        assert spool.latest.positions == state.settled.positions == {}


def test_a_dead_letter_is_an_entry_with_its_reason(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        spool.append(kept(0))
        found = spool.next(0)
        assert found is not None
        folder = spool.bury(found, "no such column")
        assert folder is not None
        (letter,) = folder.glob("*.batch")
        assert entry.read(letter).batch.spans == found.spans
        assert next(folder.glob("*.txt")).read_text() == "no such column\n"


def test_without_a_spool_one_batch_waits() -> None:
    keeper = Unkept()
    assert keeper.next(0) is None
    keeper.append(kept(0))
    assert not keeper.has_room(0)
    found = keeper.next(0)
    assert found is not None
    assert found.encoded
    keeper.done(found)
    assert keeper.has_room(0)


def test_a_batch_without_lines_moves_nothing() -> None:
    correction = framed_lines(["x"], first_line=3, span=Span(1, 40, 40, 3, 0))
    sealed = Sealer("c", "n").seal(0, [([correction], LineParser().parse([correction.text]))], 1, 1)

    assert progress_of(sealed, {}).positions == {}
    assert isinstance(sealed, Batch)
    assert Parsed({}, {}).columnar == 0
    assert Text("k", correction.text.frame, b"", 0).lines == 0


def entry_path(folder: Path, seq: int) -> Path:
    return folder / "spool" / f"{seq:016d}.batch"


def four_batches(folder: Path) -> None:
    """Of file 1, two lines of ten bytes in each."""
    with StateFolder(folder, "node") as state:
        spool = Spool(state)
        for seq in range(4):
            spool.append(kept(seq))


@pytest.mark.parametrize(("missing", "offset", "says"), [((1,), 20, "batch 1 is"), ((0, 1), 0, "batch 0 to 1 is")])
def test_lines_of_an_entry_that_somebody_removed_are_read_again(
    tmp_path: Path, missing: tuple[int, ...], offset: int, says: str
) -> None:
    four_batches(tmp_path)
    for seq in missing:
        entry_path(tmp_path, seq).unlink()

    for _ in range(2):  # the same after another crash
        with StateFolder(tmp_path, "node") as state:
            spool = Spool(state)
            assert spool.latest.positions.get(1, Position()).offset == offset
            assert spool.next_seq == 4
            assert [note for note in spool.notes if says in note]
    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        while (found := spool.next(0)) is not None:
            spool.done(found)
        spool.close()
        assert state.settled.positions.get(1, Position()).offset == offset


def test_a_damaged_entry_is_said(tmp_path: Path) -> None:
    four_batches(tmp_path)
    path = entry_path(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with StateFolder(tmp_path, "node") as state:
        (note,) = Spool(state).notes

    assert "0000000000000002.batch: damaged" in note


class FullDisk(Disk):
    """Takes no more than so many bytes, all files of the folder together."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.size = folder, 1 << 30

    @property
    def used(self) -> int:
        return sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file())

    def write(self, path: Path, *parts: bytes) -> None:
        if self.used + sum(map(len, parts)) > self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(path, *parts)


def test_a_disk_that_the_spool_has_filled_is_freed_as_the_sink_takes_batches(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    with StateFolder(tmp_path, "node", disk) as state:
        spool = Spool(state)
        for seq in range(3):
            spool.append(kept(seq))
        disk.size = disk.used
        with pytest.raises(OSError, match="No space left"):
            spool.append(kept(3))

        while (found := spool.next(0)) is not None:
            spool.done(found)

        assert list(state.spool.iterdir()) == []
        spool.append(kept(3))


def test_a_crash_while_a_full_disk_is_freed_loses_and_repeats_no_seq(tmp_path: Path) -> None:
    class Dying(FullDisk):
        def cut(self, path: Path, length: int) -> None:
            super().cut(path, length)
            raise KeyboardInterrupt

    disk = Dying(tmp_path)
    with StateFolder(tmp_path, "node", disk) as state:
        spool = Spool(state)
        spool.append(kept(0))
        disk.size = disk.used
        found = spool.next(0)
        assert found is not None
        with pytest.raises(KeyboardInterrupt):
            spool.done(found)

    with StateFolder(tmp_path, "node") as state:
        spool = Spool(state)
        assert (spool.latest.positions, spool.next_seq, spool.next(0)) == ({1: Position(0, 0)}, 1, None)


def test_an_entry_of_a_newer_format_is_refused_and_kept(tmp_path: Path) -> None:
    four_batches(tmp_path)
    path = entry_path(tmp_path, 0)
    path.write_bytes(path.read_bytes().replace(b"logproc batch 1\n", b"logproc batch 2\n", 1))

    with StateFolder(tmp_path, "node") as state, pytest.raises(StateError, match="newer logproc"):
        Spool(state)
    assert path.exists()


def test_a_folder_that_cannot_be_written_is_said() -> None:
    with pytest.raises(StateError, match="state folder /proc/logproc: "):
        StateFolder(Path("/proc/logproc"), "node")


def test_a_report_tells_what_is_there_and_changes_nothing(tmp_path: Path) -> None:
    four_batches(tmp_path)
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))

    report = inspect(tmp_path, thorough=True)

    assert (report.node, report.next_seq, [w.seq for w in report.waiting]) == ("node", 0, [0, 1, 2, 3])
    assert [w.lines for w in report.waiting] == [2, 2, 2, 2]
    assert (report.findings, report.used_by) == ([], 0)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before
    with StateFolder(tmp_path, "node"):
        assert inspect(tmp_path).used_by == os.getpid()


def test_a_report_finds_damage(tmp_path: Path) -> None:
    four_batches(tmp_path)
    with StateFolder(tmp_path, "node") as state:
        state.write_positions()
    entry_path(tmp_path, 1).unlink()
    entry_path(tmp_path, 2).write_bytes(b"torn")
    (tmp_path / "positions").write_bytes(b"nonsense")
    (tmp_path / "spool" / "x.txt").touch()
    (tmp_path / "letter").touch()

    findings = "\n".join(inspect(tmp_path).findings)

    for said in ("batch 1 is missing", "0002.batch: damaged", "positions: damaged", "x.txt: not a", "letter: does not"):
        assert said in findings


def test_a_reset_forgets_all_but_dead_letters_and_refuses_what_would_be_lost(tmp_path: Path) -> None:
    four_batches(tmp_path)
    (tmp_path / "dead_letter").mkdir()
    (tmp_path / "dead_letter" / "c-1.batch").touch()
    (tmp_path / "partition").write_text("{}")
    (tmp_path / "positions.tmp").touch()
    assert inspect(tmp_path).findings == []
    with StateFolder(tmp_path, "node") as state, pytest.raises(StateError, match="in use by process"):
        old = state.collector
        reset(tmp_path)
    with pytest.raises(StateError, match="4 batches"):
        reset(tmp_path)

    reset(tmp_path, also_unsent=True)

    assert [p.name for p in (tmp_path / "dead_letter").iterdir()] == ["c-1.batch"]
    assert not (tmp_path / "partition").exists()
    with StateFolder(tmp_path, "node") as state:
        assert (state.settled.positions, state.next_seq) == ({}, 0)
        assert state.collector != old
    with pytest.raises(StateError, match="no such folder"):
        inspect(tmp_path / "nothing")
