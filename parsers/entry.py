"""One access-log line as an object: for scripts and notebooks that read a line here and there; many lines are `parse_lines`' work."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from threading import local
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from logproc.columns import ACCESS_LOG_TABLE
from logproc.model import ACCESS_LOG, PLAIN, ROW_TABLES, Parser, Text
from parsers import AUTO, open_parser
from parsers.arrow import Batch
from parsers.format_string import Format

MOST_PARSERS = 16
"""Formats whose parsers are kept."""


class NotAccessLogError(ValueError):
    """The line is no access log: `table` is where it would go instead, `reason` why it was rejected ('' for a message)."""

    def __init__(self, table: str, reason: str) -> None:
        why = f"it begins like an access log and cannot be read ({reason})" if reason else "it is a message"
        super().__init__(f"this line is no access log: {why}")
        self.table, self.reason = table, reason


def _column(name: str) -> Any:
    column = ACCESS_LOG_TABLE.column(name)
    operator = f" (%{column.operator}%)" if column.operator else ""
    return Field(default=None, description=column.meaning + operator)


class AccessLogEntry(BaseModel):
    """One access-log line. The fields are the columns of `access_log` that a line tells; None: missing (`-`), or not proved (see `doubt`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timestamp: datetime | None = _column("timestamp")
    log_type: Literal["http", "tcp", "l4"] | None = _column("log_type")
    method: str | None = _column("method")
    authority: str | None = _column("authority")
    path: str | None = _column("path")
    path_template: str | None = _column("path_template")
    protocol: str | None = _column("protocol")
    response_code: int | None = _column("response_code")
    response_flags: str | None = _column("response_flags")
    response_code_details: str | None = _column("response_code_details")
    connection_termination_details: str | None = _column("connection_termination_details")
    upstream_transport_failure_reason: str | None = _column("upstream_transport_failure_reason")
    bytes_received: int | None = _column("bytes_received")
    bytes_sent: int | None = _column("bytes_sent")
    duration_ms: int | None = _column("duration_ms")
    upstream_service_time_ms: int | None = _column("upstream_service_time_ms")
    request_id: UUID | None = _column("request_id")
    request_id_other: str | None = _column("request_id_other")
    trace_id: str | None = _column("trace_id")
    user_agent: str | None = _column("user_agent")
    x_forwarded_for: str | None = _column("x_forwarded_for")
    upstream_cluster: str | None = _column("upstream_cluster")
    direction: str | None = _column("direction")
    upstream_port: int | None = _column("upstream_port")
    upstream_subset: str | None = _column("upstream_subset")
    upstream_service: str | None = _column("upstream_service")
    upstream_host: str | None = _column("upstream_host")
    upstream_local_address: str | None = _column("upstream_local_address")
    upstream_local_port: int | None = _column("upstream_local_port")
    downstream_local_address: str | None = _column("downstream_local_address")
    downstream_remote_address: str | None = _column("downstream_remote_address")
    downstream_remote_port: int | None = _column("downstream_remote_port")
    requested_server_name: str | None = _column("requested_server_name")
    route_name: str | None = _column("route_name")
    doubt: str | None = _column("doubt")
    extra: dict[str, str] = Field(default_factory=dict, description=ACCESS_LOG_TABLE.column("extra").meaning)

    @property
    def is_sure(self) -> bool:
        """The line fits its format in exactly one way."""
        return self.doubt is None

    @property
    def flags(self) -> frozenset[str]:
        """The response flags as a set of short names; empty for none."""
        return frozenset(self.response_flags.split(",")) if self.response_flags else frozenset()


def parse_line(line: str | bytes, format: str | Format = AUTO) -> AccessLogEntry:
    """Read one access-log line (a newline at its end is no part of it). Raises NotAccessLogError for any other line, ConfigError for a
    format that is none.

    Each call detects the line's format anew; `parse_lines` is a hundred times faster where lines are many.
    """
    raw = (line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line).rstrip(b"\r\n")
    if b"\n" in raw:
        raise ValueError("there is more than one line: parse_lines reads many")
    # A stream of its own: what one line was says nothing about the next.
    parsed = _parser(format).parse([Text(next(_STREAMS), PLAIN, raw + b"\n", 1)])
    table = next(t for t in ROW_TABLES if t in parsed.tables and parsed.tables[t].num_rows)
    if table != ACCESS_LOG:
        reason = parsed.tables[table].to_pylist()[0].get("reason") or ""
        raise NotAccessLogError(table, reason)
    return _entry(parsed.tables[table])


_STREAMS = count()
_PARSERS = local()


def _parser(format: str | Format) -> Parser:
    """A parser of this thread, made once for each of the last formats."""
    known: dict[str | Format, Parser] = _PARSERS.__dict__.setdefault("known", {})
    if format not in known:
        if len(known) >= MOST_PARSERS:
            known.clear()
        known[format] = open_parser(format)
    return known[format]


def _entry(batch: Batch) -> AccessLogEntry:
    row = {k: v for k, v in batch.to_pylist()[0].items() if v is not None and k in AccessLogEntry.model_fields}
    if "request_id" in row:
        row["request_id"] = UUID(bytes=row["request_id"])
    return AccessLogEntry(**row | {"extra": dict(row.get("extra", ()))})
