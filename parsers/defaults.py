"""The formats people have without choosing one: every Istio release's text and JSON, Envoy's own, Envoy Gateway's.

Extracted from each release branch of istio/istio (`listener.go`, `accesslog.go`, `telemetry_logging.go`), from Envoy's
`substitution_formatter` and from envoyproxy/gateway. Names are what `--format` takes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from parsers.format_string import Format, compile_format

_PATH = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
_REQUEST = f'"%REQ(:METHOD)% {_PATH} %PROTOCOL%"'
_CODE = "%RESPONSE_CODE% %RESPONSE_FLAGS%"
_MIXER = '"%DYNAMIC_METADATA(istio.mixer:status)%"'
_FAILURE = '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'
_DETAILS = f"%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% {_FAILURE}"
_MIDDLE = (
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
    ' "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
_ADDRESSES = "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS%"
_TAIL = f"%UPSTREAM_CLUSTER% {_ADDRESSES}"
_SNI = "%REQUESTED_SERVER_NAME%"
_ROUTE = f"{_SNI} %ROUTE_NAME%"


@dataclass(frozen=True, slots=True)
class Default:
    """A format that something prints by default: its name, who prints it, its text."""

    name: str
    releases: str
    text: str

    @property
    def format(self) -> Format:
        """It, compiled."""
        return _compiled(self.text, self.name)


@cache
def _compiled(text: str, name: str) -> Format:
    return compile_format(text, name=name)


TEXT_DEFAULTS = (
    Default(
        "istio",
        "Istio 1.23 and later (T6)",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_DETAILS} {_MIDDLE} %UPSTREAM_CLUSTER_RAW% {_ADDRESSES} {_ROUTE}\n",
    ),
    Default(
        "istio-1.9",
        "Istio 1.9 to 1.22 (T5)",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_DETAILS} {_MIDDLE} {_TAIL} {_ROUTE}\n",
    ),
    Default(
        "istio-1.8", "Istio 1.8 (T4)", f"[%START_TIME%] {_REQUEST} {_CODE} {_FAILURE} {_MIDDLE} {_TAIL} {_ROUTE}\n"
    ),
    Default(
        "istio-1.3",
        "Istio 1.3 to 1.7 (T3)",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_MIXER} {_FAILURE} {_MIDDLE} {_TAIL} {_ROUTE}\n",
    ),
    Default(
        "istio-1.2",
        "Istio 1.2 (T2)",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_MIXER} {_FAILURE} {_MIDDLE} {_TAIL} {_SNI}\n",
    ),
    Default("istio-1.1", "Istio 1.1 (T1)", f"[%START_TIME%] {_REQUEST} {_CODE} {_MIXER} {_MIDDLE} {_TAIL} {_SNI}\n"),
    Default("envoy", "Envoy", f"[%START_TIME%] {_REQUEST} {_CODE} {_MIDDLE}\n"),
    Default(
        "envoy-details",
        "Envoy's default with the response-code details, as its examples have it",
        f"[%START_TIME%] {_REQUEST} {_CODE} %RESPONSE_CODE_DETAILS% {_MIDDLE}\n",
    ),
    Default(
        "istio-1.0-sni",
        "Istio 1.0.3 and later, 1.1 previews",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_MIDDLE} {_TAIL} {_SNI}\n",
    ),
    Default(
        "istio-1.0-blank",
        "Istio 1.0, with the blank after the path",
        f"[%START_TIME%] {_REQUEST} {_CODE} {_MIDDLE} {_TAIL}\n",
    ),
    Default(
        "istio-1.0",
        "Istio 1.0 (T0): no blank between path and protocol",
        f'[%START_TIME%] "%REQ(:METHOD)% {_PATH}%PROTOCOL%" {_CODE} {_MIDDLE} {_TAIL}\n',
    ),
    Default(
        "istio-1.0-tcp",
        "Istio 1.0 (T0), TCP",
        f'[%START_TIME%] %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%UPSTREAM_HOST%" {_TAIL}\n',
    ),
)
"""In the order in which they are tried: today's first. The first stands for Istio 1.9 too: both print the same shape."""


def _istio_json(*, policy: bool, failure: bool, route: bool, details: bool, cluster: str = "%UPSTREAM_CLUSTER%") -> str:
    keys = {
        "start_time": "%START_TIME%",
        "route_name": "%ROUTE_NAME%" if route else "",
        "method": "%REQ(:METHOD)%",
        "path": _PATH,
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%" if details else "",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%" if details else "",
        "istio_policy_status": "%DYNAMIC_METADATA(istio.mixer:status)%" if policy else "",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration": "%DURATION%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "authority": "%REQ(:AUTHORITY)%",
        "upstream_host": "%UPSTREAM_HOST%",
        "upstream_cluster": cluster,
        "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
        "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%" if failure else "",
    }
    return json.dumps({k: v for k, v in keys.items() if v})


_GATEWAY_JSON = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "x-envoy-origin-path": _PATH,
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "x-envoy-upstream-service-time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x-forwarded-for": "%REQ(X-FORWARDED-FOR)%",
    "user-agent": "%REQ(USER-AGENT)%",
    "x-request-id": "%REQ(X-REQUEST-ID)%",
    ":authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "route_name": "%ROUTE_NAME%",
}

JSON_DEFAULTS = (
    Default(
        "istio-json",
        "Istio 1.23 and later",
        _istio_json(policy=False, failure=True, route=True, details=True, cluster="%UPSTREAM_CLUSTER_RAW%"),
    ),
    Default("istio-1.9-json", "Istio 1.9 to 1.22", _istio_json(policy=False, failure=True, route=True, details=True)),
    Default("istio-1.8-json", "Istio 1.8", _istio_json(policy=False, failure=True, route=True, details=False)),
    Default("istio-1.3-json", "Istio 1.3 to 1.7", _istio_json(policy=True, failure=True, route=True, details=False)),
    Default("istio-1.2-json", "Istio 1.2", _istio_json(policy=True, failure=True, route=False, details=False)),
    Default("istio-1.1-json", "Istio 1.1", _istio_json(policy=True, failure=False, route=False, details=False)),
    Default("envoy-gateway", "Envoy Gateway", json.dumps(_GATEWAY_JSON)),
)

DEFAULTS = TEXT_DEFAULTS + JSON_DEFAULTS

ALIASES = {
    "T0": "istio-1.0",
    "T1": "istio-1.1",
    "T2": "istio-1.2",
    "T3": "istio-1.3",
    "T4": "istio-1.8",
    "T5": "istio-1.9",
    "T6": "istio",
}

_LAST_MINOR_BEFORE = (
    (9, "istio-1.9"),
    (8, "istio-1.8"),
    (3, "istio-1.3"),
    (2, "istio-1.2"),
    (1, "istio-1.1"),
    (0, "istio-1.0"),
)


def by_name(name: str) -> Format | None:
    """The format of that name: one of DEFAULTS, T0 to T6, or an Istio release such as `istio-1.24`; None where there is none."""
    name = ALIASES.get(name.upper(), name)
    for default in DEFAULTS:
        if default.name == name:
            return default.format
    return by_release(name.removeprefix("istio-")) if name.startswith("istio-") else None


def by_release(release: str) -> Format | None:
    """The text format of an Istio release such as `1.24` or `1.24.3`."""
    parts = release.split(".")
    if len(parts) not in (2, 3) or parts[0] != "1" or not all(p.isdecimal() for p in parts):
        return None
    minor = int(parts[1])
    found = "istio" if minor >= 23 else next(n for least, n in _LAST_MINOR_BEFORE if minor >= least)
    return by_name(found)
