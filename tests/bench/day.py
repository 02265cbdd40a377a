"""Ten million access-log rows of a mesh of 40 services over one day, as a collector that follows live logs would have sealed them.

`python -m tests.bench.day` makes them once, in `.cache/bench/day-rows`: batches of 100,000 rows in the order of time, each with
dictionaries of its own. It takes some minutes and 3 GB of disk.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from logproc.columns import TABLES
from logproc.model import ACCESS_LOG
from tests.bench.data import FOLDER, LOGPROC
from tests.bench.measure import ROOT

DAY = datetime(2026, 11, 20, tzinfo=UTC)
BATCH_ROWS = 100_000
ROWS = FOLDER / "day-rows"
PODS = FOLDER / "day-pods"
PARQUET = FOLDER / "day-parquet"
_SCHEMA = TABLES[ACCESS_LOG].schema


def rows() -> Path:
    """The folder of the batches, made where it is not there yet."""
    if not (ROWS / "facts.json").exists():
        ROWS.mkdir(parents=True, exist_ok=True)
        _make()
    return ROWS


def facts() -> dict[str, int]:
    """`rows`, and `bytes` of the same lines as Istio's default text."""
    said: dict[str, int] = json.loads((rows() / "facts.json").read_text())
    return said


def batches(limit: int = 0) -> Iterator[pa.RecordBatch]:
    """The batches in the order of time, about `limit` rows of them (0: all), from the whole day evenly."""
    files = sorted(rows().glob("*.arrow"))
    of_each = limit // len(files) if limit else 0
    for path in files:
        taken = 0
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                if of_each and taken >= of_each:
                    break
                yield batch if not of_each else batch.slice(0, of_each - taken)
                taken += batch.num_rows


def _make() -> None:
    if not PODS.exists():
        simulate = ["simulate", "large", "--services", "40", "--seed", "1", "--rate", "13.5"]
        subprocess.run(
            [*LOGPROC, *simulate, "--seconds", "86400", "--start", f"{DAY:%Y-%m-%dT%H:%M:%SZ}", "--out", str(PODS)],
            check=True, cwd=ROOT,
        )  # fmt: skip
    if not (PARQUET / ACCESS_LOG).exists():
        with tempfile.TemporaryDirectory() as state:
            collect = ["collect", str(PODS), "--to", f"parquet://{PARQUET}", "--state", state, "--no-follow"]
            subprocess.run([*LOGPROC, *collect], check=True, cwd=ROOT)
    total = sum(_hour(number) for number in range(24))
    (ROWS / "facts.json").write_text(json.dumps({"rows": total, "bytes": _text_bytes()}))
    shutil.rmtree(PODS)
    shutil.rmtree(PARQUET)


def _hour(number: int) -> int:
    begin = DAY + timedelta(hours=number)
    end = begin + timedelta(hours=1)
    time = ds.field("timestamp")
    # What lies outside the day (connections that began before it) goes to its first and last hour.
    chosen = (
        (time < pa.scalar(end, _SCHEMA.field("timestamp").type))
        if number == 0
        else (time >= pa.scalar(begin, _SCHEMA.field("timestamp").type))
    )
    if 0 < number < 23:
        chosen &= time < pa.scalar(end, _SCHEMA.field("timestamp").type)
    table = ds.dataset(PARQUET / ACCESS_LOG, format="parquet", schema=_SCHEMA).to_table(filter=chosen)
    table = table.unify_dictionaries().combine_chunks().sort_by("timestamp")
    path = ROWS / f"{number:02}.arrow"
    with (
        pa.OSFile(str(path), "wb") as out,
        pa.ipc.new_stream(
            out, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=False)
        ) as stream,
    ):
        for start in range(0, table.num_rows, BATCH_ROWS):
            stream.write_batch(_own_dictionaries(table.slice(start, BATCH_ROWS)))
    return int(table.num_rows)


def _own_dictionaries(table: pa.Table) -> pa.RecordBatch:
    columns = []
    for name, column in zip(table.schema.names, table.columns, strict=True):
        kind = _SCHEMA.field(name).type
        whole = column.combine_chunks()
        columns.append(
            whole.cast(pa.string()).dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else whole
        )
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _text_bytes() -> int:
    """Bytes of the access lines without the runtime's frame, newlines counted."""
    total = 0
    for path in PODS.rglob("istio-proxy/*"):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                start = line.find(b" ", line.find(b" ", line.find(b" ") + 1) + 1) + 1
                if line[start : start + 1] == b"[":
                    total += len(line) - start
    return total


if __name__ == "__main__":
    print(facts())
