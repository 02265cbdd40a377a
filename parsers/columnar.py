"""The columnar reader: all lines of a chunk at once, by positions of quotes, Arrow's CSV tokenizer and kernels; no Python per line.

It takes only lines that can be read in exactly one way: with as many quotes as the format, where the format has them, and between
them as many blanks. Then no value holds a quote or (outside quotes) a blank, since every one of them is spent. Each typed value is
checked. Every other line is handed back, for the strict reader.

A line is cut at its quotes. A stretch that is one value becomes a column as it is; neighbouring stretches whose fields have few
values (code, flags, details) are one column of few distinct texts, each read once; what is left, words between blanks, is put
together, without any quotes, and tokenized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from logproc.columns import MAP, TEXT, WORD
from logproc.model import Frame, LineNumbers
from parsers import derived, kernels, marks, strict, values
from parsers.cells import Cell, Stretch, stretches
from parsers.derived import Columns
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.frames import FrameColumns, no_rows
from parsers.kernels import Array, Mask
from parsers.marks import BLANK, Selected
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE, NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.start_time import TimeLayout

_PLAIN_TEXT = (Kind.TIME, Kind.NUMBER, Kind.PATH, Kind.REQUEST_ID, Kind.ADDRESS)
"""Kinds whose values are mostly distinct, or become numbers: not worth a dictionary."""
_FEW_VALUES = {
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
}
REMEMBERED_TEXTS = 1 << 14

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columnar:
    """What the reader took: `batch` and the numbers of its lines; `refused`: the numbers of the other lines. Both ascend."""

    batch: pa.RecordBatch
    lines: LineNumbers
    refused: LineNumbers


@dataclass(slots=True)
class _Joint:
    """Neighbouring stretches `first` to `last` whose fields have few values: read as one text, once per distinct one."""

    first: int
    last: int
    fields: tuple[Field, ...]
    pattern: re.Pattern[bytes]
    known: dict[str, tuple[str | None, ...] | None] = field(default_factory=dict)

    def read(self, text: str) -> tuple[str | None, ...] | None:
        """The values, None for missing ones; None for a text that does not fit."""
        found = self.pattern.fullmatch(text.encode())
        if found is None:
            return None
        read = tuple(None if g == b"-" else g.decode() for g in found.groups())
        for one, value in zip(self.fields, read, strict=True):
            if one.kind is Kind.NUMBER and value and (not value.isascii() or not value.isdigit() or len(value) > 4):
                return None
        return read


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
        self._joints = _joints(self._stretches, framed=bool(frame.fields))
        joined = {i for j in self._joints for i in range(j.first, j.last + 1)}
        framed = {0} if frame.fields else set()
        alone = [i for i, s in enumerate(self._stretches) if i not in joined | framed]
        self._single = [i for i in alone if len(self._stretches[i].cells) == 1]
        self._tokenized = sorted(framed | {i for i in alone if len(self._stretches[i].cells) > 1})
        self._names: list[str] = []
        self._options = self._convert_options(frame)

    def _convert_options(self, frame: Frame) -> pa_csv.ConvertOptions:
        types: dict[str, pa.DataType] = {}
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
                types[name] = _type(cell)
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
                table = table.filter(pa.array(good))
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
        return Columnar(batch, numbers, refused)

    def _bounds(self, found: Selected, number: int) -> tuple[Positions, Positions]:
        """Where in the chunk the cells of a stretch begin and end, for each line."""
        quoted, last = self._stretches[number].quoted, number == len(self._stretches) - 1
        inner = 0 if quoted else 1
        left = found.starts if number == 0 else found.quotes[:, number - 1] + (1 + inner)
        right = found.ends if last else found.quotes[:, number] - inner
        return left, right

    def _structure_fits(self, found: Selected) -> Mask:
        """Blanks stand around the quotes, and nothing else where the format has nothing else."""
        content = np.frombuffer(found.chunk, np.uint8)
        good = np.ones(len(found.starts), bool)
        last = len(self._stretches) - 1
        for number in range(0, last + 1, 2):
            before = found.quotes[:, number - 1] + 1 if number else found.starts
            after = found.quotes[:, number] if number < last else found.ends
            if not self._stretches[number].cells:
                good &= after - before == (1 if 0 < number < last else 0)
                if 0 < number < last:
                    good &= content[before] == BLANK
                continue
            if number:
                good &= content[before] == BLANK
            if number < last:
                good &= content[after - 1] == BLANK
            good &= after - before >= (number > 0) + (number < last)
        return good

    def _tokens(self, found: Selected) -> tuple[Any, LineNumbers]:
        """The words of the lines that have as many as the format, and which lines these are."""
        lines = len(found.starts)
        fits = self._structure_fits(found)
        if not self._tokenized or lines == 0:
            return pa.table({}), np.flatnonzero(fits)
        refused: list[int] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            refused.append(row.number or 0)
            return "skip"

        chunk = self._words_alone(found)
        table = pa_csv.read_csv(
            pa.BufferReader(chunk),
            pa_csv.ReadOptions(use_threads=False, block_size=chunk.size + 1, column_names=self._names),
            pa_csv.ParseOptions(
                delimiter=" ", quote_char=False, double_quote=False, ignore_empty_lines=False, invalid_row_handler=refuse
            ),
            self._options,
        )
        parsed = np.ones(lines, bool)
        parsed[np.array(refused, np.int64) - 1] = False
        if not fits.all():
            table = table.filter(pa.array(fits[parsed]))
        return table, np.flatnonzero(parsed & fits)

    def _words_alone(self, found: Selected) -> pa.Buffer:
        """Lines of nothing but the stretches with several words, one blank between any two words."""
        pieces: list[tuple[Positions, Positions]] = []
        last = len(self._stretches) - 1
        for i in self._tokenized:
            left, right = self._bounds(found, i)
            if pieces and self._stretches[i].quoted:
                pieces.append((left - 2, left - 1))
            elif pieces:
                left = left - 1
            pieces.append((left, right + 1 if i == last else right))
        if self._tokenized[-1] != last:
            pieces.append((found.ends, found.ends + 1))
        taken = _cut(found.chunk, pieces, None)
        ends, _ = kernels.parts(taken)
        return taken.buffers()[2].slice(0, int(ends[-1]))

    def _lengths_fit(self, table: Any, found: Selected, taken: LineNumbers) -> Mask:
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

    def _convert(self, table: Any, found: Selected, taken: LineNumbers, good: Mask) -> Columns:
        """Typed columns of the taken lines; rows that do not fit are cleared in `good`, what stands in them means nothing."""
        columns: Columns = {}
        extra: list[tuple[str, Array]] = []
        cuts = [self._bounds(found, i) for i in self._single]
        cuts += [(self._bounds(found, j.first)[0], self._bounds(found, j.last)[1]) for j in self._joints]
        order = sorted(range(len(cuts)), key=lambda c: (*self._single, *(j.first for j in self._joints))[c])
        rows = None if len(taken) == len(found.starts) else taken
        texts = _cut_columns(found.chunk, [cuts[c] for c in order], rows)
        by_cut = dict(zip(order, texts, strict=True))
        for c, i in enumerate(self._single):
            cell = self._stretches[i].cells[0]
            self._fill(columns, extra, cell, _missing(by_cut[c], as_word=_type(cell) == WORD), good)
        for c, joint in enumerate(self._joints, len(self._single)):
            _fill_joint(columns, joint, by_cut[c].dictionary_encode(), good)
        for i in self._tokenized:
            for n, cell in enumerate(self._stretches[i].cells):
                self._fill(columns, extra, cell, _one(table, _cell_name(i, n)), good)
        if extra:
            columns["extra"] = _map(extra, len(good))
        return columns

    def _fill(self, columns: Columns, extra: list[tuple[str, Array]], cell: Cell, array: Array, good: Mask) -> None:
        one = cell.field
        if one is None:
            good &= np.asarray(pc.equal(array.cast(TEXT), cell.prefix).fill_null(False))
            return
        name, kind = one.column, one.kind
        if kind is Kind.TIME and one.layout is not None:
            there = kernels.valid(array)
            columns[name], fits = _time(array, cell, one.layout)
            good &= fits if there is None else fits & there
            return
        if cell.prefix or cell.suffix:
            array, cut = _stripped(array, cell)
            good &= cut
        if kind is Kind.NUMBER and name:
            columns[name], numbers = kernels.number(array, NUMBER_COLUMNS[name])
            if numbers is not None:
                good &= numbers
        elif kind is Kind.ADDRESS and name:
            columns[name], columns[PORT_COLUMN[name]] = kernels.address(array, values.address)
        elif kind is Kind.REQUEST_ID and name:
            columns[name], other = kernels.uuid(array)
            if other is not None:
                columns["request_id_other"] = other
        elif kind is Kind.FLAGS and name:
            columns[name] = derived.words(array, values.flags)
        elif kind is Kind.CLUSTER and name:
            columns[name] = derived.words(array, derived.cluster_name)
        else:
            good &= _shaped(array, one)
            if name:
                columns[name] = array
            else:
                extra.append((one.key, array))


def _joints(found: Sequence[Stretch], *, framed: bool) -> list[_Joint]:
    joints: list[_Joint] = []
    start = 1 if framed else 0
    while start < len(found):
        stop = start
        while stop < len(found) and _has_few_values(found[stop]):
            stop += 1
        if sum(len(s.cells) for s in found[start:stop]) > 1:
            parts: list[str | Field] = []
            for i in range(start, stop):
                parts += [*found[i].parts, '"'] if i < stop - 1 else found[i].parts
            pattern = strict.simple(_trimmed(parts, found[start], found[stop - 1], start == 0, stop == len(found)))
            if pattern is not None:
                joints.append(_Joint(start, stop - 1, tuple(p for p in parts if isinstance(p, Field)), pattern))
        start = max(stop, start + 1)
    return joints


def _has_few_values(one: Stretch) -> bool:
    return bool(one.cells) and all(c.field is not None and c.field.column in _FEW_VALUES for c in one.cells)


def _trimmed(parts: list[str | Field], first: Stretch, last: Stretch, at_start: bool, at_end: bool) -> list[str | Field]:
    """Without the blanks that stand between the outer quotes and the cells."""
    found = list(parts)
    if not first.quoted and not at_start and isinstance(found[0], str):
        found[0] = found[0][1:]
    if not last.quoted and not at_end and isinstance(found[-1], str):
        found[-1] = found[-1][:-1]
    return found


def _cell_name(stretch: int, cell: int) -> str:
    return f"{stretch} {cell}"


def _frame_name(number: int) -> str:
    return f"frame {number}"


def _type(cell: Cell) -> pa.DataType:
    one = cell.field
    if one is None or (one.column and (one.kind in _PLAIN_TEXT or one.column == "trace_id")):
        return TEXT
    return WORD


def _one(table: Any, name: str) -> Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _cut(chunk: bytes, cuts: Sequence[tuple[Positions, Positions]], rows: LineNumbers | None) -> Array:
    """The pieces of all lines, line by line, as strings that follow one another."""
    pieces, width = _pieces(chunk, cuts, rows)
    return pieces.take(pa.array(np.arange(0, len(pieces), 2, dtype=np.int32))) if width else pieces


def _cut_columns(chunk: bytes, cuts: Sequence[tuple[Positions, Positions]], rows: LineNumbers | None) -> list[Array]:
    """The pieces of all lines as one column for each cut."""
    pieces, width = _pieces(chunk, cuts, rows)
    return [pieces.take(pa.array(np.arange(2 * i, len(pieces), 2 * width, dtype=np.int32))) for i in range(width)]


def _pieces(chunk: bytes, cuts: Sequence[tuple[Positions, Positions]], rows: LineNumbers | None) -> tuple[Array, int]:
    """An array over the chunk's own bytes: every second value is a piece, the others are what stands between."""
    width = len(cuts)
    if not width:
        return pa.array([], TEXT), 0
    count = len(cuts[0][0]) if rows is None else len(rows)
    ends = np.empty(2 * width * count + 1, np.int32)
    table = ends[:-1].reshape(count, 2 * width)
    for i, (left, right) in enumerate(cuts):
        table[:, 2 * i] = left if rows is None else left[rows]
        table[:, 2 * i + 1] = right if rows is None else right[rows]
    ends[-1] = ends[-2] if count else 0
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(chunk)), width


def _missing(array: Array, *, as_word: bool) -> Array:
    """`-` as null."""
    if not as_word:
        ends, data = kernels.parts(array)
        short = np.flatnonzero(np.diff(ends) == 1)
        return pc.if_else(pc.equal(array, "-"), None, array) if (data[ends[short]] == 45).any() else array
    words = array.dictionary_encode()
    at = pc.index(words.dictionary, "-").as_py()
    if at < 0:
        return words
    code = kernels.codes(words)
    return kernels.word(code, words.dictionary, code != at)


def _fill_joint(columns: Columns, joint: _Joint, array: Array, good: Mask) -> None:
    texts = array.dictionary.to_pylist()
    known = joint.known
    if len(known) > REMEMBERED_TEXTS:
        known.clear()
    read: list[tuple[str | None, ...] | None] = []
    for text in texts:
        if text not in known:
            known[text] = joint.read(text)
        read.append(known[text])
    code = kernels.codes(array)
    if None in read:
        good &= np.array([r is not None for r in read])[code]
    for i, one in enumerate(joint.fields):
        column = [None if r is None else r[i] for r in read]
        if one.kind is Kind.NUMBER:
            numbers = np.array([int(v) if v else 0 for v in column], np.uint16)
            there = np.array([bool(v) for v in column])
            columns[one.column] = kernels.masked(numbers[code], pa.uint16(), there[code])
        elif one.kind is Kind.FLAGS:
            columns[one.column] = kernels.mapped(array, [None if v is None else values.flags(v) for v in column])
        else:
            columns[one.column] = kernels.mapped(array, column)


def _time(array: Array, cell: Cell, layout: TimeLayout) -> tuple[Array, Mask]:
    """The times of a cell with its brackets, which are checked as they stand."""
    prefix, suffix = cell.prefix.encode(), cell.suffix.encode()
    times, good = kernels.timestamp(array, layout, len(prefix), len(suffix))
    ends, data = kernels.parts(array)
    for i, byte in enumerate(prefix):
        good &= data[np.minimum(ends[:-1] + i, len(data) - 1)] == byte
    for i, byte in enumerate(suffix):
        good &= data[ends[1:] - len(suffix) + i] == byte
    return times, good


def _stripped(array: Array, cell: Cell) -> tuple[Array, Mask]:
    """A column without the literals around its values; null is a value without them, so it does not fit."""
    prefix, suffix = cell.prefix, cell.suffix
    if not isinstance(array, pa.DictionaryArray):
        return kernels.strip(array, prefix.encode(), suffix.encode())
    texts = array.dictionary.to_pylist()
    fits = [t.startswith(prefix) and t.endswith(suffix) and len(t) >= len(prefix) + len(suffix) for t in texts]
    cut = [t[len(prefix) : len(t) - len(suffix)] if f else None for t, f in zip(texts, fits, strict=True)]
    good = np.array([*fits, False])[np.where(np.asarray(array.is_valid()), kernels.codes(array), len(texts))]
    return kernels.mapped(array, [None if c == "-" else c for c in cut]), good


def _shaped(array: Array, one: Field) -> Any:
    """Whether every value has the field's shape; null is `-`."""
    if one.shape is None or one.shape in (NO_BLANK, NO_BLANK_NO_QUOTE):
        return True  # as all cells
    shape = re.compile(one.shape)
    fits = [shape.fullmatch(v.encode()) is not None for v in array.dictionary.to_pylist()]
    return True if all(fits) else np.array(fits)[kernels.codes(array)] | ~np.asarray(array.is_valid())


def _map(extra: list[tuple[str, Array]], rows: int) -> Array:
    """The columns without a name of their own as one map; a row with none of them is null."""
    width = len(extra)
    there = np.stack([np.asarray(a.is_valid()) for _, a in extra], axis=1)
    texts = pa.concat_arrays([a.cast(TEXT) for _, a in extra])
    index = np.arange(rows)[:, None] + np.arange(width) * rows
    items = texts.take(pa.array(index[there]))
    keys = pa.array([k for k, _ in extra], TEXT).take(pa.array(np.broadcast_to(np.arange(width), there.shape)[there]))
    counts = there.sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    found: Any = pa.MapArray.from_arrays(pa.array(offsets), keys, items)
    return found if counts.all() else pc.if_else(pa.array(counts > 0), found, pa.scalar(None, MAP))
