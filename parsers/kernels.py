"""Whole columns at once: strings to numbers, times, UUIDs and addresses by arithmetic on their bytes.

Every kernel takes an Arrow string array without offset and says for each row whether it had the right shape; it never guesses.
Null (Envoy's `-`) stays null and is good.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import TIMESTAMP, UUID, WORD
from parsers.arrow import Array, pa, pc
from parsers.start_time import TimeLayout

Mask = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

COLON = 58
MAX_PORT = 65535

INTEGER = {16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}
_SURE_DIGITS = {16: 4, 32: 9, 64: 18}
"""Digits that always fit; longer numbers are left to the strict reader."""


def parts(array: Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Offsets (n + 1) and bytes of a string array, without a copy."""
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return ends, content


def valid(array: Array) -> Mask | None:
    """Which rows are not null; None where all are."""
    if array.null_count == 0:
        return None
    return np.asarray(array.is_valid())


def codes(array: Array) -> npt.NDArray[np.int32]:
    """The index of each row's value in the dictionary; 0 where it is null."""
    indices = array.indices
    buffer = indices.buffers()[1]
    found = np.frombuffer(buffer, np.int32)[indices.offset : indices.offset + len(indices)]
    return found if indices.null_count == 0 else np.where(np.asarray(indices.is_valid()), found, np.int32(0))


def number(array: Array, bits: int) -> tuple[Array, Mask | None]:
    """Digits to an unsigned integer; empty is null. The mask is None where all rows are good."""
    ends, data = parts(array)
    lengths = np.diff(ends)
    used = data[ends[0] : ends[-1]]
    bad: Mask | None = None
    if np.count_nonzero(lengths == 0) > array.null_count:
        array = pc.if_else(pc.equal(array, ""), None, array)
    if len(used) and (used.min() < 48 or used.max() > 57 or lengths.max() > _SURE_DIGITS[bits]):
        wrong = np.concatenate(([0], np.cumsum((used < 48) | (used > 57))))
        bad = (np.diff(wrong[ends - ends[0]]) > 0) | (lengths > _SURE_DIGITS[bits])
        array = pc.if_else(pa.array(bad), None, array)
    return array.cast(INTEGER[bits]), None if bad is None else ~bad


def timestamp(array: Array, layout: TimeLayout) -> tuple[Array, Mask]:
    """Times to microseconds. A null is no time."""
    ends, data = parts(array)
    lengths = np.diff(ends)
    rows = len(array)
    out = np.zeros(rows, np.int64)
    good = np.zeros(rows, bool)
    if rows and (lengths == lengths[0]).all():
        width = int(lengths[0])
        if width:
            out, good = layout.column(data[ends[0] : ends[-1]].reshape(rows, width))
    else:
        for width in np.unique(lengths).tolist():
            if width == 0:
                continue
            which = np.flatnonzero(lengths == width)
            out[which], good[which] = layout.column(data[ends[which][:, None] + np.arange(width)])
    return times(out), good


def times(micros: Ints) -> Array:
    """Microseconds since 1970 as timestamps."""
    return pa.Array.from_buffers(TIMESTAMP, len(micros), [None, pa.py_buffer(micros)])


_NIBBLE = np.full(256, 255, np.uint8)
for _digit, _value in zip(b"0123456789abcdefABCDEF", (*range(16), *range(10, 16)), strict=True):
    _NIBBLE[_digit] = _value
_HEX = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def uuid(array: Array) -> tuple[Array, Array | None]:
    """UUIDs to 16 bytes; the second array has the values that are none (None where all are)."""
    ends, data = parts(array)
    lengths = np.diff(ends)
    rows = len(array)
    whole = bool(rows) and array.null_count == 0 and bool((lengths == 36).all())
    which = None if whole else np.flatnonzero(lengths == 36)
    count = rows if which is None else len(which)
    if which is not None and count * 36 != ends[-1] - ends[0]:
        # Arrow puts them side by side faster than an index of every byte does.
        ends, data = parts(array.take(pa.array(which)))
    ids, known = uuid_cells(data[ends[0] : ends[-1]].reshape(count, 36), which, rows)
    there = valid(array)
    if known is None or (known if there is None else known | ~there).all():
        return ids, None
    return ids, pc.if_else(pa.array(known), None, array)


def uuid_cells(cells: Bytes, rows: Ints | None, count: int) -> tuple[Array, Mask | None]:
    """Texts of 36 characters as the UUIDs of these `rows` (None: all) of `count`, and which rows are UUIDs (None: all)."""
    values, good = _hex_values(cells)
    if rows is None and good is None:
        return pa.Array.from_buffers(UUID, count, [None, pa.py_buffer(values)]), None
    out = np.zeros((count, 16), np.uint8)
    known = np.zeros(count, bool)
    places = np.arange(count) if rows is None else rows
    if good is not None:
        places, values = places[good], values[good]
    out[places] = values
    known[places] = True
    return pa.Array.from_buffers(UUID, count, [_bitmap(known), pa.py_buffer(out)]), known


def uuids_where(cells: Bytes, there: Mask) -> tuple[Array, Mask]:
    """Texts of 36 characters as UUIDs, null where `there` is false or where it is none; and which are UUIDs."""
    values, good = _hex_values(cells)
    known = there if good is None else there & good
    if known.all():
        return pa.Array.from_buffers(UUID, len(cells), [None, pa.py_buffer(values)]), known
    values = values.copy()
    values[~known] = 0
    return pa.Array.from_buffers(UUID, len(cells), [_bitmap(known), pa.py_buffer(values)]), known


_UUID_PARTS = np.dtype([("a", "V8"), ("-a", "u1"), ("b", "V4"), ("-b", "u1"), ("c", "V4"), ("-c", "u1"), ("d", "V4"), ("-d", "u1"), ("e", "V12")])  # fmt: skip
_HEX_PARTS = np.dtype([("a", "V8"), ("b", "V4"), ("c", "V4"), ("d", "V4"), ("e", "V12")])


def _hex_values(cells: Bytes) -> tuple[Bytes, Mask | None]:
    """The 16 bytes of each row of 36 characters, and which rows are UUIDs (None: all; then the C library has read them, much faster)."""
    count = len(cells)
    parts = np.ascontiguousarray(cells).view(_UUID_PARTS)[:, 0]
    if all(bool((parts[f"-{n}"] == 45).all()) for n in "abcd"):
        bare = np.empty(count, _HEX_PARTS)
        for n in "abcde":
            bare[n] = parts[n]
        try:
            return np.frombuffer(binascii.unhexlify(bare.data), np.uint8).reshape(count, 16), None
        except ValueError:
            pass  # a character that is no hex digit: find out where
    good = (cells[:, (8, 13, 18, 23)] == 45).all(axis=1)
    nibbles: Bytes = _NIBBLE[cells[:, _HEX]]
    good &= nibbles.max(axis=1, initial=0) < 16
    return np.bitwise_or(nibbles[:, 0::2] << np.uint8(4), nibbles[:, 1::2]), good


def _bitmap(mask: Mask) -> Any:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def masked(values: npt.NDArray[Any], type: Any, known: Mask) -> Array:
    """A numeric array that is null where `known` is false."""
    bitmap = None if known.all() else _bitmap(known)
    return pa.Array.from_buffers(type, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


_HOST_BYTE = np.zeros(256, bool)
_HOST_BYTE[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")] = True


def address(array: Array, read: Callable[[str], tuple[str | None, int | None]]) -> tuple[Array, Array]:
    """`host:port` to host (dictionary) and port (uint16). What is not a plain `name:digits` is left to `read`, value by value."""
    ends, data = parts(array)
    rows = len(array)
    used = data[ends[0] : ends[-1]]
    at = ends - ends[0]
    starts, stops = at[:-1], at[1:]
    colon = _only_colon(used, starts, stops, valid(array))
    port, digits_fit = _short_number(used, colon + 1, stops)
    plain = digits_fit & (colon > starts) & (port <= MAX_PORT)
    cuts = np.empty(2 * rows + 1, np.int32)
    cuts[0:-1:2], cuts[1::2], cuts[-1] = ends[:-1], np.where(plain, colon + ends[0], ends[1:]), ends[-1]
    pieces = pa.StringArray.from_buffers(2 * rows, pa.py_buffer(cuts), array.buffers()[2])
    hosts = pieces.take(pa.array(np.arange(0, 2 * rows, 2, dtype=np.int32))).dictionary_encode()
    return addresses(hosts, port, plain, valid(array), lambda which: array.take(pa.array(which)), read)


def addresses(  # noqa: PLR0917  what is known of each row
    hosts: Array,
    port: npt.NDArray[np.uint64],
    plain: Mask,
    there: Mask | None,
    texts: Callable[[Ints], Array],
    read: Callable[[str], tuple[str | None, int | None]],
) -> tuple[Array, Array]:
    """Hosts and ports where `plain` says that they are `host:port` cut at the last colon; the others, `texts(rows)`, are left to `read`.

    `there`: which are not null (None: all).
    """
    rows = len(hosts)
    names, letters = parts(hosts.dictionary)
    strange = ~_HOST_BYTE[letters]
    if strange.any():
        sums = np.concatenate(([0], np.cumsum(strange)))
        plain &= ~(np.diff(sums[names]) > 0)[codes(hosts)]
    known = plain if there is None else plain & there
    rest = np.flatnonzero(~known if there is None else ~plain & there)
    if len(rest):
        read_rest = [read(t) for t in texts(rest).to_pylist()]
        index = np.full(rows, -1, np.int64)
        index[rest] = np.arange(len(rest))
        port[rest] = [p or 0 for _, p in read_rest]
        known[rest] = [p is not None for _, p in read_rest]
        plain_hosts = hosts.dictionary_decode()
        other = pa.array([h for h, _ in read_rest], pa.string()).take(pa.array(index, mask=index < 0))
        hosts = pc.if_else(pa.array(index >= 0), other, plain_hosts).dictionary_encode()
    if there is not None:
        hosts = with_nulls(hosts, there)
    return hosts, masked(port.astype(np.uint16), pa.uint16(), known)


def _only_colon(used: Bytes, starts: Offsets, stops: Offsets, there: Mask | None) -> Offsets:
    """Where the colon of each value stands that has exactly one; else its end."""
    colons = np.flatnonzero(used == COLON).astype(np.int32)
    guess: Offsets | None = None
    if there is None and len(colons) == len(starts):
        guess = colons
    elif there is not None and len(colons) == np.count_nonzero(there):
        guess = np.where(there, np.append(colons, 0)[np.cumsum(there) - 1], stops).astype(np.int32)
    if guess is not None and ((guess >= starts) & (guess <= stops)).all() and (guess < stops).sum() == len(colons):
        return guess
    before = np.searchsorted(colons, np.append(starts, stops[-1:]))
    return np.where(np.diff(before) == 1, np.append(colons, 0)[before[:-1]], stops).astype(np.int32)


_SWAR_ZEROS = np.uint64(0x3030303030303030)
_SWAR_KEPT = np.array([0] + [(1 << 64) - (1 << (64 - 8 * n)) for n in range(1, 9)], np.uint64)
"""Of eight bytes read as a little-endian number, the last n."""
_SWAR_OVER_NINE, _SWAR_HIGH = np.uint64(0x7676767676767676), np.uint64(0x8080808080808080)


def _short_number(used: Bytes, starts: Offsets, stops: Offsets) -> tuple[npt.NDArray[np.uint64], Mask]:
    """The numbers `used[start:stop]` of one to eight digits, and which are: eight bytes of each at a time, in one word."""
    digits = stops - starts
    fit = (digits >= 1) & (digits <= 8)
    padded = np.concatenate((np.zeros(8, np.uint8), used))
    words = np.ndarray((len(padded) - 7,), np.uint64, padded, strides=(1,))[stops]
    value = (words ^ _SWAR_ZEROS) & _SWAR_KEPT[np.where(fit, digits, 0)]
    fit &= ((value + _SWAR_OVER_NINE) | value) & _SWAR_HIGH == 0
    # Neighbouring digits to pairs, pairs to fours, fours to eight.
    for factor, shift, mask in (
        (2561, 8, 0x00FF00FF00FF00FF),
        (6553601, 16, 0x0000FFFF0000FFFF),
        (42949672960001, 32, 0xFFFFFFFF),
    ):
        value = ((value * np.uint64(factor)) >> np.uint64(shift)) & np.uint64(mask)
    return value, fit


def with_null_texts(array: Array, which: Mask) -> Array:
    """Strings with null where `which` says."""
    return pc.if_else(pa.array(which), None, array)


def with_nulls(array: Array, there: Mask) -> Array:
    """The same with null where `there` is false."""
    return word(codes(array), array.dictionary, there)


def word(code: npt.NDArray[np.signedinteger[Any]], values: Array, known: Mask | None = None) -> Array:
    """A dictionary array of codes into `values`."""
    code = np.ascontiguousarray(code, np.int32)
    bitmap = None if known is None or known.all() else _bitmap(known)
    indices = pa.Array.from_buffers(pa.int32(), len(code), [bitmap, pa.py_buffer(code)])
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def mapped(array: Array, new: Sequence[str | None]) -> Array:
    """A dictionary array whose values are replaced: `new[i]` for the dictionary's i-th value, None for null; equal ones become one."""
    at: dict[str, int] = {}
    table = np.array([-1 if v is None else at.setdefault(v, len(at)) for v in new], np.int32)
    return recoded(array, table, pa.array(list(at), pa.string()))


def recoded(array: Array, table: npt.NDArray[np.int32], values: Array) -> Array:
    """A dictionary array whose i-th value becomes `values[table[i]]`; null where that is below 0."""
    if len(table) == 0:
        return pa.nulls(len(array), WORD)
    code = table.take(codes(array))
    there = valid(array)
    if table.min() >= 0:
        return word(code, values, there)
    known = code >= 0 if there is None else (code >= 0) & there
    return word(np.maximum(code, 0, out=code), values, known)


def renumbered(code: npt.NDArray[np.int32], numbers: npt.NDArray[np.signedinteger[Any]], known: Sequence[str]) -> Array:
    """A dictionary array of the texts `known[numbers[code]]` (null below 0) that holds no text but those that are there."""
    table, texts = _used(numbers, known)
    found = table.take(code)
    if len(texts) == 0:
        return pa.nulls(len(code), WORD)
    if table.min(initial=0) >= 0:
        return word(found, texts)
    there = found >= 0
    return word(np.maximum(found, 0, out=found), texts, there)


def renumbered_values(array: Array, numbers: Ints, known: Sequence[str]) -> Array:
    """A dictionary array whose i-th value becomes the text `known[numbers[i]]`, of which all are there; null stays null."""
    table, texts = _used(numbers, known)
    if len(texts) == 0:
        return pa.nulls(len(array), WORD)
    there, buffer = array.indices.buffers()
    if array.indices.offset:
        return recoded(array, table, texts)
    # What stands below a null means nothing, so that it may be no code at all.
    code = table.take(np.frombuffer(buffer, np.int32)[: len(array)], mode="clip")
    indices = pa.Array.from_buffers(pa.int32(), len(code), [there, pa.py_buffer(code)])
    return pa.DictionaryArray.from_arrays(indices, texts, safe=False)


def _used(numbers: npt.NDArray[np.signedinteger[Any]], known: Sequence[str]) -> tuple[npt.NDArray[np.int32], Array]:
    """For each number that of its text among those that are used (-1 stays), and these texts."""
    seen = np.zeros(len(known) + 1, bool)
    seen[numbers] = True  # -1 is the last one
    used = np.flatnonzero(seen[:-1])
    table = np.full(len(known) + 1, -1, np.int32)
    table[used] = np.arange(len(used))
    return table[numbers], pa.array([known[i] for i in used.tolist()], pa.string())


def renumbered_all(
    code: npt.NDArray[np.intp], numbers: npt.NDArray[np.int32], known: Sequence[Sequence[str]]
) -> list[Array]:
    """`renumbered` for columns with the same codes: a row of `numbers` and texts of `known` for each.

    In one pass over all of them, since a step for each column costs as much as the work of a small chunk.
    """
    bounds = np.array([0, *accumulate(map(len, known))])
    there = numbers >= 0
    whole: list[bool] = np.logical_and.reduce(there, axis=1).tolist()
    # Each column's numbers after those of the columns before it; a missing one points anywhere.
    shifted = numbers + bounds[:-1, None]
    seen = np.zeros(bounds[-1] + 1, bool)
    seen[shifted if all(whole) else shifted[there]] = True
    used = np.flatnonzero(seen[:-1])
    table = np.zeros(len(seen), np.int32)
    table[used] = np.arange(len(used), dtype=np.int32)
    parts = np.searchsorted(used, bounds)
    local = table[shifted] - parts[:-1, None].astype(np.int32)
    if not all(whole):
        local[~there] = 0
    found = local.take(code, axis=1, mode="clip")
    texts = used.tolist()
    arrays = []
    for i, (start, stop, shift) in enumerate(
        zip(parts[:-1].tolist(), parts[1:].tolist(), bounds[:-1].tolist(), strict=True)
    ):
        if start == stop:
            arrays.append(pa.nulls(len(code), WORD))
            continue
        values = pa.array([known[i][n - shift] for n in texts[start:stop]], pa.string())
        arrays.append(word(found[i], values, None if whole[i] else there[i].take(code, mode="clip")))
    return arrays
