"""How large batches may be so that the whole process stays within a memory limit.

Measured with CRI files into `null:`: 112 MB at rest and working, 15 bytes for each byte that is parsed at once, and 2.5 for each byte
of a batch. The engine of an embedded store is not in it: that takes 0.8 GB by itself.
"""

from __future__ import annotations

from dataclasses import replace

from logproc.batching import PARSE_BYTES, SMALLEST_READ
from logproc.errors import ConfigError
from logproc.model import SinkLimits
from logproc.sizes import size_text

AT_REST = 112 << 20
PER_PARSED_BYTE = 15.0
PER_BATCH_BYTE = 2.5
SMALLEST_BATCH = 4 * SMALLEST_READ
LEAST = AT_REST + int(SMALLEST_BATCH * (PER_PARSED_BYTE + PER_BATCH_BYTE))


def within(memory: int, limits: SinkLimits) -> tuple[SinkLimits, int]:
    """The sink's limits, lowered where they need more than `memory` bytes, and how much is parsed at once. 0: no limit.

    Raises ConfigError for less than the program itself takes.
    """
    if not memory:
        return limits, PARSE_BYTES
    if memory < LEAST:
        raise ConfigError(f"--memory: {size_text(memory)} is too little", f"at least {(LEAST >> 20) + 1}Mi")
    left = memory - AT_REST
    piece = int(min(PARSE_BYTES, limits.bytes, left / (PER_PARSED_BYTE + PER_BATCH_BYTE)))
    batch = int(min(limits.bytes, max(piece, (left - piece * PER_PARSED_BYTE) / PER_BATCH_BYTE)))
    return replace(limits, bytes=batch), piece
