"""Random values drawn a block at a time: identifiers, paths, addresses, times as text."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[Any]
"""An array of `str` objects: taking rows of it by an index array copies pointers only."""

SECOND = 1_000_000
_HEX = np.frombuffer("0123456789abcdef".encode("utf-32-le"), np.uint32)
_THREE = [f"{n:03d}" for n in range(1000)]
_LAST = [text + "Z" for text in _THREE]
_CUT = [text.rstrip("0") + "Z" for text in _THREE]
_KNOWN_SECONDS = 100_000
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


class _Seconds(dict[int, str]):
    """Seconds since 1970 to their text with the point that a fraction follows; times come in runs, so each is made once."""

    def __missing__(self, second: int) -> str:
        if len(self) > _KNOWN_SECONDS:
            self.clear()
        text = self[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return text


_seconds = _Seconds()


def time_texts(us: Ints, digits: int = 3) -> list[str]:
    """Times (microseconds since 1970) as RFC 3339 UTC with 3 or 6 decimals, cut not rounded."""
    seconds, rest = (us // SECOND).tolist(), us % SECOND
    if digits == 3:
        return [_seconds[s] + _LAST[m] for s, m in zip(seconds, (rest // 1000).tolist(), strict=True)]
    parts = zip(seconds, (rest // 1000).tolist(), (rest % 1000).tolist(), strict=True)
    return [_seconds[s] + _THREE[m] + _LAST[u] for s, m, u in parts]


def runtime_times(ns: Ints) -> list[str]:
    """Times (nanoseconds since 1970) as a container runtime prints them: zeros at the end of the fraction are left out."""
    seconds, rest = (ns // (1000 * SECOND)).tolist(), ns % (1000 * SECOND)
    parts = zip(seconds, (rest // SECOND).tolist(), (rest // 1000 % 1000).tolist(), (rest % 1000).tolist(), strict=True)
    return [_seconds[s] + _THREE[m] + _THREE[u] + _CUT[n] if n else _no_nanoseconds(s, m, u) for s, m, u, n in parts]


def _no_nanoseconds(second: int, millis: int, micros: int) -> str:
    if micros:
        return _seconds[second] + _THREE[millis] + _CUT[micros]
    return _seconds[second] + _CUT[millis] if millis else _seconds[second][:-1] + "Z"


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
