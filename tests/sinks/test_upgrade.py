"""A store that an older logproc made: upgraded where it is embedded, with its rows; refused where it is newer."""

from pathlib import Path

import pytest

from logproc.errors import ConfigError
from sinks import compare, ddl
from sinks.connection import ONE_BLOCK, quoted
from sinks.tables import ROLLUP, Layout, rollup_select
from tests.batches import batch, expected, span
from tests.chdb_store import Database

RECORDED = Path(__file__).parent / "recorded"
FILE = 7


def made_by(version: int, database: Database) -> Database:
    """A store as that version made it, with rows that it counted in its rollup."""
    for statement in (RECORDED / f"version_{version}.sql").read_text().split(";\n"):
        if statement.strip():
            database.connection.command(statement.replace("`logproc`", quoted(database.name)))
    written = batch(0, [span(FILE, 0, 40)])
    for table, rows in written.tables.items():
        database.connection.insert(quoted(database.name, table), rows, ONE_BLOCK, "")
    assert ddl.version_of(database.connection, database.name) == version
    return database


@pytest.fixture
def old(database: Database) -> Database:
    return made_by(1, database)


def test_every_version_there_was_is_recorded() -> None:
    assert {p.stem for p in RECORDED.glob("*.sql")} == {f"version_{n + 1}" for n in range(ddl.VERSION)}


@pytest.mark.parametrize("version", range(1, ddl.VERSION + 1))
def test_a_recorded_store_becomes_what_is_made_now_and_goes_on(database: Database, version: int) -> None:
    recorded = made_by(version, database)
    sink = recorded.sink()
    sink.write(batch(0, [span(FILE, 0, 40)]))
    sink.write(batch(1, [span(FILE, 40, 80)]))

    assert ddl.version_of(recorded.connection, recorded.name) == ddl.VERSION
    assert compare.differences(recorded.connection, recorded.name) == []
    assert recorded.stored_lines(FILE) == expected(FILE, 80)
    assert recorded.rollup_difference() == 0
    assert recorded.value(f"SELECT count() AS n FROM ({rollup_select(recorded.name)})") == recorded.value(
        f"SELECT count() AS n FROM (SELECT 1 FROM {{db}}.{ROLLUP} FINAL)"
    )


def test_a_store_of_version_1_becomes_what_is_made_now_and_keeps_its_rows(old: Database) -> None:
    parts = "SELECT name FROM system.parts WHERE database = '{}' AND table = 'access_log' AND active ORDER BY name"
    before = old.rows(parts.format(old.name))
    done = ddl.apply(old.connection, old.name)

    assert any(line.startswith("version 2: ") for line in done)
    assert compare.differences(old.connection, old.name) == []
    assert old.stored_lines(FILE) == expected(FILE, 40)
    assert old.rows(parts.format(old.name)) == before, "no row was rewritten"
    assert old.rollup_difference() == 0
    assert ddl.apply(old.connection, old.name) == []


@pytest.mark.parametrize("done", [0, 1, 2, 9])
def test_an_upgrade_that_was_killed_is_finished_by_the_next(old: Database, done: int) -> None:
    (upgrade,) = (u for u in ddl.UPGRADES if u.version == 2)
    statements = upgrade.statements(old.name, Layout())
    for statement in [*statements, *ddl.create(old.name, Layout())][:done]:
        old.connection.command(statement)

    assert ddl.version_of(old.connection, old.name) == 1, "the version is written last"
    ddl.apply(old.connection, old.name)
    assert compare.differences(old.connection, old.name) == []


def test_a_server_of_version_1_is_refused_with_the_command_and_nothing_is_written(old: Database) -> None:
    with pytest.raises(ConfigError, match="has version 1 of the tables, not 2") as refused:
        ddl.require(old.connection, old.name)

    assert "logproc schema apply --store" in refused.value.hint
    assert ddl.version_of(old.connection, old.name) == 1


def test_retention_is_changed_where_it_is_chosen(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    assert compare.kept(database.connection, database.name) == "for ever"

    assert ddl.apply(database.connection, database.name, retain={"access_log": 14}) == [
        "access_log keeps its rows 14 days"
    ]
    assert ddl.apply(database.connection, database.name) == []
    assert compare.differences(database.connection, database.name) == []
    assert compare.differences(database.connection, database.name, {"access_log": 7}) == [
        "access_log: rows are kept 14 days, not 7 days"
    ]
    ddl.apply(database.connection, database.name, retain={"access_log": 0})
    assert compare.kept(database.connection, database.name) == "for ever"

    database.command("ALTER TABLE {db}.message_log MODIFY TTL toDateTime(received_at) + INTERVAL 1 HOUR")
    assert any("rule of your own" in line for line in compare.differences(database.connection, database.name))


def test_the_path_index_is_an_option(database: Database) -> None:
    ddl.apply(database.connection, database.name)

    (said,) = ddl.apply(database.connection, database.name, path_index=True)

    assert "MATERIALIZE INDEX i_path" in said
    assert compare.differences(database.connection, database.name) == []
    database.command(
        "INSERT INTO {db}.access_log (timestamp, path) SELECT now(), concat('/a/', toString(number)) FROM numbers(20000)"
    )
    plan = "\n".join(
        r["explain"]
        for r in database.rows("EXPLAIN indexes = 1 SELECT * FROM {db}.access_log WHERE hasToken(path, '777')")
    )
    assert "i_path" in plan


def test_differences_of_keys_indexes_settings_and_views_are_named(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    database.command("ALTER TABLE {db}.access_log DROP INDEX i_request_id, ADD INDEX mine app TYPE minmax")
    database.command("ALTER TABLE {db}.ledger MODIFY SETTING non_replicated_deduplication_window = 5")
    database.command("DROP TABLE {db}.message_log")
    database.command("CREATE TABLE {db}.message_log (app String, line UInt64) ENGINE = MergeTree ORDER BY line")
    database.command("CREATE OR REPLACE VIEW {db}.hop AS SELECT 1 AS one")

    found = compare.differences(database.connection, database.name)

    assert "access_log: index i_request_id is missing" in found
    assert "access_log: index mine is not known to logproc" in found
    assert "ledger: setting non_replicated_deduplication_window = 10000 is not set" in found
    assert "message_log: partition key (), not (toDate(timestamp))" in found
    assert any(line.startswith("message_log: sorting key (line), not (toStartOfHour") for line in found)
    assert "hop: another definition" in found
    assert compare.mend_views(database.connection, database.name) == ["made hop anew"]
    assert not any(line.startswith("hop") for line in compare.differences(database.connection, database.name))
