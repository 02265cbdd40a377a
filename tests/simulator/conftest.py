import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from logproc.simulator import SimulateOptions, Summary, simulate

START = 1_795_240_800.0  # 2026-11-21T06:00:00Z


@dataclass
class Simulated:
    root: Path
    truth: list[dict[str, Any]]
    summary: Summary

    @property
    def access(self) -> list[dict[str, Any]]:
        return [row for row in self.truth if row["table"] == "access_log"]


Simulate = Callable[..., Simulated]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulate:
    """Runs a mesh into a folder, once for each set of options; `truth=False` writes no truth."""
    known: dict[str, Simulated] = {}

    def run(**options: Any) -> Simulated:
        key = repr(sorted(options.items()))
        if key not in known:
            root = tmp_path_factory.mktemp("pods")
            truth = root.parent / f"{root.name}.jsonl" if options.pop("truth", True) else None
            summary = simulate(SimulateOptions(**{"out": root, "truth": truth, "start": START, **options}))
            rows = [json.loads(line) for line in truth.open(encoding="utf-8")] if truth is not None else []
            known[key] = Simulated(root, rows, summary)
        found = known[key]
        return Simulated(found.root, [dict(row) for row in found.truth], found.summary)

    return run
