"""What must not be stored is taken out of every table before a batch is kept: queries, user agents, addresses, ids in paths.

Redaction works on columns, so that nothing depends on how a line was written. A rejected line has no columns: where its fields begin
is not known, so its bytes are kept only where nothing but addresses is to be taken out; its length and the reason always stay.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logproc.errors import ConfigError
from logproc.model import ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE

WHAT = ("query", "user_agent", "ip/24", "path-ids")
_ADDRESS_COLUMNS = ("downstream_remote_address", "upstream_local_address", "x_forwarded_for")
_V4 = r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"
_V6 = r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}"
_ADDRESS = re.compile(rf"(?<![\w.:])(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}|[0-9A-Fa-f]{{0,4}})(?![\w:]|\.\d)|{_V4}")
_MAY_HAVE_ADDRESS = rf"{_V4}|{_V6}"

# In free text.
_QUERY = r"\?[^\s\"'<>]+"
_AGENT = r"Mozilla/[^\"]*|\"[A-Za-z][\w.+-]*/\d[^\"]*\""
_PATH_ID = (
    r"/(?:[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}|\d+|[0-9A-Fa-f]{8,}|[A-Za-z0-9]{16,})"
    r"([/?#\s\"',;)]|$)"
)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is taken out. `ip_bits` of an IPv4 address stay, twice as many of an IPv6 address; None: addresses stay."""

    query: bool = False
    user_agent: bool = False
    path_ids: bool = False
    ip_bits: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `query,user_agent,ip/24,path-ids`. Raises ConfigError for any other word."""
        chosen: dict[str, Any] = {}
        for word in (w.strip() for w in text.split(",")):
            bits = re.fullmatch(r"ip(?:/(\d+))?", word)
            if bits and int(bits[1] or 24) <= 32:
                chosen["ip_bits"] = int(bits[1] or 24)
            elif word.replace("_", "-") in {"query", "user-agent", "path-ids"}:
                chosen[word.replace("-", "_")] = True
            elif word:
                raise ConfigError(f"--redact: {word!r} is not known", f"known: {', '.join(WHAT)}")
        return cls(**chosen)

    @property
    def anything(self) -> bool:
        """Something is to be taken out."""
        return self != Redaction()

    def table(self, name: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of one of the tables without it."""
        change = {ACCESS_LOG: self._access, MESSAGE_LOG: self._message, REJECTED_LINE: self._rejected}.get(name)
        if change is None or not self.anything or not rows.num_rows:
            return rows
        changed = change(rows)
        arrays = [changed.get(f.name, rows.column(i)) for i, f in enumerate(rows.schema)]
        return pa.RecordBatch.from_arrays(
            [_as(a, f.type) for a, f in zip(arrays, rows.schema, strict=True)], schema=rows.schema
        )

    # Tables

    def _access(self, rows: pa.RecordBatch) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if self.query or self.path_ids:
            changed["path"] = self._paths(rows)
        if self.user_agent:
            changed["user_agent"] = pa.nulls(rows.num_rows, pa.string())
        if self.ip_bits is not None:
            for name in _ADDRESS_COLUMNS:
                changed[name] = _each_word(rows.column(name), lambda text: _ADDRESS.sub(self._cut, text))
        extra: Any = rows.column("extra")
        if extra.null_count < len(extra):
            changed["extra"] = self._extra(extra)
        return changed

    def _paths(self, rows: pa.RecordBatch) -> Any:
        path: Any = rows.column("path")
        bare: Any = (
            rows.column("path_template").cast(pa.string()) if self.path_ids else _replaced(path, r"(?s)[?#].*", "")
        )
        if self.query:
            return bare
        return pc.binary_join_element_wise(bare, _replaced(path, r"(?s)^[^?#]*", ""), "")

    def _extra(self, extra: Any) -> Any:
        """The map's values, without changing which keys there are."""
        whole = extra.take(pa.array(np.arange(len(extra)))) if extra.offset else extra
        keys, items = whole.keys, self._texts(whole.items)
        if self.user_agent:
            agents = pc.match_substring_regex(keys, "(?i)user[-_]agent")
            items = pc.if_else(pc.fill_null(agents, False), pa.scalar("", pa.string()), items)
        offsets = pa.array(
            np.asarray(whole.offsets), mask=np.append(np.asarray(pc.is_null(whole)), False), type=pa.int32()
        )
        made: Any = pa.MapArray
        return made.from_arrays(offsets, keys, items)

    def _message(self, rows: pa.RecordBatch) -> dict[str, Any]:
        return {"message": self._texts(rows.column("message"))}

    def _rejected(self, rows: pa.RecordBatch) -> dict[str, Any]:
        raw: Any = rows.column("raw")
        if self.query or self.user_agent or self.path_ids:
            return {"raw": pa.array([b""] * len(raw), raw.type)}
        return {"raw": self._addresses(raw)}

    # Text

    def _texts(self, texts: Any) -> Any:
        """A column of free text."""
        for wanted, pattern, instead in (
            (self.query, _QUERY, "?"),
            (self.user_agent, _AGENT, "-"),
            # Twice: what ends one segment begins the next.
            (self.path_ids, _PATH_ID, r"/{id}\1"),
            (self.path_ids, _PATH_ID, r"/{id}\1"),
        ):
            if wanted:
                texts = _replaced(texts, pattern, instead)
        return texts if self.ip_bits is None else self._addresses(texts)

    def _addresses(self, texts: Any) -> Any:
        """Only texts that may have an address are looked at one by one: few of them do."""
        found = np.flatnonzero(_mask(pc.fill_null(pc.match_substring_regex(texts, _MAY_HAVE_ADDRESS), False)))
        if not len(found):
            return texts
        cut = [_ADDRESS.sub(self._cut, t) for t in (_decoded(v) for v in texts.take(pa.array(found)).to_pylist())]
        values = [t.encode("utf-8", "surrogateescape") for t in cut] if pa.types.is_binary(texts.type) else cut
        where = np.zeros(len(texts), bool)
        where[found] = True
        return pc.replace_with_mask(texts, pa.array(where), pa.array(values, texts.type))

    def _cut(self, found: re.Match[str]) -> str:
        """An address with its last bits set to zero; what only looks like one stays."""
        assert self.ip_bits is not None  # noqa: S101  nobody asks otherwise
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if mapped is not None:
            return f"::ffff:{ipaddress.ip_network((mapped, self.ip_bits), strict=False).network_address}"
        bits = self.ip_bits if address.version == 4 else min(2 * self.ip_bits, 64)
        return str(ipaddress.ip_network((address, bits), strict=False).network_address)


def _each_word(column: Any, change: Callable[[str], str]) -> Any:
    """A dictionary column with each distinct value changed; values that become equal are one."""
    words = pa.array([w and change(w) for w in column.dictionary.to_pylist()], pa.string())
    return words.take(column.indices).dictionary_encode()


def _replaced(texts: Any, pattern: str, instead: str) -> Any:
    return pc.replace_substring_regex(texts, pattern, instead)


def _decoded(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _mask(values: Any) -> Any:
    return values.to_numpy(zero_copy_only=False).astype(bool)


def _as(array: Any, kind: pa.DataType) -> Any:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(kind)
