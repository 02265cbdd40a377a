"""Lines taken out of their frames, on their way to the reader of many that fits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from logproc.columns import TABLES, TEXT, WORD
from logproc.model import REJECTED_LINE, LineNumbers
from parsers.arrow import Batch, pa
from parsers.frames import FrameColumns
from parsers.times import timestamps

KEPT_BYTES = 64 << 10
"""How much of a rejected line is kept."""


@dataclass(slots=True)
class Lines:
    """Lines without their frames and newlines, the words of their frames, and their numbers."""

    frame: FrameColumns
    lines: list[bytes] = field(default_factory=list)
    words: list[list[bytes]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, frame: FrameColumns, lines: Sequence[bytes], rows: LineNumbers) -> Lines:
        """Lines in their frames, taken out of them."""
        if not frame.frame.fields:
            return cls(frame, [line.rstrip(b"\r") for line in lines], [[]] * len(lines), rows.tolist())
        found = cls(frame, [], [], rows.tolist())
        for whole in lines:
            words, line = frame.split(whole)
            found.lines.append(line.rstrip(b"\r"))
            found.words.append(words)
        return found

    def add(self, line: bytes, words: list[bytes], row: int) -> None:
        """Append one."""
        self.lines.append(line)
        self.words.append(words)
        self.rows.append(row)

    def some(self, which: LineNumbers) -> Lines:
        """These of them, in this order."""
        picked = which.tolist()
        return Lines(
            self.frame, [self.lines[i] for i in picked], [self.words[i] for i in picked], [self.rows[i] for i in picked]
        )  # fmt: skip

    def merge(self, lines: Sequence[tuple[bytes, list[bytes], int]]) -> None:
        """Add these and put all in order again."""
        if lines:
            found = sorted([*zip(self.lines, self.words, self.rows, strict=True), *lines], key=lambda one: one[2])
            self.lines, self.words, self.rows = [f[0] for f in found], [f[1] for f in found], [f[2] for f in found]

    def numbers(self) -> LineNumbers:
        """Their numbers."""
        return np.array(self.rows, np.int64)

    def times(self) -> list[bytes] | None:
        """The runtime's time of each line."""
        at = self.frame.time
        return None if at is None else [w[at] if at < len(w) else b"" for w in self.words]

    def with_frame(self, batch: Batch) -> Batch:
        """The batch of their rows, with what their frames tell."""
        for name, array in self.frame.from_lines(self.words).items():
            batch = batch.append_column(name, array)
        return batch

    def rejected(self, reason: str) -> Batch:
        """Their rows in rejected_line."""
        count = len(self.rows)
        frame_times = self.times()
        times = (
            pa.nulls(count, TABLES[REJECTED_LINE].column("timestamp").arrow)
            if frame_times is None
            else timestamps([t.decode("ascii", "replace") for t in frame_times])
        )
        return pa.RecordBatch.from_arrays(
            [
                times,
                pa.array([reason] * count, TEXT).cast(WORD),
                pa.array([len(line) for line in self.lines], pa.uint64()),
                pa.array([line[:KEPT_BYTES] for line in self.lines], pa.binary()),
            ],
            names=["timestamp", "reason", "length", "raw"],
        )
