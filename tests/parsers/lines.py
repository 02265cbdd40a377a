"""Lines as Envoy prints them: the texts of a format's fields put together, without any escaping."""

from __future__ import annotations

from collections.abc import Mapping

from parsers.fields import Field, fields
from parsers.format_string import Format

TIME = "2026-11-21T10:15:42.123Z"

TEXTS = {
    "timestamp": TIME,
    "method": "GET",
    "path": "/reviews/7?full=1",
    "protocol": "HTTP/1.1",
    "response_code": "200",
    "response_flags": "-",
    "response_code_details": "via_upstream",
    "connection_termination_details": "-",
    "upstream_transport_failure_reason": "-",
    "bytes_received": "12",
    "bytes_sent": "4183",
    "duration_ms": "35",
    "upstream_service_time_ms": "27",
    "x_forwarded_for": "-",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/134.0",
    "request_id": "5c82d8bc-2a15-9a25-81bf-c567fe990e6d",
    "authority": "reviews:9080",
    "upstream_host": "10.244.1.14:9080",
    "upstream_cluster": "outbound|9080|v2|reviews.shop.svc.cluster.local",
    "upstream_local_address": "10.244.2.19:38918",
    "downstream_local_address": "10.96.94.35:9080",
    "downstream_remote_address": "10.244.2.19:39764",
    "requested_server_name": "-",
    "route_name": "default",
}
"""What a client's line of Istio prints, by column."""


def render(format: Format, texts: Mapping[str, str] | None = None) -> str:
    """One line: `texts` by column, or by operator where it has none, over TEXTS."""
    all_texts = TEXTS | dict(texts or {})
    return "".join(
        part if isinstance(part, str) else all_texts.get(part.column or part.key, "-") for part in fields(format)
    )


def field_names(format: Format) -> list[str]:
    """The name of each field: its column, or its operator."""
    return [part.column or part.key for part in fields(format) if isinstance(part, Field)]
