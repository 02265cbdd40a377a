"""Fields read where they stand: wherever that is in the chunk, they say the same."""

from __future__ import annotations

import numpy as np
import pytest

from parsers.pieces import Pieces


def _pieces(texts: list[bytes], before: int, behind: int) -> Pieces:
    """The texts with a blank behind each, so many bytes before the first and behind the last."""
    data = b"x" * before + b" ".join(texts) + b"y" * behind
    ends = before + np.cumsum([len(t) + 1 for t in texts]) - 1
    right = ends.astype(np.int32)
    left = right - np.array([len(t) for t in texts], np.int32)
    return Pieces(data, np.frombuffer(data, np.uint8), left, right)


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("behind", range(10))
@pytest.mark.parametrize("before", range(10))
def test_values_are_the_same_at_every_place_of_a_chunk(before: int, behind: int, count: int) -> None:
    numbers = [str(10 ** (i % 8) + i).encode() for i in range(count)]
    words = [f"{i % 7:x}" * (1 + i % 8) for i in range(count)]
    hosts = [b"10.0.0.%d:%d" % (i, 10 ** (i % 5)) for i in range(count)]

    assert _pieces(numbers, before, behind).numbers(64)[0].to_pylist() == [int(n) for n in numbers]
    assert _pieces([w.encode() for w in words], before, behind).words().to_pylist() == words
    assert _pieces(hosts, before, behind).addresses(lambda _: (None, None))[1].to_pylist() == [
        10 ** (i % 5) for i in range(count)
    ]


@pytest.mark.parametrize("key", ["[", "id=", "upstream_ms="])
@pytest.mark.parametrize("before", range(10))
def test_a_prefix_is_found_at_every_place_of_a_chunk(before: int, key: str) -> None:
    texts = [(key + "7").encode(), (key[:-1] + "~7").encode(), key[1:].encode(), (key + "8").encode()]

    inner, good = _pieces(texts, before, 0).inner(key.encode(), b"")

    assert good.tolist() == [True, False, False, True]
    assert inner.numbers(16)[0].to_pylist()[0] == 7
    assert inner.numbers(16)[0].to_pylist()[3] == 8
