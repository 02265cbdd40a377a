"""JSON access logs of every era: numbers or strings, `null` or `-` or no key at all, any order of keys, templates of one's own.

Flat objects without escapes, which is nearly all, are read by column (`json_tokens`), the others one by one (`json_object`); both
end in the same columns (`json_columns`). What is JSON and no access log is left to others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from logproc.columns import TEXT
from logproc.model import ACCESS_LOG, REJECTED_LINE, Frame, LineNumbers, Parsed
from parsers import kernels, merge, ztunnel
from parsers.arrow import Array, Batch, pa, pc
from parsers.format_string import Format
from parsers.frames import FrameColumns
from parsers.json_columns import MISSING, Texts, build
from parsers.json_keys import Keys
from parsers.json_layout import Found, Layout, LayoutReader
from parsers.json_marks import Bools, Ints, Lines
from parsers.json_object import GATEWAY_KEY, GATEWAY_KEYS, Object, is_gateways, read_object
from parsers.json_slices import Slices
from parsers.json_tokens import Flat, FlatReader, blocks
from parsers.merge import Piece
from parsers.times import timestamps

FEW = 24
"""Lines that are read one by one rather than by column."""
SAMPLE = 16
"""Lines of which the most frequent layout is tried next."""
LAYOUTS = 64
"""Layouts remembered."""
LAYOUTS_AT_ONCE = 8
"""Layouts tried on one chunk."""
BLOCK = 1 << 22
"""Bytes that are cut into tokens at a time, so that memory is bounded; each block costs some milliseconds whatever its size."""
KEPT_BYTES = 64 << 10
"""How much of a rejected line is kept."""
FORMAT = "format"

_ESCAPES = (("\ufdd0".encode(), b"\\\\"), ("\ufdd1".encode(), b'\\"'))
"""Characters that are none, in the place of an escaped backslash and an escaped quote; in this order, since the first can stand before
a quote that ends its value."""

_KEY = re.compile(rb'"([^"\\]{1,64})" ?:')


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that were read alike: their line numbers, and their columns by key."""

    rows: Ints
    columns: dict[str, Any]
    typed: dict[str, Array] = field(default_factory=dict)


class JsonReader:
    """Reads lines of JSON access logs. `template`: a compiled JSON format, which says what each key means; else the known names do."""

    def __init__(self, template: Format | None = None) -> None:
        self._keys = Keys(template.json if template is not None else None)
        self._is_access_log = lru_cache(4096)(self._keys.is_access_log)
        self._layout = lru_cache(LAYOUTS)(lambda layout, typed: LayoutReader(layout, self._keys, typed=typed))
        self._usual: list[Layout] = []
        self._objects = FlatReader()
        self._others = JsonReader() if template is not None else None

    def read(self, data: bytes, lines: int, frame: Frame) -> Parsed:
        """One row for each of `lines` lines that is an access log, or begins as one and is broken (`rejected_line`).

        `data` has `lines` newlines and ends with one. Lines that are neither stand in none of `rows`. Never raises on data.
        """
        if lines == 0:
            return Parsed({}, {})
        framed = FrameColumns(frame)
        text = Lines.of(data, len(frame.fields))
        single = text.single
        if lines < FEW:
            single[:] = True
        groups: list[_Group] = []
        self._by_column(text, groups)
        self._escaped(text, groups)
        pieces = [self._piece(group, framed, text) for group in groups]
        columnar = sum(len(p.rows) for p in pieces)
        pieces += self._singles(np.flatnonzero(single).tolist(), framed, text)
        if self._others is not None:
            columnar += self._read_others(self._others, frame, text, pieces)
        return merge.parsed(pieces, columnar)

    def _by_column(self, text: Lines, groups: list[_Group], *, typed: bool = True) -> None:
        """Read what can be read by column, texts as they stand unless `typed`; what cannot is single."""
        left = np.flatnonzero(~text.single)
        if len(left):
            left = self._by_layout(text, left, groups, typed=typed)
        if len(left) < FEW:
            text.single[left] = True
            return
        for block in blocks(text.begins[left], text.ends[left], BLOCK):
            part = left[block]
            text.single[part[self._by_keys(text, part, groups)]] = True

    def _escaped(self, text: Lines, groups: list[_Group]) -> None:
        """Read by column lines that are single for escaped quotes and backslashes alone, so that a client's quotes slow nobody down."""
        lines = {row: text.bare(row) for row in np.flatnonzero(text.single).tolist()}
        rows = np.array([row for row, line in lines.items() if b"\\" in line and not is_gateways(line)], np.int64)
        if len(rows) < FEW:
            return
        data = b"\n".join([lines[row] for row in rows.tolist()]) + b"\n"
        if any(mark in data for mark, _ in _ESCAPES):
            return
        for mark, escape in _ESCAPES:
            data = data.replace(escape, mark)
        part = Lines.of(data, 0)
        found: list[_Group] = []
        self._by_column(part, found, typed=False)
        for group in found:
            if not any(mark.decode() in key for key in group.columns for mark, _ in _ESCAPES):
                columns = {key: _unescaped(column) for key, column in group.columns.items()}
                groups.append(_Group(rows[group.rows], columns))
                part.single[group.rows] = False
            else:
                part.single[group.rows] = True
        text.single[rows[~part.single]] = False

    @staticmethod
    def _read_others(reader: JsonReader, frame: Frame, text: Lines, pieces: list[Piece]) -> int:
        """Read what the template does not fit by the known names: a stream can change its configuration, or mix two."""
        left = np.ones(len(text.ends), bool)
        for piece in pieces:
            left[piece.rows] = False
        rows = np.flatnonzero(left)
        found = reader.read(b"".join([text.line(row) + b"\n" for row in rows.tolist()]), len(rows), frame)
        pieces += [Piece(table, batch, rows[found.rows[table]]) for table, batch in found.tables.items()]
        return found.columnar

    def _by_layout(self, text: Lines, left: Ints, groups: list[_Group], *, typed: bool) -> Ints:
        """Read the lines of the most frequent layouts; the lines that are left."""
        found: list[Found] = []
        tried: set[Layout] = set()
        while len(left) >= FEW and len(tried) < LAYOUTS_AT_ONCE:
            layout = next((one for one in self._usual if one not in tried), None) or _frequent(text, left, tried)
            if layout is None:
                break
            tried.add(layout)
            reader = self._layout(layout, typed)
            if not reader.possible:
                continue
            taken = reader.read(text, left)
            if len(taken.rows) >= FEW:
                found.append(taken)
                whole = len(taken.rows) == len(left)
                left = left[:0] if whole else np.setdiff1d(left, taken.rows, assume_unique=True)
        self._usual = [one.layout for one in sorted(found, key=lambda one: -len(one.rows))]
        if found:
            rows = np.concatenate([one.rows for one in found])
            proved = text.hold(rows, np.concatenate([one.quotes for one in found]))
            if not proved.all():
                left = np.sort(np.concatenate((left, rows[~proved])))
                cuts = np.cumsum([len(one.rows) for one in found])[:-1]
                found = [one.filter(mask) for one, mask in zip(found, np.split(proved, cuts), strict=True)]
        for one in found:
            if ztunnel.is_object(one.layout.keys):
                text.single[one.rows] = True
            elif self._is_access_log(one.layout.keys) and len(one.rows):
                groups.append(_Group(one.rows, one.columns, one.typed))
        return left

    def _by_keys(self, text: Lines, part: Ints, groups: list[_Group]) -> Ints:
        """Read flat objects whatever the order of their keys; which of the lines must be read one by one."""
        flat = self._objects.read(*text.only(part))
        taken, l4 = self._access_logs(flat)
        rest = np.concatenate((flat.unread, flat.rows[l4]))
        if GATEWAY_KEY in flat.columns:
            gateway = flat.seen[flat.names.index(GATEWAY_KEY)] & (flat.seen.sum(axis=0) != len(GATEWAY_KEYS))
            rest = np.concatenate((rest, flat.rows[gateway]))
            taken &= ~gateway
        if taken.any():
            flat = flat if taken.all() else flat.filter(taken)
            groups.append(_Group(part[flat.rows], flat.columns))
        return rest

    def _access_logs(self, flat: Flat) -> tuple[Bools, Bools]:
        """Which objects are access logs of Envoy, and which of ztunnel."""
        seen = flat.seen
        if seen.shape[1] == 0:
            return np.zeros(0, bool), np.zeros(0, bool)
        if (seen == seen[:, :1]).all():
            sets, which = seen[:, :1], np.zeros(seen.shape[1], np.int64)
        else:
            sets, which = np.unique(seen, axis=1, return_inverse=True)
        names = np.array(flat.names, object)
        keys = [tuple(names[one]) for one in sets.T]
        l4 = np.array([ztunnel.is_object(k) for k in keys])
        return (np.array([self._is_access_log(k) for k in keys]) & ~l4)[which.ravel()], l4[which.ravel()]

    def _piece(self, group: _Group, framed: FrameColumns, text: Lines) -> Piece:
        texts = Texts(len(group.rows), group.columns, missing_is_null=True, typed=group.typed)
        batch = build(texts, self._keys)
        words = [framed.split(text.line(row))[0] for row in group.rows.tolist()] if framed.names else []
        return _piece(ACCESS_LOG, batch, group.rows, framed, words)

    def _singles(self, rows: Sequence[int], framed: FrameColumns, lines: Lines) -> list[Piece]:
        objects, l4_objects = list[Object](), list[Object]()
        kept, l4, broken = _Kept(framed), _Kept(framed), _Kept(framed)
        for row in rows:
            words, text = framed.split(lines.line(row))
            found = read_object(text, self._keys)
            if found is not None and ztunnel.is_object(found.keys):
                l4_objects.append(found)
                l4.add(row, words, text)
            elif found is not None and self._is_access_log(found.keys):
                objects.append(found)
                kept.add(row, words, text)
            elif found is None and self._begins_as_access_log(text):
                broken.add(row, words, text)
        pieces = []
        if objects:
            pieces.append(kept.piece(ACCESS_LOG, build(self._texts(objects), self._keys)))
        if l4_objects:
            pieces.append(
                l4.piece(ACCESS_LOG, ztunnel.rows([o.texts for o in l4_objects], [o.doubt for o in l4_objects]))
            )
        if broken.rows:
            pieces.append(broken.piece(REJECTED_LINE, broken.rejected()))
        return pieces

    def _texts(self, objects: Sequence[Object]) -> Texts:
        """Keys that no column takes go straight to `extra`: there can be any number of them."""
        columns: dict[str, list[str | None]] = {}
        texts = Texts(len(objects), {})
        for row, found in enumerate(objects):
            if found.doubt:
                texts.doubts[row] = found.doubt
            for key, text in found.texts.items():
                column = columns.get(key)
                if column is None and self._keys.meaning(key) is not None:
                    column = columns[key] = [None] * len(objects)
                if column is not None:
                    column[row] = text
                elif text != MISSING:
                    texts.extra.append((row, key, text))
        texts.columns = {key: pa.array(column, TEXT) for key, column in columns.items()}
        return texts

    def _begins_as_access_log(self, text: bytes) -> bool:
        if not text.startswith(b"{"):
            return False
        return self._is_access_log(
            tuple(dict.fromkeys(k.decode(errors="replace") for k in _KEY.findall(text[:KEPT_BYTES])))
        )


@dataclass(slots=True)
class _Kept:
    """Single lines with their numbers and the words of their frames."""

    framed: FrameColumns
    rows: list[int] = field(default_factory=list)
    words: list[list[bytes]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def add(self, row: int, words: list[bytes], text: bytes) -> None:
        self.rows.append(row)
        self.words.append(words)
        self.lines.append(text)

    def piece(self, table: str, batch: Batch) -> Piece:
        return _piece(table, batch, np.array(self.rows, np.int64), self.framed, self.words)

    def rejected(self) -> Batch:
        at = self.framed.time
        times = [w[at].decode("ascii", "replace") if at is not None and at < len(w) else None for w in self.words]
        reason = pa.array([FORMAT] * len(self.rows), TEXT).dictionary_encode()
        lengths = pa.array([len(line) for line in self.lines], pa.uint64())
        raw = pa.array([line[:KEPT_BYTES] for line in self.lines], pa.binary())
        return pa.RecordBatch.from_arrays(
            [timestamps(times), reason, lengths, raw], names=["timestamp", "reason", "length", "raw"]
        )


def _piece(table: str, batch: Batch, rows: LineNumbers, framed: FrameColumns, words: list[list[bytes]]) -> Piece:
    for name, array in framed.from_lines(words).items():
        batch = batch.append_column(name, array)
    return Piece(table, batch, rows)


def _unescaped(column: Any) -> Any:
    if isinstance(column, Slices):
        column = column.texts()
    if isinstance(column, pa.DictionaryArray):
        texts = [None if t is None else _plain(t) for t in column.dictionary.to_pylist()]
        return kernels.mapped(column, texts)
    for mark, escape in _ESCAPES:
        column = pc.replace_substring(column, mark.decode(), escape[1:].decode())
    return column


def _plain(text: str) -> str:
    for mark, escape in _ESCAPES:
        text = text.replace(mark.decode(), escape[1:].decode())
    return text


def _frequent(text: Lines, left: Ints, tried: set[Layout]) -> Layout | None:
    """The most frequent layout of a sample of these lines, apart from those that were tried; None where no two are alike."""
    votes: Counter[tuple[bytes, ...]] = Counter()
    samples: dict[tuple[bytes, ...], bytes] = {}
    for row in left[:: max(1, len(left) // SAMPLE)].tolist():
        line = text.bare(row)
        keys = tuple(_KEY.findall(line, 0, KEPT_BYTES))  # lines of one layout agree in them, and they are found fast
        votes[keys] += 1
        samples.setdefault(keys, line)
    for keys, count in votes.most_common():
        layout = Layout.of_line(samples[keys]) if count > 1 else None
        if layout is not None and layout not in tried and not _is_gateways(layout):
            return layout
    return None


def _is_gateways(layout: Layout) -> bool:
    """Whether it may be a line of Envoy Gateway's text format with keys that a client added."""
    return GATEWAY_KEY in layout.keys and layout.keys[0] == GATEWAY_KEYS[0] and layout.keys != GATEWAY_KEYS
