"""One line of text for each row, columns aligned: what `tail` prints unless told otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from logproc.model import ACCESS_LOG, MESSAGE_LOG
from logproc.tail import texts
from logproc.tail.columns_of import Cells, cells, pairs, values
from logproc.tail.filters import own_times, times_of
from logproc.tail.layout import GAP, Layout
from logproc.tail.line_times import NO_TIME
from logproc.tail.paint import Paint
from logproc.tail.reading import Rows, Table
from logproc.text_table import cut, display_width, printable

Explain = Callable[[str, str], Sequence[str]]
"""What response flags and response-code details mean, a line for each."""


TOLD_SECONDS = 60.0
"""The same explanation is not repeated below each of many rows."""
_CLOCK = slice(11, 23)
"""Of `2026-11-21T10:00:00.123`."""


@dataclass(slots=True)
class View:
    """Makes the lines of rows. `explain` puts what is known of an error below it."""

    layout: Layout
    paint: Paint
    long_flags: dict[str, str]
    """Short to long names."""
    explain: Explain | None = None
    full_times: bool = False
    unicode: bool = True
    _told: dict[str, float] = field(default_factory=dict)

    def lines(self, rows: Rows) -> list[str]:
        """The rows as lines without newlines, in their order."""
        made: dict[str, list[str]] = {}
        if not self.layout.pods and any(_has_pods(t.batch) for t in rows.tables.values()):
            self.layout.have_pods()
        access = rows.tables.get(ACCESS_LOG)
        if access is not None:
            made[ACCESS_LOG] = self._access(access)
        for name, table in rows.tables.items():
            if name != ACCESS_LOG:
                made[name] = self._others(name, table)
        found = in_order(rows, made)
        return [self.paint.marked(line) for line in found] if self.paint.highlight else found

    def _access(self, table: Table) -> list[str]:
        batch = table.batch
        columns = {f.name: self._cells(f.name, table) for f in self.layout.fields}
        for name, column in columns.items():
            self.layout.grow(name, column)
        self.layout.settle()
        last = self.layout.fields[-1].name
        padded = [
            self._padded(f.name, columns[f.name], batch, right=f.right, last=f.name == last) for f in self.layout.fields
        ]
        lines = [GAP.join(row).rstrip() for row in zip(*padded, strict=True)]
        return self._explained(batch, lines, self.explain) if self.explain is not None else lines

    def _cells(self, name: str, table: Table) -> Cells:
        batch = table.batch
        if name in _PLAIN:
            column, make = _PLAIN[name]
            return cells(batch, column, make)
        own: dict[str, Callable[[], Cells]] = {
            "time": lambda: self._times(table),
            "pod": lambda: cells(batch, "k8s_pod", self._pod),
            "direction": lambda: cells(batch, "direction", self._arrow),
            "method": lambda: pairs(batch, "log_type", "method", _method),
            "path": lambda: self._paths(batch),
            "flags": lambda: pairs(batch, "response_flags", "response_code", self._flags),
        }
        return own[name]()

    def _arrow(self, direction: str | None) -> str:
        arrows, none = (texts.ARROWS, texts.NO_ARROW) if self.unicode else (texts.ASCII_ARROWS, ".")
        return arrows.get(direction or "", none)

    def _pod(self, name: str | None) -> str:
        return texts.short_pod(name) if name and not self.layout.wide else _or_dash(name)

    def _times(self, table: Table) -> Cells:
        if self.full_times:
            stamps = times_of(table)
            whole = np.datetime_as_string(stamps.view("datetime64[ns]"))
            return [
                "-" if t == NO_TIME else f"{text}Z" for t, text in zip(stamps.tolist(), whole.tolist(), strict=True)
            ]
        own = own_times(table)
        stamps = np.where(own == NO_TIME, table.times, own)
        clocks = np.datetime_as_string((stamps // 10**6).view("datetime64[ms]")).tolist()
        if (stamps != NO_TIME).all():
            return [text[_CLOCK] for text in clocks]
        return ["-" if t == NO_TIME else text[_CLOCK] for t, text in zip(stamps.tolist(), clocks, strict=True)]

    def _paths(self, batch: pa.RecordBatch) -> Cells:
        paths = cells(
            batch, "path", lambda v: "" if v is None else v if v.isascii() and v.isprintable() else printable(v)
        )
        if "" in paths:
            # A connection has no path: where it goes says most.
            names = [
                cells(batch, n, lambda v: v or "")
                for n in ("requested_server_name", "upstream_host", "downstream_local_address")
            ]
            paths = [
                path or printable(next((n for n in known if n), "-"))
                for path, *known in zip(paths, *names, strict=True)
            ]
        return paths

    def _flags(self, flags: str | None, code: int | None) -> str:
        if not flags:
            return "-"
        if "," in flags or (code is not None and 0 < code < 400):
            return flags
        return f"{flags} {self.long_flags[flags]}" if flags in self.long_flags else flags

    def _padded(self, name: str, column: Cells, batch: pa.RecordBatch, *, right: bool, last: bool) -> Cells:
        width, cutting = self.layout.widths[name], self.layout.width is not None and not self.layout.wide
        if name == "time":
            return (
                [self.paint.dim(t.ljust(width)) for t in column]
                if self.paint.colours
                else [t.ljust(width) for t in column]
            )
        fitted = _fitted(column, width, right=right, cutting=cutting, last=last)
        if not self.paint.colours:
            return fitted
        paint = self.paint
        if name == "pod":
            return _each(values(batch, "k8s_pod"), fitted, lambda full, t: paint.pod(full, t) if full else t)
        if name == "code":
            return _each(values(batch, "response_code"), fitted, paint.code)
        if name == "flags":
            return _each(column, fitted, lambda flags, t: paint.dim(t) if flags == "-" else paint.flags(t))
        style = _STYLES.get(name, Paint.dim)
        return fitted if style is None else [style(paint, t) for t in fitted]

    def _explained(self, batch: pa.RecordBatch, lines: list[str], explain: Explain) -> list[str]:
        notes = pairs(
            batch,
            "response_flags",
            "response_code_details",
            lambda flags, details: "".join(
                f"\n{self.paint.dim('    ' + note)}" for note in explain(flags or "", details or "")
            ),
        )
        found, now = [], time.monotonic()
        for line, note, code in zip(lines, notes, values(batch, "response_code"), strict=True):
            if (
                note
                and (code is None or code == 0 or code >= 400)
                and now - self._told.get(note, -TOLD_SECONDS) >= TOLD_SECONDS
            ):
                self._told[note] = now
                found.append(line + note)
            else:
                found.append(line)
        return found

    def _others(self, name: str, table: Table) -> list[str]:
        batch = table.batch
        pod_width, time_width = self.layout.widths.get("pod", 0), self.layout.times
        container_width = self.layout.widths.get("container", 0)
        containers = cells(batch, "k8s_container", _or_dash)
        pods = cells(batch, "k8s_pod", self._pod)
        self.layout.grow("pod", pods)
        names, levels = values(batch, "k8s_pod"), values(batch, "level")
        contents = _messages(batch) if name == MESSAGE_LOG else _rejected(batch)
        width = self.layout.width if not self.layout.wide else None
        found = []
        if container_width:
            self.layout.grow("container", containers)
        for stamp, pod, container, full, level, text in zip(
            self._times(table), pods, containers, names, levels, contents, strict=True
        ):
            head = self.paint.dim(stamp.ljust(time_width))
            used = time_width + 1
            if pod_width:
                fitted = _fit(pod, pod_width, right=False, cutting=width is not None)
                head += GAP + (self.paint.pod(full, fitted) if full else fitted)
                used += 1 + display_width(fitted)
            if container_width:
                head += GAP + self.paint.dim(_fit(container, container_width, right=False, cutting=width is not None))
                used += 1 + container_width
            shown = text if width is None else cut(text, max(20, width - used))
            found.append(head + GAP + self.paint.level(level or "", shown))
        return found


def in_order(rows: Rows, made: dict[str, list[str]]) -> list[str]:
    """One text for each row of all tables, in the rows' order."""
    names = [n for n in rows.tables if n in made]
    if len(names) == 1:
        places = rows.tables[names[0]].places
        found = made[names[0]]
        if len(places) < 2 or (np.diff(places) > 0).all():
            return found
    if not names:
        return []
    order = np.argsort(np.concatenate([rows.tables[n].places for n in names]), kind="stable")
    everything = [line for n in names for line in made[n]]
    return [everything[i] for i in order.tolist()]


def _has_pods(batch: pa.RecordBatch) -> bool:
    index = batch.schema.get_field_index("k8s_pod")
    return index >= 0 and batch.column(index).null_count < batch.num_rows


def _or_dash(value: Any) -> str:
    return "-" if value is None or value == "" else printable(str(value))


def _uuid(data: bytes) -> str:
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _method(kind: str | None, method: str | None) -> str:
    """TCP connections have no method; what they are stands in its place."""
    return _or_dash(method) if kind == "http" or method else (kind or "-").upper()


_STYLES: dict[str, Callable[[Paint, str], str] | None] = {
    "method": Paint.bold, "path": None, "direction": None, "duration": None, "service": None, "subset": None,
}  # fmt: skip
"""Columns that are not dimmed."""

_PLAIN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "namespace": ("k8s_namespace", _or_dash),
    "container": ("k8s_container", _or_dash),
    "code": ("response_code", _or_dash),
    "duration": ("duration_ms", texts.duration),
    "service": ("upstream_service", lambda v: printable(texts.short_service(v)) if v else "-"),
    "subset": ("upstream_subset", _or_dash),
    "details": ("response_code_details", lambda v: "-" if v == "via_upstream" else _or_dash(v)),
    "host": ("upstream_host", _or_dash),
    "received": ("bytes_received", texts.bytes_text),
    "sent": ("bytes_sent", texts.bytes_text),
    "request_id": ("request_id", lambda v: _uuid(v) if v and v != bytes(16) else "-"),
    "agent": ("user_agent", _or_dash),
}
"""Columns that show one column of the row as it is."""


def _each(keys: list[Any], column: Cells, make: Callable[[Any, str], str]) -> Cells:
    """`make` of each pair, called once for each distinct one."""
    known: dict[tuple[Any, str], str] = {}
    found = []
    for pair in zip(keys, column, strict=True):
        text = known.get(pair)
        if text is None:
            text = known[pair] = make(*pair)
        found.append(text)
    return found


def _fitted(column: Cells, width: int, *, right: bool, cutting: bool, last: bool) -> Cells:
    if not last and not right and max(map(len, column), default=0) <= width and "".join(column).isascii():
        return [text.ljust(width) for text in column]
    known = {text: _fit(text, width, right=right, cutting=cutting, padding=not last) for text in set(column)}
    return [known[text] for text in column]


def _fit(text: str, width: int, *, right: bool, cutting: bool, padding: bool = True) -> str:
    if text.isascii():
        if len(text) <= width:
            return (text.rjust(width) if right else text.ljust(width)) if padding or right else text
        return text[: max(width - 1, 0)] + "…" if cutting else text
    shown = cut(text, width) if cutting else text
    blanks = " " * (width - display_width(shown))
    return (blanks + shown if right else shown + blanks) if padding or right else shown


def _messages(batch: pa.RecordBatch) -> list[str]:
    found = []
    for level, scope, message in zip(
        values(batch, "level"), values(batch, "scope"), values(batch, "message"), strict=True
    ):
        text = message or ""
        text = " ".join(part for part in (level, scope, text) if part)
        found.append(text if text.isascii() and text.isprintable() else printable(text.replace("\t", "  ")))
    return found


def _rejected(batch: pa.RecordBatch) -> list[str]:
    found = []
    for reason, raw in zip(values(batch, "reason"), values(batch, "raw"), strict=True):
        found.append(f"unreadable ({reason}): {printable((raw or b'')[:4096].decode('utf-8', 'replace'))}")
    return found
