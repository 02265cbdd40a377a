"""What is asked, and what is remembered instead."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.model import Batch
from sinks.stored import Run, Stored, uncovered
from tests.batches import batch, span


class Asked:
    """A store in which nothing is; it counts the questions."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def __call__(self, sql: str) -> pa.Table:
        self.questions.append(sql)
        names = (
            ("name", "file_id", "found", "last")
            if "groupArray" in sql
            else ("file_id", "first_line", "end_line", "start", "end")
        )
        return pa.table({n: pa.array([], pa.uint64()) for n in names})

    def during(self, action: Callable[[], object]) -> int:
        before = len(self.questions)
        action()
        return len(self.questions) - before


@pytest.fixture
def asked() -> Asked:
    return Asked()


def write(stored: Stored, written: Batch) -> None:
    stored.missing(written)
    stored.settle()


def test_only_the_first_run_of_a_file_is_asked_for(asked: Asked) -> None:
    stored = Stored(asked, "d")

    assert asked.during(lambda: write(stored, batch(0, [span(1, 0, 10)]))) == 2
    assert asked.during(lambda: write(stored, batch(1, [span(1, 10, 20), span(1, 20, 25)]))) == 0
    assert asked.during(lambda: write(stored, batch(2, [span(1, 25, 30), span(2, 0, 5)]))) == 2
    assert " (2) " in asked.questions[-2]


@pytest.mark.parametrize(("first", "end"), [(0, 10), (5, 20), (11, 20)], ids=["repeat", "overlap", "gap"])
def test_what_does_not_follow_is_asked_for(asked: Asked, first: int, end: int) -> None:
    stored = Stored(asked, "d")
    write(stored, batch(0, [span(1, 0, 10)]))

    assert asked.during(lambda: write(stored, batch(1, [span(1, first, end)]))) == 2


def test_one_question_for_many_files(asked: Asked) -> None:
    assert asked.during(lambda: write(Stored(asked, "d"), batch(0, [span(f, 0, 2) for f in range(1, 400)]))) == 2


def test_a_batch_that_was_not_settled_is_asked_for_again(asked: Asked) -> None:
    stored = Stored(asked, "d")
    write(stored, batch(0, [span(1, 0, 10)]))
    stored.missing(batch(1, [span(1, 10, 20)]))
    stored.forget()

    assert asked.during(lambda: stored.missing(batch(1, [span(1, 10, 20)]))) == 2


def test_memory_is_bounded_and_a_forgotten_file_is_only_asked_for(asked: Asked) -> None:
    stored = Stored(asked, "d", remembered=3)
    for file_id in range(1, 6):
        write(stored, batch(file_id, [span(file_id, 0, 10)]))

    assert len(stored._ends) == 3
    assert asked.during(lambda: write(stored, batch(6, [span(5, 10, 20)]))) == 0
    assert asked.during(lambda: write(stored, batch(7, [span(1, 10, 20)]))) == 2


def test_the_hour_bounds_the_question_where_times_can_be_trusted(asked: Asked) -> None:
    Stored(asked, "d").missing(batch(0, [span(1, 0, 10)]))
    Stored(asked, "d").missing(batch(0, [span(1, 0, 10)], doubtful=True))

    trusted, doubtful = (q for q in asked.questions if "groupArray" in q)
    assert "timestamp >= " in trusted
    assert "timestamp" not in doubtful


RUNS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(
        lambda t: Run(t[0], t[0] + t[1], t[0] * 7, (t[0] + t[1]) * 7)
    ),
    max_size=6,
)


@given(st.integers(0, 60), st.integers(1, 40), RUNS)
def test_a_run_is_what_is_covered_and_what_is_not(first: int, lines: int, covered: list[Run]) -> None:
    run = Run(first, first + lines, first * 7, (first + lines) * 7)
    pieces = uncovered(run, covered)

    left = [n for p in pieces for n in range(p.first, p.end)]
    there = {n for c in covered for n in range(c.first, c.end)}
    assert left == [n for n in range(run.first, run.end) if n not in there]
    assert all(p.start == p.first * 7 and p.stop == p.end * 7 and p.first < p.end for p in pieces)


def test_a_correction_is_not_covered_by_the_lines_it_corrects() -> None:
    assert uncovered(Run(5, 5, 50, 50), [Run(0, 10, 0, 100)]) == [Run(5, 5, 50, 50)]
