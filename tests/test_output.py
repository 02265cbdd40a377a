"""Record batches in the formats that programs read."""

from __future__ import annotations

import csv
import io
import sys
import uuid

import pyarrow as pa
import pytest
from pyarrow import parquet

from logproc.columns import MAP, TIMESTAMP, UUID, WORD
from logproc.errors import ConfigError
from logproc.output import Table, refuse_binary_on_terminal, uuid_text, writer

ID = uuid.UUID("137068b0-3a6d-9e4b-91c4-9787a5af72e0")
BATCH = pa.RecordBatch.from_pydict(
    {
        "timestamp": pa.array([1_763_700_000_123_456, None, 0], TIMESTAMP),
        "path": pa.array(['/a,"b"', "", None], pa.string()),
        "method": pa.array(["GET", "\t\\\n", None], WORD),
        "code": pa.array([200, 0, None], pa.uint16()),
        "request_id": pa.array([ID.bytes, None, bytes(16)], UUID),
        "extra": pa.array([[("k", "ü")], [], None], MAP),
        "raw": pa.array([b"\xff", b"", None], pa.binary()),
    }
)


def written(format: str, *batches: pa.RecordBatch, header: bool = True) -> bytes:
    out = io.BytesIO()
    to = writer(format, out, BATCH.schema, header=header)
    for batch in batches:
        to.write(batch)
    to.close()
    assert not out.closed
    return out.getvalue()


def test_csv() -> None:
    text = written("csv", BATCH).decode()

    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["timestamp", "path", "method", "code", "request_id", "extra", "raw"],
        ["2025-11-21T04:40:00.123456Z", '/a,"b"', "GET", "200", str(ID), '{"k": "ü"}', "\ufffd"],
        ["", "", "\t\\\n", "0", "", "", ""],
        ["1970-01-01T00:00:00.000000Z", "", "", "", str(uuid.UUID(int=0)), "", ""],
    ]
    assert '\n,"","\t' in text, "an empty text is quoted, a missing one is nothing"


def test_tsv() -> None:
    lines = written("tsv", BATCH).decode().split("\n")

    assert lines[0] == "timestamp\tpath\tmethod\tcode\trequest_id\textra\traw"
    assert lines[1] == f'2025-11-21T04:40:00.123456Z\t/a,"b"\tGET\t200\t{ID}\t{{"k": "ü"}}\t\ufffd'
    assert lines[2] == "\\N\t\t\\t\\\\\\n\t0\t\\N\t\\N\t"
    assert lines[4:] == [""]


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_without_a_header(format: str) -> None:
    assert written(format, BATCH, header=False) == written(format, BATCH).split(b"\n", 1)[1]
    assert written(format, header=False) == b""


def test_arrow_and_parquet_read_back_equal() -> None:
    parts = [BATCH.slice(0, 1), BATCH.slice(1), BATCH.slice(0, 0)]
    stream = pa.ipc.open_stream(written("arrow", *parts)).read_all()
    file = parquet.read_table(io.BytesIO(written("parquet", *parts)))

    for table in (stream, file):
        assert table.schema.field("request_id").type == pa.uuid()
        assert table.num_rows == 3
        assert table.column("request_id").to_pylist()[0] == ID
        for name in ("timestamp", "path", "method", "code", "extra", "raw"):
            assert table.column(name).to_pylist() == BATCH.column(name).to_pylist()


@pytest.mark.parametrize("format", ["csv", "tsv", "arrow", "parquet"])
def test_no_rows_are_still_a_file_of_the_format(format: str) -> None:
    assert written(format)


def test_a_table_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(BATCH.select(["timestamp", "method", "code", "request_id", "extra"]).schema)
    table.write(BATCH.select(["timestamp", "method", "code", "request_id", "extra"]))
    table.close()

    assert capsys.readouterr().out.splitlines() == [
        "timestamp                   method  code  request_id                            extra",
        f'2025-11-21 04:40:00.123456  GET      200  {ID}  {{"k": "ü"}}',
        "-                           \\t\\\\n      0  -                                     -",
        "1970-01-01 00:00:00.000000  -          -  00000000-0000-0000-0000-000000000000  -",
    ]


def test_binary_formats_are_kept_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    refuse_binary_on_terminal("csv")
    with pytest.raises(ConfigError, match="terminal"):
        refuse_binary_on_terminal("parquet")


def test_uuids_of_a_slice() -> None:
    ids = [uuid.UUID(int=i * 0x0123456789ABCDEF0123456789 % 2**128) for i in range(10)]
    column = pa.array([None if i == 4 else u.bytes for i, u in enumerate(ids)], UUID)

    assert uuid_text(column.slice(3, 5)).to_pylist() == [None if i == 4 else str(ids[i]) for i in range(3, 8)]
    assert uuid_text(column.slice(0, 0)).to_pylist() == []
