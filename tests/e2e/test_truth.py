"""What the simulator wrote is what the store holds: every field of every line, through rotation, partial lines and gzip."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from logproc.columns import TABLES
from tests import cli

PLACE = {"k8s_namespace", "k8s_pod", "k8s_container"}


def stored(store: Path, table: str) -> dict[tuple[int, int], dict[str, Any]]:
    columns = [c.name for c in TABLES[table].columns if c.from_line or c.name in PLACE | {"file_id", "line"}]
    shown = [f"formatDateTime({c}, '%FT%T.%fZ') AS {c}" if c == "timestamp" else c for c in columns]
    rows = cli.query(f"SELECT {', '.join(shown)} FROM {table}", store)
    return {(int(r["file_id"]), int(r["line"])): r for r in rows}


def same(column: str, wanted: Any, found: Any) -> bool:
    """Missing is '' (text), 0 (numbers) or the zero UUID in ClickHouse, whose columns are not Nullable."""
    if wanted is None:
        return found in (None, "", 0, "0", "00000000-0000-0000-0000-000000000000", {}, [])
    if isinstance(wanted, int):
        return int(found) == wanted
    return bool(found == wanted)


@pytest.mark.parametrize("topology", ["mushop", "travels"])
def test_the_store_equals_the_truth(tmp_path: Path, topology: str) -> None:
    logs, store, truth = tmp_path / "pods", tmp_path / "store", tmp_path / "truth.jsonl"
    cli.output(
        "simulate",
        topology,
        "--out",
        logs,
        "--seed",
        "7",
        "--requests",
        "3000",
        "--rotate-at",
        "300Ki",
        "--truth",
        truth,
    )
    assert list(logs.rglob("*.gz")), "nothing was rotated twice"

    summary = cli.collect([logs], f"chdb://{store}", tmp_path / "state", "--containers", "*")

    wanted: dict[str, dict[tuple[int, int], dict[str, Any]]] = defaultdict(dict)
    for text in truth.open():
        row = json.loads(text)
        wanted[row["table"]][row["file_id"], row["line"]] = row
    assert summary["rows"] == {t: len(wanted[t]) for t in ("access_log", "message_log", "rejected_line")}
    for table, rows in wanted.items():
        found = stored(store, table)
        assert found.keys() == rows.keys()
        for key, row in rows.items():
            wrong = {
                c.name: (row.get(c.name), found[key][c.name])
                for c in TABLES[table].columns
                if (c.from_line or c.name in PLACE) and not same(c.name, row.get(c.name), found[key][c.name])
            }
            assert not wrong, (key, row, wrong)
