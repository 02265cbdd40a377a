"""Lines that are no access log: what the proxy, its agent, istiod and applications say.

Known shapes: Istio's `TIME level scope message key=value...` (tabs, or the blanks that copying makes of them), Envoy's
`[TIME][thread][level][logger] [file:line] message`, glog and klog, and JSON log lines. Anything else is a message as a whole.
The message is the rest of the line as printed: file positions and `key=value` columns stay in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logproc.columns import MESSAGE_LOG_TABLE, TEXT, WORD
from parsers.times import epoch_text, micros, timestamps

COLUMNS = ("timestamp", "level", "scope", "message", "doubt")
SCHEMA = pa.schema([pa.field(name, MESSAGE_LOG_TABLE.column(name).arrow) for name in COLUMNS])

ENCODING = "encoding"

# Envoy's loggers; Istio prints them as `envoy NAME`.
_LOGGERS = (
    "admin|alternate_protocols_cache|assert|aws|backtrace|basic_auth|cache_filter|client|compression|config|conn_handler|connection"
    "|credential_injector|decompression|dns|dynamic_modules|dynamo|envoy_bug|ext_authz|ext_proc|file|filter|forward_proxy|geolocation"
    "|golang|grpc|happy_eyeballs|hc|health_checker|http|http2|hystrix|init|io|jwt|kafka|key_value_store|lua|main|matcher|misc|mongo"
    "|multi_connection|oauth2|pool|quic|quic_stream|rate_limit_quota|rbac|redis|rocketmq|router|runtime|secret|stats|tap|tcp|testing"
    "|thrift|tracing|udp|upstream|wasm|websocket"
)
# Istio's scopes that no sentence begins with: where only one blank follows, a word is a scope if it is one of these.
_SCOPES = (
    "ads|ambient|authn|authorization|ca|citadelclient|delta|dnsclient|gcecred|googleca|hbone|healthcheck|iptables|istiod|klog|kube"
    "|krt|mcp|nodeagentca|pkica|proxyconfig|rbac|rootcertrotator|sds|secretfetcher|serverca|serviceentry|spiffe|stsclient|stsserver"
    "|trustBundle|validationController|validationServer|wasm|xds|xdsproxy"
)
_LEVEL = "(?i:trace|debug|info|warn(?:ing)?|error|critical|fatal|panic|off|none)"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
# One match is one line. Nothing can be matched in two ways (possessive repeats), so time is linear in the line's length.
_LINE = re.compile(
    rf"""
    (?:
      (?P<time>{_DATE}T{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}}))[ \t]++(?P<level>{_LEVEL})(?![^ \t\r\n])[ \t]*+
      (?:
        (?P<scope>
            envoy(?:[ ][a-z0-9_]{{1,40}}+)?+(?=\t|[ ]{{2}}|[ ]\[?(?:external|source|bazel-out)/)  # a column, or before a file position
          | envoy[ ](?:{_LOGGERS})(?=[ ])
          | [A-Za-z][A-Za-z0-9_./-]{{0,63}}+(?=\t(?![A-Za-z0-9_.]{{1,40}}+=)|[ ]{{2}})  # `message \t key=value` has no scope
          | (?:{_SCOPES})(?=[ ])
        )[ \t]++
      )?+
      (?P<message>[^\n]*+)
    | \[(?P<envoy_time>{_DATE}[ ]{_CLOCK})\](?:\[[0-9]++\])?+\[(?P<envoy_level>{_LEVEL})\]
      (?:\[(?P<logger>[A-Za-z0-9_./-]{{1,64}}+)\])?+[ ]?+(?P<envoy_message>[^\n]*+)
    | (?P<other>[^\n]*+)
    )\n
    """,
    re.VERBOSE,
)
_GLOG = re.compile(
    r"([DIWEF])([0-9]{2})([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,9})[ \t]++[0-9]{1,20}+ ([^\]:\s]{1,256}+:[0-9]{1,9}\] ?+.*+)",
    re.DOTALL,
)
_GLOG_LEVEL = {"D": "debug", "I": "info", "W": "warning", "E": "error", "F": "fatal"}

_JSON_TIME = ("time", "ts", "timestamp", "@timestamp")
_JSON_LEVEL = ("level", "severity", "lvl")
_JSON_SCOPE = ("scope", "logger", "component")
_JSON_MESSAGE = ("msg", "message")
_JSON_DEPTH = 200
"""Braces and brackets after which an object is not read, so that nesting cannot exhaust the stack."""

_Fields = tuple[str | None, str | None, str | None, str]
"""Time (RFC 3339), level, scope, message."""


class MessageReader:
    """Reads component and application lines into columns of `message_log`. Never raises on data."""

    def read(self, lines: Sequence[bytes], frame_times: Sequence[bytes] | None) -> pa.RecordBatch:
        """One row for each line (without its newline): timestamp (us, UTC), level, scope, message, doubt.

        `frame_times` are the runtime's RFC 3339 times of the lines; they stand in where a line tells no time, else it is null.
        Bytes that are no UTF-8 become U+FFFD with doubt `encoding`.
        """
        texts, doubts = _decode(lines)
        whole = "\n".join(texts) + "\n" if texts else ""
        found = _LINE.findall(whole)
        if len(found) != len(lines):  # a newline inside a line: a row must stay one row
            found = [_LINE.findall(text.replace("\n", " ") + "\n")[0] for text in texts]
        times: list[str | None] = []
        levels: list[str | None] = []
        scopes: list[str | None] = []
        messages: list[str] = []
        add_time, add_level, add_scope, add_message = times.append, levels.append, scopes.append, messages.append
        for time, level, scope, message, envoy_time, envoy_level, logger, envoy_message, other in found:
            if time:
                add_time(time)
                add_level(level)
                add_scope(scope or None)
                add_message(message)
            elif envoy_time:
                # Envoy prints local time; its containers run on UTC.
                add_time(envoy_time + "Z")
                add_level(envoy_level)
                add_scope(logger or None)
                add_message(envoy_message)
            else:
                own_time, own_level, own_scope, text = _other(other, frame_times[len(times)] if frame_times else b"")
                add_time(own_time)
                add_level(own_level)
                add_scope(own_scope)
                add_message(text)
        if "\r" in whole:
            messages = [message.removesuffix("\r") for message in messages]
        moments = timestamps(times)
        if frame_times and moments.null_count:
            moments = pc.coalesce(moments, timestamps([t.decode("ascii", "replace") for t in frame_times]))
        return pa.RecordBatch.from_arrays(
            [
                moments,
                pa.array(levels, TEXT).dictionary_encode(),
                pa.array(scopes, TEXT).dictionary_encode(),
                pa.array(messages, TEXT),
                pa.array(doubts, WORD),
            ],
            schema=SCHEMA,
        )


def _decode(lines: Sequence[bytes]) -> tuple[list[str], list[str | None]]:
    try:
        return [line.decode() for line in lines], [None] * len(lines)
    except UnicodeDecodeError:
        texts = [line.decode(errors="replace") for line in lines]
        # A line can also hold U+FFFD that was printed as such.
        doubts = [ENCODING if "�" in t and not _is_utf8(b) else None for t, b in zip(texts, lines, strict=True)]
        return texts, doubts


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _other(text: str, frame_time: bytes) -> _Fields:
    if text.startswith("{"):
        return _json(text) or (None, None, None, text)
    found = _GLOG.match(text)
    if found is None:
        return None, None, None, text
    letter, month, day, clock, message = found.groups()
    return _year(month, day, clock, frame_time), _GLOG_LEVEL[letter], None, message


def _year(month: str, day: str, clock: str, frame_time: bytes) -> str | None:
    """Glog prints no year: the runtime's, or the one before where a line of December was read in January."""
    year = frame_time[:4]
    if not year.isdigit():
        return None
    earlier = month == "12" and frame_time[5:7] == b"01"
    return f"{int(year) - earlier:04d}-{month}-{day}T{clock}Z"


def _json(text: str) -> _Fields | None:
    if text.count("{") + text.count("[") > _JSON_DEPTH:
        return None
    try:
        found: dict[str, Any] = json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return None
    time = _take_time(found)
    level, scope = _take(found, _JSON_LEVEL), _take(found, _JSON_SCOPE)
    message = _take(found, _JSON_MESSAGE)
    if message is None:
        return time, level, scope, text
    # As Istio prints the same in text: further keys behind the message.
    return time, level, scope, message + "".join(f"\t{key}={_plain(value)}" for key, value in found.items())


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice: which one counts is not known")
    return found


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _take_time(found: dict[str, Any]) -> str | None:
    for key in _JSON_TIME:
        if key in found:
            text = str(found[key])
            time = epoch_text(text) or (text if micros(text) is not None else None)
            if time is not None:
                del found[key]
                return time
    return None


def _take(found: dict[str, Any], keys: Sequence[str]) -> str | None:
    for key in keys:
        if isinstance(found.get(key), str):
            return str(found.pop(key))
    return None
