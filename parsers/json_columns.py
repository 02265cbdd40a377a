"""Texts by key to typed columns of access_log. Both JSON readers end here, so that they cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import MAP, TEXT, TIMESTAMP
from parsers import cell_values, derived, kernels, times, values
from parsers.arrow import Array, Batch, pa, pc
from parsers.derived import Columns
from parsers.fields import NUMBER, TIME
from parsers.json_keys import Keys, Meaning
from parsers.json_slices import Slices
from parsers.operators import NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.start_time import LATEST, layout

MISSING = values.MISSING
_LONG = (Kind.TIME, Kind.NUMBER, Kind.REQUEST_ID, Kind.ADDRESS, Kind.PATH, Kind.TEXT)
"""Kinds whose values are not worth a dictionary."""
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Texts:
    """Rows as texts: `columns[key][row]` (strings, a dictionary of them, or slices), null where the key is absent or null; `extra` are further (row, key, text).

    `doubts[row]` says why a row is doubtful. `missing_is_null`: `-` is null already. `typed`: columns that further keys filled.
    """

    rows: int
    columns: Mapping[str, Any]
    extra: list[tuple[int, str, str]] = field(default_factory=list)
    doubts: dict[int, str] = field(default_factory=dict)
    missing_is_null: bool = False
    typed: Columns = field(default_factory=dict)


def build(texts: Texts, keys: Keys) -> Batch:
    """Typed columns of all rows. A text that is no value of its column goes into `extra`, and the row is doubtful."""
    columns = dict(texts.typed)
    extra: list[tuple[str, Array]] = []
    bound: dict[str, list[tuple[Meaning, str]]] = {}
    for key in texts.columns:
        meaning = keys.meaning(key)
        if meaning is None:
            plain = _plain(texts.columns[key])
            extra.append((key, plain if texts.missing_is_null else _without_missing(plain)))
        else:
            bound.setdefault(meaning.column, []).append((meaning, key))
    # In an order that does not hang on the other lines, since a row has one doubt.
    for _, named in sorted(bound.items()):
        named.sort(key=lambda one: (one[0].rank, one[1]))
        meaning, key = named[0]
        array = texts.columns[key]
        if len(named) > 1:
            array = _first(array, named[1:], texts.columns, extra)
        _fill(columns, meaning, key, array, texts)
    _derive(columns, texts.rows)
    columns["log_type"] = _log_type(columns, texts.rows)
    columns["extra"] = _map(extra, texts.extra, texts.rows)
    if texts.doubts:
        columns["doubt"] = pa.array([texts.doubts.get(i) for i in range(texts.rows)], TEXT).dictionary_encode()
    return derived.batch(columns, texts.rows)


def _derive(columns: Columns, rows: int) -> None:
    path: Any = columns.get("path")
    # No path of HTTP has a newline, but a string of JSON can.
    strange = path is not None and _holds_newline(path)
    if strange:
        del columns["path"]
    derived.derive(columns, rows, has_request=False, has_code="response_code" in columns)
    if strange:
        columns["path"], columns["path_template"] = path, derived.words(path.dictionary_encode(), values.path_template)


def _holds_newline(array: Array) -> bool:
    ends, data = kernels.parts(array)
    return bool((data[ends[0] : ends[-1]] == ord("\n")).any())


def _plain(array: Any) -> Any:
    if isinstance(array, Slices):
        return array.texts()
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def _without_missing(array: Array) -> Array:
    missing = pc.equal(array, MISSING)
    return pc.if_else(missing, None, array) if pc.any(missing).as_py() else array


def _first(
    array: Array,
    others: Sequence[tuple[Meaning, str]],
    columns: Mapping[str, Array],
    extra: list[tuple[str, Array]],
) -> Array:
    """In each row the first key that tells something; what further keys tell goes into `extra`."""
    array = _without_missing(_plain(array))
    for _, key in others:
        other = _without_missing(_plain(columns[key]))
        extra.append((key, pc.if_else(array.is_valid(), other, None)))
        array = pc.coalesce(array, other)
    return array


def _fill(columns: Columns, meaning: Meaning, key: str, array: Array, texts: Texts) -> None:
    name, kind = meaning.column, meaning.kind
    if isinstance(array, Slices):
        if _fill_as_it_stands(columns, meaning, array):
            return
        array = array.texts() if kind in _LONG else array.words()
    if isinstance(array, pa.DictionaryArray) and kind in _LONG:
        array = array.dictionary_decode()
    if not texts.missing_is_null and kind in _LONG:
        array = _without_missing(array)
    if kind is Kind.TIME:
        columns[name] = _times(meaning, key, array, texts)
    elif kind is Kind.NUMBER:
        columns[name] = _numbers(NUMBER_COLUMNS[name], key, array, texts)
    elif kind is Kind.ADDRESS:
        columns[name], columns[PORT_COLUMN[name]] = kernels.address(array, values.address)
    elif kind is Kind.REQUEST_ID:
        columns[name], other = kernels.uuid(array)
        if other is not None:
            columns["request_id_other"] = other
    elif kind in (Kind.PATH, Kind.TEXT):
        columns[name] = array
    else:
        words = array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()
        read = values.flags if kind is Kind.FLAGS else _cluster if kind is Kind.CLUSTER else _word
        columns[name] = words if read is _word and texts.missing_is_null else derived.words(words, read)


def _fill_as_it_stands(columns: Columns, meaning: Meaning, slices: Slices) -> bool:
    """Fill a column without making strings of its values first; False where not all have the usual shape."""
    name, kind = meaning.column, meaning.kind
    found: Any = None
    if kind is Kind.NUMBER:
        found = slices.numbers(NUMBER_COLUMNS[name])
    elif kind is Kind.TIME:
        printed = layout(meaning.argument)
        micros = slices.times(printed) if printed else None
        found = None if micros is None else pa.Array.from_buffers(TIMESTAMP, len(micros), [None, pa.py_buffer(micros)])
    elif kind is Kind.ADDRESS:
        found, columns[PORT_COLUMN[name]] = slices.addresses(values.address)
    elif kind is Kind.REQUEST_ID:
        found, other = slices.uuids()
        if other is not None:
            columns["request_id_other"] = other
    if found is not None:
        columns[name] = found
    return found is not None


def _word(text: str) -> str | None:
    return None if text == MISSING else text


def _cluster(text: str) -> str | None:
    return None if text == MISSING else derived.cluster_name(text)


def _times(meaning: Meaning, key: str, array: Array, texts: Texts) -> Array:
    printed = layout(meaning.argument)
    found, good = (
        kernels.timestamp(array, printed) if printed else (pa.nulls(len(array), TIMESTAMP), np.zeros(len(array), bool))
    )
    there = np.asarray(array.is_valid())
    if good.all():
        return found
    micros = np.frombuffer(found.buffers()[1], np.int64, len(array)).copy()
    for row in np.flatnonzero(there & ~good).tolist():
        text: str = array[row].as_py()
        # Some print literals around the time, such as the brackets of the text format.
        bare = text.strip(" []")
        value = times.micros(times.epoch_text(bare) or bare)
        if value is None or not 0 <= value < LATEST:
            _refuse(texts, row, key, text, TIME)
        else:
            micros[row], good[row] = value, True
    return kernels.masked(micros, TIMESTAMP, good & there)


def _numbers(bits: int, key: str, array: Array, texts: Texts) -> Array:
    ends, _ = kernels.parts(array)
    empty = np.diff(ends) == 0
    if empty.any() and (empty & np.asarray(array.is_valid())).any():
        array = pc.if_else(pc.equal(array, ""), None, array)
    found, good = kernels.number(array, bits)
    if good is None or good.all():
        return found
    known = np.asarray(found.is_valid())
    numbers = np.asarray(found.fill_null(0)).copy()
    for row in np.flatnonzero(~good & np.asarray(array.is_valid())).tolist():
        text: str = array[row].as_py()
        if text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 1 << bits:
            numbers[row], known[row] = int(text), True
        else:
            _refuse(texts, row, key, text, NUMBER)
    return kernels.masked(numbers, found.type, known)


def _refuse(texts: Texts, row: int, key: str, text: str, doubt: str) -> None:
    texts.extra.append((row, key, text))
    texts.doubts.setdefault(row, doubt)


def _log_type(columns: Columns, rows: int) -> Array:
    """`http` where there was a request or an answer, `tcp` where code 0 stands without a request; null where the keys do not tell.

    A matter of each row alone, since lines of many templates stand in one chunk.
    """
    kinds = pa.array([derived.HTTP, derived.TCP], TEXT)
    requests = [columns[name] for name in ("method", "path", "protocol") if name in columns]
    if any(one.null_count == 0 for one in requests):
        return kernels.word(np.zeros(rows, np.int32), kinds)
    http, none = np.zeros(rows, bool), np.zeros(rows, bool)
    for one in requests:
        http |= np.asarray(one.is_valid())
    if "response_code" in columns:
        code = columns["response_code"]
        http |= np.asarray(code.fill_null(0)) > 0
        none = ~np.asarray(code.is_valid())
    else:
        none[:] = True
    return kernels.word((~http).astype(np.int32), kinds, http | ~none)


def _map(extra: Sequence[tuple[str, Array]], more: Sequence[tuple[int, str, str]], rows: int) -> Array:
    """The values without a column, by row and key; a row without any is null."""
    extra = sorted((e for e in extra if e[1].null_count < rows), key=lambda one: one[0])
    if not extra and not more:
        return pa.nulls(rows, MAP)
    if not more:
        return cell_values.as_map([(0, key, array) for key, array in extra], rows)
    names = [key for key, _ in extra]
    at = [np.flatnonzero(np.asarray(a.is_valid())) for _, a in extra]
    row = np.concatenate([*at, np.array([m[0] for m in more], np.int64)])
    key = np.repeat(np.arange(len(names) + len(more)), [*map(len, at), *([1] * len(more))])
    names += [m[1] for m in more]
    rank = np.argsort(np.argsort(np.array(names, object), kind="stable"), kind="stable")
    order = pa.array(np.lexsort((rank[key], row)))
    items: Any = pa.concat_arrays([*(a.drop_null() for _, a in extra), pa.array([m[2] for m in more], TEXT)]).take(
        order
    )
    keys = pa.array(names, TEXT).take(pa.array(key)).take(order)
    counts = np.bincount(row, minlength=rows)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    found = pa.MapArray.from_arrays(pa.array(offsets), keys, items)
    return pc.if_else(pa.array(counts > 0), found, pa.scalar(None, MAP))
