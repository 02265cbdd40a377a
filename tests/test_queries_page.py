"""Every statement of docs/queries.md runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc import reports
from tests.asking import NOON, open_session
from tests.session import Session

STATEMENTS = re.findall(r"```sql\n(.*?)```", (Path(__file__).parent.parent / "docs/queries.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from open_session(tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("sql", STATEMENTS)
def test_it_runs(logproc: Session, sql: str) -> None:
    said = logproc("query", "-", stdin=sql.encode())

    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize("name", reports.names())
def test_a_report_reads_the_partition_of_its_time_alone(logproc: Session, name: str) -> None:
    for day in range(4):
        logproc("query", f"INSERT INTO access_log (timestamp, app) SELECT toDateTime('{NOON:%Y-%m-%d %H:%M:%S}', 'UTC') - INTERVAL {day + 2} DAY, 'x'")  # fmt: skip
    sql = logproc(
        "report", name, "--since", f"{NOON:%Y-%m-%d %H:%M}", "--until", f"{NOON:%Y-%m-%d} 12:10", "--sql"
    ).text

    plan = logproc(
        "query",
        "-",
        stdin=b"EXPLAIN indexes = 1 " + sql[sql.index("\nSELECT" if "\nWITH" not in sql else "\nWITH") :].encode(),
    ).text

    pruned = [tuple(map(int, found)) for found in re.findall(r"Min-Max.*?Parts: (\d+)/(\d+)", plan, re.DOTALL)]
    assert pruned, plan
    assert all(read < of for read, of in pruned), plan
