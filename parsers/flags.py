"""What Envoy's response flags (see `logproc.response_flags`) and response-code details mean."""

from __future__ import annotations

from dataclasses import dataclass

from logproc.response_flags import RESPONSE_FLAGS, SHORT_NAMES, Flag

__all__ = ["RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "SHORT_NAMES", "Detail", "Flag"]


@dataclass(frozen=True, slots=True)
class Detail:
    """One value of the response-code details: who answered, and why."""

    name: str
    answered_by: str
    meaning: str


_DETAILS = (
    Detail("via_upstream", "application", "the application answered; the mesh only passed it on"),
    Detail("direct_response", "proxy", "a route answers by itself: a redirect, a direct response, or BlackHoleCluster (REGISTRY_ONLY egress)"),
    Detail("route_not_found", "proxy", "no route matched (flag NR): hosts and matches of VirtualService and Gateway"),
    Detail("cluster_not_found", "proxy", "the route's cluster does not exist (flag NC): a subset without DestinationRule"),
    Detail("filter_chain_not_found", "proxy", "no filter chain matched the connection (flag NR): wrong port, SNI, or plain text to strict mTLS"),
    Detail("no_healthy_upstream", "proxy", "no endpoint to send to (flag UH)"),
    Detail("maintenance_mode", "proxy", "the upstream is in maintenance mode by runtime setting"),
    Detail("overload", "proxy", "the overload manager refused the request (flag OM)"),
    Detail("upstream_reset_before_response_started", "proxy", "the upstream failed before its answer began; the braces say how: connection_failure, overflow, connection_termination, remote_reset ..."),
    Detail("upstream_reset_after_response_started", "proxy", "the upstream failed in the middle of its answer; the client saw a broken response"),
    Detail("upstream_response_timeout", "proxy", "the route's timeout passed (flag UT): timeout of the VirtualService"),
    Detail("upstream_per_try_timeout", "proxy", "one attempt's timeout passed (flag UT): retries.perTryTimeout of the VirtualService"),
    Detail("upstream_max_stream_duration_reached", "proxy", "the upstream stream lasted too long (flag UMSDR)"),
    Detail("request_overall_timeout", "proxy", "the client did not send its whole request in time"),
    Detail("request_header_timeout", "proxy", "the client did not send its headers in time"),
    Detail("stream_idle_timeout", "proxy", "nothing moved on the stream for too long (flag SI)"),
    Detail("duration_timeout", "proxy", "the longest allowed duration passed (flag DT)"),
    Detail("max_duration_timeout", "proxy", "the longest allowed stream duration passed"),
    Detail("downstream_remote_disconnect", "client", "the client closed before the answer was complete (flag DC)"),
    Detail("downstream_local_disconnect", "proxy", "this proxy closed the client's connection: draining, or a limit"),
    Detail("missing_host_header", "proxy", "the request has no Host or :authority"),
    Detail("missing_path_rejected", "proxy", "the request has no path"),
    Detail("low_version", "proxy", "HTTP/1.0 or older, which is not enabled"),
    Detail("path_normalization_failed", "proxy", "the path could not be normalised: it holds bad escapes"),
    Detail("request_headers_too_large", "proxy", "the request headers exceed the limit (status 431)"),
    Detail("request_payload_too_large", "proxy", "the request body exceeds a filter's buffer (status 413)"),
    Detail("response_payload_too_large", "proxy", "the response body exceeds a filter's buffer"),
    Detail("rbac_access_denied_matched_policy", "proxy", "AuthorizationPolicy refused the request; the brackets name policy and rule, `none`: no ALLOW rule matched"),
    Detail("ext_authz_denied", "proxy", "external authorization said no (flag UAEX)"),
    Detail("ext_authz_error", "proxy", "the external authorization service could not be asked"),
    Detail("jwt_authn_access_denied", "proxy", "RequestAuthentication refused the token; the braces say why"),
    Detail("fault_filter_abort", "proxy", "a configured fault answered (flag FI)"),
    Detail("fault_filter_delay", "proxy", "a configured fault delayed the request (flag DI)"),
    Detail("local_rate_limited", "proxy", "the proxy's own rate limit was reached (flag RL)"),
    Detail("request_rate_limited", "proxy", "the rate-limit service said no (flag RL)"),
    Detail("rate_limiter_error", "proxy", "the rate-limit service failed (flag RLSE)"),
    Detail("internal_redirect", "proxy", "the proxy followed a redirect by itself"),
    Detail("admin_filter_response", "proxy", "the proxy's admin interface answered"),
    Detail("health_check_ok", "proxy", "the proxy answered a health check"),
    Detail("health_check_failed", "proxy", "the proxy failed a health check (flag LH)"),
    Detail("http1.codec_error", "proxy", "what came is not HTTP/1 (flag DPE): often TLS or another protocol on an HTTP port"),
    Detail("http2.remote_reset", "client", "the client reset its stream (flag DR)"),
    Detail("http2.remote_refuse", "client", "the client refused the stream (flag DR)"),
    Detail("http2.violation.of.messaging.rule", "proxy", "the request breaks HTTP/2's messaging rules (flag DPE)"),
)  # fmt: skip

RESPONSE_CODE_DETAILS: dict[str, Detail] = {d.name: d for d in _DETAILS}
"""By name without arguments. Envoy calls the list unstable; unknown values are legal."""
