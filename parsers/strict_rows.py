"""What the strict reader found, as columns of access_log: only what is proved, the rest null, and why in `doubt`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from logproc.columns import ACCESS_LOG_TABLE, MAP, TEXT
from parsers import derived, values
from parsers.derived import Columns
from parsers.fields import ENCODING, NUMBER, TIME, Field
from parsers.operators import NUMBER_COLUMNS, PORT_COLUMN, Kind
from parsers.strict import Spans, StrictReader

Raw = list["bytes | None"]


def columns(reader: StrictReader, lines: Sequence[bytes], spans: Sequence[Spans], doubts: list[str]) -> Columns:
    """Typed columns of lines that fit the format; `doubts[i]` ('' where sure) is extended by what a value has wrong."""
    found: Columns = {}
    extra: list[tuple[str, list[str | None]]] = []
    for index, field in enumerate(reader.fields):
        raw: Raw = [
            None if (s := one[index]) is None else line[s[0] : s[1]] for line, one in zip(lines, spans, strict=True)
        ]
        if not field.column:
            extra.append((field.key, _texts(raw, doubts)))
        else:
            _fill(found, field, raw, doubts)
    if extra:
        keys = [key for key, _ in extra]
        rows = zip(*(texts for _, texts in extra), strict=True)
        maps = [[(k, v) for k, v in zip(keys, row, strict=True) if v is not None] or None for row in rows]
        found["extra"] = pa.array(maps, MAP)
    names = {f.column for f in reader.fields}
    derived.derive(
        found, len(lines), has_request=bool(names & {"method", "path", "protocol"}), has_code="response_code" in names
    )
    # What follows from a value that is not proved is not proved either.
    _forget_log_type(found, reader, spans)
    if any(doubts):
        found["doubt"] = pa.array([d or None for d in doubts], TEXT).dictionary_encode()
    return found


def _forget_log_type(found: Columns, reader: StrictReader, spans: Sequence[Spans]) -> None:
    request = [i for i, f in enumerate(reader.fields) if f.column in ("method", "path", "protocol", "response_code")]
    unproved = [any(one[i] is None for i in request) for one in spans]
    if not any(unproved):
        return
    kinds = found["log_type"].to_pylist()
    method = found["method"].to_pylist() if "method" in found else [None] * len(kinds)
    # A method is enough to know HTTP.
    kept = [
        k if not u else (derived.HTTP if m is not None else None)
        for k, u, m in zip(kinds, unproved, method, strict=True)
    ]
    found["log_type"] = pa.array(kept, TEXT).dictionary_encode()


def _fill(found: Columns, field: Field, raw: Raw, doubts: list[str]) -> None:
    name, kind = field.column, field.kind
    if kind is Kind.TIME and field.layout is not None:
        micros = field.layout.micros
        times = [None if v is None else micros(v) for v in raw]
        _doubt(doubts, TIME, [t is None and v is not None for t, v in zip(times, raw, strict=True)])
        found[name] = pa.array(times, ACCESS_LOG_TABLE.column(name).arrow)
    elif kind is Kind.NUMBER:
        limit = 1 << NUMBER_COLUMNS[name]
        numbers = [int(v) if v and v.isdigit() else None for v in raw]
        numbers = [n if n is not None and n < limit else None for n in numbers]
        _doubt(doubts, NUMBER, [n is None and v not in (None, b"", b"-") for n, v in zip(numbers, raw, strict=True)])
        found[name] = pa.array(numbers, ACCESS_LOG_TABLE.column(name).arrow)
    elif kind is Kind.ADDRESS:
        split = [(None, None) if t is None else values.address(t) for t in _texts(raw, doubts)]
        found[name] = _words([host for host, _ in split])
        found[PORT_COLUMN[name]] = pa.array([port for _, port in split], pa.uint16())
    elif kind is Kind.REQUEST_ID:
        texts = _texts(raw, doubts)
        ids = [None if t is None else values.request_id(t) for t in texts]
        found[name] = pa.array(ids, ACCESS_LOG_TABLE.column(name).arrow)
        found["request_id_other"] = pa.array([t if i is None else None for t, i in zip(texts, ids, strict=True)], TEXT)
    elif kind is Kind.PATH or name == "trace_id":
        found[name] = pa.array(_texts(raw, doubts), TEXT)
    else:
        texts = _texts(raw, doubts)
        read = _READ.get(kind)
        found[name] = _words(texts if read is None else [None if t is None else read(t) for t in texts])


_READ: dict[Kind, Callable[[str], str | None]] = {Kind.FLAGS: values.flags, Kind.CLUSTER: derived.cluster_name}


def _words(texts: list[str | None]) -> Any:
    return pa.array(texts, TEXT).dictionary_encode()


def _texts(raw: Raw, doubts: list[str]) -> list[str | None]:
    """Values as text, `-` as None; bytes that are no UTF-8 become U+FFFD."""
    try:
        return [None if v is None or v == b"-" else v.decode() for v in raw]
    except UnicodeDecodeError:
        texts: list[str | None] = []
        for i, v in enumerate(raw):
            if v is None or v == b"-":
                texts.append(None)
                continue
            try:
                texts.append(v.decode())
            except UnicodeDecodeError:
                texts.append(v.decode(errors="replace"))
                doubts[i] = doubts[i] or ENCODING
        return texts


def _doubt(doubts: list[str], why: str, which: list[bool]) -> None:
    for i, wrong in enumerate(which):
        if wrong:
            doubts[i] = doubts[i] or why
