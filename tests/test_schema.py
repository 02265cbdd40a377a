"""`logproc schema`: the store's tables from the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc.columns import TABLES
from tests.session import Session


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(env={"LOGPROC_STORE": str(tmp_path_factory.mktemp("schema") / "store")}) as session:
        done = session("schema", "apply")
        assert (done.code, done.out) == (0, b"")
        assert "made access_log" in done.err
        yield session


def test_print_has_every_table_and_needs_no_store(logproc: Session) -> None:
    text = logproc("schema", "print", "--database", "mesh").text

    for name in (*TABLES, "traffic_1m", "traffic_1m_mv"):
        assert f"`mesh`.`{name}`" in text
    assert "logproc" not in text


def test_what_is_printed_makes_the_store_by_other_means(logproc: Session) -> None:
    """Under another name in the same store, statement by statement; then the same columns are there."""
    for statement in logproc("schema", "print", "--database", "mesh").text.split(";\n"):
        if statement.strip():
            assert logproc("query", statement).code == 0, statement

    columns = "SELECT table, name, type, compression_codec, comment FROM system.columns WHERE database = '{}' ORDER BY table, position"
    assert logproc("query", columns.format("mesh")).text == logproc("query", columns.format("logproc")).text
    assert logproc("query", "SELECT version FROM mesh.schema_version", "-o", "tsv").text.split()[-1] == "2"


def test_applying_again_says_that_there_is_nothing_to_do(logproc: Session) -> None:
    done = logproc("schema", "apply")

    assert (done.code, done.err) == (0, "version 2, nothing to do\n")
    assert logproc("schema", "check").text == "version 2: as it should be\nrows are kept: for ever\n"


def test_check_and_diff_find_what_was_changed(logproc: Session) -> None:
    assert logproc("query", "ALTER TABLE access_log RENAME COLUMN route_name TO route").code == 0
    try:
        check, diff = logproc("schema", "check"), logproc("schema", "diff")
    finally:
        assert logproc("query", "ALTER TABLE access_log RENAME COLUMN route TO route_name").code == 0

    assert (check.code, check.out) == (1, b"version 2: differences: 2\nrows are kept: for ever\n")
    assert (diff.code, diff.out) == (1, b"access_log.route_name: missing\naccess_log.route: not known to logproc\n")


def test_a_store_that_is_none_is_usage(logproc: Session, tmp_path: Path) -> None:
    done = logproc("schema", "check", "--store", tmp_path / "none")

    assert done.code == 2
    assert done.err.splitlines()[0] == f"error: {tmp_path}/none: there is no store"


def test_the_reference_in_the_docs_is_what_the_code_says(logproc: Session) -> None:
    page = Path(__file__).parent.parent / "docs" / "schema.md"

    assert page.read_text() == logproc("schema", "reference").text, "run: logproc schema reference > docs/schema.md"


def test_retention_from_the_command_line(logproc: Session) -> None:
    done = logproc("schema", "apply", "--retain", "access_log=14d", "--retain", "traffic_1m=2y")
    assert done.err.splitlines() == [
        "access_log keeps its rows 14 days",
        "traffic_1m keeps its rows 730 days",
        "version 2",
    ]
    check = logproc("schema", "check", "--retain", "access_log=7d")
    assert (check.code, check.out.decode().splitlines()[1][:32]) == (1, "rows are kept: access_log 14 day")
    assert logproc("schema", "apply", "--retain", "access_log=forever", "--retain", "traffic_1m=forever").code == 0
    assert logproc("schema", "check").text.endswith("rows are kept: for ever\n")


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--retain", "access=7d"), "write TABLE=DAYS"),
        (("--retain", "access_log=7h"), "whole days were expected"),
        (("--retain", "access_log"), "write TABLE=DAYS"),
        (("--cluster", "main"), "an embedded store is one process and no cluster"),
    ],
)
def test_options_that_cannot_be(logproc: Session, args: tuple[str, str], error: str) -> None:
    said = logproc("schema", "apply", *args)

    assert said.code == 2
    assert error in said.err


def test_a_store_of_a_newer_logproc_is_refused_by_all_but_check(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("newer")
    store, log = str(folder / "store"), folder / "a.log"
    log.write_text("one line\n")
    writing = ("collect", str(log), "--to", f"chdb://{store}", "--state", str(folder / "state"), "--no-follow")
    with Session(env={"LOGPROC_STORE": store}) as logproc:
        assert logproc("schema", "apply").code == 0
        assert logproc("query", "INSERT INTO schema_version (version) VALUES (99)").code == 0
        for command in (("query", "SELECT 1"), ("report", "traffic"), ("schema", "apply"), ("audit",), writing):
            said = logproc(*command)
            assert said.code == 2
            assert "its tables have version 99, this logproc writes version 2" in said.err
        assert logproc("schema", "check").out.startswith(b"version 99: differences: 1\n")
