"""Generated pages are what the code says, and the walk-throughs' commands run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.references import DOCS, PAGES
from tests.walkthroughs import FOLDER, steps

WALKS = sorted(FOLDER.glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run `make docs`"


def test_there_is_a_walk_for_each_installation_people_follow() -> None:
    assert {w.stem for w in WALKS} == {"mushop", "bookinfo", "helloworld", "travels"}


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.stem)
def test_a_walk_through_runs(page: Path, tmp_path: Path) -> None:
    done = steps(page, tmp_path)

    assert sum(step.shown is not None for step in done) >= 3
    for step in done:
        assert step.code == 0, f"{step.typed}: {step.errors}"
        if step.shown is not None:
            assert step.output.count("\n") >= 1, f"{step.typed} shows nothing"
            shown = step.shown.removeprefix("```text\n")
            # Columns as they are shown; numbers may differ where the simulator has changed since.
            assert words(shown) == words(step.output), f"{step.typed}: run `make docs`"


def words(text: str) -> list[str]:
    """The names of a table's columns; of anything else nothing."""
    first = text.splitlines()[0] if text else ""
    return (
        []
        if any(c.isdigit() for c in first.replace("p50", "").replace("p95", "").replace("p99", ""))
        else first.split()
    )
