"""Durations and instants as people type them: `15m`, `1h30m`, `2026-11-21`, `2026-11-21T04:37:00Z`, `now`. Times are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"us": 1, "µs": 1, "ms": 1_000, "s": 10**6, "m": 60 * 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6, "w": 7 * 86400 * 10**6, "y": 365 * 86400 * 10**6}  # fmt: skip
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|min|s|m|h|d|w|y)")
_DURATION = re.compile(rf"(?:{_PIECE.pattern})+")

EXAMPLES = "15m, 1h30m, 2d, 2026-11-21, '2026-11-21 04:37', 2026-11-21T04:37:00Z, now"


def duration(text: str) -> timedelta:
    """The length of a time: numbers with units from us to y (365 days), one after the other. Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(text)
    try:
        return timedelta(microseconds=round(sum(float(n) * _UNITS[unit] for n, unit in _PIECE.findall(text))))
    except OverflowError as error:
        raise ValueError(text) from error


def instant(text: str, now: datetime) -> datetime:
    """A point in time: ISO 8601 (UTC where no zone is named) or `now`. Raises ValueError."""
    if text.lower() == "now":
        return now
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def since(text: str, now: datetime) -> datetime:
    """A point in time, or a duration that ends now. Raises ValueError."""
    try:
        length = duration(text.strip())
    except ValueError:
        return instant(text.strip(), now)
    try:
        return now - length
    except OverflowError as error:
        raise ValueError(text) from error
