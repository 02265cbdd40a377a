"""One request of N is kept, whole, and counts for N; what went wrong is always kept."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logproc.columns import TABLES
from logproc.errors import ConfigError, ExpressionError
from logproc.model import ACCESS_LOG
from logproc.sampling import Rule, request_hashes, sample, text_hashes

SCHEMA = TABLES[ACCESS_LOG].schema
TENTH = Rule.parse("response_code < 400: 1/10")


def rows(count: int, seed: int = 0, **columns: Sequence[Any]) -> pa.RecordBatch:
    """Requests with ids that the seed tells; `columns` in the place of what all have."""
    random = np.random.default_rng(seed)
    given: dict[str, Any] = {
        "request_id": [random.bytes(16) for _ in range(count)],
        "log_type": ["http"] * count,
        "response_code": [200] * count,
        "duration_ms": [5] * count,
        "file_id": [seed + 1] * count,
        "line": list(range(count)),
    } | dict(columns)
    arrays = [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(count, f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def test_the_weights_add_up_to_what_there_was() -> None:
    count, n = 200_000, 10
    kept, weights = sample(rows(count), [TENTH])

    # Each is kept with 1/n and counts n: the sum has mean `count` and standard deviation sqrt(count (n - 1)).
    assert abs(int(weights[kept].sum()) - count) < 4 * (count * (n - 1)) ** 0.5
    assert abs(kept.sum() - count / n) < 4 * (count / n * (1 - 1 / n)) ** 0.5


def test_every_hop_of_a_request_is_kept_or_dropped_together() -> None:
    client = rows(5000, seed=3)
    server = rows(5000, seed=3, file_id=[99] * 5000, line=list(range(7, 5007)), duration_ms=[1] * 5000)
    shuffled = np.random.default_rng(1).permutation(5000)

    kept, _ = sample(client, [TENTH])
    of_server, _ = sample(server.take(pa.array(shuffled)), [TENTH])

    assert (of_server == kept[shuffled]).all()
    assert 0 < kept.sum() < 5000


def test_a_slice_of_a_batch_is_drawn_as_the_whole() -> None:
    ids = [None if n % 5 == 0 else uuid.UUID(int=n << 70).bytes for n in range(100)]
    whole = rows(100, request_id=ids, request_id_other=[f"id-{n}" if n % 2 else None for n in range(100)])

    assert (request_hashes(whole.slice(37, 50)) == request_hashes(whole)[37:87]).all()


def test_errors_and_doubtful_lines_are_always_kept() -> None:
    everything = Rule.parse("duration_ms >= 0: 1/1000000")
    given = rows(
        6,
        response_code=[500, 503, 0, 0, 200, 200],
        log_type=["http", "http", "http", "tcp", "http", "http"],
        response_flags=[None, "UF", "DC", None, "UO", None],
        doubt=[None, None, None, None, None, "quotes"],
    )

    kept, weights = sample(given, [everything])

    # A connection has code 0 without anything being wrong.
    assert kept.tolist() == [True, True, True, False, True, True]
    assert weights.tolist() == [1, 1, 1, 1_000_000, 1, 1]


def test_the_first_rule_that_selects_a_row_decides() -> None:
    given = rows(30_000, duration_ms=[5, 50, 5000] * 10_000)
    rules = [Rule.parse("duration < 10ms: 1/10"), Rule.parse("duration < 100ms: 1/2")]

    kept, weights = sample(given, rules)

    assert weights.reshape(-1, 3)[0].tolist() == [10, 2, 1]
    shares = kept.reshape(-1, 3).mean(axis=0)
    assert shares[2] == 1.0
    assert abs(shares[0] - 0.1) < 0.02
    assert abs(shares[1] - 0.5) < 0.03


def test_lines_without_request_id_are_drawn_by_their_place() -> None:
    nameless = rows(50_000, request_id=[None] * 50_000, log_type=["tcp"] * 50_000, response_code=[0] * 50_000)

    kept, weights = sample(nameless, [TENTH])

    assert abs(int(weights[kept].sum()) - 50_000) < 4 * (50_000 * 9) ** 0.5
    assert (sample(nameless, [TENTH])[0] == kept).all()


def test_ids_that_are_no_uuid_hold_their_hops_together() -> None:
    names = [f"req-{n}" for n in range(5000)]
    client = rows(5000, seed=1, request_id=[None] * 5000, request_id_other=names)
    server = rows(5000, seed=2, request_id=[None] * 5000, request_id_other=names)

    assert (sample(client, [TENTH])[0] == sample(server, [TENTH])[0]).all()
    assert 350 < sample(client, [TENTH])[0].sum() < 650


def test_the_hash_never_changes() -> None:
    """Collectors of two versions, on two nodes, see hops of one request."""
    known = rows(
        2,
        request_id=[uuid.UUID("137068b0-3a6d-9e4b-91c4-9787a5af72e0").bytes, None],
        request_id_other=[None, "abc"],
    )

    assert request_hashes(known).tolist() == [10968619522511786344, 2371097656860068931]


def reference(text: bytes) -> int:
    """The hash of one text, byte by byte."""
    factor, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    total = sum((b + 1) * pow(factor, i, 1 << 64) for i, b in enumerate(text)) & mask
    z = (total + factor) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(st.lists(st.text(max_size=20), max_size=10), st.integers(0, 3))
def test_all_texts_at_once_hash_like_each_alone(texts: list[str], skipped: int) -> None:
    hashes = text_hashes(pa.array(texts, pa.string()).slice(skipped))

    assert hashes.tolist() == [reference(t.encode()) for t in texts[skipped:]]


@pytest.mark.parametrize("text", ["", "1/10", "response_code < 400", "response_code < 400: 2/10", "code < 400: 1/0"])
def test_a_rule_that_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Rule.parse(text)


def test_a_colon_in_the_expression_is_no_end_of_it() -> None:
    assert Rule.parse("path : /api/* and code = 200 : 1 / 5").n == 5
    with pytest.raises(ExpressionError, match="colum"):
        Rule.parse("respons_code < 400: 1/10")
