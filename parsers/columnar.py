"""The columnar reader: all lines of a chunk at once, through Arrow's CSV tokenizer and kernels, with no Python per line.

It takes only lines that can be read in exactly one way: as many quotes as the format, where the format has them, and as many pieces.
Then no value holds a quote or (outside quotes) a blank, since every one of them is spent. Each typed value is checked. Every other
line is handed back, to be read by the strict reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from logproc.columns import MAP, TEXT, WORD
from logproc.model import Frame, LineNumbers
from parsers import derived, kernels, marks, values
from parsers.cells import Cell, Cells, cells, distances
from parsers.derived import Columns
from parsers.fields import Field, fields
from parsers.format_string import Format
from parsers.frames import FrameColumns, no_rows
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE, NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.start_time import TimeLayout

_TOKENS = {
    "delimiter": " ",
    "quote_char": '"',
    "double_quote": False,
    "escape_char": False,
    "newlines_in_values": False,
}
_PLAIN_TEXT = (Kind.TIME, Kind.NUMBER, Kind.PATH, Kind.REQUEST_ID, Kind.ADDRESS)
"""Kinds whose values are mostly distinct, or become numbers: not worth a dictionary."""

Mask = kernels.Mask


@dataclass(frozen=True, slots=True)
class Columnar:
    """What the reader took: `batch` and the numbers of its lines; `refused`: the numbers of the other lines. Both ascend."""

    batch: pa.RecordBatch
    lines: LineNumbers
    refused: LineNumbers


class ColumnarReader:
    """Reads chunks of one text format in one frame. `possible` is False where blanks and quotes do not divide the format."""

    def __init__(self, format: Format, frame: Frame) -> None:
        parts = fields(format)
        self.fields: tuple[Field, ...] = tuple(p for p in parts if isinstance(p, Field))
        self._frame = FrameColumns(frame)
        found = cells(parts)
        self.possible = found is not None
        self._cells: Cells = found or Cells()
        commands = {f.column for f in self.fields}
        self._has_request = bool(commands & {"method", "path", "protocol"})
        self._has_code = "response_code" in commands
        names = [_frame_name(i) for i in range(len(frame.fields))]
        types = {n: WORD if i in self._frame.wanted else TEXT for i, n in enumerate(names)}
        types |= {str(i): _type(c) for i, c in enumerate(self._cells.cells)}
        wanted = [names[i] for i in self._frame.wanted]
        wanted += [str(i) for i, c in enumerate(self._cells.cells) if not c.edge]
        self._options = pa_csv.ConvertOptions(
            check_utf8=False, null_values=["-"], strings_can_be_null=True, column_types=types, include_columns=wanted
        )
        names += [str(i) for i in range(len(self._cells.cells))]
        self._names = names
        # One stretch follows from the others: the last, or with a frame (whose words are not looked at) the first.
        self._distances = distances(self._cells)[1:] if frame.fields else distances(self._cells)[:-1]

    def read(self, data: bytes, lines: int) -> Columnar:
        """Read `lines` lines; `data` has as many newlines and ends with one."""
        found = marks.select(data, lines, self._cells.quotes, self._cells.opened)
        table, taken = self._tokens(found.chunk, len(found.marks))
        columns: Columns = {}
        if len(taken):
            good = self._quotes_stand_right(table, found, taken)
            columns = self._convert(table, good)
            if not good.all():
                # What one line has wrong shows in no other, but is rare: convert again what is left.
                table = table.filter(pa.array(good))
                taken = taken[good]
                columns = self._convert(table, np.ones(len(taken), bool)) if len(taken) else {}
        if len(taken):
            derived.derive(columns, len(taken), has_request=self._has_request, has_code=self._has_code)
        frame = (
            self._frame.from_words({i: _one(table, _frame_name(i)) for i in self._frame.wanted})
            if len(taken)
            else no_rows(self._frame.names)
        )
        batch = derived.batch(columns, len(taken), frame)
        numbers = taken if found.lines is None else found.lines[taken]
        refused = np.empty(0, np.int64)
        if len(numbers) < lines:
            left = np.ones(lines, bool)
            left[numbers] = False
            refused = np.flatnonzero(left)
        return Columnar(batch, numbers, refused)

    def _tokens(self, chunk: pa.Buffer, lines: int) -> tuple[pa.Table, LineNumbers]:
        """The cells of the lines that have as many as the format, and which lines these are."""
        refused: list[int] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            refused.append(row.number)
            return "skip"

        if lines == 0:
            return pa.table({}), np.arange(0)
        table = pa_csv.read_csv(
            pa.BufferReader(chunk),
            pa_csv.ReadOptions(use_threads=False, block_size=chunk.size + 1, column_names=self._names),
            pa_csv.ParseOptions(**_TOKENS, ignore_empty_lines=False, invalid_row_handler=refuse),
            self._options,
        )
        if not refused:
            return table, np.arange(lines)
        taken = np.ones(lines, bool)
        taken[np.array(refused) - 1] = False
        return table, np.flatnonzero(taken)

    def _quotes_stand_right(self, table: pa.Table, found: marks.Selected, taken: LineNumbers) -> Mask:
        """Between two quoted cells stand as many others as in the format: else another piece of the line is quoted."""
        all_lines = len(taken) == len(found.marks)
        at = found.marks if all_lines else found.marks[taken]
        good = np.ones(len(taken), bool)
        starts = found.starts if all_lines else found.starts[taken]
        for left, right, constant, held in self._distances:
            expected: Any = constant
            for cell in held:
                expected = expected + self._lengths(table, cell)
            good &= at[:, right] - (starts - 1 if left < 0 else at[:, left]) == expected
        return good

    def _lengths(self, table: pa.Table, cell: int) -> Any:
        if self._cells.cells[cell].field or self._cells.cells[cell].prefix:
            return kernels.printed_lengths(_one(table, str(cell)))
        return 0

    def _convert(self, table: pa.Table, good: Mask) -> Columns:
        """Typed columns of all rows; rows that do not fit are cleared in `good`, what stands in them means nothing."""
        columns: Columns = {}
        extra: list[tuple[str, pa.DictionaryArray]] = []
        for at, cell in enumerate(self._cells.cells):
            field = cell.field
            if field is None:
                if not cell.edge:
                    good &= np.asarray(pc.equal(_one(table, str(at)).dictionary_decode(), cell.prefix).fill_null(False))
                continue
            array = _one(table, str(at))
            if field.kind is Kind.TIME and field.layout is not None:
                there = kernels.valid(array)
                columns[field.column], fits = _time(array, cell, field.layout)
                good &= fits if there is None else fits & there
                continue
            if cell.prefix or cell.suffix:
                array, fits = _stripped(array, cell)
                good &= fits
            self._fill(columns, extra, field, array, good)
        if extra:
            columns["extra"] = _map(extra, len(good))
        return columns

    def _fill(
        self, columns: Columns, extra: list[tuple[str, pa.DictionaryArray]], field: Field, array: Any, good: Mask
    ) -> None:
        name, kind = field.column, field.kind
        if kind is Kind.NUMBER and name:
            columns[name], fits = kernels.number(array, NUMBER_COLUMNS[name])
            if fits is not None:
                good &= fits
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
        elif not name:
            if field.shape is not None:
                good &= _shaped(array, field)
            extra.append((field.key, array))
        else:
            if field.shape is not None:
                good &= _shaped(array, field)
            columns[name] = array


def _type(cell: Cell) -> pa.DataType:
    field = cell.field
    if field is None or (field.column and field.kind in _PLAIN_TEXT) or field.column in ("trace_id",):
        return TEXT
    return WORD


def _frame_name(number: int) -> str:
    return f"frame {number}"


def _one(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _time(array: pa.StringArray, cell: Cell, layout: TimeLayout) -> tuple[pa.Array, Mask]:
    """The times of a cell with its brackets, which are checked as they stand."""
    prefix, suffix = cell.prefix.encode(), cell.suffix.encode()
    times, good = kernels.timestamp(array, layout, len(prefix), len(suffix))
    ends, data = kernels.parts(array)
    for i, byte in enumerate(prefix):
        good &= data[np.minimum(ends[:-1] + i, len(data) - 1)] == byte
    for i, byte in enumerate(suffix):
        good &= data[ends[1:] - len(suffix) + i] == byte
    return times, good


def _stripped(array: Any, cell: Cell) -> tuple[Any, Mask]:
    """A column without the literals around its values; null is a value without them, so it does not fit."""
    prefix, suffix = cell.prefix, cell.suffix
    if not isinstance(array, pa.DictionaryArray):
        return kernels.strip(array, prefix.encode(), suffix.encode())
    texts = array.dictionary.to_pylist()
    fits = [t.startswith(prefix) and t.endswith(suffix) and len(t) >= len(prefix) + len(suffix) for t in texts]
    cut = [t[len(prefix) : len(t) - len(suffix)] if f else None for t, f in zip(texts, fits, strict=True)]
    good = np.array([*fits, False])[np.where(_there(array), kernels.codes(array), len(texts))]
    return kernels.mapped(array, [None if c == "-" else c for c in cut]), good


def _there(array: pa.Array) -> Mask:
    return np.asarray(array.is_valid())


def _shaped(array: Any, field: Field) -> Mask | bool:
    """Whether every value has the field's shape; null is `-`."""
    if field.shape in (NO_BLANK, NO_BLANK_NO_QUOTE):
        return True  # as all cells
    shape = re.compile(field.shape or b"")
    fits = [shape.fullmatch(v.encode()) is not None for v in array.dictionary.to_pylist()]
    return True if all(fits) else np.array(fits)[kernels.codes(array)] | ~_there(array)


def _map(extra: list[tuple[str, Any]], rows: int) -> pa.Array:
    """The columns without a name of their own as one map; a row with none of them is null."""
    width = len(extra)
    there = np.stack([_there(a) for _, a in extra], axis=1)
    texts = pa.concat_arrays([a.cast(TEXT) for _, a in extra])
    index = np.arange(rows)[:, None] + np.arange(width) * rows
    items = texts.take(pa.array(index[there]))
    keys = pa.array([k for k, _ in extra], TEXT).take(pa.array(np.broadcast_to(np.arange(width), there.shape)[there]))
    counts = there.sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    found = pa.MapArray.from_arrays(pa.array(offsets), keys, items)
    return found if counts.all() else pc.if_else(pa.array(counts > 0), found, pa.scalar(None, MAP))
