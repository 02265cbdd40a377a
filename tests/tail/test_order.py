"""Lines of many streams by time, none held longer than the window."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.model import Chunk, Span, Stream
from logproc.tail.line_times import NO_TIME, line_starts, line_times
from logproc.tail.order import Lines, Order
from tests.fake_api.server import stamp

BASE = 1_800_000_000 * 10**9


def chunk(pod: str, times: list[int], first: int = 0) -> Chunk:
    data = "".join(f"{stamp(BASE + t)} {pod} {first + i}\n" for i, t in enumerate(times)).encode()
    return Chunk(Stream("", "shop", pod, "c", pod), Span(0, 0, len(data), first, len(times)), data)


def texts(pieces: list[Lines]) -> list[str]:
    return [line.split(b" ", 1)[1].decode() for p in pieces for line in p.chunk.data.split(b"\n")[:-1]]


def test_a_line_waits_for_earlier_ones_of_other_streams_and_no_longer() -> None:
    now = [0.0]
    order = Order(0.3, clock=lambda: now[0])
    order.add([chunk("a", [500, 900])])
    now[0] = 0.2
    order.add([chunk("b", [100, 700, 1000])])

    assert order.due() == []
    now[0] = 0.31
    released = order.due()

    assert sorted(texts(released)) == ["a 0", "a 1", "b 0", "b 1"]
    assert order.holds
    now[0] = 0.51
    assert texts(order.due()) == ["b 2"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 10**10), min_size=1, max_size=8), st.floats(0, 0.2)),
        max_size=20,
    )
)
def test_every_line_comes_once_in_its_streams_order_within_the_window(
    arrivals: list[tuple[str, list[int], float]],
) -> None:
    now, window = [0.0], 0.3
    order = Order(window, clock=lambda: now[0])
    seen: dict[str, list[int]] = {}
    arrived: dict[tuple[str, int], float] = {}
    counts = dict.fromkeys("abc", 0)

    def take(pieces: list[Lines]) -> None:
        for text in texts(pieces):
            pod, number = text.split()
            seen.setdefault(pod, []).append(int(number))
            assert now[0] - arrived.pop((pod, int(number))) <= window + 0.2 + 1e-9

    for pod, times, pause in arrivals:
        for i in range(len(times)):
            arrived[pod, counts[pod] + i] = now[0]
        take(order.add([chunk(pod, times, counts[pod])]))
        counts[pod] += len(times)
        take(order.due())
        now[0] += pause
    take(order.due(everything=True))

    assert seen == {pod: list(range(n)) for pod, n in counts.items() if n}


def test_times_with_any_zone_and_number_of_decimals() -> None:
    data = (
        b"2026-11-21T10:00:00Z x\n2026-11-21T10:00:00.5Z x\n2026-11-21T12:00:00.123456789+02:00 x\n2026-11-21T09:30:00.25-00:30 x\n"
        b"2026-13-21T10:00:00Z x\n2026-11-21 10:00:00 x\nhello\n\n2026-11-21T10:00:00.5\n"
    )
    second = 1_795_255_200 * 10**9

    assert line_times(data, line_starts(data)).tolist() == [
        second, second + 5 * 10**8, second + 123_456_789, second + 25 * 10**7, *[NO_TIME] * 5,
    ]  # fmt: skip


@given(st.integers(0, 4 * 10**18))
def test_every_nanosecond_reads_back(nanoseconds: int) -> None:
    data = f"{stamp(nanoseconds)} text\n".encode()

    assert line_times(data, line_starts(data)).tolist() == [nanoseconds]
