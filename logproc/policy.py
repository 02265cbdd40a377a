"""What of the parsed lines is stored: excluded, sampled, redacted, in that order. What is left out is counted, never dropped silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logproc.columns import TABLES
from logproc.errors import ExpressionError
from logproc.model import ACCESS_LOG, MESSAGE_LOG
from logproc.redaction import Redaction
from logproc.sampling import Rule, sample
from logproc.where import Filter, compile_filter

PROBES = "user_agent ~ '^kube-probe/'"
"""Health checks of the kubelet. With Istio's default rewriting of probes the agent's own health port answers, and no line is made."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one collector. Rejected lines are always stored: a rule cannot read them."""

    exclude: tuple[tuple[str, Filter], ...] = ()
    """Table and what of it is left out."""
    sample: tuple[Rule, ...] = ()
    redact: Redaction = field(default_factory=Redaction)

    @classmethod
    def parse(
        cls, exclude: Iterable[str] = (), sample: Iterable[str] = (), redact: str = "", *, probes: bool = True
    ) -> Self:
        """Read what was typed. An expression holds for every table that has its columns. Raises ConfigError, ExpressionError."""
        texts = [*exclude, *([] if probes else [PROBES])]
        filters = [pair for text in texts for pair in _filters(text)]
        return cls(tuple(filters), tuple(Rule.parse(text) for text in sample), Redaction.parse(redact))

    def apply(self, table: str, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Mask | None]:
        """What is stored of complete rows of a table, and which of them those are; None: all."""
        kept: Mask | None = None
        out = [where.mask(rows) for name, where in self.exclude if name == table]
        if out:
            kept = ~np.logical_or.reduce(out)
        if self.sample and table == ACCESS_LOG:
            drawn, n = sample(rows, self.sample)
            place = rows.schema.get_field_index("weight")
            rows = rows.set_column(place, rows.schema.field(place), pa.array(n))
            kept = drawn if kept is None else kept & drawn
        if kept is not None and kept.all():
            kept = None
        if kept is not None:
            rows = rows.filter(pa.array(kept))
        return self.redact.table(table, rows), kept


def _filters(text: str) -> Sequence[tuple[str, Filter]]:
    found: list[tuple[str, Filter]] = []
    refused: ExpressionError | None = None
    for name in (ACCESS_LOG, MESSAGE_LOG):
        try:
            found.append((name, compile_filter(text, TABLES[name])))
        except ExpressionError as error:
            refused = refused or error
    if not found and refused is not None:
        raise refused
    return found
