"""Tables for people: aligned, fitted to a terminal, safe to print."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.text_table import LEAST, Heading, Kind, TextTable, cells, cut, display_width, fit, printable

SERVICES = [Heading("service"), Heading("requests", Kind.NUMBER), Heading("p99", Kind.NUMBER), Heading("flags")]


def render(headings: list[Heading], *blocks: list[tuple[Any, ...]], **options: Any) -> str:
    out = io.StringIO()
    table = TextTable(out, headings, **options)
    for block in blocks:
        table.write(block)
    return out.getvalue()


def test_numbers_stand_right_and_have_the_same_decimals() -> None:
    shown = render(SERVICES, [("reviews", 12, 1.5, "UO"), ("productpage", 1200, 12.25, None)])

    assert shown == (
        "service      requests    p99  flags\n"
        "reviews            12   1.50  UO\n"
        "productpage      1200  12.25  -\n"
    )  # fmt: skip


def test_without_rows_the_heading_shows() -> None:
    assert render(SERVICES, []) == "service  requests  p99  flags\n"
    assert render(SERVICES, [], header=False) == ""


def test_later_blocks_keep_the_columns() -> None:
    shown = render([Heading("a"), Heading("b")], [("xxxx", "y")], [("x", "y"), ("xxxxxx", "y")])

    assert shown.splitlines() == ["a     b", "xxxx  y", "x     y", "xxxxxx  y"]


def test_a_long_text_is_whole_and_does_not_widen_the_others() -> None:
    shown = render([Heading("a"), Heading("b")], [("x" * 500, "y"), ("x", "y")])

    assert [len(line) for line in shown.splitlines()] == [83, 503, 83]


def test_a_terminal_gets_no_line_wider_than_itself() -> None:
    rows = [("x" * 100, 7, 0.5, "y" * 30)]

    shown = render(SERVICES, rows, width=60)

    assert max(map(display_width, shown.splitlines())) <= 60
    assert "…" in shown
    assert "7" in shown


def test_what_does_not_fit_at_all_is_printed_one_below_the_other() -> None:
    headings = [Heading(f"column_{i}") for i in range(30)]

    shown = render(headings, [tuple("v" * 30 for _ in headings), (None, *("w" for _ in headings[1:]))], width=80)

    assert shown.splitlines()[:2] == ["row 1", "  column_0   " + "v" * 30]
    assert "row 2\n  column_0   -\n" in shown


def test_colours_only_where_asked() -> None:
    assert "\x1b" not in render(SERVICES, [("a", None, 1.0, None)])
    assert render([Heading("a")], [(None,)], colour=True) == "\x1b[1ma\x1b[0m\n\x1b[2m-\x1b[0m\n"


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\rb", "a\nb", "\x9b31m", "\u202edcba", "\x00", "\x7f", "\u2066x"])
def test_nothing_reaches_the_terminal_that_moves_it(hostile: str) -> None:
    shown = render([Heading("user_agent")], [(hostile,), ({hostile: hostile},), (hostile.encode(),)])

    assert all(c == "\n" or c.isprintable() for c in shown)
    assert len(shown.splitlines()) == 4


def test_times_lose_microseconds_that_no_row_has() -> None:
    times = ["2026-11-21 01:02:03.120000", None, "2026-11-21 01:02:03.000000"]

    assert cells(Kind.TIME, times) == ["2026-11-21 01:02:03.120", None, "2026-11-21 01:02:03.000"]
    assert cells(Kind.TIME, [*times, "2026-11-21 01:02:03.000001"])[0] == "2026-11-21 01:02:03.120000"


def test_small_numbers_are_not_rounded_to_nothing() -> None:
    assert cells(Kind.NUMBER, [0.00001234, 2.0, 0.0, float("nan")]) == ["1.2e-05", "2", "0", "nan"]
    assert cells(Kind.NUMBER, [1234567.891, None, 3]) == ["1234567.891", None, "3.000"]


def test_values_of_every_kind() -> None:
    assert cells(Kind.TEXT, [True, {"a": 1}, [1, "x"], b"\xff", 5]) == ["true", '{"a": 1}', '[1, "x"]', "\ufffd", "5"]


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_cut_text_fits(text: str, width: int) -> None:
    assert display_width(cut(printable(text), width)) <= width


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=8), st.integers(1, 200))
def test_fitted_widths_fit_and_shrink_no_more_than_needed(columns: list[tuple[int, bool]], width: int) -> None:
    widest, shrinks = [w for w, _ in columns], [s for _, s in columns]

    widths = fit(widest, shrinks, width)

    least = sum(min(w, LEAST) if s else w for w, s in columns) + 2 * (len(columns) - 1)
    if widths is None:
        assert least > width
    else:
        total = sum(widths) + 2 * (len(columns) - 1)
        assert total <= width
        assert widths == widest or total > width - len(columns)
        assert all(w == full or (s and w >= LEAST) for w, full, s in zip(widths, widest, shrinks, strict=True))
