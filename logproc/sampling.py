"""Sampling by rule: of requests that a rule selects one of N is kept, every hop of it, and stands for N.

    response_code < 400 and duration_ms < 500: 1/10

Whether a request is kept is told by a hash of its request id, so that all its lines, on all nodes, are kept or dropped together
(where the rule selects them: a hop that is slow or failed is kept anyway). A line without request id is drawn by its place in its file.
What went wrong is always kept: a 5xx, an HTTP request without answer, a response flag, and lines that are in doubt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logproc.errors import ConfigError
from logproc.where import Filter, compile_filter

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

_RULE = re.compile(r"(?s)(.+):\s*1\s*/\s*(\d+)\s*")
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """Of what `where` selects one of `n` is kept."""

    where: Filter
    n: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `EXPRESSION: 1/N`. Raises ConfigError."""
        found = _RULE.fullmatch(text)
        if found is None:
            raise ConfigError(f"--sample {text!r}: write EXPRESSION: 1/N", "for example 'response_code < 400: 1/10'")
        n = int(found[2])
        if not 1 <= n <= _LARGEST:
            raise ConfigError(f"--sample {text!r}: N is a number from 1 to {_LARGEST:,}")
        return cls(compile_filter(found[1].strip()), n)


def sample(rows: pa.RecordBatch, rules: Sequence[Rule]) -> tuple[Mask, npt.NDArray[np.uint32]]:
    """Which rows of `access_log` are kept, and how many lines each stands for. The first rule that selects a row decides."""
    n = np.ones(rows.num_rows, np.uint32)
    open_ = ~gone_wrong(rows)
    for rule in rules:
        selected = open_ & rule.where.mask(rows)
        n[selected] = rule.n
        open_ &= ~selected
    if (n == 1).all():
        return np.ones(rows.num_rows, bool), n
    return request_hashes(rows) % n == 0, n


def gone_wrong(rows: pa.RecordBatch) -> Mask:
    """Rows that no rule drops."""
    codes = _numbers(rows.column("response_code"), 0)
    http = np.asarray(_mask(pc.equal(_text(rows, "log_type"), pa.scalar("http"))), bool)
    wrong = (codes >= 500) | (http & (codes == 0))
    for name in ("response_flags", "doubt"):
        wrong |= _mask(pc.not_equal(_text(rows, name), pa.scalar("")))
    return np.asarray(wrong, bool)


def request_hashes(rows: pa.RecordBatch) -> Hashes:
    """64 bits for each row, the same for all lines of a request. They stay what they are: nodes of two versions must agree."""
    ids: Any = rows.column("request_id")
    filled: Any = pc.fill_null(ids, pa.scalar(bytes(16), ids.type))
    raw = np.frombuffer(filled.buffers()[1] or b"", np.uint64)
    halves = raw[2 * filled.offset : 2 * (filled.offset + rows.num_rows)].reshape(-1, 2)
    with np.errstate(over="ignore"):
        hashes = _mixed(halves[:, 0] ^ _mixed(halves[:, 1]))
        absent = np.asarray(~_mask(pc.is_valid(ids)) | ~halves.any(axis=1), bool)
        if absent.any():
            texts = _text(rows, "request_id_other")
            of_text = text_hashes(texts)
            places = _mixed(_numbers(rows.column("file_id"), 0) ^ _mixed(_numbers(rows.column("line"), 0)))
            named = _mask(pc.not_equal(texts, pa.scalar("")))
            hashes = np.where(absent, np.where(named, of_text, places), hashes)
    return hashes


def text_hashes(texts: Any) -> Hashes:
    """64 bits for each text: a polynomial over its bytes modulo 2^64, by running sums over all texts at once."""
    binary = texts.cast(pa.binary())
    offsets = np.frombuffer(binary.buffers()[1], np.int32)[binary.offset : binary.offset + len(binary) + 1].astype(
        np.int64
    )
    data = np.frombuffer(binary.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    at = offsets - offsets[0]
    with np.errstate(over="ignore"):
        powers = _powers(_FACTOR, len(data) + 1)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((data + np.uint64(1)) * powers[:-1])])
        inverse = _powers(_INVERSE, len(data) + 1)
        return _mixed((sums[at[1:]] - sums[at[:-1]]) * inverse[at[:-1]])


_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 1 << 64)


def _powers(factor: int, count: int) -> Hashes:
    steps = np.full(count, factor, np.uint64)
    steps[0] = 1
    return np.cumprod(steps, dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64: every bit of the input changes half of the output's."""
    values = values + np.uint64(_FACTOR)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _text(rows: pa.RecordBatch, name: str) -> Any:
    column: Any = rows.column(name)
    return pc.fill_null(column.cast(pa.string()), "")


def _numbers(column: Any, missing: int) -> Any:
    return pc.fill_null(column, missing).to_numpy(zero_copy_only=False).astype(np.uint64)


def _mask(values: Any) -> Any:
    return values.to_numpy(zero_copy_only=False).astype(bool)
