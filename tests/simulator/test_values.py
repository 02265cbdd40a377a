from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from logproc.simulator.values import PathPool, request_ids, runtime_times, time_texts

ROUND = st.integers(0, 4_102_444_800).flatmap(
    lambda s: st.sampled_from([s * 10**6, s * 10**6 + 120_000, s * 10**6 + 1])
)
MOMENTS = st.lists(st.integers(0, 4_102_444_800_000_000) | ROUND, min_size=1, max_size=20)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(MOMENTS)
def test_times_are_cut_to_their_digits(moments: list[int]) -> None:
    whole = [(EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%f") for us in moments]

    assert time_texts(np.array(moments)) == [text[:-3] + "Z" for text in whole]
    assert time_texts(np.array(moments), 6) == [text + "Z" for text in whole]


@given(MOMENTS, st.just(0) | st.integers(0, 999))
def test_runtime_times_leave_out_zeros_at_the_end(moments: list[int], nanos: int) -> None:
    for us, text in zip(moments, runtime_times(np.array(moments) * 1000 + nanos), strict=True):
        seconds, _, fraction = text[:-1].partition(".")
        assert text.endswith("Z") and not fraction.endswith("0") and ".Z" not in text
        assert datetime.fromisoformat(seconds + "Z") == EPOCH + timedelta(seconds=us // 1_000_000)
        assert int(f"{fraction:0<9}") == us % 1_000_000 * 1000 + nanos


def test_request_ids_are_uuids_of_traced_requests() -> None:
    ids = request_ids(np.random.default_rng(1), 500)

    assert len(set(ids)) == 500
    assert all(
        len(i) == 36 and i[14] == "9" and i[19] in "89ab" and [i[p] for p in (8, 13, 18, 23)] == ["-"] * 4 for i in ids
    )


def test_templates_are_the_patterns_without_query() -> None:
    pool = PathPool(np.random.default_rng(1), ("/a/{n}/{uuid}?x={hex}", "/größe/{id}"), 40, long=True)
    paths, templates = pool.draw(np.random.default_rng(2), 200)

    assert set(templates) == {"/a/{n}/{uuid}", "/größe/{id}"}
    assert all(p.count("/") == t.count("/") and "{" not in p for p, t in zip(paths, templates, strict=True))
    assert max(map(len, pool.paths)) > 16_384
