"""`parquet:///folder`: one file for each table and batch. At least once: under a new state folder the same lines are written again."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from logproc.errors import ConfigError, Unavailable
from logproc.model import Batch, SinkLimits
from logproc.urls import Url


def sink(url: Url) -> ParquetSink:
    """The sink of a folder."""
    url.refuse_unknown_options(())
    if url.host or url.path in {"", "/"}:
        raise ConfigError(f"{url}: parquet: needs a folder", "write parquet:///var/lib/logproc/parquet, for example")
    return ParquetSink(Path(url.path))


class ParquetSink:
    """`FOLDER/TABLE/COLLECTOR-SEQ.parquet`: a batch sent again takes the place of itself."""

    limits = SinkLimits(rows=500_000, bytes=32 << 20, seconds=10.0, exactly_once=False)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder. Raises ConfigError where that is not allowed."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._folder}: {error.strerror}") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{self._folder}: no permission to write")

    def write(self, batch: Batch) -> None:
        """Write one file for each table, durable before this returns. Raises Unavailable (no space, for example)."""
        for name, rows in batch.tables.items():
            target = self._folder / name / f"{batch.collector}-{batch.seq:012}.parquet"
            try:
                target.parent.mkdir(exist_ok=True)
                _write_file(target, rows)
            except OSError as error:
                raise Unavailable(f"{target}: {error.strerror or error}", retry_after=10.0) from error

    def close(self) -> None:
        """Every file is closed already."""


def _write_file(target: Path, rows: pa.RecordBatch) -> None:
    """Readers match *.parquet, so that they never see the file before it is whole."""
    partial = target.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            pq.write_table(pa.Table.from_batches([rows]), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
