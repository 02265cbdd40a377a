"""The audit of a store: are all lines of all files stored, each once?

The ledger tells which lines were read; they are compared with the rows that are there, with the positions of a state folder, and with
the files themselves. The work is done by queries (`sql/audit`), a share of the files at a time, so that memory stays bounded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from logproc.model import ROW_TABLES, Position, Source

FOLDER = Path(__file__).parent / "sql" / "audit"
ROWS_AT_A_TIME = 25_000_000
"""A share of the files has about so many rows: 10 million need 250 MB of the engine's memory."""
SETTLE_SECONDS = 3.0
"""What differs is looked at again after this time where others write: a batch in flight has rows and no ledger row yet."""
SHOWN = 100
"""Findings that are located line by line; the others are counted."""
_NO_RETENTION = -(1 << 62)
_DAYS = re.compile(r"\bTTL\b.*?toIntervalDay\((\d+)\)")


class Kind(StrEnum):
    """What can be wrong with lines of a file."""

    GAP = "no ledger row"
    MISSING = "row missing"
    UNKNOWN = "row without ledger row"
    DOUBLE = "stored twice"
    EXTRA = "more rows than the ledger counts"
    OVERLAP = "in the ledger twice"
    UNSENT = "position is beyond the ledger"
    UNREAD = "in the file, not stored"


@dataclass(frozen=True, slots=True)
class Finding:
    """Lines `[first, stop)` of a file of which `count` are missing or too many."""

    kind: Kind
    file_id: int
    path: str
    first: int
    stop: int
    count: int


@dataclass(slots=True)
class Audit:
    """The account of all lines. `lines == rows - doubles + joined + left_out + dead` where nothing was found."""

    files: int = 0
    lines: int = 0
    rows: int = 0
    joined: int = 0
    left_out: int = 0
    dead: int = 0
    lost: int = 0
    gaps: int = 0
    """Lines that should be stored and are not, or of which the ledger does not know."""
    doubles: int = 0
    """Rows beyond the first of their line."""
    findings: list[Finding] = field(default_factory=list)
    double_files: list[int] = field(default_factory=list)
    """Files of which lines are stored, or in the ledger, more than once."""

    def as_json(self) -> dict[str, Any]:
        """The object that is printed; `findings` only where there are any."""
        said: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("files", "lines", "rows", "joined", "left_out", "dead", "lost", "gaps", "doubles")
        }
        if self.findings:
            said["findings"] = [
                {"what": f.kind.value, "file_id": str(f.file_id), "path": f.path, "first_line": f.first, "end_line": f.stop, "lines": f.count}
                for f in self.findings
            ]  # fmt: skip
        return said


class Asked(Protocol):
    """A store that can be asked."""

    def query_arrow(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> pa.Table:
        """The result of a SELECT. Raises QueryError."""
        ...


@dataclass(frozen=True, slots=True)
class FileAccount:
    """What the ledger and the row tables say of one file."""

    file_id: int
    ledger: Mapping[str, Any]
    rows: Mapping[str, Any]

    @property
    def last(self) -> int:
        """The line after the last one of which the ledger knows."""
        return int(self.ledger.get("last", 0))

    @property
    def path(self) -> str:
        """Its path when it was read, else its number."""
        return str(self.ledger.get("path") or f"file {self.file_id}")

    @property
    def wrong(self) -> Sequence[Mapping[str, Any]]:
        """Runs whose rows differ from the ledger."""
        names = ("first", "stop", "outside", "expected", "there", "lines", "earliest", "latest", "expired")
        return [_by_name(names, run) for run in self.rows.get("wrong", ())]

    @property
    def suspicious(self) -> bool:
        """Something about it differs."""
        return bool(self.ledger.get("gap_lines") or self.ledger.get("overlap_lines") or self.rows.get("wrong"))


class Auditor:
    """Asks one store. `settings` go with every query; `progress` is told how many of how many shares are done."""

    def __init__(
        self,
        store: Asked,
        *,
        others_write: bool = False,
        settings: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] = lambda *_: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._others_write, self._settings = store, others_write, dict(settings or {})
        self._progress, self._now = progress, now

    def run(
        self,
        positions: Mapping[int, Position] | None = None,
        lines_of_files: Mapping[int, tuple[str, int]] | None = None,
    ) -> Audit:
        """The whole account. `positions` are a state folder's, `lines_of_files` path and whole lines of files that were counted.

        Raises QueryError.
        """
        audit = Audit()
        retention = self._keep_from()
        total = self._value(
            "SELECT (SELECT count() FROM access_log) + (SELECT count() FROM message_log) + (SELECT count() FROM rejected_line) AS n"
        )
        parts = max(1, -(-total // ROWS_AT_A_TIME))
        read_to: dict[int, int] = {}
        for part in range(parts):
            accounts = self._accounts(retention, parts, part)
            if self._others_write:
                self._look_again(accounts, retention)
            for account in accounts.values():
                self._add(audit, account)
            for watched in (positions or {}, lines_of_files or {}):
                read_to.update({f: accounts[f].last for f in watched if f in accounts})
            self._progress(part + 1, parts)
        audit.lost = self._value("SELECT sum(lines) AS n FROM ledger WHERE state = 'lost'")
        self._compare_positions(audit, positions or {}, lines_of_files or {}, read_to)
        return audit

    def rollup_from(self) -> int:
        """Seconds since 1970 from which on the rows, and so the rollup made of them, are complete."""
        return max(0, self._keep_from() // 1_000_000 + 86_400)

    def _keep_from(self) -> int:
        """Microseconds since 1970: rows from before may have been dropped by the tables' retention."""
        answer = self._ask(
            "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name IN {tables:Array(String)}",
            # On a cluster the rows are in tables of their own on each shard.
            {"tables": [*ROW_TABLES, *(f"{table}_local" for table in ROW_TABLES)]},
        )
        days = [int(found[1]) for text in answer["engine_full"].to_pylist() if text and (found := _DAYS.search(text))]
        return int((self._now() - min(days) * 86_400) * 1_000_000) if days else _NO_RETENTION

    def _accounts(
        self, keep_from: int, parts: int = 1, part: int = 0, files: Sequence[int] = ()
    ) -> dict[int, FileAccount]:
        given = {"keep_from": keep_from, "parts": parts, "part": part, "files": list(files)}
        ledger = {row["file_id"]: row for row in self._named("files", given).to_pylist()}
        rows = {row["file_id"]: row for row in self._named("rows", given).to_pylist()}
        return {f: FileAccount(f, ledger.get(f, {}), rows.get(f, {})) for f in sorted(ledger.keys() | rows.keys())}

    def _look_again(self, accounts: dict[int, FileAccount], keep_from: int) -> None:
        differing = [f for f, account in accounts.items() if account.suspicious][:10_000]
        if differing:
            time.sleep(SETTLE_SECONDS)
            accounts.update(self._accounts(keep_from, files=differing))

    def _add(self, audit: Audit, account: FileAccount) -> None:
        """Count one file, and locate what is wrong with it."""
        ledger, rows = account.ledger, account.rows
        stored, joined, left_out = (
            ledger.get("stored", 0),
            ledger.get("joined_lines", 0),
            ledger.get("left_out_lines", 0),
        )
        lines = ledger.get("read", 0)
        audit.files += 1
        audit.lines += lines
        audit.rows += rows.get("rows", 0)
        audit.joined += joined
        audit.left_out += left_out
        dead = lines - stored
        if account.suspicious:
            dead -= self._locate(audit, account)
        audit.dead += max(dead, 0)

    def _locate(self, audit: Audit, account: FileAccount) -> int:
        """Add the findings of one file. Returns how many lines of its dead runs have rows nevertheless."""
        ledger, overlap, surplus = (
            account.ledger,
            account.ledger.get("overlap_lines", 0),
            account.rows.get("surplus", 0),
        )
        if ledger.get("gap_lines"):
            audit.gaps += ledger["gap_lines"]
            for gap in ledger["gaps"]:
                first, stop = _pair(gap)
                self._found(audit, Finding(Kind.GAP, account.file_id, account.path, first, stop, stop - first))
        if overlap or surplus:
            audit.doubles += max(overlap, surplus)
            audit.double_files.append(account.file_id)
            for run in ledger.get("overlaps", ()) if not surplus else ():
                first, stop = _pair(run)
                self._found(audit, Finding(Kind.OVERLAP, account.file_id, account.path, first, stop, stop - first))
        if surplus:
            self._locate_doubles(audit, account)
        not_counted = 0
        for run in account.wrong:
            if run["outside"]:
                not_counted += self._locate_unknown(audit, account, run)
            elif run["lines"] < run["expected"] and not overlap and not run["expired"]:
                self._locate_missing(audit, account, run)
            elif run["lines"] > run["expected"] and not overlap and not run["expired"]:
                # Lines that are counted as joined or left out, and have a row nevertheless.
                count = run["lines"] - run["expected"]
                audit.doubles += count
                self._found(audit, Finding(Kind.EXTRA, account.file_id, account.path, run["first"], run["stop"], count))
        return not_counted

    def _locate_unknown(self, audit: Audit, account: FileAccount, run: Mapping[str, Any]) -> int:
        """Rows in no run of the ledger: behind its end they are a finding, in a gap they were counted, else a dead run has them."""
        if run["earliest"] < account.last:
            return int(run["lines"])
        audit.gaps += run["lines"]
        first, stop = run["earliest"], run["latest"] + 1
        self._found(audit, Finding(Kind.UNKNOWN, account.file_id, account.path, first, stop, run["lines"]))
        return 0

    def _locate_missing(self, audit: Audit, account: FileAccount, run: Mapping[str, Any]) -> None:
        count, first, stop = run["expected"] - run["lines"], run["first"], run["stop"]
        audit.gaps += count
        absent: list[tuple[int, int]] = []
        if len(audit.findings) < SHOWN:
            given = {"file": account.file_id, "first": first, "stop": stop, "limit": SHOWN}
            absent = [(row["first"], row["stop"]) for row in self._named("absent", given).to_pylist()]
        # Lines that were joined or left out have no row either: then it cannot be told which are missing.
        if absent and sum(b - a for a, b in absent) == count:
            for a, b in absent:
                self._found(audit, Finding(Kind.MISSING, account.file_id, account.path, a, b, b - a))
        else:
            self._found(audit, Finding(Kind.MISSING, account.file_id, account.path, first, stop, count))

    def _locate_doubles(self, audit: Audit, account: FileAccount) -> None:
        if len(audit.findings) >= SHOWN:
            return
        for row in self._named("doubles", {"file": account.file_id, "limit": SHOWN}).to_pylist():
            self._found(
                audit,
                Finding(Kind.DOUBLE, account.file_id, account.path, row["first"], row["stop"], row["surplus"]),
            )

    def _compare_positions(
        self,
        audit: Audit,
        positions: Mapping[int, Position],
        lines_of_files: Mapping[int, tuple[str, int]],
        read_to: Mapping[int, int],
    ) -> None:
        """Lines that a state folder, or a file, says are beyond the end of the ledger."""
        for file_id in sorted(positions.keys() | lines_of_files.keys()):
            known = read_to.get(file_id, 0)
            settled = positions[file_id].line if file_id in positions else 0
            path, lines = lines_of_files.get(file_id, (f"file {file_id}", 0))
            for kind, end in ((Kind.UNSENT, settled), (Kind.UNREAD, lines)):
                if end > known:
                    audit.gaps += end - known
                    self._found(audit, Finding(kind, file_id, path, known, end, end - known))
                    known = end

    def _found(self, audit: Audit, finding: Finding) -> None:
        if len(audit.findings) < SHOWN:
            audit.findings.append(finding)

    def _named(self, name: str, parameters: Mapping[str, Any]) -> pa.Table:
        return self._ask((FOLDER / f"{name}.sql").read_text(), parameters)

    def _value(self, sql: str) -> int:
        return int(self._ask(sql, {})["n"][0].as_py() or 0)

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        return self._store.query_arrow(sql, parameters, self._settings)


def _by_name(names: Sequence[str], run: Any) -> dict[str, Any]:
    """A tuple of the engine, which Arrow has as a struct with fields of its own naming."""
    return dict(zip(names, run.values() if isinstance(run, Mapping) else run, strict=True))


def _pair(run: Any) -> tuple[int, int]:
    first, stop = run.values() if isinstance(run, Mapping) else run
    return int(first), int(stop)


def count_lines(source: Source) -> dict[int, tuple[str, int]]:
    """Path and number of whole lines of every file of a source. A last line without newline is not whole."""
    found: dict[int, tuple[str, int]] = {}
    while not source.finished():
        chunks = source.read(4 << 20)
        for chunk in chunks:
            span = chunk.span
            if span.lines:
                unfinished = len(chunk.data) > span.end - span.start and not chunk.oversized
                found[span.file_id] = (chunk.stream.path, span.first_line + span.lines - unfinished)
        if not chunks:
            time.sleep(source.idle_seconds)
    return found
