"""What a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from logproc.errors import LogprocError

SKEW_SECONDS = 5.0
"""More than this, and rows of two nodes cannot be put in order; a day, and a line's time is replaced."""


class Verdict(StrEnum):
    """How it stands."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `mend` says what to do where it is bad or could be better."""

    check: str
    subject: str
    verdict: Verdict
    said: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """For scripts."""
        return asdict(self)


def good(check: str, subject: str, said: str) -> Finding:
    """As it should be."""
    return Finding(check, subject, Verdict.GOOD, said)


def note(check: str, subject: str, said: str, mend: str = "") -> Finding:
    """It works, but somebody should know."""
    return Finding(check, subject, Verdict.NOTE, said, mend)


def bad(check: str, subject: str, said: str, mend: str) -> Finding:
    """It will not work, or not as promised."""
    return Finding(check, subject, Verdict.BAD, said, mend)


@contextmanager
def caught(check: str, subject: str, tell: Callable[[Finding], None]) -> Iterator[None]:
    """Make a finding of an error, whose hint is the mend."""
    try:
        yield
    except LogprocError as error:
        tell(
            bad(
                check,
                subject,
                error.message.removeprefix(f"{subject}: "),
                error.hint or "see that it runs and can be reached from here",
            )
        )


def clock(subject: str, theirs: datetime, precision: float = 0.0) -> Finding:
    """Compare their clock with ours; `precision` in seconds is how exactly they tell it."""
    skew = (datetime.now(UTC) - theirs).total_seconds()
    off = max(0.0, abs(skew) - precision)
    if off <= SKEW_SECONDS:
        return good("clock", subject, f"within {SKEW_SECONDS:.0f} s of ours")
    side = "behind" if skew > 0 else "ahead of"
    return bad("clock", subject, f"{off:,.0f} s {side} ours", "run chrony or another NTP client on both machines")
