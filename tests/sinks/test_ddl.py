"""The schema as SQL: what is rendered is what the engine then has."""

import pytest

from logproc.columns import TABLES
from logproc.errors import ConfigError
from sinks import compare, ddl
from tests.chdb_store import Database


def test_every_column_of_every_table_comes_with_type_codec_and_meaning(database: Database) -> None:
    ddl.apply(database.connection, database.name)

    for table in TABLES.values():
        have = {
            r["name"]: r
            for r in database.rows(
                f"SELECT name, type, comment FROM system.columns WHERE database = '{database.name}' AND table = '{table.name}'"
            )
        }
        assert [(n, have[n]["type"], have[n]["comment"]) for n in have] == [
            (c.name, c.clickhouse, c.meaning) for c in table.columns
        ]
    assert compare.differences(database.connection, database.name) == []


def test_every_table_that_gets_tokens_has_a_window_and_is_synced(database: Database) -> None:
    ddl.apply(database.connection, database.name)

    tables = database.rows(
        f"SELECT name, create_table_query AS sql FROM system.tables WHERE database = '{database.name}' AND engine LIKE '%MergeTree' AND name != 'schema_version'"
    )
    assert {t["name"] for t in tables} == {*TABLES, "traffic_1m"}
    for table in tables:
        for setting in (
            "non_replicated_deduplication_window = 10000",
            "fsync_after_insert = 1",
            "fsync_part_directory = 1",
        ):
            assert setting in table["sql"], table["name"]


def test_applying_again_does_nothing(database: Database) -> None:
    assert ddl.version_of(database.connection, database.name) == 0
    assert "made access_log" in ddl.apply(database.connection, database.name)

    assert ddl.apply(database.connection, database.name) == []
    assert ddl.version_of(database.connection, database.name) == ddl.VERSION


def test_applying_half_way_and_again_completes_the_store(database: Database) -> None:
    for statement in ddl.create(database.name)[:3]:
        database.connection.command(statement)
    assert ddl.version_of(database.connection, database.name) == 0

    ddl.apply(database.connection, database.name)

    assert compare.differences(database.connection, database.name) == []


def test_a_table_that_somebody_dropped_comes_back(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    database.command("DROP VIEW {db}.traffic_1m_mv")

    assert ddl.apply(database.connection, database.name) == ["made traffic_1m_mv"]


def test_differences_are_named_one_by_one(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    database.command("ALTER TABLE {db}.access_log DROP COLUMN route_name")
    database.command("ALTER TABLE {db}.message_log MODIFY COLUMN level String")
    database.command("ALTER TABLE {db}.ledger ADD COLUMN mine String")
    database.command("ALTER TABLE {db}.rejected_line COMMENT COLUMN raw 'bytes'")
    database.command("DROP VIEW {db}.traffic_1m_mv")

    found = compare.differences(database.connection, database.name)

    assert "traffic_1m_mv: missing" in found
    assert "access_log.route_name: missing" in found
    assert "message_log.level: type String, not LowCardinality(String)" in found
    assert "ledger.mine: not known to logproc" in found
    assert any(line.startswith("rejected_line.raw: comment bytes, not ") for line in found)
    assert len(found) == 5


def test_upgrades_are_numbered_without_gaps() -> None:
    assert [u.version for u in ddl.UPGRADES] == list(range(2, ddl.VERSION + 1))


def test_an_upgrade_runs_once_and_keeps_the_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ddl.apply(database.connection, database.name)
    database.command("INSERT INTO {db}.message_log (timestamp, message) VALUES (now(), 'kept')")
    upgrade = ddl.Upgrade(
        ddl.VERSION + 1,
        "a column more",
        lambda name, _: [f"ALTER TABLE {ddl.quoted(name)}.message_log ADD COLUMN IF NOT EXISTS more String"],
    )
    monkeypatch.setattr(ddl, "UPGRADES", (*ddl.UPGRADES, upgrade))
    monkeypatch.setattr(ddl, "VERSION", upgrade.version)
    with pytest.raises(ConfigError, match="schema apply"):
        ddl.require(database.connection, database.name)

    assert ddl.apply(database.connection, database.name) == [f"version {upgrade.version}: a column more"]
    assert ddl.apply(database.connection, database.name) == []
    assert database.rows("SELECT message, more FROM {db}.message_log") == [{"message": "kept", "more": ""}]


def test_a_store_of_a_newer_logproc_is_refused_and_left_alone(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    database.command(f"INSERT INTO {{db}}.schema_version (version) VALUES ({ddl.VERSION + 1})")

    for action in (ddl.apply, ddl.require):
        with pytest.raises(ConfigError, match=f"version {ddl.VERSION + 1}"):
            action(database.connection, database.name)


def test_a_database_without_tables_names_the_command_to_run(database: Database) -> None:
    with pytest.raises(ConfigError, match="has no tables yet") as refused:
        ddl.require(database.connection, database.name)

    assert "logproc schema apply --store" in refused.value.hint


def test_names_and_texts_cannot_leave_their_quotes() -> None:
    assert ddl.quoted("a`b", "c\\") == "`a\\`b`.`c\\\\`"
    assert ddl.literal("it's \\") == "'it\\'s \\\\'"


def test_reading_one_hour_skips_the_granules_of_the_others(database: Database) -> None:
    ddl.apply(database.connection, database.name)
    database.command(
        "INSERT INTO {db}.access_log (timestamp, app, file_id, line) SELECT toStartOfDay(now()) + INTERVAL number SECOND, "
        "toString(number % 3), number % 3, number FROM numbers(86400)"
    )
    plan = "\n".join(
        r["explain"]
        for r in database.rows(
            "EXPLAIN indexes = 1 SELECT count() FROM {db}.access_log WHERE timestamp >= toStartOfDay(now()) + INTERVAL 5 HOUR AND timestamp < toStartOfDay(now()) + INTERVAL 6 HOUR"
        )
    )
    granules = [
        line.split("Granules: ")[1].split("/") for line in plan.splitlines() if "Granules: " in line and "/" in line
    ]

    assert any(int(read) <= 2 < int(of) for read, of in granules), plan
