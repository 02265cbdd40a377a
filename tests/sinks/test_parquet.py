"""Files in a folder."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from logproc.columns import TABLES
from logproc.errors import ConfigError, Unavailable
from sinks import make_sink
from tests.batches import batch, span


def test_one_file_for_each_table_and_batch(tmp_path: Path) -> None:
    sink = make_sink(f"parquet://{tmp_path}/out")
    sink.open()
    sink.write(batch(3, [span(9, 0, 20)]))
    sink.write(batch(3, [span(9, 0, 20)]))

    files = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert [str(f) for f in files] == [f"{t}/c0ffee00c0ffee00-000000000003.parquet" for t in sorted(TABLES)]
    rows = pq.read_table(tmp_path / "out/access_log")
    assert rows.column("line").to_pylist() == [n for n in range(20) if n % 10 not in {3, 5, 8}]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="file"):
        make_sink(f"parquet://{tmp_path}/file").open()


def test_a_folder_that_went_away_is_unavailable_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    sink = make_sink(f"parquet://{tmp_path}/out")
    sink.open()
    (tmp_path / "out").rmdir()
    (tmp_path / "out").touch()

    with pytest.raises(Unavailable):
        sink.write(batch(0, [span(9, 0, 20)]))
