"""One spool entry as bytes: a header that tells what is in it, then the tables.

16 bytes  "logproc batch 1\\n"
20 bytes  length and checksum of the header, length and checksum of the tables (little endian: u32 u32 u64 u32)
header    JSON
tables    Arrow IPC streams, as `codec` makes them
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logproc.disk import checksum
from logproc.frames import Fragment
from logproc.message import batch_of, public_header
from logproc.model import Batch, Position
from logproc.state import StreamKey

_MAGIC = b"logproc batch 1\n"
_LENGTHS = struct.Struct("<IIQI")


class Damaged(Exception):  # noqa: N818
    """The entry is not what was written. `entry` has its header where that can still be read."""

    def __init__(self, message: str, entry: Entry | None = None) -> None:
        super().__init__(message)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch and, for the node alone, what it changes: positions of files and open fragments of streams."""

    batch: Batch
    positions: Mapping[int, Position] = field(default_factory=dict)
    fragments: Mapping[StreamKey, Sequence[Fragment]] = field(default_factory=dict)

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """What is written, in this order; `batch.encoded` has to be there."""
        header = json.dumps(public_header(self.batch) | self._private_header(), separators=(",", ":")).encode()
        body = self.batch.encoded
        return _MAGIC + _LENGTHS.pack(len(header), checksum(header), len(body), checksum(body)), header, body

    def _private_header(self) -> dict[str, Any]:
        return {
            "positions": [(i, p.offset, p.line) for i, p in self.positions.items()],
            "fragments": [(key, [f.as_json() for f in kept]) for key, kept in self.fragments.items()],
        }


def read(path: Path, *, tables: bool = True) -> Entry:
    """Read an entry back; without `tables` only its header is made sense of, but both checksums are compared.

    Raises Damaged, and OSError.
    """
    data = path.read_bytes()
    lengths_end = len(_MAGIC) + _LENGTHS.size
    if data.startswith(_MAGIC[:-2]) and not data.startswith(_MAGIC) and b"\n" in data[:24]:
        raise Damaged("it was written by a newer logproc")
    if not data.startswith(_MAGIC) or len(data) < lengths_end:
        raise Damaged("it does not begin as a spool entry does")
    header_length, header_sum, body_length, body_sum = _LENGTHS.unpack_from(data, len(_MAGIC))
    header_bytes = data[lengths_end : lengths_end + header_length]
    if len(header_bytes) != header_length or checksum(header_bytes) != header_sum:
        raise Damaged("its header has a wrong checksum")
    body = data[lengths_end + header_length :]
    sound = len(body) == body_length and checksum(body) == body_sum
    try:
        header = json.loads(header_bytes)
        batch = batch_of(header, body if sound and tables else b"")
        positions = {i: Position(offset, line) for i, offset, line in header["positions"]}
        fragments = {
            (key[0], key[1], key[2]): [Fragment.from_json(f) for f in kept] for key, kept in header["fragments"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"it cannot be read: {error}") from error
    entry = Entry(batch, positions, fragments)
    if not sound:
        raise Damaged("its tables have a wrong checksum", entry)
    return entry


def header_end(path: Path) -> int:
    """Where the tables of an entry begin. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(len(_MAGIC) + _LENGTHS.size)
    return len(head) + int(_LENGTHS.unpack_from(head, len(_MAGIC))[0])
