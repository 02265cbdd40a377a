"""The question with which clickhouse-go begins, and its answer: that blocks are to be read as in the oldest protocol.

It asks for blocks of its own protocol version (`client_protocol_version`), which the embedded engine cannot write: they begin with
block info and have a byte more for each column. It reads the answer to this one question so, and all later ones as of the revision
that the answer names; of revision 0 are the blocks that the engine writes.
"""

from __future__ import annotations

import re
import struct

from logproc.serve.engine import Engine

_QUESTION = re.compile(
    r"\s*SELECT\s+displayName\(\),\s*version\(\),\s*revision\(\),\s*timezone\(\)\s*;?\s*", re.IGNORECASE
)
_BLOCK_INFO, _CUSTOM_SERIALIZATION = 51903, 54454
"""Protocol versions from which on a block begins with its info, and a column says how it is written."""


def is_question(sql: str, format: str, protocol: int) -> bool:
    """The statement is that question, from a client of a protocol that has block info."""
    return format == "Native" and protocol >= _BLOCK_INFO and _QUESTION.fullmatch(sql) is not None


def answer(engine: Engine, name: str, protocol: int) -> bytes:
    """One block of one row, as this protocol version has it."""
    custom = b"\x00" if protocol >= _CUSTOM_SERIALIZATION else b""
    columns = (
        ("displayName()", "String", _text(name)),
        ("version()", "String", _text(engine.version)),
        ("revision()", "UInt32", struct.pack("<I", 0)),
        ("timezone()", "String", _text(engine.timezone)),
    )
    info = b"\x01\x00\x02" + struct.pack("<i", -1) + b"\x00"
    body = b"".join(_text(n) + _text(t) + custom + value for n, t, value in columns)
    return info + _number(len(columns)) + _number(1) + body


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(value: str) -> bytes:
    raw = value.encode()
    return _number(len(raw)) + raw
