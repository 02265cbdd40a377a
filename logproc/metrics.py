"""What the collector counts about itself; plain numbers, so that whoever shows them chooses how."""

from __future__ import annotations

from dataclasses import dataclass, field

from logproc.model import Counts


@dataclass(slots=True)
class Metrics:
    """Written by the pipeline's threads, each field by one of them; read by anybody."""

    read: Counts = field(default_factory=Counts)
    """What was sealed."""
    sealed: dict[str, int] = field(default_factory=dict)
    """Batches by the reason of their cut: rows, bytes, age, end."""
    sent_batches: int = 0
    sent_lines: int = 0
    dead_batches: int = 0
    dead_lines: int = 0
    retries: int = 0
    """Writes that the sink could not take at that moment."""
    keep_failures: int = 0
    """Appends to the spool that failed and were tried again."""
    sink_seconds: float = 0.0
    """Time spent in writes that succeeded."""
    sink_error: str = ""
    """Why the sink does not take batches now; empty while it does."""
    parse_columnar: int = 0
    """Lines that took the fast path."""
