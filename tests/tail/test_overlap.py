"""Each line once, however responses repeat, break off and begin again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.model import Stream
from logproc.tail.overlap import KEPT_OF_OVERSIZED, MAX_LINE, SECOND, Overlap
from tests.fake_api.server import stamp

BASE = 1_800_000_000 * SECOND


def line(n: int, step: int) -> bytes:
    return f"{stamp(BASE + n * step)} line {n}\n".encode()


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 2 * SECOND),
    st.integers(1, 120),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 60)), max_size=8),
    st.data(),
)
def test_reopened_responses_lose_and_double_nothing(
    step: int, total: int, cuts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Each response begins at the whole second of the last line, comes in pieces of any size and is cut in mid-line."""
    overlap = Overlap(Stream("", "shop", "web-0", "c", "uid"))
    seen: list[bytes] = []

    def feed(begin: int, end: int, torn: int) -> None:
        body = b"".join(line(n, step) for n in range(begin, end))
        body += line(end, step)[:torn] if end < total else b""
        while body:
            size = data.draw(st.integers(1, len(body)))
            chunk = overlap.add(body[:size])
            seen.extend(chunk.data.split(b"\n")[:-1] if chunk else [])
            body = body[size:]

    at = 0
    overlap.opened(again=False)
    for count, torn in [*cuts, (total, 0)]:
        at = min(total, at + count)
        first = 0
        if overlap.last:
            second = overlap.last // SECOND * SECOND
            first = next(n for n in range(total + 1) if BASE + n * step >= second)
        feed(first, at, torn)
        overlap.ended(final=False)
        overlap.opened(again=True)

    assert seen == [line(n, step)[:-1] for n in range(total)]
    assert overlap.gaps == 0


def test_a_file_that_comes_twice_in_one_response_is_shown_once() -> None:
    overlap = Overlap(Stream("", "shop", "web-0", "c", "uid"))
    file = b"".join(line(n, 10**6) for n in range(1000))
    first = overlap.add(file)
    second = overlap.add(file + line(1000, 10**6))

    assert first is not None and first.span.lines == 1000
    assert second is not None and second.data == line(1000, 10**6)
    assert overlap.repeated == 1000


def test_a_clock_that_steps_back_loses_nothing() -> None:
    overlap = Overlap(Stream("", "shop", "web-0", "c", "uid"))
    overlap.add(b"".join(line(n, SECOND) for n in range(100, 110)))
    later = overlap.add(b"".join(line(n, SECOND) for n in range(50, 60)))

    assert later is not None
    assert later.span.lines == 10


def test_memory_stays_bounded() -> None:
    overlap = Overlap(Stream("", "shop", "web-0", "c", "uid"), remembered=2000)
    for part in range(200):
        overlap.add(b"".join(line(part * 500 + n, 10**7) for n in range(500)))

    assert overlap._kept <= 3 * 2000
    assert sum(map(len, overlap._hashes)) == overlap._kept


@settings(max_examples=20, deadline=None)
@given(st.integers(MAX_LINE - 2, MAX_LINE + 2) | st.integers(3 << 20, 4 << 20), st.integers(1 << 12, 5 << 20))
def test_a_line_beyond_a_megabyte_is_cut_however_it_comes(size: int, part: int) -> None:
    before, after = line(0, 10), line(2, 10)
    long = line(1, 10)[:-1].ljust(size, b"y")
    data = before + long + b"\n" + after
    overlap = Overlap(Stream("", "shop", "web-0", "c", "uid"))
    chunks = [c for at in range(0, len(data), part) if (c := overlap.add(data[at : at + part])) is not None]

    kept = long[:KEPT_OF_OVERSIZED] if size > MAX_LINE else long
    assert b"".join(c.data for c in chunks) == before + kept + b"\n" + after
    cut = [(c.span.first_line + i, n) for c in chunks for i, n in c.oversized]
    assert cut == ([(1, size)] if size > MAX_LINE else [])
