"""clickhouse-connect as it is, against a server: what its documentation shows."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.serve.servers import Running


def connect(server: Running, **options: Any) -> Client:
    return clickhouse_connect.get_client(host="127.0.0.1", port=server.port, **options)


@pytest.fixture(params=[True, False, "lz4", "zstd", "gzip"], scope="module", ids=str)
def client(server: Running, request: pytest.FixtureRequest) -> Iterator[Client]:
    made = connect(server, compress=request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(server: Running) -> Iterator[Client]:
    made = connect(server)
    yield made
    made.close()


def test_asks_and_inserts_with_every_compression(client: Client) -> None:
    client.command(
        "CREATE TABLE IF NOT EXISTS quick (key UInt32, value String, metric Float64) ENGINE = MergeTree ORDER BY key"
    )
    client.command("TRUNCATE TABLE quick")
    summary = client.insert(
        "quick",
        [[1000, "String Value 1000", 5.233], [2000, "Ünïcode ✓", -107.04]],
        column_names=["key", "value", "metric"],
    )

    assert summary.written_rows == 2
    assert client.query("SELECT max(key), avg(metric) FROM quick").result_rows == [(2000, pytest.approx(-50.9035))]
    assert client.command("SELECT count() FROM quick") == 2
    assert client.query("SELECT value FROM quick WHERE key = {k:UInt32}", parameters={"k": 2000}).first_row == (
        "Ünïcode ✓",
    )
    assert client.raw_query("SELECT key FROM quick ORDER BY key", fmt="CSV") == b"1000\n2000\n"
    assert client.query_arrow("SELECT * FROM quick ORDER BY key").column("key").to_pylist() == [1000, 2000]


def test_parameters_of_all_kinds(plain: Client) -> None:
    asked = plain.query(
        "SELECT {s:String} AS s, {d:DateTime('UTC')} AS d, {a:Array(UInt8)} AS a, {i:Int64} AS i, {n:Nullable(String)} AS n",
        parameters={"s": "it's\t'q' \\ \n", "d": dt.datetime(2026, 11, 21, 8), "a": [1, 2], "i": -5, "n": None},
    )

    assert asked.first_item | {"d": None} == {"s": "it's\t'q' \\ \n", "d": None, "a": [1, 2], "i": -5, "n": None}
    assert plain.query("SELECT %(x)s", parameters={"x": "client side"}).first_row == ("client side",)
    assert (
        plain.query(
            "SELECT name FROM system.tables WHERE name = {t:String} AND database = 'logproc'",
            parameters={"t": "ledger"},
        ).row_count
        == 1
    )
    assert plain.query("SELECT count() FROM {t:Identifier}", parameters={"t": "access_log"}).first_row == (0,)


def test_settings_reach_the_engine_and_only_this_statement(plain: Client) -> None:
    sql = "SELECT getSetting('max_block_size')"

    assert plain.query(sql, settings={"max_block_size": 1234}).first_row == (1234,)
    assert plain.query(sql).first_row != (1234,)
    with pytest.raises(DatabaseError, match="115"):
        plain.query("SELECT 1 SETTINGS no_such_setting_at_all = 1")


TYPES: list[tuple[str, list[Any]]] = [
    ("UInt8", [0, 255]), ("UInt16", [0, 65535]), ("UInt32", [0, 2**32 - 1]), ("UInt64", [0, 2**64 - 1]), ("UInt128", [0, 2**128 - 1]), ("Int8", [-128, 127]),
    ("Int64", [-(2**63), 2**63 - 1]), ("Int256", [-(2**255), 5]), ("Float32", [0.5, -1.25]), ("Float64", [0.1, 1e300]), ("Bool", [True, False]),
    ("Decimal(18, 4)", [decimal.Decimal("1.2345"), decimal.Decimal("-7.0000")]), ("String", ["", "a\0b ✓"]), ("FixedString(3)", [b"abc", b"\0\1\2"]),
    ("LowCardinality(String)", ["x", "y"]), ("Nullable(String)", [None, "z"]), ("LowCardinality(Nullable(String))", [None, "z"]), ("Nullable(UInt32)", [None, 7]),
    ("UUID", [uuid.UUID(int=0), uuid.UUID("137068b0-3a6d-9e4b-91c4-9787a5af72e0")]), ("Date", [dt.date(1970, 1, 1), dt.date(2026, 11, 21)]),
    ("Date32", [dt.date(1925, 1, 1), dt.date(2200, 1, 1)]), ("DateTime('UTC')", [dt.datetime(2026, 11, 21, 8), dt.datetime(1970, 1, 2)]),
    ("DateTime64(6, 'UTC')", [dt.datetime(2026, 11, 21, 8, 0, 0, 123456), dt.datetime(2000, 1, 1)]), ("IPv4", [ipaddress.IPv4Address("10.0.0.1"), ipaddress.IPv4Address("0.0.0.0")]),
    ("IPv6", [ipaddress.IPv6Address("2001:db8::1"), ipaddress.IPv6Address("::")]), ("Enum8('a' = 1, 'b' = 2)", ["a", "b"]), ("Array(UInt16)", [[], [1, 2, 3]]),
    ("Array(Array(String))", [[["a"], []], []]), ("Array(Nullable(Int8))", [[None, 1], []]), ("Tuple(UInt8, String)", [(1, "a"), (2, "b")]),
    ("Map(String, UInt64)", [{}, {"k": 5}]), ("Map(LowCardinality(String), String)", [{"a": "b"}, {}]), ("Array(Tuple(a UInt8, b String))", [[], [{"a": 1, "b": "x"}]]),
    ("JSON", [{"a": 1, "b": {"c": "x"}}, {}]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values"), TYPES, ids=[t[0] for t in TYPES])
def test_every_type_there_and_back(plain: Client, name: str, values: list[Any]) -> None:
    plain.command("DROP TABLE IF EXISTS typed")
    plain.command(f"CREATE TABLE typed (n UInt8, v {name}) ENGINE = MergeTree ORDER BY n")
    plain.insert("typed", [[n, v] for n, v in enumerate(values)], column_names=["n", "v"])

    back = [row[0] for row in plain.query("SELECT v FROM typed ORDER BY n").result_rows]
    back = [v.replace(tzinfo=None) if isinstance(v, dt.datetime) else v for v in back]
    assert back == values


def test_every_column_of_the_store_there_and_back(plain: Client) -> None:
    """Rows of the real tables, as a collector makes them."""
    from tests.batches import batch, span

    made = batch(1, [span(77, 0, 50)])
    plain.command("CREATE DATABASE IF NOT EXISTS copy")
    for name, rows in made.tables.items():
        plain.command(f"CREATE TABLE copy.{name} AS logproc.{name}")
        plain.insert_arrow(f"copy.{name}", pa.Table.from_batches([rows]), settings={"input_format_null_as_default": 1})
        told = plain.query_arrow(f"SELECT * FROM copy.{name}", settings={"output_format_arrow_string_as_string": 0})
        assert told.num_rows == rows.num_rows
        rows_back = plain.query(f"SELECT * FROM copy.{name}").row_count
        assert rows_back == rows.num_rows
    plain.command("DROP DATABASE copy")


def test_a_token_that_comes_again_stores_nothing_again(plain: Client) -> None:
    plain.command(
        "CREATE TABLE IF NOT EXISTS tokened (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    table = pa.table({"a": pa.array(range(1000), pa.uint64())})
    for _ in range(3):
        plain.insert_arrow("tokened", table, settings={"insert_deduplication_token": "one"})
    plain.insert_arrow("tokened", table, settings={"insert_deduplication_token": "two"})
    # Other rows under a known token are dropped as well: a token stands for its rows.
    plain.insert("tokened", [[5000]], column_names=["a"], settings={"insert_deduplication_token": "two"})

    assert plain.command("SELECT count() FROM tokened") == 2000


def test_a_million_rows_as_a_stream(client: Client) -> None:
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as stream:
        assert sum(len(block) for block in stream) == 1_000_000


def test_arrow_batches_as_a_stream(plain: Client) -> None:
    with plain.query_arrow_stream("SELECT number FROM numbers(500000)") as stream:
        assert sum(batch.num_rows for batch in stream) == 500_000


def test_an_error_in_the_middle_of_a_stream(client: Client) -> None:
    with (
        pytest.raises((DatabaseError, StreamFailureError), match="too far"),
        client.query_row_block_stream(
            "SELECT throwIf(number = 900000, 'too far') FROM numbers(1000000) SETTINGS max_block_size = 1000"
        ) as stream,
    ):
        for _ in stream:
            pass


def test_errors_have_the_servers_code(plain: Client) -> None:
    for sql, code in (
        ("SELEC 1", 62),
        ("SELECT no_such", 47),
        ("SELECT * FROM no_such", 60),
        ("SELECT no_such(1)", 46),
        ("SELECT throwIf(1)", 395),
    ):
        with pytest.raises(DatabaseError) as caught:
            plain.query(sql)
        assert f"{code}" in str(caught.value)


def test_a_bad_insert_stores_nothing(plain: Client) -> None:
    plain.command("CREATE TABLE IF NOT EXISTS strict (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    for body in (b'{"a": 1, "b": "x"}\n{"a": "no", "b": 1}\n', b'{"a": 1, "b":'):
        with pytest.raises(DatabaseError):
            plain.raw_insert("strict", ["a", "b"], body, fmt="JSONEachRow")
    with pytest.raises(DatabaseError):
        plain.raw_insert("strict", ["a", "no_such"], b'{"a": 1}', fmt="JSONEachRow")

    assert plain.command("SELECT count() FROM strict") == 0


def test_users_and_their_passwords(server: Running) -> None:
    reader = connect(server, username="reader", password="secret")
    assert reader.query("SELECT count() FROM access_log").first_row == (0,)
    with pytest.raises(DatabaseError):
        reader.command("CREATE TABLE x (a UInt8) ENGINE = Memory")
    for user, password in (("reader", "wrong"), ("nobody", "secret"), ("reader", "")):
        with pytest.raises(DatabaseError):
            connect(server, username=user, password=password)


def test_data_frames(plain: Client) -> None:
    frame = plain.query_df("SELECT number AS n, toString(number) AS s FROM numbers(3)")
    assert list(frame["n"]) == [0, 1, 2]
