"""The embedded store as a folder: made, refused, held by another process, full."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from logproc.errors import ConfigError, StateError
from logproc.model import Batch
from logproc.seal import Sealer
from logproc.testing import LineParser
from sinks import chdb, make_sink
from tests.batches import NOW, batch, expected, request_id, span
from tests.chdb_store import Database
from tests.frames import framed_lines

FILE = 0xFFFF_FFFF_FFFF_FFFF


def test_values_arrive_as_they_are(database: Database) -> None:
    database.sink().write(batch(0, [span(FILE, 0, 30)]))

    (row,) = database.rows("SELECT *, toString(request_id) AS id FROM {db}.access_log WHERE line = 12")
    assert row["file_id"] == FILE
    assert row["id"] == str(request_id(FILE, 12))
    assert (row["response_code"], row["response_flags"], row["path"]) == (503, "UF,URX", "/12")
    assert dict(row["extra"]) == {"k": "12"}
    assert row["upstream_service_time_ms"] is None
    assert row["method"] == "GET"
    assert row["authority"] == ""
    (raw,) = database.rows("SELECT hex(raw) AS raw FROM {db}.rejected_line WHERE line = 15")
    assert raw["raw"] == "FF000F"


def test_a_batch_of_many_days_is_one_block_and_repeats_cleanly(database: Database) -> None:
    """130 partitions; an insert may have 100 by default."""
    sink = database.sink()
    many = batch(0, [span(FILE, 0, 190)])
    times = [NOW - i * 86_400_000_000 for i in range(many.tables["access_log"].num_rows)]
    rows = many.tables["access_log"]
    place = rows.schema.get_field_index("timestamp")
    many.tables["access_log"] = rows.set_column(
        place, rows.schema.field(place), pa.array(times, rows.schema.field(place).type)
    )  # type: ignore[index]
    sink.write(many)
    database.sink().write(many)

    assert database.value("SELECT count() AS n FROM {db}.access_log") == rows.num_rows > 120
    assert database.rollup_difference() == 0


def test_lines_without_a_time_that_are_read_again_hours_later_are_stored_once(database: Database) -> None:
    """Nothing tells of the rows but themselves: killed between two inserts, and the state folder lost."""

    def sealed(collector: str, at: int) -> Batch:
        framed = framed_lines([f"line {i}" for i in range(10)], file_id=77)
        return Sealer(collector, "node").seal(0, [([framed], LineParser().parse([framed.text]))], at, 100)

    before, again = database.sink(), database.sink()
    before.write(sealed("a", NOW - 3 * 3_600_000_000))
    before.close()
    database.command("TRUNCATE TABLE {db}.ledger")

    again.write(sealed("b", NOW))
    again.close()

    assert database.stored_lines(77)["message_log"] == list(range(10))


def test_a_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    done = child(tmp_path / "a/b", "print('opened')")

    assert done.stdout == "opened\n"
    assert (tmp_path / "a/b/metadata").is_dir()


def test_a_store_that_another_process_has_open_names_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", OPEN.format(folder=tmp_path / "s", then="print('opened', flush=True); input()")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "opened\n"
    try:
        done = child(tmp_path / "s", "")
    finally:
        holder.communicate("\n")

    assert f"StateError: chdb://{tmp_path}/s is in use by process {holder.pid} (" in done.stderr
    assert child(tmp_path / "s", "print('free')").stdout == "free\n"


def test_another_folder_in_the_same_process_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="another embedded store"):
        chdb.connect(tmp_path / "other", create=True)


def test_what_is_no_store_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/important.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()

    for folder, create, words in (
        ("data", True, "other files"),
        ("data", False, "other files"),
        ("file", True, "is a file"),
        ("empty", False, "empty"),
        ("nowhere", False, "there is no store"),
    ):
        with pytest.raises(ConfigError, match=words):
            chdb.connect(tmp_path / folder, create=create)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["data", "empty", "file", "important.txt"]


def test_a_folder_beside_other_things_is_not_taken_for_a_store_by_its_tmp(tmp_path: Path) -> None:
    for name in ("tmp", "projects"):
        (tmp_path / name).mkdir()

    with pytest.raises(ConfigError, match="other files"):
        chdb.connect(tmp_path, create=True)


def test_without_the_extra_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ConfigError) as refused:
        make_sink(f"chdb://{tmp_path}/x").open()

    assert refused.value.hint == "pip install 'logproc[embedded]'"


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists() and "CI" not in os.environ,
    reason="root may write anywhere",
)
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", OPEN.format(folder=closed / "s", then="")] if os.geteuid() == 0
        else [sys.executable, "-c", OPEN.format(folder=closed / "s", then="")],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert "Permission denied" in done.stderr


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on file sizes stands in for the disk: the engine fails in the middle of writing, and goes on when it is lifted."""
    done = child(
        tmp_path / "s",
        """
import resource
from logproc.errors import Unavailable
from tests.batches import NOW, batch, span
sink.write(batch(0, [span(1, 0, 40)]))
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    sink.write(batch(1, [span(1, 40, 90)]))
except Unavailable as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.write(batch(1, [span(1, 40, 90)]))
ask = sink._connection.query
print(ask('SELECT count() AS n, uniqExact(line) AS u FROM logproc.access_log').to_pylist())
""",
    )

    lines = len(expected(1, 90)["access_log"])
    said = done.stdout.splitlines()
    assert said == [f"chdb://{tmp_path}/s: no space left on the disk of the store", str([{"n": lines, "u": lines}])], (
        done.stderr
    )


OPEN = """
from sinks import make_sink
sink = make_sink('{folder}')
sink.open()
{then}
sink.close()
"""


def child(folder: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Open a store in a process of its own, as one process can have only one."""
    return subprocess.run(
        [sys.executable, "-c", OPEN.format(folder=folder, then=then)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
