"""What the URL and the headers of a request say: who asks, and how the statement is to run."""

from __future__ import annotations

import base64
import binascii
import os
import re
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass
from urllib.parse import parse_qsl

from logproc.errors import QueryError
from logproc.serve.users import DEFAULT, WRONG_PASSWORD, Limits, User
from logproc.serve.words import unsafe_setting

READONLY, BAD_ARGUMENTS, NOT_IMPLEMENTED, UNKNOWN_SETTING = 164, 36, 48, 115

_TRANSPORT = frozenset({
    "query", "database", "default_format", "query_id", "user", "password", "session_id", "session_timeout", "session_check", "session_timezone_check",
    "client_protocol_version", "wait_end_of_query", "buffer_size", "compress", "decompress", "enable_http_compression", "http_zlib_compression_level",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close", "add_http_cors_header",
    "quota_key", "role", "stacktrace", "http_write_exception_in_output_format", "close_session", "max_http_get_redirects", "framing", "http_response_buffer_size",
    "log_queries", "log_comment", "async_insert", "wait_for_async_insert", "async_insert_deduplicate", "use_client_time_zone", "client_name", "client_version",
    "send_logs_level", "query_profiler_real_time_period_ns", "async_insert_busy_timeout_ms", "async_insert_max_data_size",
})  # fmt: skip
"""Parameters that are about the connection; an insert is always acknowledged when it is on the disk, so `async_insert` is among them."""

_SETTING = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)

SAFE_SETTINGS = re.compile(
    r"""output_format_(json|native|arrow|parquet|csv|tsv|pretty|binary|markdown|orc|values)_\w+ | output_format_(write_statistics|decimal_trailing_zeros|parallel_formatting)
    | date_time_(input|output)_format | cast_string_to_dynamic_use_inference | join_use_nulls | extremes | max_threads | max_block_size | session_timezone
    | format_csv_(delimiter|null_representation) | format_tsv_null_representation | bool_(true|false)_representation | use_uncompressed_cache | limit | offset
    | (max|timeout)_(rows|bytes|execution_speed)_to_(read|group_by|sort) | (read|group_by|sort|timeout|result)_overflow_mode | prefer_column_name_to_alias
    | allow_experimental_\w*type\w* | allow_suspicious_\w+ | input_format_(native|json)_\w+ | use_query_cache | optimize_\w+ | max_query_size | connect_timeout | receive_timeout
    | send_timeout | union_default_mode | aggregate_functions_null_for_empty | enable_json_type | describe_\w+ | asterisk_\w+ | format_binary_max_\w+""",
    re.VERBOSE,
)
"""What a read-only client may set: how a result looks, and limits that only shrink it. None of them names a file or another machine."""

_LIMITS = {"max_execution_time": "seconds", "max_memory_usage": "memory", "max_result_rows": "rows"}

DEFAULT_SETTINGS: Mapping[str, str] = {
    # Acknowledged means stored; a server from 26.2 on would gather inserts first.
    "async_insert": "0",
    "max_query_size": str(1 << 20),
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    # The expressions in VALUES would be computed without anybody having looked at them; see Guard.harmless_values.
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
}

INTERPRETING = {
    "input_format_values_interpret_expressions": "1",
    "input_format_values_deduce_templates_of_expressions": "1",
}
"""For VALUES that were looked at."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """One request's URL and headers. `settings` are the engine's, not checked yet."""

    query: str
    database: str
    format: str
    query_id: str
    user: str
    password: str
    values: Mapping[str, str]
    settings: Mapping[str, str]
    compressed: bool
    wait_end: bool
    protocol: int


def read_parameters(url: bytes, headers: Mapping[str, str]) -> Parameters:
    """Read a query string and headers (names in lower case). Raises QueryError for what is not spoken here."""
    given = dict(parse_qsl(url.decode("latin-1"), keep_blank_values=True))
    for name in ("compress", "decompress"):
        if _switch(given.get(name, "0")):
            raise QueryError(
                f"{name}=1 (blocks in ClickHouse's own compression) is not supported here: use HTTP compression (gzip, zstd, lz4)",
                code=NOT_IMPLEMENTED,
            )
    user, password = _credentials(given, headers)
    query_id = given.get("query_id") or headers.get("x-clickhouse-query-id", "")
    return Parameters(
        given.get("query", ""),
        given.get("database") or headers.get("x-clickhouse-database", ""),
        given.get("default_format") or headers.get("x-clickhouse-format", ""),
        re.sub(r"[^\w.:/+=@-]", "", query_id)[:200] or str(uuid.uuid4()),
        user,
        password,
        {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")},
        {k: v for k, v in given.items() if k not in _TRANSPORT and not k.startswith("param_")},
        _switch(given.get("enable_http_compression", "0")),
        _switch(given.get("wait_end_of_query", "0")),
        int(protocol) if re.fullmatch("[0-9]{1,9}", protocol := given.get("client_protocol_version", "")) else 0,
    )


def _switch(text: str) -> bool:
    return text.lower() in {"1", "true"}


def _credentials(given: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise QueryError("Invalid HTTP Basic authentication", code=WRONG_PASSWORD) from error
        return user or DEFAULT, password
    if scheme and scheme.lower() != "never":
        raise QueryError(f"Authentication by {scheme} is not supported here", code=WRONG_PASSWORD)
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user") or DEFAULT, headers.get("x-clickhouse-key", "")
    return given.get("user") or DEFAULT, given.get("password", "")


def settings_for(user: User, asked: Mapping[str, str], texts: Set[str]) -> tuple[dict[str, str], bool]:
    """The settings of this user's statement, and whether it asked to be read-only. Raises QueryError for what may not be set.

    `texts`: the engine's settings that are a text.
    """
    made = {**DEFAULT_SETTINGS, **user.limits.settings()}
    readonly = False
    for name, value in asked.items():
        if not _SETTING.fullmatch(name):
            raise QueryError(f"Unknown setting {name!r}", code=UNKNOWN_SETTING)
        if name == "readonly" and value in {"1", "2"}:
            readonly = True
        elif name in _LIMITS:
            made[name] = _smaller(name, value, user.limits)
        elif name == "max_threads" and user.may.readonly:
            made[name] = str(min(_whole(name, value), os.cpu_count() or 1))
        elif unsafe_setting(name, texts) or (user.may.readonly and not SAFE_SETTINGS.fullmatch(name)):
            raise QueryError(
                f"Cannot modify '{name}' setting in readonly mode"
                if user.may.readonly
                else f"Setting {name} may not be changed here",
                code=READONLY,
            )
        else:
            made[name] = value
    return made, readonly


def _whole(name: str, value: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", value):
        raise QueryError(f"Setting {name}: {value!r} is no number", code=BAD_ARGUMENTS)
    return int(value)


def _smaller(name: str, value: str, limits: Limits) -> str:
    """What was asked for, at most what the user may have."""
    most: int = getattr(limits, _LIMITS[name])
    try:
        asked = float(value)
    except ValueError as error:
        raise QueryError(f"Setting {name}: {value!r} is no number", code=BAD_ARGUMENTS) from error
    if asked < 0:
        raise QueryError(f"Setting {name}: {value!r} is less than nothing", code=BAD_ARGUMENTS)
    return value if asked and (not most or asked <= most) else str(most)
