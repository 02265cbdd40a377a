"""Errors, codes and headers as a ClickHouse server writes them."""

from __future__ import annotations

import json
import re
import secrets

from logproc.errors import QueryError
from logproc.serve.engine import Outcome

_NAMES = {
    36: "BAD_ARGUMENTS", 46: "UNKNOWN_FUNCTION", 48: "NOT_IMPLEMENTED", 62: "SYNTAX_ERROR", 89: "UNKNOWN_COMPRESSION_METHOD", 115: "UNKNOWN_SETTING",
    159: "TIMEOUT_EXCEEDED", 164: "READONLY", 192: "UNKNOWN_USER", 194: "REQUIRED_PASSWORD", 202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    210: "NETWORK_ERROR", 241: "MEMORY_LIMIT_EXCEEDED", 271: "CANNOT_DECOMPRESS", 307: "TOO_MANY_BYTES", 394: "QUERY_WAS_CANCELLED", 497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED", 81: "UNKNOWN_DATABASE", 1002: "UNKNOWN_EXCEPTION",
}  # fmt: skip
_NAMED = re.compile(r"\([A-Z][A-Z0-9_]+\)\s*$")

_STATUS = {
    **dict.fromkeys((194,), 401),
    **dict.fromkeys((192, 193, 291, 497, 516), 403),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115), 404),
    **dict.fromkeys((6, 8, 10, 20, 26, 27, 32, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72, 89, 117, 131, 164, 271, 349, 427, 441, 456, 457), 400),
    48: 501, 159: 408, 202: 503, 307: 413,
}  # fmt: skip
"""What the codes are in HTTP, as ClickHouse maps them; all others are 500."""

_CONTENT_TYPES = {
    "JSON": "application/json", "JSONCompact": "application/json", "JSONStrings": "application/json", "JSONCompactStrings": "application/json",
    "JSONColumnsWithMetadata": "application/json", "JSONColumns": "application/json", "JSONObjectEachRow": "application/json",
    "JSONEachRow": "application/x-ndjson", "JSONLines": "application/x-ndjson", "NDJSON": "application/x-ndjson", "JSONCompactEachRow": "application/x-ndjson",
    "CSV": "text/csv", "CSVWithNames": "text/csv", "CSVWithNamesAndTypes": "text/csv", "XML": "application/xml", "Markdown": "text/markdown",
    "TabSeparated": "text/tab-separated-values", "TSV": "text/tab-separated-values", "TabSeparatedWithNames": "text/tab-separated-values",
    "TSVWithNames": "text/tab-separated-values", "TabSeparatedWithNamesAndTypes": "text/tab-separated-values", "Arrow": "application/vnd.apache.arrow.file",
    "ArrowStream": "application/vnd.apache.arrow.stream", "Parquet": "application/vnd.apache.parquet", "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream", "RowBinaryWithNamesAndTypes": "application/octet-stream",
}  # fmt: skip

TAG_BYTES = 8


def status_of(code: int) -> int:
    """The HTTP status of an error code."""
    return _STATUS.get(code, 500)


def content_type(format: str) -> str:
    """Of one of the engine's formats."""
    return f"{_CONTENT_TYPES.get(format, 'text/plain')}; charset=UTF-8"


def error_text(error: QueryError, version: str) -> str:
    """`Code: 62. DB::Exception: Syntax error ... (SYNTAX_ERROR) (version 26.9.2.1)`."""
    code = error.code or 1002
    name = "" if _NAMED.search(error.message) else f" ({_NAMES.get(code, 'UNKNOWN_EXCEPTION')})"
    hint = f" {error.hint}." if error.hint else ""
    return f"Code: {code}. DB::Exception: {error.message}{'.' if hint and not error.message.endswith('.') else ''}{hint}{name} (version {version})\n"


def exception_tag() -> str:
    """What marks an error in the middle of one result; random, so that no row can forge it."""
    return secrets.token_hex(TAG_BYTES)


def late_error(text: str, tag: str) -> bytes:
    """The end of a result that failed after its headers were sent."""
    message = text.rstrip("\n").encode() + b"\n"
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (
        tag.encode(),
        message,
        len(message),
        tag.encode(),
    )


def summary(outcome: Outcome) -> str:
    """The content of X-ClickHouse-Summary: numbers as texts, as servers send them."""
    return json.dumps({
        "read_rows": str(outcome.read_rows),
        "read_bytes": str(outcome.read_bytes),
        "written_rows": str(outcome.written_rows),
        "written_bytes": str(outcome.written_bytes),
        "total_rows_to_read": str(outcome.read_rows),
        "result_rows": str(outcome.result_rows or outcome.written_rows),
        "result_bytes": str(outcome.written_bytes),
        "elapsed_ns": str(int(outcome.seconds * 1e9)),
    }, separators=(",", ":"))  # fmt: skip
