"""What is in a state folder, read without its lock and without changing anything."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from logproc import entry
from logproc.entry import Damaged
from logproc.errors import StateError
from logproc.model import Position
from logproc.sizes import count_text
from logproc.state import FORMAT, KEPT_FILES, LEFT_BY_A_RESET, Identity, Settled, read_settled


@dataclass(slots=True)
class Waiting:
    """One spool entry."""

    seq: int
    bytes: int
    lines: int = 0
    sealed_at: int = 0
    """Microseconds since 1970."""


@dataclass(slots=True)
class StateReport:
    """A state folder as it is at this moment; of one in use parts may be a moment older than others."""

    path: Path
    collector: str = ""
    node: str = ""
    used_by: int = 0
    """Process that has the lock; 0: none."""
    next_seq: int = 0
    """The batch after the last one that the sink has."""
    positions: dict[int, Position] = field(default_factory=dict)
    fragments: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    dead_letters: int = 0
    findings: list[str] = field(default_factory=list)
    """What is damaged or does not belong there."""


def inspect(path: Path, *, thorough: bool = False) -> StateReport:
    """Look at a folder; `thorough`: decode the tables of its entries too. Raises StateError where it is no state folder."""
    if not (path / "collector").is_file():
        what = "there is no such folder" if not path.exists() else "it is no state folder"
        raise StateError(f"{path}: {what}", "name the folder that `logproc collect --state` has")
    report = StateReport(path, used_by=_owner(path / "lock"))
    try:
        known = Identity.model_validate_json((path / "collector").read_bytes())
        report.collector, report.node = known.collector, known.node
        if known.format > FORMAT:
            report.findings.append(f"{path / 'collector'}: written by a newer logproc")
    except (ValidationError, OSError):
        report.findings.append(f"{path / 'collector'}: damaged")
    settled = _settled(report)
    report.next_seq = settled.next_seq
    report.positions = settled.progress.positions
    report.fragments = sum(map(len, settled.progress.fragments.values()))
    _look_into_spool(report, thorough=thorough)
    dead = path / "dead_letter"
    report.dead_letters = len(list(dead.glob("*.batch"))) if dead.is_dir() else 0
    known_names = {*KEPT_FILES, *LEFT_BY_A_RESET}
    report.findings += [f"{p}: does not belong there" for p in sorted(path.iterdir()) if p.name not in known_names]
    return report


def reset(path: Path, *, also_unsent: bool = False) -> StateReport:
    """Forget everything but dead letters. Raises StateError: in use, or batches wait that the sink does not have."""
    before = inspect(path)
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(f"{path} is in use by process {before.used_by or 'unknown'}", "stop it first") from error
        before = inspect(path)
        if before.waiting and not also_unsent:
            raise StateError(
                f"{path} holds {count_text(len(before.waiting), 'batch')} that the sink does not have",
                "send them by running `logproc collect` once more, or drop them with --also-unsent:"
                " their lines are read again as far as their files are still there",
            )
        for file in [path / "positions", *(path / "spool").glob("*"), path / "partition", path / "collector"]:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    finally:
        os.close(lock)
    return before


def _owner(lock: Path) -> int:
    """The process that has the lock."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 20, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else -1
    finally:
        os.close(fd)
    return 0


def _settled(report: StateReport) -> Settled:
    try:
        return read_settled(report.path)
    except StateError as error:
        report.findings.append(error.message)
    except OSError as error:
        report.findings.append(f"{report.path / 'positions'}: {error.strerror}")
    return Settled()


def _look_into_spool(report: StateReport, *, thorough: bool) -> None:
    expected = report.next_seq
    spool = report.path / "spool"
    for file in sorted(spool.iterdir()) if spool.is_dir() else ():
        if file.suffix == ".tmp":
            continue  # a write that was cut off; the next start removes it
        if file.suffix != ".batch" or not file.stem.isdigit():
            report.findings.append(f"{file}: not a spool entry")
            continue
        seq = int(file.stem)
        if seq < report.next_seq:
            continue  # settled; the next start removes it
        if seq > expected:
            report.findings.append(
                f"{spool}: batch {expected}{f' to {seq - 1}' if seq - 1 > expected else ''} is missing"
            )
        expected = seq + 1
        try:
            waiting = Waiting(seq, file.stat().st_size)
            batch = entry.read(file, tables=thorough).batch
        except FileNotFoundError:  # sent in this moment
            continue
        except (Damaged, OSError) as error:
            report.findings.append(f"{file}: damaged: {error}")
        else:
            waiting.lines, waiting.sealed_at = sum(c.span.lines for c in batch.spans), batch.sealed_at
        report.waiting.append(waiting)
