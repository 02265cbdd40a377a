"""The audit finds what is missing and what is doubled, says where, and repairs doubles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logproc import ledger
from logproc.audit import Audit, Auditor, Finding, Kind
from logproc.columns import TABLES
from logproc.model import ACCESS_LOG, LEDGER, Batch, Position, SpanCounts, Stream
from sinks import chdb
from sinks.repair import repair
from sinks.store import Store
from tests import batches, cli
from tests.chdb_store import Database, folder

FILE, OTHER = 4711, 4712


@pytest.fixture
def db() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def fill(db: Database, *, dead: bool = False) -> None:
    """Two files of 100 lines in batches of 25; `dead`: the sink refused lines 50 to 74 of the first."""
    sink = db.sink()
    for seq in range(4):
        first, end = seq * 25, seq * 25 + 25
        made = batches.batch(seq, [batches.span(FILE, first, end), batches.span(OTHER, first, end)])
        if dead and seq == 2:
            refused = [s for s in made.spans if s.span.file_id == FILE]
            made = batches.batch(seq, [batches.span(OTHER, first, end)])
            rows = ledger.table("c0ffee00c0ffee00", 99, "node-1", batches.NOW, refused, state="dead")
            sink.write(Batch("c0ffee00c0ffee00", 99, batches.NOW, tuple(refused), {LEDGER: rows}))
        sink.write(made)
    sink.close()


def opened(db: Database) -> Store:
    connection = chdb.connect(folder())
    connection.client.database = db.name
    return Store(connection, db.name)


def audit(db: Database, **given: Any) -> Audit:
    store = opened(db)
    try:
        return Auditor(store).run(**given)
    finally:
        store.close()


def mended(db: Database) -> Audit:
    store = opened(db)
    try:
        found = Auditor(store).run()
        repair(store.connection, db.name, found.double_files, 0)
        return Auditor(store).run()
    finally:
        store.close()


def balanced(found: Audit) -> bool:
    return found.lines == found.rows - found.doubles + found.joined + found.left_out + found.dead


def insert(db: Database, table: str, rows: pa.RecordBatch) -> None:
    """Rows that no sink has looked at."""
    db.connection.insert(f"`{db.name}`.`{table}`", rows, {"async_insert": 0}, "q")


def where(found: Audit) -> list[tuple[Kind, int, int, int, int]]:
    return [(f.kind, f.file_id, f.first, f.stop, f.count) for f in found.findings]


def test_a_whole_store_balances(db: Database) -> None:
    fill(db)

    found = audit(db)

    assert found.as_json() == {
        "files": 2, "lines": 200, "rows": 180, "joined": 20, "left_out": 0, "dead": 0, "lost": 0, "gaps": 0, "doubles": 0
    }  # fmt: skip
    assert balanced(found)


def test_an_empty_store_has_nothing_to_say(db: Database) -> None:
    db.sink().close()

    assert audit(db).as_json()["files"] == 0


def test_rows_that_vanished_are_counted_and_placed(db: Database) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.access_log WHERE file_id = {FILE} AND line IN (30, 31, 32)")

    found = audit(db)

    assert (found.gaps, found.doubles) == (3, 0)
    # Its run has joined lines too, which have no row either: so the run is named, not the line.
    assert where(found) == [(Kind.MISSING, FILE, 25, 50, 3)]


def test_in_a_run_without_joined_lines_the_very_lines_are_named(db: Database) -> None:
    sink = db.sink()
    sink.write(batches.batch(0, [batches.span(FILE, 0, 8)]))
    db.command(f"DELETE FROM {{db}}.access_log WHERE file_id = {FILE} AND line IN (1, 2, 6)")

    assert where(audit(db)) == [(Kind.MISSING, FILE, 1, 3, 2), (Kind.MISSING, FILE, 6, 7, 1)]


def test_a_run_without_any_row_is_missed(db: Database) -> None:
    fill(db)
    for table in ("access_log", "message_log", "rejected_line"):
        db.command(f"DELETE FROM {{db}}.{table} WHERE file_id = {FILE} AND line >= 75")

    found = audit(db)

    assert found.gaps == 22
    assert [f[:4] for f in where(found)] == [(Kind.MISSING, FILE, 75, 100)]


def test_a_missing_ledger_row_is_a_gap(db: Database) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line IN (25, 50)")

    found = audit(db)

    assert (found.gaps, found.doubles, found.lines) == (50, 0, 150)
    assert where(found) == [(Kind.GAP, FILE, 25, 75, 50)]


def test_a_file_whose_beginning_the_ledger_lacks_has_a_gap(db: Database) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line = 0")

    assert where(audit(db)) == [(Kind.GAP, FILE, 0, 25, 25)]


def test_rows_behind_the_end_of_the_ledger_are_the_trace_of_a_crash(db: Database) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line = 75")

    found = audit(db)

    assert found.gaps == 22  # of 25 lines three are joined and have no row
    assert [f[:4] for f in where(found)] == [(Kind.UNKNOWN, FILE, 75, 100)]


def test_doubled_rows_are_found_and_removed(db: Database) -> None:
    fill(db)
    for lines in ("line < 40", "line IN (7, 80)"):
        db.command(
            f"INSERT INTO {{db}}.access_log SELECT * REPLACE ('late' AS app, received_at + toIntervalSecond(9) AS received_at) "
            f"FROM {{db}}.access_log WHERE file_id = {FILE} AND {lines} LIMIT 1 BY line"
        )
    db.command(
        f"INSERT INTO {{db}}.rejected_line SELECT * FROM {{db}}.rejected_line WHERE file_id = {FILE} AND line = 5"
    )
    doubled = audit(db)
    assert doubled.gaps == 0
    assert doubled.doubles == 28 + 2 + 1
    assert {(Kind.DOUBLE, FILE, 80, 81, 1), (Kind.DOUBLE, FILE, 4, 8, 5)} <= set(where(doubled))
    assert balanced(doubled)

    assert mended(db).as_json() == audit(db).as_json()
    assert (audit(db).gaps, audit(db).doubles, audit(db).rows) == (0, 0, 180)
    assert db.stored_lines(FILE) == batches.expected(FILE, 100)
    assert db.value("SELECT countIf(app = 'late') AS n FROM {db}.access_log") == 0
    assert db.rollup_difference() == 0


def test_a_line_in_two_tables_is_a_double(db: Database) -> None:
    fill(db)
    db.command(
        f"INSERT INTO {{db}}.message_log (timestamp, file_id, line) SELECT timestamp, file_id, line FROM {{db}}.access_log WHERE file_id = {FILE} AND line = 20"
    )
    assert where(audit(db)) == [(Kind.DOUBLE, FILE, 20, 21, 1)]

    assert mended(db).doubles == 0
    assert db.stored_lines(FILE) == batches.expected(FILE, 100)


def test_a_file_that_two_collectors_read_is_mended(db: Database) -> None:
    fill(db)
    for table in ("access_log", "message_log", "rejected_line"):
        db.command(f"INSERT INTO {{db}}.{table} SELECT * FROM {{db}}.{table} WHERE file_id = {FILE} AND line < 60")
    made = batches.batch(7, [batches.span(FILE, 0, 60)], "0123456789abcdef")
    insert(db, LEDGER, made.tables[LEDGER])
    doubled = audit(db)
    assert doubled.gaps == 0
    assert doubled.doubles == 60

    after = mended(db)

    assert after.as_json() == {
        "files": 2, "lines": 200, "rows": 180, "joined": 20, "left_out": 0, "dead": 0, "lost": 0, "gaps": 0, "doubles": 0
    }  # fmt: skip
    assert db.stored_lines(FILE) == batches.expected(FILE, 100)
    assert db.rollup_difference() == 0


def test_an_overlap_of_the_ledger_alone_is_found(db: Database) -> None:
    fill(db)
    db.command(
        f"INSERT INTO {{db}}.ledger SELECT * REPLACE (99 AS seq) FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line = 25"
    )
    assert where(audit(db)) == [(Kind.OVERLAP, FILE, 25, 50, 25)]

    assert mended(db).as_json()["doubles"] == 0
    assert balanced(audit(db))


def test_dead_letters_are_no_gap_and_no_row(db: Database) -> None:
    fill(db, dead=True)

    found = audit(db)

    assert (found.gaps, found.doubles, found.dead, found.lines) == (0, 0, 25, 200)
    assert balanced(found)


def test_a_dead_batch_that_was_stored_later_is_dead_no_more(db: Database) -> None:
    fill(db, dead=True)
    sink = db.sink()
    sink.write(batches.batch(100, [batches.span(FILE, 50, 75)]))

    found = audit(db)

    assert (found.dead, found.gaps, found.doubles) == (0, 0, 0)
    assert balanced(found)


def test_rows_that_a_refused_batch_left_are_counted_once(db: Database) -> None:
    fill(db, dead=True)
    rows = batches.batch(100, [batches.span(FILE, 50, 75)]).tables[ACCESS_LOG]
    insert(db, ACCESS_LOG, rows)

    found = audit(db)

    assert (found.gaps, found.doubles) == (0, 0)
    assert found.dead == 25 - rows.num_rows
    assert balanced(found)


def test_a_correction_moves_a_line_from_joined_to_rows(db: Database) -> None:
    fill(db)
    db.sink().write(batches.correction(50, FILE, 98))

    found = audit(db)

    assert (found.gaps, found.doubles, found.rows, found.joined) == (0, 0, 181, 19)
    assert balanced(found)


def test_a_row_of_a_line_that_is_counted_as_joined_is_one_too_many(db: Database) -> None:
    fill(db)
    db.command(
        f"INSERT INTO {{db}}.message_log (timestamp, file_id, line) SELECT timestamp, file_id, 28 FROM {{db}}.access_log WHERE file_id = {FILE} AND line = 27"
    )

    found = audit(db)

    assert (found.gaps, found.doubles) == (0, 1)
    assert where(found) == [(Kind.EXTRA, FILE, 25, 50, 1)]
    assert balanced(found)


def test_lines_left_out_are_in_the_account(db: Database) -> None:
    sink = db.sink()
    made = batches.batch(0, [batches.span(FILE, 0, 8)])
    rows = made.tables[ACCESS_LOG].slice(2)
    counted = replace(made.spans[0], access_rows=rows.num_rows, left_out=2)
    tables = dict(made.tables) | {ACCESS_LOG: rows, LEDGER: ledger.table("c", 0, "n", batches.NOW, [counted])}
    sink.write(replace(made, spans=(counted,), tables=tables))

    found = audit(db)

    assert (found.left_out, found.gaps, found.lines) == (2, 0, 8)
    assert balanced(found)


def test_lost_lines_are_said_and_lie_outside_the_account(db: Database) -> None:
    fill(db)
    lost = SpanCounts(batches.span(0, 0, 40), Stream(""))
    rows = ledger.table("c", 0, "n", batches.NOW, [lost], state="lost")
    insert(db, LEDGER, rows)

    found = audit(db)

    assert (found.lost, found.lines, found.gaps) == (40, 200, 0)


def test_a_position_beyond_the_ledger_is_a_gap(db: Database) -> None:
    fill(db)

    found = audit(db, positions={FILE: Position(10_000, 100), OTHER: Position(12_000, 120), 99: Position(500, 5)})

    assert where(found) == [(Kind.UNSENT, 99, 0, 5, 5), (Kind.UNSENT, OTHER, 100, 120, 20)]
    assert found.gaps == 25


def test_lines_of_files_that_are_not_stored_are_gaps_once(db: Database) -> None:
    fill(db)

    found = audit(db, positions={FILE: Position(11_000, 110)}, lines_of_files={FILE: ("/x.log", 130), 5: ("/y.log", 3)})

    assert [(f.kind, f.path, f.first, f.stop) for f in found.findings] == [
        (Kind.UNREAD, "/y.log", 0, 3),
        (Kind.UNSENT, "/x.log", 100, 110),
        (Kind.UNREAD, "/x.log", 110, 130),
    ]
    assert found.gaps == 33


def test_rows_that_retention_took_are_not_missed(db: Database) -> None:
    fill(db)
    db.command("ALTER TABLE {db}.access_log MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY")
    month = 40 * 86_400
    old = f"SELECT * REPLACE ({OTHER + 1} AS file_id, min_time - toIntervalSecond({month}) AS min_time, max_time - toIntervalSecond({month}) AS max_time, received_at - toIntervalSecond({month}) AS received_at) FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line > 0"
    db.command(f"INSERT INTO {{db}}.ledger {old}")

    found = audit(db)

    assert (found.gaps, found.doubles, found.lines, found.rows) == (0, 0, 200, 180)


def test_what_differs_while_others_write_is_looked_at_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.ledger WHERE file_id = {FILE} AND first_line = 75")
    made = batches.batch(3, [batches.span(FILE, 75, 100)])

    def meanwhile(_: float) -> None:
        insert(db, LEDGER, made.tables[LEDGER])

    monkeypatch.setattr("logproc.audit.time.sleep", meanwhile)
    store = opened(db)
    found = Auditor(store, others_write=True).run()
    store.close()

    assert (found.gaps, found.lines) == (0, 200)


def test_many_files_are_taken_a_share_at_a_time(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(db)
    db.command(f"DELETE FROM {{db}}.access_log WHERE file_id = {OTHER} AND line = 99")
    monkeypatch.setattr("logproc.audit.ROWS_AT_A_TIME", 30)

    found = audit(db, positions={FILE: Position(0, 101)})

    assert (found.files, found.lines, found.gaps) == (2, 200, 2)


def test_findings_are_printed_for_scripts() -> None:
    found = Audit(1, 5, 4, gaps=1, findings=[Finding(Kind.MISSING, 2**63, "/a.log", 3, 4, 1)])

    said = json.loads(json.dumps(found.as_json()))

    assert said["findings"] == [
        {"what": "row missing", "file_id": str(2**63), "path": "/a.log", "first_line": 3, "end_line": 4, "lines": 1}
    ]


def test_the_command_compares_files_state_and_store(tmp_path: Path) -> None:
    log, store, state = tmp_path / "a.log", tmp_path / "store", tmp_path / "state"
    line = b"2026-11-20T10:00:00.000001Z\tinfo\tready %d\n"
    log.write_bytes(b"".join(line % n for n in range(50)))
    cli.collect([log], f"chdb://{store}", state)
    asked = ("audit", "--store", store, "--state", state, "--files", log)

    sampled = tmp_path / "sampled"
    cli.collect([log], f"chdb://{sampled}", tmp_path / "other", "--exclude", "message : *1*")
    ruled = json.loads(cli.run("audit", "--store", sampled, "--files", log, "-o", "json").stdout)
    whole = cli.run(*asked, "-o", "json")
    with log.open("ab") as file:
        file.write(line % 50 + b"unfinished")
    behind = cli.run(*asked)

    assert (whole.returncode, json.loads(whole.stdout)) == (
        0, {"files": 1, "lines": 50, "rows": 50, "joined": 0, "left_out": 0, "dead": 0, "lost": 0, "gaps": 0, "doubles": 0},
    )  # fmt: skip
    assert (ruled["lines"], ruled["rows"], ruled["left_out"], ruled["gaps"]) == (50, 36, 14, 0)
    assert behind.returncode == 1
    assert "in the file, not stored" in behind.stdout.decode()
    assert "1 line missing" in behind.stdout.decode()
    assert cli.run("audit", "--store", store, "--state", tmp_path).returncode == 2


def test_the_tables_of_the_audit_are_all_row_tables() -> None:
    """A row table that the questions forget would never be missed."""
    text = "".join(p.read_text() for p in (Path(__file__).parent.parent / "logproc/sql/audit").glob("*.sql"))

    assert all(f"FROM {name}" in text for name in TABLES)
