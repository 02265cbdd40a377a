"""A store opened for asking."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logproc.errors import ConfigError, QueryError
from sinks import ddl
from sinks.store import Store, open_store
from tests.batches import batch, span
from tests.chdb_store import Database, folder


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    ddl.apply(database.connection, ddl.DATABASE)
    made = open_store(str(folder()))
    yield made
    made.close()
    database.command(f"DROP DATABASE {ddl.DATABASE} SYNC")


def test_a_folder_and_its_url_are_the_same_store(store: Store) -> None:
    other = open_store(f"chdb://{folder()}")

    assert other.query_arrow("SELECT count() AS n FROM access_log").to_pylist() == [{"n": 0}]
    assert store.query_arrow("SELECT count() AS n FROM logproc.access_log;\n").to_pylist() == [{"n": 0}]
    other.close()


def test_parameters_settings_and_percent_signs(store: Store) -> None:
    assert store.query_arrow("SELECT {a:UInt8} + 1 AS b", {"a": 4}).to_pylist() == [{"b": 5}]
    assert store.query_arrow("SELECT 'a%b' LIKE 'a%' AS c").to_pylist() == [{"c": 1}]
    assert store.query_arrow("SELECT getSetting('max_threads') AS t", settings={"max_threads": 1}).to_pylist() == [
        {"t": 1}
    ]
    assert store.query_raw("SELECT 1 AS a, 'x' AS b;", "CSVWithNames") == b'"a","b"\n1,"x"\n'


def test_an_empty_result_has_its_columns(store: Store) -> None:
    assert store.query_arrow("SELECT line, path FROM access_log").schema.names == ["line", "path"]


def test_text_that_is_no_utf8_is_readable(store: Store) -> None:
    assert store.query_arrow("SELECT unhex('61FF62') AS a, 'ok' AS b").to_pylist() == [{"a": "a\ufffdb", "b": "ok"}]


def test_rows_come_back_typed(store: Store, database: Database) -> None:
    sink = database.sink()
    sink.write(batch(0, [span(3, 0, 5)]))
    (row,) = store.query_arrow(
        f"SELECT request_id, received_at FROM {database.name}.access_log WHERE line = 1"
    ).to_pylist()

    assert isinstance(row["request_id"], uuid.UUID)
    assert row["received_at"].tzinfo is not None
    assert abs((row["received_at"] - datetime.now(UTC)).total_seconds()) < 7200


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT pathh FROM access_log", 47, "pathh"),
        ("SELECT * FROM acess_log", 60, "acess_log"),
        ("SELEC 1", 62, "Syntax error: failed at position 7 (1) (line 1, col 7): 1 (code"),
        ("SELECT toUInt8('x')", 6, "Cannot parse string 'x'"),
    ],
)
def test_a_wrong_query_is_one_line_with_the_code(store: Store, sql: str, code: int, words: str) -> None:
    for ask in (store.query_arrow, lambda text: store.query_raw(text, "CSV")):
        with pytest.raises(QueryError) as refused:
            ask(sql)
        assert refused.value.code == code
        assert words in refused.value.message
        assert refused.value.message.endswith(f"(code {code})")
        assert "\n" not in refused.value.message


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no store"):
        open_store("null:")
    with pytest.raises(ConfigError, match="there is no store"):
        open_store(str(tmp_path / "none"))
