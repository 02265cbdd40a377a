"""The columnar reader: all lines of a chunk at once, by the positions of their blanks and quotes; no Python per line.

It takes only lines that can be read in exactly one way: with as many quotes as the format, where the format has them, and between
them as many blanks. Then no value holds a quote or (outside quotes) a blank, since every one of them is spent. Each typed value is
checked. Every other line is handed back, for the strict reader.

The positions are found once for the whole chunk; from then on a field is two of them for each line. Numbers, times, UUIDs and ports
are read where they stand; neighbouring fields of few values (code, flags, details) are one column of few distinct texts, each read
once; only what stays text is cut out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from logproc.model import Frame, LineNumbers
from parsers import cell_values, cut, derived, joints, marks
from parsers.arrow import Array, Batch
from parsers.cells import Cell, Stretch, stretches
from parsers.derived import Columns
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.frames import FrameColumns, no_rows
from parsers.joints import Joint
from parsers.kernels import Mask
from parsers.marks import Selected
from parsers.pieces import Pieces, Positions


@dataclass(frozen=True, slots=True)
class Columnar:
    """What the reader took: `batch` and the numbers of its lines; `refused`: the numbers of the other lines. Both ascend.

    `rest`: the other lines themselves, without their newlines.
    """

    batch: Batch
    lines: LineNumbers
    refused: LineNumbers
    rest: list[bytes]


class ColumnarReader:
    """Reads chunks of one text format in one frame. `possible` is False where blanks and quotes do not divide the format."""

    def __init__(self, format: Format, frame: Frame) -> None:
        parts = fields(format)
        found = stretches(parts)
        self.possible = found is not None
        self._stretches: list[Stretch] = found or []
        self._frame = FrameColumns(frame)
        self._framed = len(frame.fields)
        columns = {p.column for p in parts if isinstance(p, Field)}
        self._has_request = bool(columns & {"method", "path", "protocol"})
        self._has_code = "response_code" in columns
        self._joints = joints.joints(self._stretches)
        joined = {place for j in self._joints for place in j.places}
        self._alone = [
            (i, n) for i, s in enumerate(self._stretches) for n in range(len(s.cells)) if (i, n) not in joined
        ]

    def read(self, data: bytes, lines: int) -> Columnar:
        """Read `lines` lines; `data` has as many newlines and ends with one."""
        found = marks.select(data, lines, max(len(self._stretches) - 1, 0))
        found = found.only(self._blanks_fit(found))
        found = found.only(self._literals_fit(found))
        columns, good = self._convert(found)
        if not good.all():
            # What one line has wrong shows in no other, but is rare: convert again what is left.
            found = found.only(good)
            columns, _ = self._convert(found)
        rows = len(found.lines)
        if rows:
            derived.derive(columns, rows, has_request=self._has_request, has_code=self._has_code)
            frame = self._frame.from_words({i: self._frame_word(found, i).words() for i in self._frame.wanted})
        else:
            frame = no_rows(self._frame.names)
        batch = derived.batch(columns, rows, frame)
        refused = np.empty(0, np.int64)
        if rows < lines:
            left = np.ones(lines, bool)
            left[found.lines] = False
            refused = np.flatnonzero(left)
        rest = zip(found.all_starts[refused].tolist(), found.all_ends[refused].tolist(), strict=True)
        return Columnar(batch, found.lines, refused, [data[start:end] for start, end in rest])

    def _blanks_fit(self, found: Selected) -> Mask:
        """Between the quotes stand as many blanks as in the format; a quoted stretch with one value has any number of them."""
        good = np.ones(len(found.lines), bool)
        for number, one in enumerate(self._stretches):
            if one.blanks is not None:
                good &= found.blanks(number) == one.blanks + (self._framed if number == 0 else 0)
        return good

    def _literals_fit(self, found: Selected) -> Mask:
        """Around the quotes stand the literals of the format."""
        good = self._frame.may_begin(found.data, found.begin())
        for number, one in enumerate(self._stretches):
            if not one.lead and not one.trail and one.cells:
                continue
            framed = self._framed if number == 0 else 0
            before = found.place(0, framed) if framed else self._before(found, number)
            after = self._after(found, number)
            if not one.cells:
                good &= after - before == len(one.lead) + 1
                if not one.lead.strip(b" "):
                    continue  # as many blanks as there are known to be
            elif one.lead and one.trail:
                good &= after - before > len(one.lead) + len(one.trail)
            blanks = 0
            for i, byte in enumerate(one.lead, 1):
                # Blanks are known already: there are as many as the format has, so each is held against its place.
                if byte == marks.BLANK:
                    blanks += 1
                    good &= found.place(number, framed + blanks) == before + np.int32(i)
                else:
                    good &= found.content.take(before + np.int32(i), mode="clip") == byte
            blanks = framed + (one.blanks or 0)
            for i, byte in enumerate(reversed(one.trail), 1):
                if byte == marks.BLANK:
                    good &= found.place(number, blanks) == after - np.int32(i)
                    blanks -= 1
                else:
                    good &= found.content.take(after - np.int32(i), mode="clip") == byte
        return good

    def _before(self, found: Selected, number: int) -> Positions:
        """Where the mark before a stretch stands."""
        return found.begin() - np.int32(1) if number == 0 else found.place(number)

    def _after(self, found: Selected, number: int) -> Positions:
        """Where the mark after a stretch stands."""
        return found.place(number + 1)

    def _begin(self, found: Selected, number: int, cell: int) -> Positions:
        """Where a cell begins."""
        one = self._stretches[number]
        framed = self._framed if number == 0 else 0
        if cell == 0:
            if framed:
                return found.place(0, framed) + np.int32(1 + len(one.lead))
            return self._before(found, number) + np.int32(1 + len(one.lead))
        return found.place(number, framed + one.lead.count(b" ") + cell) + np.int32(1)

    def _end(self, found: Selected, number: int, cell: int) -> Positions:
        """Where a cell ends."""
        one = self._stretches[number]
        if cell == len(one.cells) - 1:
            end = self._after(found, number)
            return end - np.int32(len(one.trail)) if one.trail else end
        framed = self._framed if number == 0 else 0
        return found.place(number, framed + one.lead.count(b" ") + cell + 1)

    def _pieces(self, found: Selected, first: tuple[int, int], last: tuple[int, int]) -> Pieces:
        """From one cell to another one."""
        return Pieces(found.data, found.content, self._begin(found, *first), self._end(found, *last))

    def _frame_word(self, found: Selected, number: int) -> Pieces:
        """A word of the frame."""
        left = found.place(0, number) + np.int32(1) if number else found.begin()
        return Pieces(found.data, found.content, left, found.place(0, number + 1))

    def _cell(self, number: int, cell: int) -> Cell:
        return self._stretches[number].cells[cell]

    def _convert(self, found: Selected) -> tuple[Columns, Mask]:
        """Typed columns, and which rows fit; what stands in the others means nothing."""
        columns: Columns = {}
        extra: cell_values.Extra = []
        good = np.ones(len(found.lines), bool)
        if len(good) == 0:
            return columns, good
        alone = self._alone
        for joint in self._joints:
            texts = self._joined(found, joint)
            if texts is not None:
                joints.fill(columns, joint, texts, good)
            else:
                alone = [*alone, *joint.places]
        for place in alone:
            cell_values.fill(columns, extra, self._cell(*place), self._pieces(found, place, place), good)
        if extra:
            extra.sort(key=lambda e: e[0])
            columns["extra"] = cell_values.as_map(extra, len(good))
        return columns, good

    def _joined(self, found: Selected, joint: Joint) -> Array | None:
        """The texts of a joint as a dictionary array; None where they are too many."""
        if joint.skipped:
            joint.skipped -= 1
            return None
        runs = [(self._begin(found, *first), self._end(found, *last)) for first, last in joint.runs]
        runs = [*((left, right + np.int32(1)) for left, right in runs[:-1]), runs[-1]]
        texts = cut.joined(found.data, runs).dictionary_encode()
        return texts if joints.pays(joint, texts) else None
