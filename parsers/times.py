"""Times as logs print them, to microseconds since 1970 in UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pyarrow as pa

from logproc.columns import TEXT, TIMESTAMP

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))? ?(?:Z|UTC|([+-])([0-9]{2}):?([0-9]{2}))?"
)
_EPOCH = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9})[0-9]*)?")
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_ZONED = pa.timestamp("ns", tz="UTC")


def timestamps(texts: Sequence[str | None] | pa.StringArray) -> pa.TimestampArray:
    """RFC 3339 times as `timestamp[us, UTC]` (digits after the microsecond cut off); null for None and for what is no time.

    All at once where every text has a zone and is valid; else one by one, where a time without zone is UTC.
    """
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, TEXT)
    try:
        return cast("pa.TimestampArray", array.cast(_ZONED).cast(TIMESTAMP, safe=False))
    except pa.ArrowInvalid:
        return cast(
            "pa.TimestampArray", pa.array([None if t is None else micros(t) for t in array.to_pylist()], TIMESTAMP)
        )


def micros(text: str) -> int | None:
    """Microseconds since 1970 of `2025-01-31T12:00:00.123Z`, with a blank for the T, any fraction, any numeric zone or none (UTC)."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}+00:00")
    except ValueError:
        return None
    total = (moment - _EPOCH_START) // timedelta(seconds=1) * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60_000_000
        total += offset if sign == "-" else -offset
    return total


def epoch_text(text: str) -> str | None:
    """RFC 3339 of a count since 1970 in seconds (a fraction allowed), milliseconds, microseconds or nanoseconds, told by its size."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found[1], found[2] or ""
    unit = 0 if len(whole) <= 11 else 3 if len(whole) <= 14 else 6 if len(whole) <= 17 else 9
    digits = whole + fraction if unit == 0 else whole
    shift = len(fraction) if unit == 0 else unit
    seconds, rest = divmod(int(digits), 10**shift)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{rest:0{shift}d}" if shift else "") + "Z"
