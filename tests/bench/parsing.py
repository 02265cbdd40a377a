"""Bytes to typed record batches, all checks included, beside the lazy per-line expression and `json.loads`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import baseline

CHUNK_BYTES = 4 << 20
"""What the collector gathers before it parses."""


def chunks(data: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Whole lines, about `size` bytes at a time."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + size) + 1 or len(data)
        yield data[start:end]
        start = end


def _say(lines: int, data: bytes, cpu: float, **more: float) -> None:
    print(json.dumps({"lines": lines, "mb": len(data) / 1e6, "cpu": cpu} | more))


def ours(path: str, frame: str = "plain", format: str = "auto") -> None:
    """Parse the file; print lines, MB and CPU seconds."""
    from logproc.model import CRI, PLAIN, Text
    from parsers import open_parser

    data = Path(path).read_bytes()
    parser = open_parser(format)
    framed = CRI if frame == "cri" else PLAIN
    texts = [Text("bench", framed, chunk, chunk.count(b"\n")) for chunk in chunks(data)]
    parser.parse(texts[:1])
    lines = fast = rows = 0
    started = time.process_time()
    for text in texts:
        parsed = parser.parse([text])
        lines += text.lines
        fast += parsed.columnar
        rows += sum(len(r) for r in parsed.rows.values())
    cpu = time.process_time() - started
    assert rows == lines
    _say(lines, data, cpu, columnar=fast)


def lazy(path: str, frame: str = "plain", format: str = "") -> None:
    """The baseline over the same file."""
    data = Path(path).read_bytes()
    pattern = baseline.lazy(format) if format else baseline.CRI if frame == "cri" else baseline.LAZY
    started = time.process_time()
    for chunk in chunks(data):
        baseline.tuples(chunk, pattern)
    _say(data.count(b"\n"), data, time.process_time() - started)


def json_loads(path: str) -> None:
    """`json.loads` per line over the same file."""
    data = Path(path).read_bytes()
    started = time.process_time()
    for line in data.splitlines():
        json.loads(line)
    _say(data.count(b"\n"), data, time.process_time() - started)


if __name__ == "__main__":
    sys.exit("run `make bench`")
