"""Real lines that others posted, where they are at hand: each becomes one row of one table, and the ledger says so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests import cli

CORPUS = Path(os.environ.get("LOGPROC_TEST_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "lines.jsonl"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of posted lines is not part of the repository")


def test_every_line_is_one_row_and_the_ledger_says_so(tmp_path: Path) -> None:
    lines = [json.loads(text)["line"].replace("\n", " ") for text in CORPUS.open()]
    file, store = tmp_path / "corpus.log", tmp_path / "store"
    file.write_text("".join(f"{line}\n" for line in lines))

    summary = cli.collect([file], f"chdb://{store}", tmp_path / "state")

    counted = cli.query(
        "SELECT (SELECT count() FROM access_log) AS a, (SELECT count() FROM message_log) AS m, (SELECT count() FROM rejected_line) AS r,"
        " (SELECT sum(lines) FROM ledger) AS lines",
        store,
    )[0]
    assert (
        int(counted["a"]) + int(counted["m"]) + int(counted["r"])
        == int(counted["lines"])
        == len(lines)
        == summary["lines"]
    )
