"""HTTP's content codings, both ways, in pieces: gzip, deflate, zstd, lz4 frames."""

from __future__ import annotations

import importlib.util
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from logproc.errors import QueryError

_NEEDS = {"zstd": "backports.zstd", "lz4": "lz4"}
CODINGS = tuple(
    c
    for c in ("zstd", "lz4", "gzip", "deflate")
    if c not in _NEEDS or importlib.util.find_spec(_NEEDS[c].split(".")[0])
)
"""In the order of what they cost the server; clickhouse-connect brings those that Python lacks."""

BAD_COMPRESSION, UNKNOWN_COMPRESSION = 271, 89
_PIECE = 4 << 20
"""Bytes that are undone at a time: 64 KiB of zstd can be gigabytes of zeros."""

_WINDOW_LOG = 23
"""A zstd stream may ask for 8 MiB of memory, as HTTP has it (RFC 9659), not for 128."""


class Compressor(Protocol):
    """Compresses piece by piece; `flush` ends the stream."""

    def compress(self, data: bytes, /) -> bytes: ...  # noqa: D102
    def flush(self) -> bytes: ...  # noqa: D102


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self._context: Any = lz4.frame.LZ4FrameCompressor(auto_flush=False)
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        begin = b"" if self._begun else self._context.begin()
        self._begun = True
        return bytes(begin + self._context.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._context.flush())


def compressor(coding: str) -> Compressor:
    """A compressor for one of CODINGS."""
    if coding == "zstd":
        from backports import zstd

        made: Compressor = zstd.ZstdCompressor(1)
        return made
    if coding == "lz4":
        return _Lz4()
    return zlib.compressobj(1, zlib.DEFLATED, 31 if coding == "gzip" else 15)


def chosen(accept: str) -> str:
    """The best coding that an Accept-Encoding header allows, "" for none."""
    wanted: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        found = re.search(r"q=([0-9.]+)", parameters)
        try:
            wanted[name.strip()] = float(found[1]) if found else 1.0
        except ValueError:
            wanted[name.strip()] = 0.0
    return next((c for c in CODINGS if wanted.get(c, wanted.get("*", 0.0) if c == "gzip" else 0.0) > 0), "")


class Decompressor:
    """Undoes one coding piece by piece. A stream that ends too early is an error, and so is one that grows beyond the limit."""

    def __init__(self, coding: str) -> None:
        coding = coding.strip().lower()
        if coding not in {"", "identity", *CODINGS}:
            raise QueryError(
                f"Unknown http compression method: {coding}; {', '.join(CODINGS)} are known", code=UNKNOWN_COMPRESSION
            )
        self._coding = "" if coding == "identity" else coding
        self._new = _decompressors().get(self._coding)
        self._current: Any = self._new() if self._new else None
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes are, in pieces of bounded size. Raises QueryError for what is no such stream."""
        if self._current is None or self._new is None:
            yield data
            return
        try:
            while data or not self._wants_more():
                if self._current.eof:  # several frames, one after the other, are one stream
                    self._current = self._new()
                self._fed = True
                piece = self._current.decompress(data, _PIECE)
                if self._current.eof:
                    data = self._current.unused_data or b""
                else:
                    data = getattr(self._current, "unconsumed_tail", b"")
                yield piece
        except QueryError:
            raise
        except Exception as error:  # zlib, lz4 and zstd have error classes that share nothing but this
            raise QueryError(
                f"Cannot decompress the body: it is no {self._coding} stream", code=BAD_COMPRESSION
            ) from error

    def _wants_more(self) -> bool:
        return bool(self._current.eof or getattr(self._current, "needs_input", True))

    def end(self) -> None:
        """Raises QueryError where the stream is not complete."""
        if self._current is not None and self._fed and not self._current.eof:
            raise QueryError(
                f"The {self._coding} stream in the body is cut short: nothing was stored", code=BAD_COMPRESSION
            )


def _decompressors() -> dict[str, Callable[[], Any]]:
    def lz4() -> Any:
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()

    def zstd() -> Any:
        from backports import zstd

        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})

    return {
        "gzip": lambda: zlib.decompressobj(31),
        "deflate": lambda: zlib.decompressobj(15),
        "lz4": lz4,
        "zstd": zstd,
    }
