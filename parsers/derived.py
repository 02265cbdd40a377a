"""Columns that are read out of other columns: flags as a set, what cluster and SNI tell, the path's template, the kind of line.

Values with few distinct texts are read once per text; the rows follow by their codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from logproc.columns import WORD
from parsers import kernels, values
from parsers.arrow import Array, Batch, pa
from parsers.fields import SCHEMA

INBOUND = "inbound"
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
_known: dict[str, str] = {}


def path_templates(paths: Array) -> list[str]:
    """`values.path_template` of many paths at once; what was seen in an earlier chunk is not read again."""
    texts = paths.to_pylist()
    new = [i for i, text in enumerate(texts) if text not in _known]
    found: list[str] = [_known.get(text, "") for text in texts]
    if new:
        if len(_known) + len(new) > _KNOWN_PATHS:
            _known.clear()
        read = _path_templates(paths if len(new) == len(texts) else paths.take(pa.array(new)))
        for i, template in zip(new, read, strict=True):
            found[i] = template
            if len(texts[i]) <= _LONGEST_KNOWN and len(_known) < _KNOWN_PATHS:
                _known[texts[i]] = template
    return found


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
        distinct = path.dictionary_encode()
        columns["path_template"] = kernels.mapped(distinct, path_templates(distinct.dictionary))
    cluster = columns.get("upstream_cluster")
    if cluster is not None:
        _from_cluster(columns, cluster, columns.get("requested_server_name"))
    columns["log_type"] = _log_type(columns, rows, has_request=has_request, has_code=has_code)


def _from_cluster(columns: Columns, cluster: Array, server_name: Array | None) -> None:
    known = [values.cluster(v) for v in cluster.dictionary.to_pylist()]
    columns["direction"] = kernels.mapped(cluster, [c.direction for c in known])
    ports = np.array([c.port or 0 for c in known] or [0], np.uint16)
    has_port = np.array([c.port is not None for c in known] or [False])
    code, there = kernels.codes(cluster), kernels.valid(cluster)
    ported = has_port[code]
    columns["upstream_port"] = kernels.masked(ports[code], pa.uint16(), ported if there is None else ported & there)

    names: dict[str, int] = {}
    server = server_name
    read = [values.sni(v) for v in server.dictionary.to_pylist()] if server is not None else []
    # One more row and column for null; what a pair of cluster and SNI says is looked up in a table of all pairs.
    pairs = np.full((2, len(known) + 1, len(read) + 1), -1, np.int32)
    for i, c in enumerate(known):
        if c.direction == INBOUND:
            pairs[0, i] = _code(names, c.service)
            for j, s in enumerate(read):
                if s is not None:
                    pairs[0, i, j], pairs[1, i, j] = _code(names, s.service), _code(names, s.subset)
        else:
            pairs[0, i], pairs[1, i] = _code(names, c.service), _code(names, c.subset)
    left = code if there is None else np.where(there, code, len(known))
    texts = pa.array(list(names), pa.string())
    if server is None or all(s is None for s in read) or not any(c.direction == INBOUND for c in known):
        service, subset = pairs[0, :, -1][left], pairs[1, :, -1][left]
    else:
        there = kernels.valid(server)
        right = kernels.codes(server) if there is None else np.where(there, kernels.codes(server), len(read))
        pair = left.astype(np.int64) * (len(read) + 1) + right
        service, subset = pairs[0].ravel()[pair], pairs[1].ravel()[pair]
    for column, found in (("upstream_service", service), ("upstream_subset", subset)):
        columns[column] = kernels.word(np.maximum(found, 0), texts, found >= 0) if names else pa.nulls(len(found), WORD)


def _code(names: dict[str, int], text: str | None) -> int:
    return -1 if text is None else names.setdefault(text, len(names))


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
    fields = list(SCHEMA)
    for name, array in (further or {}).items():
        arrays.append(array)
        fields.append(pa.field(name, array.type))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
