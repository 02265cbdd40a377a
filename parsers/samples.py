"""A line of each known format, as its printer would write it: for people who compare it with what they have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parsers.defaults import Default
from parsers.fields import fields
from parsers.format_string import Operator
from parsers.operators import Kind
from parsers.values import MISSING

_TEXTS = {
    "timestamp": "2026-11-21T10:15:42.123Z",
    "method": "GET",
    "path": "/reviews/7?full=1",
    "protocol": "HTTP/1.1",
    "response_code": "503",
    "response_flags": "UF,URX",
    "response_code_details": "upstream_reset_before_response_started{connection_failure}",
    "bytes_received": "0",
    "bytes_sent": "91",
    "duration_ms": "35",
    "user_agent": "curl/8.16.0",
    "request_id": "5c82d8bc-2a15-9a25-81bf-c567fe990e6d",
    "authority": "reviews:9080",
    "upstream_host": "10.244.1.14:9080",
    "upstream_cluster": "outbound|9080|v2|reviews.shop.svc.cluster.local",
    "downstream_local_address": "10.96.94.35:9080",
    "downstream_remote_address": "10.244.2.19:39764",
    "route_name": "default",
}
"""A failed request as the client's proxy sees it, by column; what is not here is missing."""

_TYPED = {"istio-json", "istio-1.9-json", "istio-1.8-json"}
"""JSON formats of Envoys that print numbers as numbers and what is missing as null; older ones print text only."""


def sample(default: Default) -> str:
    """One line of a known format, without its newline."""
    template = default.format.json
    if template is not None:
        return json.dumps(_members(template, typed=default.name in _TYPED), separators=(",", ":"))
    return "".join(p if isinstance(p, str) else _TEXTS.get(p.column, MISSING) for p in fields(default.format))


def _members(template: Mapping[str, Any], *, typed: bool) -> dict[str, Any]:
    return {key: _value(parts[0], typed=typed) for key, parts in template.items()}


def _value(operator: Operator, *, typed: bool) -> Any:
    meaning = operator.meaning
    text = _TEXTS.get(meaning.column, MISSING)
    if not typed:
        return text
    if text == MISSING:
        return None
    return int(text) if meaning.kind is Kind.NUMBER else text
