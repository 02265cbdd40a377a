"""Sizes and counts as people type and read them."""

from __future__ import annotations

import re

from logproc.errors import ConfigError

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", re.IGNORECASE)


def parse_size(option: str, text: str) -> int:
    """Bytes of `512`, `10k`, `64Ki`, `1.5Mi`, `1GiB`. Raises ConfigError naming the option."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _FACTORS:
        raise ConfigError(f"{option}: {text!r} is no size", "write 512, 64Ki, 10Mi or 1Gi, for example")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def size_text(count: float) -> str:
    """`1.2 MB`, with a factor of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def count_text(count: int, what: str) -> str:
    """`1 file`, `1,200 files`, `2 batches`."""
    if count != 1:
        what += "es" if what.endswith(("ch", "s")) else "s"
    return f"{count:,} {what}"
