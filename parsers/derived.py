"""Columns that are read out of other columns: flags as a set, what cluster and SNI tell, the path's template, the kind of line.

Values with few distinct texts are read once per text; the rows follow by their codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import repeat
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import WORD
from parsers import kernels, values
from parsers.arrow import Array, Batch, pa
from parsers.fields import SCHEMA

INBOUND = "inbound"
DIRECTION, PORT, SERVICE, SUBSET = "direction", "upstream_port", "upstream_service", "upstream_subset"
HTTP, TCP = "http", "tcp"

Columns = dict[str, Array]


def words(array: Array, read: Callable[[str], str | None]) -> Array:
    """Each distinct value read once."""
    return kernels.mapped(array, [read(v) for v in array.dictionary.to_pylist()])


def cluster_name(text: str) -> str:
    """The name without the `;` that ends Istio's alt stat names."""
    return text.removesuffix(";")


_QUERIES = re.compile(r"[?#][^\n]*")
_SLASH = 47


_KNOWN_PATHS = 1 << 14
_LONGEST_KNOWN = 512
"""Paths whose template is remembered from chunk to chunk, and their characters: at most some 10 MB."""


class _Templates:
    """Templates by number, and which one each known path has."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._number: dict[str, int] = {}
        self._of_path: dict[str, int] = {}

    def numbers(self, paths: Array) -> npt.NDArray[np.int64]:
        """The number of each path's template; what was seen in an earlier chunk is not read again."""
        if len(self._of_path) > _KNOWN_PATHS or len(self.texts) > _KNOWN_PATHS:
            self.__init__()  # type: ignore[misc]
        texts = paths.to_pylist()
        found = np.fromiter(map(self._of_path.get, texts, repeat(-1)), np.int64, len(texts))
        new = np.flatnonzero(found < 0)
        if len(new):
            read = _path_templates(paths if len(new) == len(texts) else paths.take(pa.array(new)))
            for i, template in zip(new.tolist(), read, strict=True):
                number = self._number.get(template)
                if number is None:
                    number = self._number[template] = len(self.texts)
                    self.texts.append(template)
                found[i] = number
                if len(texts[i]) <= _LONGEST_KNOWN:
                    self._of_path[texts[i]] = number
        return found


_templates = _Templates()


def path_templates(paths: Array) -> Array:
    """`values.path_template` of each path (strings), as a dictionary array."""
    distinct = paths.dictionary_encode()
    return kernels.renumbered_values(distinct, _templates.numbers(distinct.dictionary), _templates.texts)


def _path_templates(paths: Array) -> list[str]:
    """A client makes as many distinct ones as it likes, so all are one text, cut at its slashes; each distinct segment is looked at once.

    A newline, which no path holds, divides them.
    """
    ends, data = kernels.parts(paths)
    rooted = data[np.minimum(ends[:-1], len(data) - 1)] == _SLASH if len(data) else np.zeros(len(paths), bool)
    rooted &= np.diff(ends) > 0
    texts = paths.to_pylist()
    others = np.flatnonzero(~rooted).tolist()
    for i in others:
        texts[i] = ""
    whole = "\n".join(texts)
    if "?" in whole or "#" in whole:
        whole = _QUERIES.sub("", whole)
    segments = whole.replace("\n", "/\n/").split("/")
    read = {s: s if s.isalpha() else "{n}" if s.isdigit() and s.isascii() else _segment(s) for s in set(segments)}
    found = "/".join([read[s] for s in segments]).split("/\n/")
    for i in others:
        found[i] = values.path_template(paths[i].as_py())
    return found


@lru_cache(1 << 14)
def _segment(text: str) -> str:
    return values.path_template(f"/{text}")[1:] if text != "\n" else text


def derive(columns: Columns, rows: int, *, has_request: bool, has_code: bool) -> None:
    """Add the columns that follow from those that are there. `has_request`: the format prints method, path or protocol."""
    path = columns.get("path")
    if path is not None:
        columns["path_template"] = path_templates(path)
    cluster = columns.get("upstream_cluster")
    if cluster is not None and DIRECTION not in columns:
        _from_cluster(columns, cluster, columns.get("requested_server_name"))
    columns["log_type"] = _log_type(columns, rows, has_request=has_request, has_code=has_code)


@lru_cache(1 << 12)
def of_cluster(cluster: str, server_name: str | None) -> Mapping[str, str | None]:
    """The columns that a cluster tells; of an inbound one, which names no caller's choice, the SNI tells service and subset."""
    found = values.cluster(cluster)
    service, subset = found.service, found.subset
    if found.direction == INBOUND:
        asked = values.sni(server_name) if server_name is not None else None
        service, subset = (asked.service, asked.subset) if asked else (service, None)
    port = None if found.port is None else str(found.port)
    return MappingProxyType({DIRECTION: found.direction, PORT: port, SERVICE: service, SUBSET: subset})


def _from_cluster(columns: Columns, cluster: Array, server_name: Array | None) -> None:
    """The same for columns: once for each pair of cluster and SNI."""
    clusters = [*cluster.dictionary.to_pylist(), None]
    names = [*(server_name.dictionary.to_pylist() if server_name is not None else []), None]
    left, right = _codes_or_last(cluster), np.zeros(len(cluster), np.int32)
    if server_name is not None:
        right = _codes_or_last(server_name)
    pairs, code = np.unique(left.astype(np.int64) * len(names) + right, return_inverse=True)
    read: list[Mapping[str, str | None]] = []
    for pair in pairs.tolist():
        text = clusters[pair // len(names)]
        read.append({} if text is None else of_cluster(text, names[pair % len(names)]))
    for name in (DIRECTION, SERVICE, SUBSET):
        known: dict[str, int] = {}
        numbers = [-1 if v is None else known.setdefault(v, len(known)) for v in (r.get(name) for r in read)]
        columns[name] = kernels.renumbered(code.astype(np.int32), np.array(numbers, np.int32), list(known))
    by_pair = np.array([int(r.get(PORT) or -1) for r in read], np.int32)
    ports: npt.NDArray[np.int32] = by_pair[code]
    columns[PORT] = kernels.masked(ports.astype(np.uint16), pa.uint16(), ports >= 0)


def _codes_or_last(array: Array) -> npt.NDArray[np.int32]:
    """The code of each row's value; of null one more than the last."""
    there = kernels.valid(array)
    found: npt.NDArray[np.int32] = kernels.codes(array)
    return found if there is None else np.where(there, found, np.int32(len(array.dictionary)))


def _log_type(columns: Columns, rows: int, *, has_request: bool, has_code: bool) -> Array:
    kinds = pa.array([HTTP, TCP], pa.string())
    if has_request:
        request = [columns[n] for n in ("method", "path", "protocol") if n in columns]
        if any(a.null_count == 0 for a in request):
            return kernels.word(np.zeros(rows, np.int32), kinds)
        missing = np.ones(rows, bool)
        for array in request:
            missing &= ~np.asarray(array.is_valid())
        return kernels.word(missing, kinds)
    if has_code:
        # Without a request line only an answer tells HTTP.
        answered = np.asarray(columns["response_code"].fill_null(0)) > 0
        return kernels.word(np.zeros(rows, np.int32), kinds, answered)
    return kernels.word(np.ones(rows, np.int32), kinds)


def batch(columns: Columns, rows: int, further: dict[str, Array] | None = None) -> Batch:
    """A batch of access_log with every column that a line can tell, null where the format has none, and `further` ones of the frame."""
    arrays: list[Array] = []
    for one in SCHEMA:
        array = columns.get(one.name)
        if array is None:
            array = pa.nulls(rows, one.type)
        arrays.append(array)
    more = further or {}
    arrays.extend(more.values())
    return pa.RecordBatch.from_arrays(arrays, schema=_schema(tuple(more)))


@lru_cache(16)
def _schema(further: tuple[str, ...]) -> Any:
    """The schema of a batch of access_log with these columns of its frame."""
    return pa.schema([*SCHEMA, *(pa.field(name, WORD) for name in further)])
