"""What every sink promises, and what those that store each line once promise beyond it."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc.errors import ConfigError, Unavailable
from logproc.model import ROW_TABLES, Batch, Sink, Span
from sinks import make_sink, schemes
from sinks.clickhouse import ClickHouseSink
from tests.batches import BYTES_PER_LINE, batch, correction, expected, span
from tests.chdb_store import Database

FILE = 0xFEDC_BA98_7654_3210


def test_the_folder_of_sinks_is_the_list_of_schemes() -> None:
    assert {"chdb", "clickhouse", "null", "parquet", "stdout"} <= set(schemes())
    assert not {"ddl", "stored", "connection", "store", "answers", "rollup"} & set(schemes())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("clickhose://localhost:8123", "did you mean clickhouse:"),
        ("ddl:///x", "known:"),
        ("clickhouse:localhost", "no host"),
        ("null:?fast=1", "has no option 'fast'"),
        ("stdout:?encoding=xml", "no encoding 'xml'"),
        ("parquet:", "needs a folder"),
        ("chdb:", "needs a folder"),
        ("chdb://Var/lib", "for the folder Var/lib here write Var/lib alone; for /Var/lib write chdb:///Var/lib"),
        ("clickhouse://u:secret@h/db", "password in a URL"),
    ],
)
def test_what_cannot_be_a_sink_is_refused_in_one_line(text: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_sink(text)

    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scheme", schemes())
def test_every_sink_opens_nothing_before_it_is_opened_and_knows_its_options(scheme: str, tmp_path: Path) -> None:
    urls = [f"{scheme}:", f"{scheme}://{tmp_path}/new", f"{scheme}://localhost:9/new"]
    made = [sink for url in urls if (sink := made_or_none(url))]

    assert made, f"none of {urls} is a sink"
    assert not (tmp_path / "new").exists()
    assert all(s.limits.rows > 0 and s.limits.seconds > 0 and s.limits.bytes >= 1 << 20 for s in made)
    for url in urls:
        with pytest.raises(ConfigError):
            make_sink(f"{url}?nonsense=1").open()


def made_or_none(url: str) -> Sink | None:
    try:
        return make_sink(url)
    except ConfigError:
        return None


@pytest.mark.parametrize("scheme", ["null", "stdout", "parquet"])
def test_a_sink_opens_writes_an_empty_batch_and_closes(scheme: str, tmp_path: Path) -> None:
    made = make_sink(f"parquet://{tmp_path}/out" if scheme == "parquet" else f"{scheme}:")

    made.open()
    made.write(batch(0, []))
    made.write(batch(1, [span(FILE, 0, 20)]))
    made.close()
    assert made.limits.rows > 0


def test_rows_are_there_when_write_returns(database: Database) -> None:
    database.sink().write(batch(0, [span(FILE, 0, 40), span(7, 0, 5)]))

    assert database.stored_lines(FILE) == expected(FILE, 40)
    assert database.stored_lines(7) == expected(7, 5)
    assert database.rollup_difference() == 0


def test_a_batch_written_twice_is_stored_once(database: Database) -> None:
    sink = database.sink()
    for _ in range(2):
        sink.write(batch(0, [span(FILE, 0, 40)]))
    database.sink().write(batch(0, [span(FILE, 0, 40)]))

    assert_once(database, FILE, 40)


@pytest.mark.parametrize(("tables", "forgotten"), [(1, False), (1, True), (2, False), (3, True)])
def test_a_crash_between_two_tables_leaves_each_line_once(database: Database, tables: int, forgotten: bool) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 40)]))
    crash_after(sink, tables, batch(1, [span(FILE, 40, 100)]))
    if forgotten:  # as after 10,000 inserts of others
        for table in ROW_TABLES:
            database.command(f"ALTER TABLE {{db}}.{table} MODIFY SETTING non_replicated_deduplication_window = 0")

    database.sink().write(batch(1, [span(FILE, 40, 100)]))

    assert_once(database, FILE, 100)


def test_a_rollup_that_missed_rows_is_mended(database: Database) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 40)]))
    database.command("DROP VIEW {db}.traffic_1m_mv")
    crash_after(sink, 1, batch(1, [span(FILE, 40, 100)]))
    assert database.rollup_difference() < 0

    database.sink().write(batch(1, [span(FILE, 40, 100)]))

    assert_once(database, FILE, 100)
    by_key = "k8s_namespace, app, direction, upstream_service, response_code, response_flags, "
    sums = "sum(n) AS n, sum(bytes_out) AS bytes, max(duration_max) AS longest, sumMap(duration_hist) AS hist"
    base = (
        "sum(weight) AS n, sum(bytes_sent * weight) AS bytes, max(duration_ms) AS longest, "
        "sumMap(map(toUInt8(floor(log2(duration_ms + 1) * 4)), toUInt64(weight))) AS hist"
    )
    rollup = database.rows(f"SELECT minute, {by_key} {sums} FROM {{db}}.traffic_1m GROUP BY ALL ORDER BY ALL")
    rows = database.rows(
        f"SELECT toStartOfMinute(timestamp) AS minute, {by_key} {base} FROM {{db}}.access_log GROUP BY ALL ORDER BY ALL"
    )
    assert rollup == rows


def test_a_lost_state_folder_reads_everything_again_and_stores_nothing_twice(database: Database) -> None:
    sink = database.sink()
    for seq, (first, end) in enumerate([(0, 30), (30, 61), (61, 100)]):
        sink.write(batch(seq, [span(FILE, first, end)]))

    fresh = database.sink()
    for seq, (first, end) in enumerate([(0, 10), (10, 30), (30, 70), (70, 150), (150, 160)]):
        fresh.write(batch(seq, [span(FILE, first, end)], "0123456789abcdef"))

    assert_once(database, FILE, 160)


def test_a_lost_state_folder_after_a_crash_between_tables(database: Database) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 50)]))
    crash_after(sink, 2, batch(1, [span(FILE, 50, 120)]))

    fresh = database.sink()
    for seq, (first, end) in enumerate([(0, 50), (50, 60), (60, 90), (90, 130), (130, 140)]):
        fresh.write(batch(seq, [span(FILE, first, end)], "0123456789abcdef"))

    assert_once(database, FILE, 140)


def test_a_gap_is_left_open_and_filled_later(database: Database) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 20)]))
    sink.write(batch(1, [span(FILE, 50, 80)]))
    sink.write(batch(2, [span(FILE, 10, 60)]))

    assert_once(database, FILE, 80)


def test_rows_whose_time_cannot_be_trusted_are_found_by_identity(database: Database) -> None:
    """Their timestamp is the time of sealing, so that the same lines read again have another one, hours later."""
    crash_after(database.sink(), 3, batch(0, [span(FILE, 0, 30)], doubtful=True))
    later = batch(0, [span(FILE, 0, 30)], "0123456789abcdef", doubtful=True)
    hours = 5 * 3600 * 1_000_000
    spans = tuple(replace(s, min_time=s.min_time + hours, max_time=s.max_time + hours) for s in later.spans)

    database.sink().write(replace(later, spans=spans))

    assert_once(database, FILE, 30)


def test_an_insert_that_failed_is_asked_about_even_where_tokens_are_forgotten(database: Database) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 40)]))
    for table in ROW_TABLES:
        database.command(f"ALTER TABLE {{db}}.{table} MODIFY SETTING non_replicated_deduplication_window = 0")
    with pytest.raises(Unavailable):
        interrupted(sink, 2, batch(1, [span(FILE, 40, 100)]), OperationalError("lost"))

    sink.write(batch(1, [span(FILE, 40, 100)]))

    assert_once(database, FILE, 100)


@pytest.mark.parametrize("crash", [False, True])
def test_a_line_counted_as_joined_can_become_a_row_once(database: Database, crash: bool) -> None:
    """The container ended in mid-line, after the batch with its first half: line 8 is such a fragment."""
    sink = database.sink()
    sink.write(batch(0, [span(FILE, 0, 9)]))
    if crash:
        crash_after(sink, 1, correction(1, FILE, 8))
        sink = database.sink()
    sink.write(correction(1, FILE, 8))
    for collector in ("c0ffee00c0ffee00", "0123456789abcdef"):  # sent again; and read again without the state
        fresh = database.sink()
        fresh.write(batch(0, [span(FILE, 0, 9)], collector))
        fresh.write(correction(1, FILE, 8, collector))

    assert database.stored_lines(FILE) == expected(FILE, 9) | {"message_log": [3, 8]}
    runs = database.rows("SELECT first_line, lines, joined, message_rows AS m FROM {db}.ledger ORDER BY first_line")
    assert runs == [
        {"first_line": 0, "lines": 9, "joined": 1, "m": 1},
        {"first_line": 8, "lines": 0, "joined": -1, "m": 1},
    ]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.large_base_example])
@given(data=st.data())
def test_any_cuts_any_crashes_any_repeats(data: st.DataObject) -> None:
    cut_crash_repeat(data)


@pytest.mark.long
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.large_base_example])
@given(data=st.data())
def test_any_cuts_any_crashes_any_repeats_at_length(data: st.DataObject) -> None:
    cut_crash_repeat(data)


def cut_crash_repeat(data: st.DataObject) -> None:
    """Writers that read the same two files from the start, cut at random, and die between random tables."""
    database = Database()
    try:
        lines = {FILE: 60, 11: 27}
        for writer in range(data.draw(st.integers(0, 2), "writers that die")):
            write_all(database, data, lines, f"{writer:016x}", crashes=True)
        write_all(database, data, lines, "f" * 16, crashes=False)
        for file_id, end in lines.items():
            assert_once(database, file_id, end)
    finally:
        database.close()


def write_all(database: Database, data: st.DataObject, lines: dict[int, int], collector: str, *, crashes: bool) -> None:
    """One collector from the first line on; with `crashes` it dies somewhere."""
    sink = database.sink()
    at = dict.fromkeys(lines, 0)
    seq = 0
    while any(at[f] < end for f, end in lines.items()):
        spans: list[Span] = []
        for file_id, end in lines.items():
            upto = min(end, at[file_id] + data.draw(st.integers(0, 40), "lines of the next span"))
            if upto > at[file_id]:
                spans.append(span(file_id, at[file_id], upto))
                at[file_id] = upto
        if not spans:
            continue
        step = data.draw(st.sampled_from(["write", "twice", "fails", "crash" if crashes else "write"]), "step")
        if step == "crash":
            crash_after(sink, data.draw(st.integers(1, 3), "tables"), batch(seq, spans, collector))
            if data.draw(st.booleans(), "gone for good"):
                return
            sink = database.sink()
        if step == "fails":
            with pytest.raises(Unavailable):
                interrupted(
                    sink, data.draw(st.integers(1, 3), "tables"), batch(seq, spans, collector), OperationalError("lost")
                )
        sink.write(batch(seq, spans, collector))
        if step == "twice":
            sink.write(batch(seq, spans, collector))
        seq += 1


class CrashError(Exception):
    pass


def crash_after(sink: ClickHouseSink, tables: int, crashed: Batch) -> None:
    """Write the first tables of a batch; then the process is gone, with all that the sink remembered."""
    with suppress(CrashError):
        interrupted(sink, tables, crashed, CrashError())


def interrupted(sink: ClickHouseSink, tables: int, written: Batch, error: Exception) -> None:
    """Write a batch; `error` comes instead of the insert after the first tables."""
    connection = sink._connection
    assert connection is not None
    insert, done = connection.insert, iter(range(tables))

    def limited(*args: Any) -> None:
        if next(done, None) is None:
            raise error
        insert(*args)

    connection.insert = limited  # type: ignore[method-assign]
    try:
        sink.write(written)
    finally:
        connection.insert = insert  # type: ignore[method-assign]
    if isinstance(error, OperationalError):  # fewer tables than that were written: nothing failed
        raise Unavailable("")


def assert_once(database: Database, file_id: int, lines: int) -> None:
    """Every line up to `lines` is stored once, the rollup agrees, and the ledger's runs neither overlap nor leave a gap."""
    assert database.stored_lines(file_id) == expected(file_id, lines)
    runs = database.ledger(file_id)
    at = 0
    for run in runs:
        assert (run["first_line"], run["start"]) == (at, at * BYTES_PER_LINE)
        at += run["lines"]
        assert run["end"] == at * BYTES_PER_LINE
        assert run["lines"] == sum(
            run[c] for c in ("access_rows", "message_rows", "rejected_rows", "joined", "left_out")
        )
        assert run["left_out"] == 0
    assert at == lines
    assert sum(r["access_rows"] for r in runs) == len(expected(file_id, lines)["access_log"])
    assert database.rollup_difference() == 0
