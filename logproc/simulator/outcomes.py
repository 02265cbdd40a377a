"""How a call can end, and what the proxies on its two sides print then.

Codes, details and transport reasons are Envoy's; the sizes are those of the bodies it makes itself.
"""

from __future__ import annotations

from dataclasses import dataclass

MISSING = "-"
"""What Envoy's text formats print for a value that there is none of."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One side's view of a call. `code` and `sent` of -1: what the application answered."""

    code: int = -1
    flags: str = MISSING
    details: str = "via_upstream"
    reason: str = MISSING
    """Transport failure reason."""
    body: str | None = None
    """Body that Envoy answered with; None: the application's."""
    host: bool = True
    """An upstream host was chosen."""
    connected: bool = True
    """There is a connection to it, hence a local address."""
    answered: bool = True
    """The upstream sent response headers, hence a service time."""
    routed: bool = True
    """A route, hence a cluster, was found."""


SERVED, REFUSED, RETRIED, TIMED_OUT, LEFT, DELAYED, REPEATED = (
    "served",
    "refused",
    "retried",
    "timed out",
    "left",
    "delayed",
    "repeated",
)
"""Courses: reaches the server; ends at once on the client's side; ends there after vain connects; runs into the time-out;
the client goes away; the client's proxy waits first; the server fails three times."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ends: what the client's and the server's proxy print. No `server`: the request never reached it."""

    name: str
    course: str = SERVED
    client: Reply = Reply()
    server: Reply | None = Reply()
    calls_on: bool = True
    """The callee makes its own calls before it answers."""


_CONNECT = "delayed_connect_error:_Connection_refused"
_TLS = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end"
_RESET = "upstream_reset_before_response_started"
_REMOTE = "remote_connection_failure"
_RESET_BODY = "upstream connect error or disconnect/reset before headers. "
_RETRIED_BODY = _RESET_BODY + "retried and the latest "


def _local(code: int, flags: str, details: str, body: str, reason: str = MISSING, **seen: bool) -> Reply:
    seen = {"host": False, "connected": False} | seen
    return Reply(code, flags, details, reason, body, answered=False, **seen)


_FAILED = Reply(503, body=_RESET_BODY + "reset reason: connection termination")

_ALL = (
    Outcome("ok"),
    Outcome("app_404", client=Reply(404, body="x" * 153), server=Reply(404, body="x" * 153), calls_on=False),
    Outcome("app_403", client=Reply(403, body="x" * 23), server=Reply(403, body="x" * 23), calls_on=False),
    Outcome("app_500", client=Reply(500, body="x" * 291), server=Reply(500, body="x" * 291)),
    Outcome(
        "UF",
        RETRIED,
        _local(
            503,
            "URX,UF",
            f"{_RESET}{{{_REMOTE}|{_CONNECT}}}",
            f"{_RETRIED_BODY}reset reason: remote connection failure, transport failure reason: {_CONNECT}",
            _CONNECT,
            host=True,
        ),
        None,
    ),
    Outcome(
        "UF_tls",
        RETRIED,
        _local(
            503,
            "UF,URX",
            f"{_RESET}{{{_REMOTE}|{_TLS}}}",
            f"{_RETRIED_BODY}reset reason: remote connection failure, transport failure reason: {_TLS}",
            _TLS,
            host=True,
        ),
        None,
    ),
    Outcome(
        "UF_app",
        client=Reply(
            503, body=f"{_RESET_BODY}reset reason: remote connection failure, transport failure reason: {_CONNECT}"
        ),
        server=_local(
            503,
            "UF",
            f"{_RESET}{{{_REMOTE}|{_CONNECT}}}",
            f"{_RESET_BODY}reset reason: remote connection failure, transport failure reason: {_CONNECT}",
            _CONNECT,
            host=True,
        ),
        calls_on=False,
    ),
    Outcome(
        "UC",
        client=_FAILED,
        server=_local(503, "UC", f"{_RESET}{{connection_termination}}", _FAILED.body or "", host=True, connected=True),
        calls_on=False,
    ),
    Outcome(
        "UC_race",
        RETRIED,
        _local(503, "UC", f"{_RESET}{{connection_termination}}", _FAILED.body or "", host=True, connected=True),
        None,
    ),
    Outcome("UH", REFUSED, _local(503, "UH", "no_healthy_upstream", "no healthy upstream"), None),
    Outcome("NR", REFUSED, _local(404, "NR", "route_not_found", "", routed=False), None),
    Outcome("NC", REFUSED, _local(503, "NC", "cluster_not_found", "", routed=False), None),
    Outcome(
        "UO",
        REFUSED,
        _local(503, "UO", f"{_RESET}{{overflow}}", f"{_RESET_BODY}reset reason: overflow"),
        None,
    ),
    Outcome("FI", REFUSED, _local(503, "FI", "fault_filter_abort", "fault filter abort"), None),
    Outcome("DI", DELAYED, Reply(flags="DI")),
    Outcome(
        "UT",
        TIMED_OUT,
        _local(504, "UT", "upstream_response_timeout", "upstream request timeout", host=True, connected=True),
        _local(0, "DC", "downstream_remote_disconnect", "", host=True, connected=True),
    ),
    Outcome(
        "URX",
        REPEATED,
        Reply(503, "URX", body="x" * 95),
        Reply(503, body="x" * 95),
        calls_on=False,
    ),
    Outcome(
        "DC",
        LEFT,
        _local(0, "DC", "downstream_remote_disconnect", "", host=True, connected=True),
        _local(0, "DC", "downstream_remote_disconnect", "", host=True, connected=True),
    ),
    Outcome(
        "RL",
        client=Reply(429, body="local_rate_limited"),
        server=_local(429, "RL", "local_rate_limited", "local_rate_limited"),
        calls_on=False,
    ),
    Outcome(
        "RBAC",
        client=Reply(403, body="RBAC: access denied"),
        server=_local(403, MISSING, "rbac_access_denied_matched_policy[none]", "RBAC: access denied"),
        calls_on=False,
    ),
)
OUTCOMES: dict[str, Outcome] = {o.name: o for o in _ALL}
