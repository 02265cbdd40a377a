"""ztunnel's access lines, text and JSON, as rows with log_type `l4`: one row per connection and side.

    TIME info access connection complete src.addr=IP:PORT src.workload="NAME" ... direction="inbound" bytes_sent=1 bytes_recv=2 duration="3ms"

How its words become columns (ztunnel's `proxy/metrics.rs` is the source of their meaning):

- `bytes_sent` and `bytes_recv` are counted from this ztunnel towards the peer it was asked to reach on outbound lines, and towards the
  one that called on inbound lines. Our columns count from the client's side: outbound, the client's bytes are those ztunnel *sent*.
- `src.addr` is downstream_remote_address and -port, `dst.addr` upstream_host, `dst.service` upstream_service, `direction` itself.
- `error` is connection_termination_details: it tells why the connection ended, be it a policy, a drain or a failure.
- Everything else, such as identities, workloads and `dst.hbone_addr`, is kept in `extra`, as is a message that is not
  `connection complete`: a line `connection opened` (debug) is no finished connection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from logproc.columns import MAP, TEXT
from parsers import derived, kernels, values
from parsers.arrow import Batch, pa
from parsers.derived import Columns
from parsers.fields import ENCODING, FIELDS, NUMBER
from parsers.times import micros, timestamps

L4 = "l4"
COMPLETE = "connection complete"

_HEAD = re.compile(
    r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}Z?)[ \t]+(?P<level>[A-Za-z]+)[ \t]+access[ \t]+(?P<message>connection [a-z]+)(?=[ \t]|\Z)"
)
_PAIR = re.compile(
    r'[ \t]+(?P<key>[A-Za-z_][A-Za-z0-9_.]{0,63})=(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<bare>[^\s"]*+))(?=[ \t]|\Z)'
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_DURATION = re.compile(r"([0-9]{1,12})(?:\.[0-9]+)?(ms|s|µs|us|ns)")
_PER_MS = {"ms": 1.0, "s": 1000.0, "µs": 0.001, "us": 0.001, "ns": 0.000_001}
_NUMBER = re.compile("[0-9]{1,20}")
_COLUMNS = {"src.addr", "dst.addr", "dst.service", "direction", "bytes_sent", "bytes_recv", "duration", "error"}
_MESSAGE = {"level", "time", "scope", "message"}
"""What stands before the pairs in text, and as further keys in JSON."""

Pairs = dict[str, str]


def is_object(keys: Sequence[str]) -> bool:
    """Whether a JSON object with these keys is an access line of ztunnel."""
    return "src.addr" in keys and "dst.addr" in keys


def read(lines: Sequence[bytes]) -> Batch:
    """Columns of access_log for text lines, one row each. A line that stops making sense keeps what stood before, with a doubt."""
    pairs, doubts = list[Pairs](), list[str]()
    for line in lines:
        found, doubt = _pairs(line)
        pairs.append(found)
        doubts.append(doubt)
    return rows(pairs, doubts)


def _pairs(line: bytes) -> tuple[Pairs, str]:
    doubt = ""
    try:
        text = line.decode().rstrip(" \t\r")
    except UnicodeDecodeError:
        text, doubt = line.decode(errors="replace").rstrip(" \t\r"), ENCODING
    head = _HEAD.match(text)
    if head is None:
        return {}, FIELDS
    pairs, twice, at = dict(head.groupdict()), set[str](), head.end()
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            doubt = FIELDS
            break
        key = found["key"]
        if key in pairs:
            twice.add(key)
        pairs[key] = found["bare"] if found["quoted"] is None else _ESCAPE.sub(_unescaped, found["quoted"])
        at = found.end()
    if twice:
        # Which of the two counts is not known.
        return {k: v for k, v in pairs.items() if k not in twice}, FIELDS
    return pairs, doubt


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is not None:
        point = int(found[1], 16)
        return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else "�"
    return _ESCAPED.get(found[2], found[2])


def rows(pairs: Sequence[Pairs], doubts: list[str]) -> Batch:
    """Columns of access_log for lines given as key and value (JSON's, too); `doubts[i]` is extended by what a value has wrong."""
    columns: Columns = {}

    def texts(key: str) -> list[str | None]:
        return [p.get(key) for p in pairs]

    columns["timestamp"] = timestamps([t if t and micros(t) is not None else None for t in texts("time")])
    columns["log_type"] = pa.array([L4] * len(pairs), TEXT).dictionary_encode()
    for name, key in (
        ("upstream_host", "dst.addr"),
        ("upstream_service", "dst.service"),
        ("direction", "direction"),
        ("connection_termination_details", "error"),
    ):
        columns[name] = pa.array(texts(key), TEXT).dictionary_encode()
    remote = pa.array(texts("src.addr"), TEXT)
    columns["downstream_remote_address"], columns["downstream_remote_port"] = kernels.address(remote, values.address)
    outbound = [d == "outbound" for d in texts("direction")]
    sent, received = _numbers(texts("bytes_sent"), doubts), _numbers(texts("bytes_recv"), doubts)
    columns["bytes_received"] = pa.array(
        [s if o else r for s, r, o in zip(sent, received, outbound, strict=True)], pa.uint64()
    )
    columns["bytes_sent"] = pa.array(
        [r if o else s for s, r, o in zip(sent, received, outbound, strict=True)], pa.uint64()
    )
    columns["duration_ms"] = pa.array(
        [_milliseconds(t, doubts, i) for i, t in enumerate(texts("duration"))], pa.uint32()
    )
    columns["extra"] = pa.array([_extra(p) or None for p in pairs], MAP)
    if any(doubts):
        columns["doubt"] = pa.array([d or None for d in doubts], TEXT).dictionary_encode()
    return derived.batch(columns, len(pairs))


def _numbers(texts: Sequence[str | None], doubts: list[str]) -> list[int | None]:
    found: list[int | None] = []
    for i, text in enumerate(texts):
        number = int(text) if text and _NUMBER.fullmatch(text) else None
        if number is not None and number >= 1 << 64:
            number = None
        if text is not None and number is None:
            doubts[i] = doubts[i] or NUMBER
        found.append(number)
    return found


def _milliseconds(text: str | None, doubts: list[str], row: int) -> int | None:
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    number = int(int(found[1]) * _PER_MS[found[2]]) if found else None
    if number is None or number >= 1 << 32:
        doubts[row] = doubts[row] or NUMBER
        return None
    return number


def _extra(pairs: Pairs) -> list[tuple[str, str]]:
    extra = {k: v for k, v in pairs.items() if k not in _COLUMNS and k not in _MESSAGE}
    if pairs.get("message", COMPLETE) != COMPLETE:
        extra["message"] = pairs["message"]
    return sorted(extra.items())
