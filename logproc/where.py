"""The one language of all filters: an expression over the columns of a table, read by a grammar and run on whole record batches.

    response_code = 5xx and not has_flag("UO")
    duration > 1.5s or bytes_sent >= 10Mi
    method in (GET, HEAD) and path : /api/* and user_agent !~ '^kube-probe/'
    timestamp >= 15m ago and service is not null

======================  ==========================================================================================
``=  !=  <  <=  >  >=``  every column; ``5xx`` is a range of codes, ``500ms`` a duration, ``10k``, ``10Ki`` bytes
``in (a, b)``, ``not in``  one of several values
``:``, ``!:``             the whole text fits a pattern in which ``*`` is any text and ``?`` any character
``~``, ``!~``             a regular expression (RE2) is found somewhere in the text
``is null``, ``is not null``  the line had ``-`` there
``has_flag(UO, UF)``      one of the response flags is set; false where there are none
``extra["key"]``          a field that has no column
======================  ==========================================================================================

Text may stand in quotes (a quote inside is written twice, a backslash means itself) and without them where it has no blank,
comma or parenthesis. Times are UTC: ``2026-11-21``, ``'2026-11-21 04:37'``, ``2026-11-21T04:37:00Z``, ``15m ago``, ``now``.
As in SQL, a comparison with a missing value is unknown, and a row is selected only where the whole is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.columns import ACCESS_LOG_TABLE, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

ALIASES = {
    "time": "timestamp",
    "code": "response_code",
    "status": "response_code",
    "flags": "response_flags",
    "details": "response_code_details",
    "duration": "duration_ms",
    "service_time": "upstream_service_time_ms",
    "cluster": "upstream_cluster",
    "service": "upstream_service",
    "subset": "upstream_subset",
    "route": "route_name",
    "sni": "requested_server_name",
    "namespace": "k8s_namespace",
    "pod": "k8s_pod",
    "container": "k8s_container",
    "node": "k8s_node",
}
"""Short names that stand for a column where the table has it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or one key of a map column."""

    column: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """An integer (a time in microseconds since 1970) in one of the closed intervals; None is unbounded."""

    field: Field
    intervals: tuple[tuple[int | None, int | None], ...]


@dataclass(frozen=True, slots=True)
class Equals:
    """A text or UUID that is one of the values."""

    field: Field
    values: tuple[str | bytes, ...]


@dataclass(frozen=True, slots=True)
class Ordered:
    """A text before or after another, by code point: `operator` is one of < <= > >=."""

    field: Field
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Matches:
    """A text in which the regular expression is found."""

    field: Field
    pattern: str


@dataclass(frozen=True, slots=True)
class HasFlag:
    """A comma-joined set that has one of the names; never unknown."""

    field: Field
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """A missing value; never unknown."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """Every part is true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part is true."""

    parts: tuple[Node, ...]


Test = Between | Equals | Ordered | Matches | HasFlag | IsNull
Node = Test | Not | And | Or


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled expression. `root` is what it means, for those who translate it into another language."""

    text: str
    root: Node

    def mask(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """True for each row that is selected. A column that the batch does not have is missing in every row."""
        selected = pc.fill_null(_evaluate(self.root, batch), False)
        return np.asarray(selected.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The selected rows."""
        return batch.filter(pa.array(self.mask(batch)))

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        return frozenset(test.field.column for test in _tests(self.root))


def compile_filter(text: str, table: Table = ACCESS_LOG_TABLE, *, now: datetime | None = None) -> Filter:
    """Read an expression over the columns of a table; `15m ago` counts from `now`.

    Raises ExpressionError with the place and, for an unknown column, the nearest known one.
    """
    from logproc.where_grammar import read

    return Filter(text, read(text, table, now or datetime.now(UTC)))


def _tests(node: Node) -> Iterator[Test]:
    if isinstance(node, Not):
        yield from _tests(node.part)
    elif isinstance(node, And | Or):
        for part in node.parts:
            yield from _tests(part)
    else:
        yield node


def _evaluate(node: Node, batch: pa.RecordBatch) -> Any:
    """A boolean array, null where the answer is unknown."""
    if isinstance(node, Not):
        return pc.invert(_evaluate(node.part, batch))
    if isinstance(node, And | Or):
        join: Callable[[Any, Any], Any] = pc.and_kleene if isinstance(node, And) else pc.or_kleene
        result = _evaluate(node.parts[0], batch)
        for part in node.parts[1:]:
            result = join(result, _evaluate(part, batch))
        return result
    values = _values(node.field, batch)
    if values is None:
        if isinstance(node, IsNull | HasFlag):
            return pa.array(np.full(batch.num_rows, isinstance(node, IsNull)))
        return pa.nulls(batch.num_rows, pa.bool_())
    if isinstance(node, IsNull):
        return pc.is_null(values)
    if pa.types.is_dictionary(values.type):
        # The answer for each distinct value, then looked up: a batch has few of them.
        answer = _test(node, values.dictionary).take(values.indices)
    else:
        answer = _test(node, values)
    return pc.fill_null(answer, False) if isinstance(node, HasFlag) else answer


def _values(field: Field, batch: pa.RecordBatch) -> Any | None:
    index = batch.schema.get_field_index(field.column)
    if index < 0:
        return None
    values = batch.column(index)
    return values if field.key is None else pc.map_lookup(values, pa.scalar(field.key), "first")


def _test(node: Test, values: Any) -> Any:
    match node:
        case Between(_, intervals):
            return _between(values, intervals)
        case Equals(_, wanted):
            found = pc.is_in(values, value_set=pa.array([_as(values.type, w) for w in wanted], values.type))
            return pc.if_else(pc.is_valid(values), found, pa.scalar(None, pa.bool_()))
        case Ordered(_, operator, value):
            compare = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}[operator]
            return compare(values, pa.scalar(_as(values.type, value), values.type))
        case Matches(_, pattern):
            return pc.match_substring_regex(values, pattern)
        case HasFlag(_, names):
            return pc.match_substring_regex(values, f"(?:^|,)(?:{'|'.join(re.escape(n) for n in names)})(?:,|$)")
        case IsNull():
            return pc.is_null(values)


def _as(kind: pa.DataType, value: str | bytes) -> str | bytes:
    return value.encode() if isinstance(value, str) and pa.types.is_binary(kind) else value


def _between(values: Any, intervals: tuple[tuple[int | None, int | None], ...]) -> Any:
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False).view(pa.int64())
    bits = values.type.bit_width
    least, most = (
        (0, 2**bits - 1) if pa.types.is_unsigned_integer(values.type) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    known = pc.or_kleene(
        pc.is_valid(values), pa.scalar(None, pa.bool_())
    )  # true, or unknown where the value is missing
    result = pc.invert(known)
    for low, high in intervals:
        if (low is not None and low > most) or (high is not None and high < least):
            continue
        inside = known
        if low is not None and low > least:
            inside = pc.and_kleene(inside, pc.greater_equal(values, pa.scalar(low, values.type)))
        if high is not None and high < most:
            inside = pc.and_kleene(inside, pc.less_equal(values, pa.scalar(high, values.type)))
        result = pc.or_kleene(result, inside)
    return result
