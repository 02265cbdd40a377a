"""Rows of several readers in the order of their lines, whatever their types are and which of them are null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from logproc.columns import ACCESS_LOG_TABLE
from logproc.model import ACCESS_LOG
from parsers.merge import Piece, parsed

_VALUES: dict[str, list[Any]] = {
    "path": ["/a", None, "/bb", "", "/c", "/d"],
    "method": ["GET", "GET", None, "PUT", "PUT", "GET"],
    "response_code": [200, 404, None, 200, 0, 503],
    "bytes_sent": [1, None, 1 << 40, 3, 4, None],
    "request_id": [bytes(range(16)), None, b"\xff" * 16, None, b"\0" * 16, bytes(range(16))],
    "route_name": [None, None, None, None, "here", None],
    "trace_id": [None] * 6,
}


def _piece(lines: list[int], names: list[str], *, sliced: bool) -> Piece:
    """Rows of these lines; `sliced`: cut out of a larger batch."""
    types = {n: ACCESS_LOG_TABLE.column(n).arrow for n in names}
    before = [0] if sliced else []
    arrays = []
    for name in names:
        plain = types[name].value_type if pa.types.is_dictionary(types[name]) else types[name]
        array = pa.array([_VALUES[name][i] for i in before + lines], plain)
        arrays.append(array.dictionary_encode() if pa.types.is_dictionary(types[name]) else array)
    batch = pa.RecordBatch.from_arrays(arrays, names=names).slice(len(before))
    return Piece(ACCESS_LOG, batch, np.array(lines, np.int64))


@pytest.mark.parametrize("sliced", [False, True])
@pytest.mark.parametrize("cut", [([0, 2, 4], [1, 3, 5]), ([1, 2, 3, 4, 5], [0]), ([3, 4], [0, 5], [1, 2]), ([5, 0, 4, 1, 3, 2],)])  # fmt: skip
def test_rows_come_in_the_order_of_their_lines(cut: tuple[list[int], ...], sliced: bool) -> None:
    names = list(_VALUES)

    found = parsed([_piece(lines, names, sliced=sliced) for lines in cut], 0)

    table = found.tables[ACCESS_LOG]
    table.validate(full=True)
    assert found.rows[ACCESS_LOG].tolist() == [0, 1, 2, 3, 4, 5]
    assert {n: table.column(n).to_pylist() for n in names} == _VALUES


def test_a_column_that_one_reader_does_not_fill_is_null_in_its_rows() -> None:
    found = parsed(
        [_piece([0, 3, 4], ["path", "bytes_sent"], sliced=False), _piece([1, 2, 5], ["path"], sliced=False)], 0
    )

    assert found.tables[ACCESS_LOG].column("bytes_sent").to_pylist() == [1, None, None, 3, 4, None]
    assert found.tables[ACCESS_LOG].column("path").to_pylist() == _VALUES["path"]
