"""What the keys of a JSON access log mean. Keys are chosen by whoever wrote the template, so many names lead to one column.

Names: Istio's 24 keys of every release, Envoy Gateway's, and what people call the same operators in templates they publish.
A template that is given outranks the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from parsers.format_string import Operator, Template
from parsers.joints import TOGETHER
from parsers.operators import NUMBER_COLUMNS, PORT_COLUMN, Kind

_SYNONYMS = {
    "timestamp": "start_time start_time_local system_time request_start_time start timestamp time time_local datetime",
    "method": "method http_method request_method req_method request_command",
    "path": "path x_envoy_original_path x_envoy_origin_path original_path request_path req_path http_path uri request_uri request_url url",
    "protocol": "protocol http_protocol request_protocol http_version",
    "response_code": "response_code status_code http_status_code http_status response_status status code",
    "response_flags": "response_flags response_flag respflags resp_flags response_flags_long",
    "response_code_details": "response_code_details response_code_detail response_details",
    "connection_termination_details": "connection_termination_details",
    "upstream_transport_failure_reason": "upstream_transport_failure_reason transport_failure_reason upstream_failure_reason",
    "bytes_received": "bytes_received request_size request_bytes bytes_in",
    "bytes_sent": "bytes_sent response_size response_bytes bytes_out",
    "duration_ms": "duration duration_ms total_duration client_duration",
    "upstream_service_time_ms": "upstream_service_time x_envoy_upstream_service_time resp_x_envoy_upstream_service_time"
    " upstream_service_time_ms resp_backend_service_time backend_service_time",
    "request_id": "request_id x_request_id req_x_request_id",
    "trace_id": "trace_id x_b3_traceid x_b3_trace_id b3_trace_id traceid",
    "user_agent": "user_agent req_user_agent http_user_agent useragent",
    "x_forwarded_for": "x_forwarded_for req_x_forwarded_for xff forwarded_for",
    "authority": "authority req_authority request_authority http_authority host http_host",
    "upstream_cluster": "upstream_cluster upstream_cluster_raw upstream_cluster_name upstream_name backend_cluster",
    "upstream_host": "upstream_host upstream_remote_address upstream_address backend_host",
    "upstream_local_address": "upstream_local_address upstream_local_address_without_port",
    "downstream_local_address": "downstream_local_address downstream_local_address_without_port",
    "downstream_remote_address": "downstream_remote_address downstream_remote_address_without_port downstream_address client_address"
    " remote_address remote_addr remote_ip client_ip",
    "requested_server_name": "requested_server_name sni tls_sni",
    "route_name": "route_name route",
}
_COLUMN = {name: (column, rank) for column, names in _SYNONYMS.items() for rank, name in enumerate(names.split())}

_ENVOYS = {
    "response_flags", "response_code_details", "connection_termination_details", "upstream_transport_failure_reason",
    "upstream_service_time_ms", "upstream_cluster", "upstream_host", "upstream_local_address", "downstream_local_address",
    "downstream_remote_address", "requested_server_name", "route_name",
}  # fmt: skip
"""Columns that say that a proxy speaks: an application's own request log has no such keys."""
_SURE_ENVOYS = {"response_flags", "response_code_details", "upstream_cluster"}
_REQUESTS = {"timestamp", "method", "response_code"}
_MESSAGES = {"level", "severity", "lvl", "msg", "message", "logger", "log_level"}
"""Keys of messages: an object with one of them is an access log only where a key is surely Envoy's."""

_KINDS = {
    "timestamp": Kind.TIME,
    "method": Kind.METHOD,
    "path": Kind.PATH,
    "protocol": Kind.PROTOCOL,
    "response_flags": Kind.FLAGS,
    "upstream_cluster": Kind.CLUSTER,
    "requested_server_name": Kind.SNI,
    "request_id": Kind.REQUEST_ID,
    "trace_id": Kind.TEXT,
} | dict.fromkeys(NUMBER_COLUMNS, Kind.NUMBER) | dict.fromkeys(PORT_COLUMN, Kind.ADDRESS)  # fmt: skip


_WORDS = {Kind.METHOD, Kind.PROTOCOL, Kind.FLAGS, Kind.CLUSTER, Kind.SNI, Kind.WORD}
_FEW = {"response_code"}
"""Columns of another kind whose values are few all the same."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The column a key fills and how its text becomes a value; of several keys for one column the one of lowest rank counts."""

    column: str
    kind: Kind
    rank: int
    argument: str | None = None
    """The operator's argument, where a template names one: how `%START_TIME(...)%` prints."""


_HUMP = re.compile("(?<=[a-z0-9])(?=[A-Z])")


class Keys:
    """The meaning of keys, by the table or, where one is given, by a template: key to value as in Envoy's configuration, objects nested."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = dict(_bound(template, "")) if template is not None else None
        self.meaning = lru_cache(4096)(self._meaning)

    def _meaning(self, key: str) -> Meaning | None:
        return self._template.get(key) if self._template is not None else _of_name(key)

    def group(self, key: str) -> int | None:
        """Keys of one group have few distinct texts together; None where a key's values are many."""
        meaning = self.meaning(key)
        if meaning is None or (meaning.kind not in _WORDS and meaning.column not in _FEW):
            return None
        return next((i for i, columns in enumerate(TOGETHER) if meaning.column in columns), len(TOGETHER))

    def is_access_log(self, keys: Iterable[str]) -> bool:
        """Whether an object with these keys is an access log, and no message of a program."""
        names = list(keys)
        if self._template is not None:
            return sum(n in self._template for n in names) >= min(3, len(self._template))
        columns = {m.column for m in map(self.meaning, names) if m is not None}
        envoys = columns & _ENVOYS
        if any(_plain(n) in _MESSAGES for n in names):
            return len(columns) >= 3 and bool(columns & _SURE_ENVOYS)
        return len(envoys) >= 2 or (len(columns) >= 3 and bool(envoys or columns & _REQUESTS))


def _plain(key: str) -> str:
    """`httpMethod`, `http-method`, `:method`: one spelling."""
    return _HUMP.sub("_", key.lstrip(":")).replace("-", "_").replace(".", "_").lower()


def _of_name(key: str) -> Meaning | None:
    found = _COLUMN.get(_plain(key))
    if found is None:
        return None
    column, rank = found
    # `response_code` before `responseCode` and the like, so that any two keys have an order.
    return Meaning(column, _KINDS.get(column, Kind.WORD), 2 * rank + (_plain(key) != key))


def _bound(template: Template, prefix: str) -> Iterator[tuple[str, Meaning | None]]:
    """Every key of a template, nested ones joined with `.`; None where its value is more than one operator."""
    for key, value in template.items():
        if isinstance(value, Mapping):
            yield from _bound(value, f"{prefix}{key}.")
        else:
            parts = [p for p in value if isinstance(p, Operator) or p.strip(" []")] if isinstance(value, tuple) else []
            one = parts[0] if len(parts) == 1 else None
            yield f"{prefix}{key}", _of_operator(one) if isinstance(one, Operator) else None


def _of_operator(operator: Operator) -> Meaning | None:
    meaning = operator.meaning
    # Two keys with one operator: the one that comes first by name counts.
    return Meaning(meaning.column, meaning.kind, 0, operator.argument) if meaning.column else None
