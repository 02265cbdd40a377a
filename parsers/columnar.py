"""The columnar reader: all lines of a chunk at once, by positions of quotes, Arrow's CSV tokenizer and kernels; no Python per line.

It takes only lines that can be read in exactly one way: with as many quotes as the format, where the format has them, and between
them as many blanks. Then no value holds a quote or (outside quotes) a blank, since every one of them is spent. Each typed value is
checked. Every other line is handed back, for the strict reader.

A line is cut at its quotes. A stretch that is one value becomes a column as it is; neighbouring stretches whose fields have few
values (code, flags, details) are one column of few distinct texts, each read once; what is left, words between blanks, is put
together, without any quotes, and tokenized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from logproc.columns import WORD
from logproc.model import Frame, LineNumbers
from parsers import cell_values, cut, derived, joints, kernels, marks
from parsers.arrow import Batch, Table, pa, pa_csv
from parsers.cells import Stretch, stretches
from parsers.derived import Columns
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.frames import FrameColumns, no_rows
from parsers.kernels import Mask
from parsers.marks import Positions, Selected
from parsers.operators import Kind


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
        columns = {p.column for p in parts if isinstance(p, Field)}
        self._has_request = bool(columns & {"method", "path", "protocol"})
        self._has_code = "response_code" in columns
        self._joints = joints.joints(self._stretches, framed=bool(frame.fields))
        joined = {i for j in self._joints for i in range(j.first, j.last + 1)}
        framed = {0} if frame.fields else set()
        alone = [i for i, s in enumerate(self._stretches) if s.cells and i not in joined | framed]
        self._single = [i for i in alone if _is_one_value(self._stretches[i])]
        self._tokenized = sorted(framed | (set(alone) - set(self._single)))
        self._names: list[str] = []
        self._options = self._convert_options(frame)

    def _convert_options(self, frame: Frame) -> Any:
        types: dict[str, Any] = {}
        wanted: list[str] = []
        for i in self._tokenized:
            if i == 0:
                names = [_frame_name(n) for n in range(len(frame.fields))]
                self._names += names
                types |= dict.fromkeys(names, WORD)
                wanted += [names[n] for n in self._frame.wanted]
            for n, cell in enumerate(self._stretches[i].cells):
                name = _cell_name(i, n)
                self._names.append(name)
                types[name] = cell_values.cell_type(cell)
                wanted.append(name)
        return pa_csv.ConvertOptions(
            check_utf8=False, null_values=["-"], strings_can_be_null=True, column_types=types, include_columns=wanted
        )

    def read(self, data: bytes, lines: int) -> Columnar:
        """Read `lines` lines; `data` has as many newlines and ends with one."""
        found = marks.select(data, lines, max(len(self._stretches) - 1, 0))
        table, taken = self._tokens(found)
        columns: Columns = {}
        if len(taken):
            good = self._lengths_fit(table, found, taken)
            columns = self._convert(table, found, taken, good)
            if not good.all():
                # What one line has wrong shows in no other, but is rare: convert again what is left.
                table = _filtered(table, good)
                taken = taken[good]
                columns = self._convert(table, found, taken, np.ones(len(taken), bool)) if len(taken) else {}
        if len(taken):
            derived.derive(columns, len(taken), has_request=self._has_request, has_code=self._has_code)
            frame = self._frame.from_words({i: _one(table, _frame_name(i)) for i in self._frame.wanted})
        else:
            frame = no_rows(self._frame.names)
        batch = derived.batch(columns, len(taken), frame)
        numbers = taken if found.lines is None else found.lines[taken]
        refused = np.empty(0, np.int64)
        if len(numbers) < lines:
            left = np.ones(lines, bool)
            left[numbers] = False
            refused = np.flatnonzero(left)
        rest = zip(found.all_starts[refused].tolist(), found.all_ends[refused].tolist(), strict=True)
        return Columnar(batch, numbers, refused, [data[start:end] for start, end in rest])

    def _bounds(self, found: Selected, number: int) -> tuple[Positions, Positions]:
        """Where in the chunk the cells of a stretch begin and end, for each line."""
        one = self._stretches[number]
        left = found.starts if number == 0 else found.quotes[number - 1] + np.int32(1 + len(one.lead))
        right = found.ends if number == len(self._stretches) - 1 else found.quotes[number] - np.int32(len(one.trail))
        return left, right

    def _structure_fits(self, found: Selected) -> Mask:
        """Around the quotes stand the literals of the format."""
        content = np.frombuffer(found.chunk, np.uint8)
        good = self._frame.may_begin(found.chunk, found.starts)
        last = len(self._stretches) - 1
        for number in range(0, last + 1, 2):
            one = self._stretches[number]
            before = found.quotes[number - 1] + 1 if number else found.starts
            after = found.quotes[number] if number < last else found.ends
            least = len(one.lead) + len(one.trail)
            good &= after - before >= least if one.cells else after - before == least
            for i, byte in enumerate(one.lead):
                good &= content[np.minimum(before + i, len(content) - 1)] == byte
            for i, byte in enumerate(reversed(one.trail), 1):
                good &= content[after - i] == byte
        return good

    def _tokens(self, found: Selected) -> tuple[Table, LineNumbers]:
        """The words of the lines that have as many as the format, and which lines these are."""
        fits = self._structure_fits(found)
        taken = np.flatnonzero(fits)
        if not self._tokenized or len(taken) == 0:
            return pa.table({}), taken
        refused: list[int] = []

        def refuse(row: Any) -> str:
            refused.append(row.number)
            return "skip"

        chunk = self._words_alone(found, None if fits.all() else taken)
        table = pa_csv.read_csv(
            pa.BufferReader(chunk),
            pa_csv.ReadOptions(use_threads=False, block_size=chunk.size + 1, column_names=self._names),
            pa_csv.ParseOptions(
                delimiter=" ",
                quote_char=False,
                double_quote=False,
                ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            self._options,
        )
        return table, np.delete(taken, np.array(refused, np.int64) - 1) if refused else taken

    def _words_alone(self, found: Selected, rows: LineNumbers | None) -> Any:
        """Lines of nothing but the stretches with several words, one blank between any two words."""
        pieces: list[tuple[Positions, Positions]] = []
        last = len(self._stretches) - 1
        for i in self._tokenized:
            left, right = self._bounds(found, i)
            if pieces and self._stretches[i].quoted:
                blank = left - np.int32(1 + self._blank_before(i))
                pieces.append((blank, blank + 1))
            elif pieces:
                left = left - 1
            pieces.append((left, right + 1 if i == last else right))
        if self._tokenized[-1] != last:
            pieces.append((found.ends, found.ends + 1))
        taken = cut.lines_of(found.chunk, pieces, rows)
        ends, _ = kernels.parts(taken)
        return taken.buffers()[2].slice(0, int(ends[-1]))

    def _blank_before(self, number: int) -> int:
        """How many bytes before a quoted stretch's quote a blank stands."""
        before = self._stretches[number - 1]
        text = before.lead + before.trail
        return len(text) - text.rindex(b" ")

    def _lengths_fit(self, table: Table, found: Selected, taken: LineNumbers) -> Mask:
        """Each stretch has as many words as in the format: else one has more and another one less.

        All but one are looked at: where the sum and all others are right, that one is too.
        """
        good = np.ones(len(taken), bool)
        if len(self._tokenized) < 2:
            return good
        unchecked = 0 if self._frame.frame.fields else max(self._tokenized, key=lambda i: len(self._stretches[i].cells))
        for i in self._tokenized:
            if i == unchecked:
                continue
            left, right = self._bounds(found, i)
            cells = range(len(self._stretches[i].cells))
            length: Any = len(cells) - 1
            for n in cells:
                length = length + kernels.printed_lengths(_one(table, _cell_name(i, n)))
            good &= length == (right - left if len(taken) == len(left) else right[taken] - left[taken])
        return good

    def _convert(self, table: Table, found: Selected, taken: LineNumbers, good: Mask) -> Columns:
        """Typed columns of the taken lines; rows that do not fit are cleared in `good`, what stands in them means nothing."""
        columns: Columns = {}
        extra: cell_values.Extra = []
        rows = None if len(taken) == len(found.starts) else taken
        for i in self._single:
            cell = self._stretches[i].cells[0]
            text = cut.column_of(found.chunk, self._bounds(found, i), rows)
            as_word = cell_values.cell_type(cell) == WORD
            cell_values.fill(columns, extra, cell, cell_values.missing(text, as_word=as_word), good)
        for joint in self._joints:
            bounds = self._bounds(found, joint.first)[0], self._bounds(found, joint.last)[1]
            joints.fill(columns, joint, cut.column_of(found.chunk, bounds, rows).dictionary_encode(), good)
        for i in self._tokenized:
            for n, cell in enumerate(self._stretches[i].cells):
                cell_values.fill(columns, extra, cell, _one(table, _cell_name(i, n)), good)
        if extra:
            extra.sort(key=lambda e: e[0])
            columns["extra"] = cell_values.as_map(extra, len(good))
        return columns


def _is_one_value(stretch: Stretch) -> bool:
    """One cell that needs no tokenizer: within quotes it can hold blanks, and a time is read by its shape."""
    if len(stretch.cells) != 1:
        return False
    one = stretch.cells[0].field
    return stretch.quoted or (one is not None and one.kind is Kind.TIME)


def _cell_name(stretch: int, cell: int) -> str:
    return f"{stretch} {cell}"


def _frame_name(number: int) -> str:
    return f"frame {number}"


def _filtered(table: Table, mask: Mask) -> Table:
    return table.filter(pa.array(mask)) if table.num_columns else table


def _one(table: Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
