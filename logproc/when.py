"""Durations and instants as people type them: `15m`, `1h30m`, `2026-11-21`, `2026-11-21T04:37:00Z`, `now`.

Times without a zone are UTC, unless another zone is asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from logproc.errors import ConfigError

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


def instant(text: str, now: datetime, zone: tzinfo | None = UTC) -> datetime:
    """A point in time: ISO 8601 (in `zone` where it names none; None: the machine's) or `now`. Raises ValueError."""
    if text.lower() == "now":
        return now
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo or zone is None else at.replace(tzinfo=zone)).astimezone(UTC)


def since(text: str, now: datetime, zone: tzinfo | None = UTC) -> datetime:
    """A point in time, or a duration that ends now. Raises ValueError."""
    try:
        length = duration(text.strip())
    except ValueError:
        return instant(text.strip(), now, zone)
    try:
        return now - length
    except OverflowError as error:
        raise ValueError(text) from error


def window(since_text: str, until_text: str, now: datetime, zone: tzinfo | None = UTC) -> tuple[datetime, datetime]:
    """What --since and --until say: half-open, UTC. Raises ConfigError."""
    found = []
    for option, text in (("--since", since_text), ("--until", until_text)):
        try:
            found.append(since(text, now, zone))
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"{option} {text!r} is neither a duration nor a time", f"write one of {EXAMPLES}"
            ) from error
    if found[0] >= found[1]:
        raise ConfigError(f"the window is empty: --since {since_text} is not before --until {until_text}")
    return found[0], found[1]


def literal(at: datetime) -> str:
    """A point in time as ClickHouse reads it for a DateTime64(6, 'UTC')."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
