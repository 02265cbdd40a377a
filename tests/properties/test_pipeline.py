"""Through deaths, outages and any cut of the bytes: each line is one row, in order, and the ledger has no gap and no overlap."""

from __future__ import annotations

import random
import tempfile
import threading
from itertools import cycle, pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.collector import Options, collector
from logproc.frames import Framer
from logproc.model import CRI, Batch, Chunk, SinkLimits, Span, Stream
from logproc.pipeline import Pipeline
from logproc.seal import Sealer
from logproc.spool import Unkept
from logproc.testing import FlakySink, LineParser, MemorySink, MemorySource
from tests.kubelet import Container


class Died(BaseException):
    """The process is gone."""


class DyingSink(FlakySink):
    """Dies before or after a write, by a plan; then it is the end of that process."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        super().__init__(lambda _: chance.choice(["stored", "stored", "stored", "unavailable", "lost"]))
        self._chance = chance
        self.limits = SinkLimits(rows=7, bytes=1 << 20, seconds=0.01)
        self.mortal = True

    def write(self, batch: Batch) -> None:
        if self.mortal and self._chance.random() < 0.15:
            raise Died
        super().write(batch)
        if self.mortal and self._chance.random() < 0.15:
            raise Died


def collect(root: Path, state: Path, sink: MemorySink, frame: str = "auto") -> None:
    options = Options([str(root)], state, containers="*", frame=frame, grace=0.2)
    with collector(options, LineParser(), sink) as (loop, _):
        threading.Timer(20, loop.stop).start()
        loop.run()


def assert_ledger_is_whole(sink: MemorySink) -> None:
    files: dict[int, list[tuple[int, int, int, int]]] = {}
    for r in sink.ledger():
        files.setdefault(r["file_id"], []).append((r["first_line"], r["first_line"] + r["lines"], r["start"], r["end"]))
        assert r["lines"] == r["access_rows"] + r["message_rows"] + r["rejected_rows"] + r["joined"] + r["left_out"]
    for spans in files.values():
        spans.sort()
        assert spans[0][0] == spans[0][2] == 0
        for before, after in pairwise(spans):
            assert (before[1], before[3]) == (after[0], after[2])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32))
def test_each_line_is_stored_once_through_deaths_and_outages(seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root, state = Path(name) / "pods", Path(name) / "state"
        pods = [Container(root, uid=uid) for uid in ("a", "b")]
        sink = DyingSink(seed)
        for _ in range(chance.randrange(1, 4)):
            for pod in pods:
                pod.write(chance.randrange(1, 30))
                if chance.random() < 0.5:
                    pod.rotate()
                if chance.random() < 0.3:
                    pod.gzip_oldest()
                pod.write(chance.randrange(1, 5))
            try:
                collect(root, state, sink)
            except Died:
                sink.close()
        sink.mortal = False
        collect(root, state, sink)

        for pod in pods:
            texts = [
                r["message"].encode()
                for r in sink.rows("message_log")
                if pod.uid.encode() + b" " in r["message"].encode()[-4:]
            ]
            assert sorted(texts) == sorted(pod.lines)
        assert_ledger_is_whole(sink)
        lines = sink.lines()
        assert all(found == list(range(len(found))) for found in lines.values())


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("PPFF"), st.text("ab", max_size=3)),
        max_size=40,
    ),
    st.lists(st.integers(1, 9), min_size=1),
    st.integers(1, 9),
)
def test_how_batches_are_cut_never_shows(lines: list[tuple[str, str, str]], cuts: list[int], rows: int) -> None:
    texts = [f"2026-11-21T10:00:{i:02d}.5Z {out} {tag} {text}\n" for i, (out, tag, text) in enumerate(lines)]
    found = []
    for sizes, limit in ((cuts, rows), ([1000], 1000)):
        sink = MemorySink(SinkLimits(rows=limit, bytes=1 << 20, seconds=60))
        Pipeline(
            MemorySource(chunks_of(texts, sizes)),
            LineParser(),
            sink,
            Unkept(),
            framer=Framer(CRI),
            sealer=Sealer("c", "n"),
        ).run()
        found.append(sorted((r["line"], r["message"], r["doubt"]) for r in sink.rows("message_log")))
        counts = [s for b in sink.batches for s in b.spans]
        assert sum(s.span.lines for s in counts) == len(lines)
        assert sum(s.joined + s.message_rows for s in counts) == len(lines)
    assert found[0] == found[1]


def chunks_of(texts: list[str], sizes: list[int]) -> list[Chunk]:
    chunks, first, offset = [], 0, 0
    stream = Stream("/p/0.log", "ns", "pod", "c", "uid")
    for size in cycle(sizes):
        data = "".join(texts[first : first + size]).encode()
        count = len(texts[first : first + size])
        end = first + count == len(texts)
        chunks.append(Chunk(stream, Span(1, offset, offset + len(data), first, count), data, last=end))
        first, offset = first + count, offset + len(data)
        if end:
            return chunks
    raise AssertionError
