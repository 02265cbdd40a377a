"""HTTP's codings in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.errors import QueryError
from logproc.serve.compression import CODINGS, Decompressor, chosen, compressor


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


def undo(coding: str, data: bytes, size: int) -> bytes:
    made = Decompressor(coding)
    out = b"".join(piece for part in pieces(data, size) for piece in made.feed(part))
    made.end()
    return out


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=3000), times=st.integers(1, 40), size=st.integers(1, 500), frames=st.integers(1, 3))
def test_there_and_back_however_it_is_cut(coding: str, data: bytes, times: int, size: int, frames: int) -> None:
    whole = b""
    for _ in range(frames):
        made = compressor(coding)
        whole += b"".join(made.compress(part) for part in pieces(data * times, size)) + made.flush()

    assert undo(coding, whole, size) == data * times * frames


@pytest.mark.parametrize("coding", CODINGS)
@given(cut=st.integers(1, 10_000), data=st.binary(min_size=100, max_size=1000))
def test_a_stream_that_is_cut_is_refused(coding: str, cut: int, data: bytes) -> None:
    made = compressor(coding)
    whole = made.compress(data) + made.flush()
    with pytest.raises(QueryError):
        undo(coding, whole[: -(cut % (len(whole) - 1)) - 1] or whole[:1], 64)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_grows_beyond_measure_comes_in_pieces(coding: str) -> None:
    made = compressor(coding)
    bomb = b"".join(made.compress(bytes(1 << 20)) for _ in range(64)) + made.flush()
    sizes = [len(piece) for piece in Decompressor(coding).feed(bomb)]

    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 5 << 20


@pytest.mark.parametrize(
    ("header", "coding"),
    [("gzip, deflate, br", "gzip"), ("gzip;q=0, deflate", "deflate"), ("lz4, gzip", "lz4"), ("br", ""), ("", ""), ("*", "gzip"), ("identity", ""), ("ZSTD", "zstd")],
)  # fmt: skip
def test_what_a_client_accepts(header: str, coding: str) -> None:
    assert chosen(header) == coding
