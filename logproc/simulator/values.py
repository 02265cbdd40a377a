"""Random values drawn a block at a time: identifiers, paths, addresses, times as text."""

from __future__ import annotations

import re
import uuid
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[Any]
"""An array of `str` objects: taking rows of it by an index array copies pointers only."""

SECOND = 1_000_000
_HEX = np.frombuffer("0123456789abcdef".encode("utf-32-le"), np.uint32)
_DIGITS = [
    np.array([[48 + (n // 10**p) % 10 for p in range(w - 1, -1, -1)] for n in range(10**w)], np.uint32)
    for w in (1, 2, 3)
]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLACE = re.compile(r"(\{[a-z]+\})")

LONG_PATH = 17_000
"""Longer than the 16 KiB after which a container runtime splits a line."""

CLIENT_AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.80 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.11.1",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "fortio.org/fortio-1.69.5",
)


def texts(values: Any) -> Texts:
    """An array of `str` objects."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def request_ids(rng: np.random.Generator, count: int) -> Texts:
    """Random UUIDs as Envoy makes them: a traced request has 9 where the version stands."""
    letters = _HEX[rng.integers(0, 16, (count, 36), np.uint8)]
    letters[:, [8, 13, 18, 23]] = ord("-")
    letters[:, 14] = ord("9")
    letters[:, 19] = _HEX[rng.integers(8, 12, count, np.uint8)]
    return texts(letters.view("U36")[:, 0].tolist())


def time_texts(us: Ints, digits: int = 3, times: Ints | None = None) -> list[str]:
    """Times (microseconds since 1970) as RFC 3339 UTC with so many decimals, cut not rounded.

    Nine decimals take their last three from `times` (nanoseconds).
    """
    if not len(us):
        return []
    seconds = us // SECOND
    first = int(seconds.min())
    width = int(seconds.max()) - first + 1
    if width > 4 * len(us) + 64:
        known, seconds = np.unique(seconds, return_inverse=True)
    else:
        known, seconds = np.arange(first, first + width), seconds - first
    prefix = np.datetime_as_string(known.astype("M8[s]")).astype("U20")
    table = prefix.view(np.uint32).reshape(len(known), 20)
    out = np.empty((len(us), 21 + digits), np.uint32)
    out[:, :20] = table[seconds]
    out[:, 19] = ord(".")
    rest = us % SECOND
    out[:, 20:23] = _DIGITS[2][rest // 1000]
    if digits >= 6:
        out[:, 23:26] = _DIGITS[2][rest % 1000]
    if digits == 9 and times is not None:
        out[:, 26:29] = _DIGITS[2][times % 1000]
    out[:, 20 + digits] = ord("Z")
    return list(np.ascontiguousarray(out).view(f"U{21 + digits}")[:, 0].tolist())


def runtime_times(ns: Ints) -> list[str]:
    """Times (nanoseconds since 1970) as a container runtime prints them: trailing zeros of the fraction are left out."""
    return [t[:-1].rstrip("0") + "Z" if t[-2] == "0" else t for t in time_texts(ns // 1000, 9, ns)]


def join(hosts: list[str], ports: list[int] | int) -> list[str]:
    """Addresses `host:port`; one port for all, or one each."""
    if isinstance(ports, int):
        end = f":{ports}"
        return [host + end for host in hosts]
    return [f"{host}:{port}" for host, port in zip(hosts, ports, strict=True)]


class PathPool:
    """Paths of one call and, beside each, its template: the pattern without its query."""

    def __init__(self, rng: np.random.Generator, patterns: tuple[str, ...], size: int, *, long: bool = False) -> None:
        made = [_fill(rng, patterns[i % len(patterns)]) for i in range(size)]
        paths = [path for path, _ in made]
        if long:
            paths[-1] = paths[-1].partition("?")[0] + "?state=" + _word(rng, LONG_PATH)
            for i in range(size - 4, size - 1):
                paths[i] = paths[i].partition("?")[0] + "?filter=" + _word(rng, int(rng.integers(300, 3000)))
        self.paths, self.templates = texts(paths), texts([template for _, template in made])

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Texts, Texts]:
        """So many paths, and their templates."""
        chosen = rng.integers(0, len(self.paths), count)
        return self.paths[chosen], self.templates[chosen]


def _word(rng: np.random.Generator, length: int) -> str:
    return "".join(map(_LETTERS.__getitem__, rng.integers(0, len(_LETTERS), length).tolist()))


def _fill(rng: np.random.Generator, pattern: str) -> tuple[str, str]:
    """A path of a pattern, and its template."""
    path: list[str] = []
    template: list[str] = []
    for piece in _PLACE.split(pattern):
        value = _value(rng, piece)
        path.append(value)
        template.append(value if piece == "{word}" else piece)
    return "".join(path), "".join(template).partition("?")[0]


def _value(rng: np.random.Generator, piece: str) -> str:
    if piece == "{n}":
        return str(int(rng.integers(0, 10 ** int(rng.integers(1, 7)))))
    if piece == "{uuid}":
        return str(uuid.UUID(bytes=rng.bytes(16), version=4))
    if piece == "{hex}":
        return f"{int(rng.integers(0, 10))}{rng.bytes(11).hex()}{'abcdef'[int(rng.integers(0, 6))]}"
    if piece == "{id}":
        return f"{_word(rng, 8)}{int(rng.integers(0, 10_000)):04d}Zz{_word(rng, 8)}"
    return _word(rng, 6).lower() if piece == "{word}" else piece
