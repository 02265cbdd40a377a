"""What a reader must find in each access-log line: rows made from the simulated values, not from the printed text.

Written apart from the parsers on purpose, so that it can be their judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from logproc.simulator.lines import Fields
from logproc.simulator.outcomes import MISSING
from logproc.simulator.render import LONG_FLAGS, Renderer, time_digits
from logproc.simulator.values import time_texts
from parsers.format_string import Operator

Row = dict[str, Any]

_SNI = re.compile(r"outbound_\.(?P<port>[0-9]+)_\.(?P<subset>.*)_\.(?P<host>[^_]+)")
_TEXT_COLUMNS = {
    "PROTOCOL": "protocol",
    "RESPONSE_CODE": "response_code",
    "RESPONSE_CODE_DETAILS": "response_code_details",
    "CONNECTION_TERMINATION_DETAILS": "connection_termination_details",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "upstream_transport_failure_reason",
    "BYTES_RECEIVED": "bytes_received",
    "BYTES_SENT": "bytes_sent",
    "DURATION": "duration_ms",
    "UPSTREAM_HOST": "upstream_host",
    "UPSTREAM_REMOTE_ADDRESS": "upstream_host",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local_address",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": "upstream_local_address",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "downstream_remote_address",
    "ROUTE_NAME": "route_name",
    "PATH": "path",
    "REQUESTED_SERVER_NAME": "requested_server_name",
    "TRACE_ID": "trace_id",
}
_NUMBER_COLUMNS = {"UPSTREAM_LOCAL_PORT": "upstream_local_port", "DOWNSTREAM_REMOTE_PORT": "downstream_remote_port"}
_HEADER_COLUMNS = {
    ":METHOD": "method",
    ":PATH": "path",
    ":AUTHORITY": "authority",
    "HOST": "authority",
    "USER-AGENT": "user_agent",
    "X-FORWARDED-FOR": "x_forwarded_for",
    "X-B3-TRACEID": "trace_id",
}


def access_rows(renderer: Renderer, fields: Fields, rows: int) -> list[Row]:
    """The `access_log` row of each line: table, log_type and every column that the format prints and that is not missing."""
    http = _tells_http(renderer, fields, rows)
    out: list[Row] = [{"table": "access_log", "log_type": "http" if told else "tcp"} for told in http]
    for operator, key in _operators(renderer):
        if operator.command.startswith("START_TIME"):
            _put_times(out, operator, fields)
            continue
        values = renderer.values(operator, fields, rows)
        put = _writer(operator)
        for at, row in enumerate(out):
            value = values if isinstance(values, str) else values[at]
            if value in (MISSING, None):
                continue
            if put is None:
                row.setdefault("extra", {})[key] = str(value)
            else:
                put(row, value)
                if operator.command in ("REQ", "PATH", "REQUEST_HEADER") and row.get("path") == value:
                    row["path_template"] = (
                        fields["template"] if isinstance(fields["template"], str) else fields["template"][at]
                    )
    for row in out:
        _tell_caller(row)
    return out


def _tells_http(renderer: Renderer, fields: Fields, rows: int) -> list[bool]:
    """A request line that is not all missing; where the format prints none, an answer; where it prints neither, nothing does."""
    texts = [operator.text for operator, _ in _operators(renderer)]
    if any(":METHOD" in t or "PATH" in t or "PROTOCOL" in t for t in texts):
        return [fields["method"] != MISSING] * rows
    if "%RESPONSE_CODE%" in texts:
        return [code > 0 for code in fields["code"]]
    return [False] * rows


def _operators(renderer: Renderer) -> Iterator[tuple[Operator, str]]:
    """Each operator with the key under which `extra` keeps it."""
    if renderer.format.json is None:
        for part in renderer.format.parts:
            if isinstance(part, Operator):
                yield part, part.name
        return
    yield from _keyed(renderer.format.json, "")


def _keyed(template: Mapping[str, Any], before: str) -> Iterator[tuple[Operator, str]]:
    for key, value in template.items():
        if isinstance(value, Mapping):
            yield from _keyed(value, f"{before}{key}.")
        elif isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], Operator):
            yield value[0], before + key


def _put_times(out: list[Row], operator: Operator, fields: Fields) -> None:
    digits = min(time_digits(operator.argument or ""), 6)
    unit = 10 ** (6 - digits)
    for row, text in zip(out, time_texts(fields["start"] // unit * unit, 6), strict=True):
        row["timestamp"] = text


def _writer(operator: Operator) -> Callable[[Row, Any], None] | None:
    """What puts a value of that operator into its columns; None: it has none, and goes into `extra`."""
    command, argument = operator.command, (operator.argument or "").upper()
    if command in ("REQ", "REQUEST_HEADER"):
        argument = ":PATH" if argument.endswith(":PATH") else argument
        return _put_id if argument == "X-REQUEST-ID" else _by_name(_HEADER_COLUMNS.get(argument))
    if command in ("RESP", "RESPONSE_HEADER"):
        return _number("upstream_service_time_ms") if argument == "X-ENVOY-UPSTREAM-SERVICE-TIME" else None
    if command in _NUMBER_COLUMNS:
        return _number(_NUMBER_COLUMNS[command])
    return _STRUCTURED.get(command) or _by_name(_TEXT_COLUMNS.get(command))


def _by_name(name: str | None) -> Callable[[Row, Any], None] | None:
    return None if name is None else _column(name)


def _column(name: str) -> Callable[[Row, Any], None]:
    def put(row: Row, value: Any) -> None:
        row[name] = value

    return put


def _number(name: str) -> Callable[[Row, Any], None]:
    def put(row: Row, value: Any) -> None:
        row[name] = int(value)

    return put


def _address(name: str) -> Callable[[Row, Any], None]:
    def put(row: Row, value: Any) -> None:
        host, _, port = value.rpartition(":")
        row[f"{name}_address"], row[f"{name}_port"] = host, int(port)

    return put


def _put_id(row: Row, value: str) -> None:
    row["request_id" if len(value) == 36 else "request_id_other"] = value


def _put_flags(row: Row, value: str) -> None:
    row["response_flags"] = ",".join(sorted(value.split(",")))


def _put_long_flags(row: Row, value: str) -> None:
    short = {long: name for name, long in LONG_FLAGS.items()}
    row["response_flags"] = ",".join(sorted(short[name] for name in value.split(",")))


def _put_cluster(row: Row, value: str) -> None:
    name = value.removesuffix(";")
    row["upstream_cluster"] = name
    parts = name.split("|")
    if name in ("PassthroughCluster", "BlackHoleCluster"):
        row["direction"] = "outbound"
    elif len(parts) == 4:
        row["direction"], row["upstream_port"] = parts[0], int(parts[1])
        if parts[2]:
            row["upstream_subset"] = parts[2]
        if parts[3]:
            row["upstream_service"] = parts[3]


def _tell_caller(row: Row) -> None:
    """On the server's side the cluster names neither subset nor service; the name that the caller asked for does."""
    found = _SNI.fullmatch(row.get("requested_server_name", ""))
    if found is None or row.get("direction") != "inbound":
        return
    if found["subset"]:
        row["upstream_subset"] = found["subset"]
    row["upstream_service"] = found["host"]


_STRUCTURED: dict[str, Callable[[Row, Any], None]] = {
    "RESPONSE_FLAGS": _put_flags,
    "RESPONSE_FLAGS_LONG": _put_long_flags,
    "UPSTREAM_CLUSTER": _put_cluster,
    "UPSTREAM_CLUSTER_RAW": _put_cluster,
    "UPSTREAM_LOCAL_ADDRESS": _address("upstream_local"),
    "DOWNSTREAM_REMOTE_ADDRESS": _address("downstream_remote"),
}
