"""What Envoy's response flags (see `logproc.response_flags`) and response-code details mean."""

from __future__ import annotations

from dataclasses import dataclass

from logproc.response_flags import RESPONSE_FLAGS, SHORT_NAMES, Flag

__all__ = ["RESET_REASONS", "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "SHORT_NAMES", "Detail", "Flag"]


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
    Detail("route_configuration_not_found", "proxy", "the listener has no route configuration (flag NR): istiod has not sent it yet, or a Gateway without VirtualService"),
    Detail("filter_removed_required_request_headers", "proxy", "a filter took away a header that every request needs: EnvoyFilter or Wasm plugin"),
    Detail("filter_removed_required_response_headers", "proxy", "a filter took away a header that every answer needs: EnvoyFilter or Wasm plugin"),
    Detail("filter_removed_required_headers", "proxy", "a filter took away a header that every request needs: EnvoyFilter or Wasm plugin"),
    Detail("filter_added_invalid_request_data", "proxy", "a filter added to the request's body where it may not: EnvoyFilter or Wasm plugin"),
    Detail("filter_added_invalid_response_data", "proxy", "a filter added to the answer's body where it may not: EnvoyFilter or Wasm plugin"),
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
    Detail("absolute_path_rejected", "proxy", "the request names a whole URL (`GET http://host/path`) where only a path is taken"),
    Detail("upgrade_failed", "proxy", "the request asks for an upgrade (websocket, CONNECT) that is not enabled"),
    Detail("request_headers_failed_strict_check", "proxy", "an x-envoy-* header of the request has no valid value (flag IH)"),
    Detail("low_version", "proxy", "HTTP/1.0 or older, which is not enabled"),
    Detail("path_normalization_failed", "proxy", "the path could not be normalised: it holds bad escapes"),
    Detail("request_headers_too_large", "proxy", "the request headers exceed the limit (status 431)"),
    Detail("request_payload_too_large", "proxy", "the request body exceeds a filter's buffer (status 413)"),
    Detail("request_payload_exceeded_retry_buffer_limit", "proxy", "the request body is too large to be kept for a retry, so none was made (status 507)"),
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
    Detail("http1.body_disallowed", "proxy", "a body came where HTTP/1 allows none (flag DPE)"),
    Detail("http1.connection_header_rejected", "proxy", "the Connection header is malformed or too long (flag DPE)"),
    Detail("http1.content_length_and_chunked_not_allowed", "proxy", "both Content-Length and chunked (flag DPE): a mark of request smuggling"),
    Detail("http1.content_length_not_allowed", "proxy", "a Content-Length where HTTP/1 allows none"),
    Detail("http1.headers_too_large", "proxy", "the request headers exceed the limit (status 431)"),
    Detail("http1.too_many_headers", "proxy", "more request headers than the limit (status 431)"),
    Detail("http1.invalid_characters", "proxy", "a header holds characters that HTTP/1 forbids (flag DPE)"),
    Detail("http1.invalid_transfer_encoding", "proxy", "a Transfer-Encoding that the proxy does not know (flag DPE)"),
    Detail("http1.invalid_url", "proxy", "the request line's URL is no URL (flag DPE)"),
    Detail("http1.transfer_encoding_not_allowed", "proxy", "a Transfer-Encoding where HTTP/1 allows none"),
    Detail("http1.unexpected_underscore", "proxy", "a header name holds an underscore, which the proxy is set to refuse (flag DPE)"),
    Detail("http2.remote_reset", "client", "the client reset its stream (flag DR)"),
    Detail("http2.remote_refuse", "client", "the client refused the stream (flag DR)"),
    Detail("http2.violation.of.messaging.rule", "proxy", "the request breaks HTTP/2's messaging rules (flag DPE)"),
    Detail("http2.invalid.header.field", "proxy", "a header is not valid in HTTP/2 (flag DPE)"),
    Detail("http2.too_many_headers", "proxy", "more headers or trailers than the limit"),
    Detail("http2.unexpected_underscore", "proxy", "a header name holds an underscore, which the proxy is set to refuse (flag DPE)"),
    Detail("http2.inbound_empty_frames_flood", "proxy", "the peer floods the proxy with empty frames"),
    Detail("http2.outbound_frames_flood", "proxy", "the peer makes the proxy answer with more frames than it takes"),
    Detail("http2.unknown.nghttp2.error", "proxy", "the HTTP/2 codec failed without saying why"),
)  # fmt: skip

RESPONSE_CODE_DETAILS: dict[str, Detail] = {d.name: d for d in _DETAILS}
"""By name without arguments. Envoy calls the list unstable; unknown values are legal."""

RESET_REASONS: dict[str, str] = {
    "overflow": "a limit of the connection pool was reached (flag UO): trafficPolicy.connectionPool of the DestinationRule",
    "connection_failure": "no connection came about (flag UF): refused, unreachable, or TLS failed",
    "remote_connection_failure": "no connection came about (flag UF): refused, unreachable, or TLS failed",
    "local_connection_failure": "this proxy ended its own attempt to connect (flag UF)",
    "connection_timeout": "no connection within the connect timeout (flag UF): connectionPool.tcp.connectTimeout of the DestinationRule",
    "connection_termination": "the upstream closed the connection (flag UC): a crash, a restart, or an idle timeout shorter than the proxy's",
    "remote_reset": "the upstream reset the stream (flag UR)",
    "remote_refused_stream_reset": "the upstream refused the stream (flag UR): it is draining, or has too many",
    "local_reset": "this proxy reset the stream (flag LR)",
    "local_refused_stream_reset": "this proxy refused the stream (flag LR)",
    "protocol_error": "the upstream's answer breaks its protocol (flag UPE)",
    "overload_manager_reset": "the overload manager reset the stream (flag OM)",
}  # fmt: skip
"""What stands first in the braces of `upstream_reset_*_response_started{...}`: Envoy's names of stream resets, their blanks as underscores."""
