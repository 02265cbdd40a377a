"""`stdout:` prints rows as JSON lines. At least once: after a crash a batch is printed again."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from logproc.errors import ConfigError
from logproc.jsonl import json_lines
from logproc.model import ROW_TABLES, Batch, LineNumbers, SinkLimits
from logproc.urls import Url


def sink(url: Url) -> StdoutSink:
    """The sink of standard output; `encoding` is json."""
    url.refuse_unknown_options(("encoding",))
    encoding = url.option("encoding", "json")
    if encoding not in {"json", "jsonl"}:
        raise ConfigError(f"stdout: has no encoding {encoding!r}", "known: json")
    return StdoutSink()


class StdoutSink:
    """Rows in the order of their lines, file after file."""

    limits = SinkLimits(rows=10_000, bytes=1 << 20, seconds=0.25, exactly_once=False)

    def open(self) -> None:
        """Standard output is open already."""

    def write(self, batch: Batch) -> None:
        """Print the rows and flush. Raises BrokenPipeError when the reader has left."""
        sys.stdout.buffer.write(json_lines(batch.tables, _order(batch)))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Standard output stays open."""


def _order(batch: Batch) -> dict[str, LineNumbers]:
    """For each row its place among the rows of all tables: by file in the order of the spans, then by line."""
    ranks = {file_id: i for i, file_id in enumerate(dict.fromkeys(s.span.file_id for s in batch.spans))}
    names = [n for n in ROW_TABLES if n in batch.tables]
    if not names:
        return {}
    keys = [_keys(batch.tables[n], ranks) for n in names]
    everything = np.concatenate(keys)
    places = np.empty(len(everything), dtype=np.int64)
    places[np.lexsort((everything[:, 1], everything[:, 0]))] = np.arange(len(everything))
    ends = np.cumsum([len(k) for k in keys])
    return dict(zip(names, np.split(places, ends[:-1]), strict=True))


def _keys(rows: pa.RecordBatch, ranks: dict[int, int]) -> LineNumbers:
    files = [ranks.get(int(f or 0), len(ranks)) for f in rows.column("file_id").to_pylist()]
    lines = rows.column("line").to_numpy(zero_copy_only=False).astype(np.int64)
    return np.stack([np.asarray(files, dtype=np.int64), lines], axis=1)
