"""`logproc query`: SQL in, rows in any form out."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.asking import open_session
from tests.cli import LOGPROC, environment
from tests.session import Session

VALUES = (
    "SELECT number AS n, toUUID('137068b0-3a6d-9e4b-91c4-9787a5af72e0') AS id, toDateTime64('2026-11-21 01:02:03.5', 6, 'UTC') AS t,"
    " toDateTime('2026-11-21 01:02:03', 'UTC') AS s, if(number = 0, NULL, 'x\\ty') AS text, map('k', 1) AS m,"
    " 18446744073709551615 AS big, 1 / 3 AS third FROM numbers(2)"
)


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from open_session(tmp_path_factory.mktemp("query"))


def test_the_documented_query_works(logproc: Session) -> None:
    sql = "SELECT upstream_cluster, response_flags, count(), quantile(0.99)(duration_ms) FROM logproc.access_log GROUP BY 1, 2"

    lines = logproc("query", sql).text.splitlines()

    assert lines[0].split() == ["upstream_cluster", "response_flags", "count()", "quantile(0.99)(duration_ms)"]
    assert len({line.index("  ") for line in lines}) > 1
    assert len({len(line) for line in lines}) == 1, "numbers end at the same column"


def test_table(logproc: Session) -> None:
    assert logproc("query", VALUES + ";; -- done;\n").text.splitlines() == [
        "n  id                                    t                        s                    text  m                          big  third",
        '0  137068b0-3a6d-9e4b-91c4-9787a5af72e0  2026-11-21 01:02:03.500  2026-11-21 01:02:03  -     {"k": 1}  18446744073709551615  0.333',
        '1  137068b0-3a6d-9e4b-91c4-9787a5af72e0  2026-11-21 01:02:03.500  2026-11-21 01:02:03  x\\ty  {"k": 1}  18446744073709551615  0.333',
    ]


EXACT = {
    "n": 0,
    "id": "137068b0-3a6d-9e4b-91c4-9787a5af72e0",
    "t": "2026-11-21T01:02:03.500000Z",
    "s": "2026-11-21T01:02:03Z",
    "text": None,
    "m": {"k": 1},
    "big": 18446744073709551615,
    "third": 1 / 3,
}


def test_json(logproc: Session) -> None:
    rows = [EXACT, EXACT | {"n": 1, "text": "x\ty"}]

    assert json.loads(logproc("query", VALUES, "-o", "json").text) == rows
    assert [json.loads(line) for line in logproc("query", VALUES, "-o", "jsonl").text.splitlines()] == rows
    assert json.loads(logproc("query", f"{VALUES} WHERE 0", "-o", "json").text) == []


def test_csv_and_tsv(logproc: Session) -> None:
    text = logproc("query", VALUES, "-o", "csv").text

    rows = list(csv.DictReader(io.StringIO(text)))
    assert [rows[1][k] for k in ("id", "t", "text", "big")] == [EXACT["id"], EXACT["t"], "x\ty", str(EXACT["big"])]
    assert ",,{" in text.replace('"{', "{"), "a missing value is nothing"
    assert logproc("query", VALUES, "-o", "csv", "--no-header").text == text.split("\n", 1)[1]
    assert logproc("query", "SELECT 'a\tb' AS x, NULL AS y", "-o", "tsv").text == "x\ty\na\\tb\t\\N\n"


def test_arrow_and_parquet_keep_the_types(logproc: Session) -> None:
    stream = pa.ipc.open_stream(logproc("query", VALUES, "-o", "arrow").out).read_all()
    file = parquet.read_table(io.BytesIO(logproc("query", VALUES, "-o", "parquet").out))

    for table in (stream, file):
        row = table.to_pylist()[0]
        assert (str(row["id"]), row["big"], row["text"]) == (EXACT["id"], EXACT["big"], None)
        assert pa.types.is_timestamp(table.schema.field("t").type)
        assert pa.types.is_timestamp(table.schema.field("s").type)
    assert pa.ipc.open_stream(logproc("query", f"{VALUES} WHERE 0", "-o", "arrow").out).read_all().num_rows == 0


def test_parameters(logproc: Session) -> None:
    sql = "SELECT {a:UInt8} + 1 AS a, {b:String} AS b, 50 % 30 AS c"

    said = logproc("query", sql, "--param", "a=3", "--param", "b=it's = 50%", "-o", "jsonl")

    assert json.loads(said.text) == {"a": 4, "b": "it's = 50%", "c": 20}
    assert (
        logproc("query", sql, "--param", "a=3").err
        == "error: the statement's parameters need values: --param b=VALUE\n"
    )
    assert "hint: its parameters: {a:UInt8}, {b:String}" in logproc("query", sql, "--param", "c=3").err
    assert logproc("query", sql, "--param", "a").code == 2


def test_where_the_statement_comes_from(logproc: Session, tmp_path: Path) -> None:
    file = tmp_path / "x.sql"
    file.write_text("-- a comment\nSELECT\n  7 AS n;\n")

    assert logproc("query", "-f", file).text == "n\n7\n"
    assert logproc("query", "-", stdin=b"SELECT 7 AS n").text == "n\n7\n"
    assert logproc("query", "SELECT 7 AS n FORMAT Vertical").text == "Row 1:\n──────\nn: 7\n"
    assert logproc("query", "SHOW TABLES", "--no-header").text.splitlines().count("access_log") == 1


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("selec 1",), "error: Syntax error"),
        (("SELECT durationms FROM access_log",), "hint: did you mean duration_ms?"),
        (("SELECT 1 FROM nothing",), "(code 60)"),
        (("SELECT ';' AS a; SELECT 2",), "error: there is more than one statement"),
        (("SELECT throwIf(1, 'in the middle')",), "in the middle"),
        (("  -- nothing\n ;",), "error: the statement is empty"),
        ((), "error: give one statement"),
        (("SELECT 1", "-f", "x"), "error: give one statement"),
        (("-f", "/no/such/file"), "error: /no/such/file: No such file or directory"),
        (("SELECT 1", "-o", "yaml"), "error: query: --output 'yaml': one of table, json,"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(logproc: Session, args: tuple[str, ...], error: str) -> None:
    said = logproc("query", *args)

    assert (said.code, said.out) == (2, b"")
    assert error in said.err
    assert "Traceback" not in said.err
    assert len([line for line in said.err.splitlines() if line.startswith("error:")]) <= 1


def test_a_limit_is_said(logproc: Session) -> None:
    said = logproc("query", "SELECT number FROM numbers(10)", "--limit", "3")

    assert (said.text, said.err) == ("number\n     0\n     1\n     2\n", "the first 3 rows; --limit 0 shows all\n")
    assert logproc("query", "SELECT number FROM numbers(3)", "--limit", "3").err == ""
    assert len(logproc("query", "SELECT number FROM numbers(2000)").text.splitlines()) == 2001


def test_a_store_that_is_none(logproc: Session, tmp_path: Path) -> None:
    said = logproc("query", "SELECT 1", "--store", tmp_path / "none")

    assert (said.code, said.out) == (2, b"")
    assert said.err.startswith("error: ")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands that run in processes of their own, with a store of their own."""
    home = tmp_path_factory.mktemp("alone")
    env = environment(home, {"LOGPROC_STORE": str(home / "store")})
    subprocess.run([*LOGPROC, "schema", "apply"], env=env, check=True, capture_output=True)
    return env


def test_ctrl_c_ends_a_query_at_once(alone: dict[str, str]) -> None:
    # It would go on for hours.
    slow = "SELECT sleepEachRow(0.5) FROM numbers(20000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0"
    process = subprocess.Popen([*LOGPROC, "query", slow], env=alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    status = Path(alone["LOGPROC_STORE"]) / "status"
    try:
        while process.poll() is None and not status.exists():
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert process.returncode == 130, err.decode()
    assert b"Traceback" not in err


def test_on_a_terminal(alone: dict[str, str]) -> None:
    env = {name: value for name, value in alone.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = f"{sys.executable} -m logproc query"

    def on_terminal(arguments: str) -> str:
        with pexpect.spawn(
            f"{command} {arguments}", env=env, timeout=60, dimensions=(24, 60), encoding="utf-8"
        ) as child:
            child.expect(pexpect.EOF)
            return str(child.before).replace("\r\n", "\n")

    wide = on_terminal("\"SELECT 1 AS n, repeat('x', 200) AS text\"")
    assert max(map(len, wide.splitlines())) <= 60
    assert "…" in wide
    assert "1 row in " in wide
    assert "binary" in on_terminal('"SELECT 1" -o parquet')


def test_a_reader_that_leaves_is_no_error(alone: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*LOGPROC, "query", "SELECT repeat('x', 1000) FROM numbers(2000)", "-o", "tsv"],
        env=alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    select.select([process.stdout], [], [], 60)
    os.read(process.stdout.fileno(), 10)
    process.stdout.close()

    assert process.wait(60) == 0
    assert process.stderr.read() == b""


def test_since_and_until_fill_their_parameters(logproc: Session) -> None:
    sql = "SELECT {since:DateTime64(6, 'UTC')} AS a, {until:DateTime} AS b, toDate({since:DateTime64(6, 'UTC')}) AS c"

    said = logproc("query", sql, "--since", "2026-11-20 10:00", "--until", "2026-11-21T01:00:00+01:00", "-o", "jsonl")

    assert json.loads(said.text) == {"a": "2026-11-20T10:00:00.000000Z", "b": "2026-11-21T00:00:00Z", "c": "2026-11-20"}
    typed = logproc(
        "query", "SELECT {since:DateTime} AS a", "--param", "since=2026-01-01 00:00:00", "-o", "tsv", "--no-header"
    )
    assert typed.text == "2026-01-01T00:00:00Z\n"
    assert "window is empty" in logproc("query", sql, "--since", "1h", "--until", "2h").err


def test_local_times_are_shown_on_request(tmp_path_factory: pytest.TempPathFactory) -> None:
    sql = "SELECT toDateTime64('2026-07-01 12:00:00.25', 6, 'UTC') AS t, toDateTime('2026-11-21 12:00:00', 'UTC') AS s, NULL AS n, '2026-01-01' AS x"
    with Session(
        env={"LOGPROC_STORE": str(tmp_path_factory.mktemp("local") / "store"), "TZ": "Europe/Berlin"}
    ) as logproc:
        assert logproc("query", sql, "--local").text.splitlines()[1].split() == [
            "2026-07-01", "14:00:00.250", "2026-11-21", "13:00:00", "-", "2026-01-01",
        ]  # fmt: skip
        assert logproc("query", sql).text.splitlines()[1].split()[:2] == ["2026-07-01", "12:00:00.250"]
        assert json.loads(logproc("query", sql, "--local", "-o", "jsonl").text)["t"] == "2026-07-01T12:00:00.250000Z"
        filled = logproc(
            "query", "SELECT {since:DateTime} AS a", "--since", "2026-11-20 12:00", "--local", "-o", "jsonl"
        )
        assert json.loads(filled.text) == {"a": "2026-11-20T11:00:00Z"}


def test_a_plan_is_printed_as_it_is_and_shows_that_partitions_are_pruned(logproc: Session) -> None:
    logproc(
        "query", "INSERT INTO access_log (timestamp, line) SELECT now() - INTERVAL number DAY, number FROM numbers(5)"
    )
    said = logproc(
        "query",
        "EXPLAIN indexes = 1 SELECT count() FROM access_log WHERE timestamp >= {since:DateTime64(6, 'UTC')}",
        "--since",
        "90m",
    )

    lines = said.text.splitlines()
    assert "explain" not in lines
    parts = [line.split("Parts: ")[1].split("/") for line in lines if "Parts: " in line and "/" in line]
    assert any(int(read) <= 2 and int(of) >= 5 for read, of in parts), said.text


def test_the_time_it_took_is_said_on_request(logproc: Session) -> None:
    assert re.fullmatch(r"2 rows in \d+\.\d\d s\n", logproc("query", VALUES, "--time").err)
    assert re.fullmatch(r"\d+\.\d\d s\n", logproc("query", VALUES, "--time", "-o", "csv").err)


@pytest.mark.parametrize("pause", ["0s", "soon"])
def test_a_watch_needs_a_pause(logproc: Session, pause: str) -> None:
    assert logproc("query", "SELECT 1", "--watch", pause).code == 2


def test_watch_asks_again_until_ctrl_c(alone: dict[str, str]) -> None:
    process = subprocess.Popen([*LOGPROC, "query", "SELECT 7 AS n", "--watch", "100ms"], env=alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    try:
        seen = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert seen == [b"n\n", b"7\n", b"\n"] * 2 + [b"n\n", b"7\n"]
    assert process.returncode == 0, err.decode()
