"""What each of Envoy's command operators means to us: its arguments, its column, and the text it can print.

Source: Envoy's substitution formatter and its docs. The table of columns is by meaning, so that a custom format fills the same
columns wherever its operators stand; an operator without a column is kept as text under its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a printed value becomes a typed one."""

    TIME = "time"
    METHOD = "method"
    PATH = "path"
    PROTOCOL = "protocol"
    NUMBER = "number"
    FLAGS = "flags"
    CLUSTER = "cluster"
    ADDRESS = "address"
    """`host:port`, stored without its port, which has a column of its own."""
    SNI = "sni"
    REQUEST_ID = "request_id"
    WORD = "word"
    """Text with few distinct values."""
    TEXT = "text"


NUMBER_SHAPE = b"[0-9]*+|-"
METHOD_SHAPE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
PROTOCOL_SHAPE = rb"HTTP/1\.[01]|HTTP/[23]|-"
NO_BLANK = b'(?:[^" ][^ ]*+)?+'
"""Envoy's own words. Filters can put a quote in, but none begins with one: what is in quotes there is a field of another format."""
NO_BLANK_NO_QUOTE = b'[^ "]*+'
NO_QUOTE = b'[^"]*+'
"""What Envoy or Istio alone makes: addresses, names of clusters; within quotes only a quote ends it. A shape must hold everything that can be printed, else a forged
place in a line could be taken for the real one."""

NUMBER_COLUMNS = {
    "response_code": 16,
    "bytes_received": 64,
    "bytes_sent": 64,
    "duration_ms": 32,
    "upstream_service_time_ms": 32,
    "upstream_local_port": 16,
    "downstream_remote_port": 16,
}
"""Bits of the columns that hold numbers."""

PORT_COLUMN = {
    "upstream_local_address": "upstream_local_port",
    "downstream_remote_address": "downstream_remote_port",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an operator prints: `column` of access_log ('' where it has none), kind, and `shape`.

    `shape` is the regular expression (bytes) of every text that Envoy can print there, if it holds no blank; None where a client, an
    application or a person chose the text, so that it can be anything.
    """

    column: str
    kind: Kind
    shape: bytes | None = None


_NUMBERS = {
    "RESPONSE_CODE": "response_code",
    "BYTES_RECEIVED": "bytes_received",
    "BYTES_SENT": "bytes_sent",
    "DURATION": "duration_ms",
    "UPSTREAM_LOCAL_PORT": "upstream_local_port",
    "DOWNSTREAM_REMOTE_PORT": "downstream_remote_port",
}
_BY_COMMAND = {
    "START_TIME": Meaning("timestamp", Kind.TIME),
    "START_TIME_LOCAL": Meaning("timestamp", Kind.TIME),
    "PROTOCOL": Meaning("protocol", Kind.PROTOCOL, PROTOCOL_SHAPE),
    "RESPONSE_FLAGS": Meaning("response_flags", Kind.FLAGS, NO_BLANK_NO_QUOTE),
    "RESPONSE_FLAGS_LONG": Meaning("response_flags", Kind.FLAGS, NO_BLANK_NO_QUOTE),
    "RESPONSE_CODE_DETAILS": Meaning("response_code_details", Kind.WORD, NO_BLANK),
    "CONNECTION_TERMINATION_DETAILS": Meaning("connection_termination_details", Kind.WORD),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": Meaning("upstream_transport_failure_reason", Kind.WORD),
    "PATH": Meaning("path", Kind.PATH),
    "TRACE_ID": Meaning("trace_id", Kind.TEXT),
    "UPSTREAM_CLUSTER": Meaning("upstream_cluster", Kind.CLUSTER, NO_BLANK_NO_QUOTE),
    "UPSTREAM_CLUSTER_RAW": Meaning("upstream_cluster", Kind.CLUSTER, NO_BLANK_NO_QUOTE),
    "UPSTREAM_HOST": Meaning("upstream_host", Kind.WORD, NO_BLANK_NO_QUOTE),
    "UPSTREAM_REMOTE_ADDRESS": Meaning("upstream_host", Kind.WORD, NO_BLANK_NO_QUOTE),
    "UPSTREAM_LOCAL_ADDRESS": Meaning("upstream_local_address", Kind.ADDRESS, NO_BLANK_NO_QUOTE),
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": Meaning("upstream_local_address", Kind.WORD, NO_BLANK_NO_QUOTE),
    "DOWNSTREAM_LOCAL_ADDRESS": Meaning("downstream_local_address", Kind.WORD, NO_BLANK_NO_QUOTE),
    "DOWNSTREAM_REMOTE_ADDRESS": Meaning("downstream_remote_address", Kind.ADDRESS, NO_BLANK_NO_QUOTE),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Meaning("downstream_remote_address", Kind.WORD, NO_BLANK_NO_QUOTE),
    "REQUESTED_SERVER_NAME": Meaning("requested_server_name", Kind.SNI),
    "ROUTE_NAME": Meaning("route_name", Kind.WORD),
} | {command: Meaning(column, Kind.NUMBER, NUMBER_SHAPE) for command, column in _NUMBERS.items()}

_REQUEST_HEADERS = {
    ":METHOD": Meaning("method", Kind.METHOD, METHOD_SHAPE),
    ":PATH": Meaning("path", Kind.PATH),
    ":AUTHORITY": Meaning("authority", Kind.WORD),
    "HOST": Meaning("authority", Kind.WORD),
    "USER-AGENT": Meaning("user_agent", Kind.WORD),
    "X-FORWARDED-FOR": Meaning("x_forwarded_for", Kind.WORD),
    "X-REQUEST-ID": Meaning("request_id", Kind.REQUEST_ID),
    "X-B3-TRACEID": Meaning("trace_id", Kind.TEXT),
}
"""By the header, or by the alternative of `(X-ENVOY-ORIGINAL-...?HEADER)`, which is what the client sent before a rewrite."""
_ORIGINAL = {"X-ENVOY-ORIGINAL-PATH", "X-ENVOY-ORIGINAL-METHOD", "X-ENVOY-ORIGINAL-HOST"}
_RESPONSE_HEADERS = {
    # Envoy's router sets it; an application that sends one of its own can write any word.
    "X-ENVOY-UPSTREAM-SERVICE-TIME": Meaning("upstream_service_time_ms", Kind.NUMBER, NO_BLANK_NO_QUOTE),
}

REQUEST_COMMANDS = {"REQ", "REQUEST_HEADER", "REQ_WITHOUT_QUERY"}
RESPONSE_COMMANDS = {"RESP", "RESPONSE_HEADER"}
ARGUMENT_REQUIRED = (
    REQUEST_COMMANDS
    | RESPONSE_COMMANDS
    | {"TRAILER", "RESPONSE_TRAILER", "QUERY_PARAM", "COMMON_DURATION", "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA"}
    | {"METADATA", "FILTER_STATE", "UPSTREAM_FILTER_STATE", "CEL", "TYPED_CEL", "COALESCE", "ENVIRONMENT", "FILE_CONTENT", "SECRET"}
)  # fmt: skip
HEADER_COMMANDS = REQUEST_COMMANDS | RESPONSE_COMMANDS | {"TRAILER", "RESPONSE_TRAILER"}
"""Their argument is `(MAIN?ALTERNATIVE)`, names of headers."""
NO_ARGUMENT = set(_NUMBERS) | {
    "PROTOCOL", "UPSTREAM_PROTOCOL", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG", "CONNECTION_TERMINATION_DETAILS",
    "UPSTREAM_TRANSPORT_FAILURE_REASON", "TRACE_ID", "SPAN_ID", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_HOST",
    "ROUTE_NAME", "CONNECTION_ID", "HOSTNAME", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "ACCESS_LOG_TYPE", "STREAM_ID", "UNIQUE_ID",
}  # fmt: skip

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:-]+(?:\?[!#$%&'*+.^_`|~0-9A-Za-z:-]+)?")
_OWN_NUMBERS = re.compile(
    "BYTES_RETRANSMITTED|PACKETS_RETRANSMITTED|CONNECTION_ID|UPSTREAM_CONNECTION_ID|UPSTREAM_REQUEST_ATTEMPT_COUNT"
    "|[A-Z_]*_BYTES(?:_SENT|_RECEIVED)?|(?:REQUEST|RESPONSE)(?:_TX)?_DURATION|ROUNDTRIP_DURATION|[A-Z_]*_PORT"
)
"""Further operators that print a number; they have no column."""


def header_argument_fault(argument: str) -> int | None:
    """Where a header argument `MAIN?ALTERNATIVE` stops being one (Envoy allows one alternative); None where it is one."""
    found = _HEADER.match(argument)
    if found is None:
        return 0
    return None if found.end() == len(argument) else found.end()


def meaning(command: str, argument: str | None, length: int | None) -> Meaning:
    """What `%COMMAND(ARGUMENT):LENGTH%` prints. Never fails: an unknown operator is text without a column."""
    found = _meaning(command, argument)
    if length is not None:
        # A value cut short can end anywhere, so that only free text is certain to hold it.
        kind = Kind.TEXT if found.kind in (Kind.TIME, Kind.ADDRESS, Kind.FLAGS, Kind.NUMBER) else found.kind
        return Meaning(found.column if kind == found.kind else "", kind)
    return found


def _meaning(command: str, argument: str | None) -> Meaning:  # noqa: PLR0911  one rule a line
    if command in REQUEST_COMMANDS:
        return _header(argument or "", _REQUEST_HEADERS)
    if command in RESPONSE_COMMANDS:
        return _header(argument or "", _RESPONSE_HEADERS)
    if command == "RESPONSE_CODE_DETAILS" and argument:
        return Meaning("response_code_details", Kind.WORD)
    if command == "REQUESTED_SERVER_NAME" and argument and "HOST_FIRST" in argument:
        return Meaning("", Kind.WORD)
    if command.endswith("_WITHOUT_PORT") and argument:
        return Meaning(_BY_COMMAND[command].column if command in _BY_COMMAND else "", Kind.WORD, NO_BLANK_NO_QUOTE)
    if _OWN_NUMBERS.fullmatch(command) and command not in _BY_COMMAND:
        return Meaning("", Kind.WORD, NUMBER_SHAPE)
    if command == "UPSTREAM_PROTOCOL":
        return Meaning("", Kind.WORD, PROTOCOL_SHAPE)
    return _BY_COMMAND.get(command, Meaning("", Kind.WORD))


def _header(argument: str, known: dict[str, Meaning]) -> Meaning:
    main, _, alternative = argument.upper().partition("?")
    if main in _ORIGINAL:
        main = alternative or {"X-ENVOY-ORIGINAL-PATH": ":PATH", "X-ENVOY-ORIGINAL-METHOD": ":METHOD"}.get(main, "")
        # Some write the alternative without its colon, which Envoy takes for a header of that name.
        main = main if main in known else f":{main}"
        return known.get(main, Meaning("", Kind.WORD))
    return (
        known.get(main, Meaning("", Kind.WORD)) if not alternative or alternative in known else Meaning("", Kind.WORD)
    )
