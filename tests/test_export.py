"""`logproc export`: rows of a time to Parquet, filtered as `parse` filters, whatever they are many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from logproc import export as export_module
from logproc.columns import ACCESS_LOG_TABLE
from logproc.export import Chosen, export
from sinks import ddl
from sinks.store import open_store
from tests.asking import NOON, open_session
from tests.batches import batch, span
from tests.chdb_store import Database, folder
from tests.session import Session


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from open_session(tmp_path_factory.mktemp("export"))


WINDOW = ("--since", f"{NOON:%Y-%m-%d %H:%M}", "--until", f"{NOON + timedelta(minutes=10):%Y-%m-%d %H:%M}")


def test_rows_arrive_typed_and_in_order(logproc: Session, tmp_path: Path) -> None:
    said = logproc("export", *WINDOW, "--to", f"parquet://{tmp_path}/out")
    (file,) = (tmp_path / "out" / "access_log").iterdir()
    rows = parquet.read_table(file)
    (count,) = logproc(
        "query",
        f"SELECT count() FROM access_log WHERE timestamp >= '{NOON:%Y-%m-%d %H:%M:%S}' AND timestamp < '{NOON + timedelta(minutes=10):%Y-%m-%d %H:%M:%S}'",
        "-o",
        "tsv",
        "--no-header",
    ).text.split()

    assert file.name == f"{NOON:%Y-%m-%dT%H}.parquet"
    assert rows.num_rows == int(count) > 2000
    assert f"{rows.num_rows:,} rows of access_log in 1 file (" in said.err
    assert rows.schema.names == [c.name for c in ACCESS_LOG_TABLE.columns]
    assert rows.schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert rows.schema.field("request_id").type in (pa.uuid(), pa.binary(16))
    assert rows.schema.field("extra").type == pa.map_(pa.string(), pa.string())
    assert rows["timestamp"].to_pylist() == sorted(rows["timestamp"].to_pylist())


def test_only_what_is_asked_for(logproc: Session, tmp_path: Path) -> None:
    said = logproc(
        "export",
        *WINDOW,
        "--where",
        "code = 5xx and has_flag(UF)",
        "--columns",
        "time,code,flags",
        "--to",
        f"parquet://{tmp_path}",
    )
    rows = parquet.read_table(tmp_path / "access_log")

    assert "10 rows of access_log in 1 file" in said.err
    assert rows.schema.names == ["timestamp", "response_code", "response_flags"]
    assert set(rows["response_flags"].to_pylist()) == {"UF,URX"}
    nothing = logproc("export", *WINDOW, "--where", "code = 599", "--to", f"parquet://{tmp_path}/none")
    assert re.fullmatch(
        r"0 rows of access_log from [-\d]+ [:\d]+ to [-\d]+ [:\d]+ UTC.*: nothing to write\n", nothing.err
    )


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--to", "csv:/x"), "rows are exported to Parquet"),
        (("--to", "parquet:"), "needs a folder"),
        (("--to", "parquet:///tmp/x", "--where", "colour = red"), "error: filter: line 1, column 1"),
        (("--to", "parquet:///tmp/x", "--columns", "colour"), "has no column 'colour'"),
        (("--to", "parquet:///tmp/x", "--since", "soon"), "is neither a duration nor a time"),
        (("--to", "parquet:///proc/none/x"), "error: /proc/none/x"),
    ],
)
def test_what_is_typed_wrong(logproc: Session, args: tuple[str, ...], error: str) -> None:
    said = logproc("export", *args)

    assert said.code == 2, said.err
    assert error in said.err
    assert "Traceback" not in said.err


def test_many_rows_come_in_slices_and_none_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export_module, "SLICE_ROWS", 100)
    database = Database()
    try:
        ddl.apply(database.connection, database.name)
        database.sink().write(batch(0, [span(1, 0, 1000)]))
        store = open_store(str(folder()))
        store.client.database = database.name
        now = datetime.now(UTC) + timedelta(days=1)
        chosen = Chosen(ACCESS_LOG_TABLE, now - timedelta(days=2), now, ("timestamp", "line", "extra", "request_id"))
        asked: list[int] = []

        done = export(store, chosen, tmp_path, {}, lambda e: asked.append(e.rows))
        store.close()
    finally:
        database.close()

    rows = parquet.read_table(tmp_path / "access_log")
    assert rows["line"].to_pylist() == [n for n in range(1000) if n % 10 not in (3, 5, 8)]
    assert done.rows == 700
    assert len(asked) > 7, "in several slices"
    assert not list(tmp_path.rglob("*.partial"))
