"""When a batch is sealed, and what its chunks are joined to."""

from __future__ import annotations

import pytest

from logproc.batching import Batcher
from logproc.budget import within
from logproc.errors import ConfigError
from logproc.model import Chunk, SinkLimits, Span, Stream

LIMITS = SinkLimits(rows=10, bytes=1 << 20, seconds=1.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def chunk(first: int, lines: int, *, path: str = "a", file_id: int = 1, size: int = 10) -> Chunk:
    data = (b"x" * (size - 1) + b"\n") * lines
    return Chunk(Stream(path), Span(file_id, first * size, (first + lines) * size, first, lines), data)


def test_each_limit_seals() -> None:
    clock = Clock()
    batcher = Batcher(LIMITS, clock)
    assert batcher.due() == ""
    batcher.add([chunk(0, 9)])
    assert batcher.due() == ""
    batcher.add([chunk(9, 1)])
    assert batcher.due() == "rows"
    batcher.take()
    batcher.sealed()
    batcher.add([chunk(0, 2, size=1 << 19)])
    assert batcher.due() == "bytes"
    batcher.take()
    batcher.sealed()
    batcher.add([chunk(0, 1)])
    clock.now += 1.0
    assert batcher.due() == "age"


def test_age_counts_from_the_first_chunk_and_a_clock_that_goes_back_seals() -> None:
    clock = Clock()
    batcher = Batcher(LIMITS, clock)
    batcher.add([chunk(0, 1)])
    clock.now += 0.9
    batcher.add([chunk(1, 1)])
    assert batcher.due() == ""
    clock.now -= 10
    assert batcher.due() == "age"


def test_adjoining_chunks_of_a_file_are_one_span() -> None:
    batcher = Batcher(LIMITS, Clock())
    batcher.add([chunk(0, 2), chunk(0, 1, path="b", file_id=2), chunk(2, 3), chunk(7, 1)])

    joined = batcher.take()

    assert [(c.stream.path, c.span.first_line, c.span.lines, len(c.data)) for c in joined] == [
        ("a", 0, 5, 50),
        ("a", 7, 1, 10),
        ("b", 0, 1, 10),
    ]
    assert batcher.take() == []
    assert (batcher.bytes, batcher.lines) == (70, 7)
    batcher.sealed()
    assert (batcher.bytes, batcher.lines, batcher.due()) == (0, 0, "")


def test_a_large_batch_is_parsed_in_pieces() -> None:
    batcher = Batcher(SinkLimits(rows=10**9, bytes=9 << 20, seconds=60), Clock())
    batcher.add([chunk(0, 4, size=1 << 20)])
    assert (batcher.piece_due(), batcher.due(), batcher.room) == (True, "", 64 << 10)
    batcher.take()
    assert (batcher.piece_due(), batcher.room) == (False, 4 << 20)
    batcher.add([chunk(4, 4, size=1 << 20)])
    batcher.take()
    assert (batcher.due(), batcher.room) == ("", 1 << 20)
    batcher.add([chunk(8, 1, size=1 << 20)])
    assert batcher.due() == "bytes"


def test_files_of_a_stream_stay_together_and_in_order() -> None:
    batcher = Batcher(LIMITS, Clock())
    batcher.add([chunk(5, 1), chunk(0, 1, path="b", file_id=9), chunk(0, 1, file_id=2)])

    assert [(c.stream.path, c.span.file_id) for c in batcher.take()] == [("a", 1), ("a", 2), ("b", 9)]


def test_oversized_lines_keep_their_index_when_chunks_are_joined() -> None:
    batcher = Batcher(LIMITS, Clock())
    second = chunk(2, 1)
    batcher.add([chunk(0, 2), Chunk(second.stream, second.span, second.data, oversized=((0, 99),), last=True)])

    (joined,) = batcher.take()

    assert joined.oversized == ((2, 99),)
    assert joined.last


def test_a_memory_limit_makes_batches_smaller_and_says_what_is_too_little() -> None:
    limits = SinkLimits(rows=100_000, bytes=32 << 20)
    sizes = [within(memory << 20, limits)[0].bytes for memory in (120, 140, 180, 220, 400)]
    pieces = [within(memory << 20, limits)[1] for memory in (120, 140, 180, 220, 400)]

    assert sizes == sorted(sizes)
    assert (sizes[-1], pieces[-1]) == (32 << 20, 4 << 20)
    assert all(256 << 10 <= piece <= size for piece, size in zip(pieces, sizes, strict=True))
    assert within(0, limits) == (limits, 4 << 20)
    with pytest.raises(ConfigError, match="--memory"):
        within(50 << 20, limits)
