"""What single values look like in the live view."""

from __future__ import annotations

import re
from functools import lru_cache

from logproc.kube import app_of

ARROWS = {"inbound": "←", "outbound": "→", "inbound-vip": "⇄"}
ASCII_ARROWS = {"inbound": "<", "outbound": ">", "inbound-vip": "="}
NO_ARROW = "·"

_CLUSTER_DOMAIN = re.compile(r"\.svc\.[a-z0-9.-]+$")


@lru_cache(8192)
def short_pod(name: str) -> str:
    """The pod without its template's hash: `storefront-7d4b9c6f5d-2xk8p` is `storefront-2xk8p`; others stay whole.

    The last word tells pods apart and stays; the hash in the middle is the same for all pods of a Deployment's version.
    """
    app = app_of(name)
    words = name[len(app) + 1 :].split("-") if app != name else []
    return f"{app}-{words[-1]}" if len(words) == 2 else name


def short_service(host: str, *, namespace: str = "") -> str:
    """The host without the cluster's domain, and without the namespace where that is the pod's own."""
    short = _CLUSTER_DOMAIN.sub("", host)
    return short.removesuffix(f".{namespace}") if namespace else short


def duration(milliseconds: int | None) -> str:
    """`7ms`, `850ms`, `1.24s`, `2m05s`."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    if milliseconds < 59_995:
        return f"{milliseconds / 1000:.2f}s"
    minutes, rest = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def bytes_text(count: int | None) -> str:
    """`512B`, `4.8kB`, `1.2MB`."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f}{unit}" if unit == "B" or size >= 100 else f"{size:.1f}{unit}"
        size /= 1000
    raise AssertionError


def clock(nanoseconds: int) -> str:
    """`10:00:00.123` in UTC."""
    milliseconds = nanoseconds // 10**6 % 86_400_000
    seconds = milliseconds // 1000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{milliseconds % 1000:03d}"
