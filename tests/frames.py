"""Framed lines made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from logproc.frames import Framed
from logproc.model import PLAIN, Span, Stream, Text


def framed_lines(
    lines: Sequence[str], first_line: int = 0, file_id: int = 1, stream: Stream | None = None, span: Span | None = None
) -> Framed:
    """Lines of one file whose every line takes ten bytes of it."""
    stream = stream or Stream("/p/0.log", "ns", "web-0", "istio-proxy", "uid")
    end = first_line + len(lines)
    data = "".join(f"{line}\n" for line in lines).encode()
    text = Text(stream.key, PLAIN, data, len(lines))
    numbers = np.array([first_line], np.int64) if span else None
    return Framed(stream, span or Span(file_id, first_line * 10, end * 10, first_line, len(lines)), text, numbers)
