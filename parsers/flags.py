"""What Envoy's response flags and response-code details mean, and which Istio object to look at.

Short and long names, protocols and codes: Envoy's substitution formatter and `stream_info/utility`. The list is open: an extension
can register further flags, so code that meets an unknown name keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """One response flag. `code` is the usual HTTP status (empty where it says nothing), `tcp` whether TCP lines can have it."""

    short: str
    long: str
    tcp: bool
    code: str
    meaning: str
    look_at: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One value of the response-code details: who answered, and why."""

    name: str
    answered_by: str
    meaning: str


_FLAGS = (
    Flag("LH", "FailedLocalHealthCheck", False, "503", "this proxy's own service failed its health check",
         "readiness of the pod itself"),
    Flag("UH", "NoHealthyUpstream", True, "503", "the cluster has no healthy endpoint",
         "endpoints and readiness of the service; outlierDetection of its DestinationRule"),
    Flag("UT", "UpstreamRequestTimeout", False, "504", "the upstream did not answer in time",
         "timeout of the VirtualService route; latency of the upstream"),
    Flag("LR", "LocalReset", False, "503", "this proxy reset the stream to the upstream",
         "this proxy's own log at debug level; its filters and limits"),
    Flag("UR", "UpstreamRemoteReset", False, "503", "the upstream reset the stream",
         "the application behind upstream_host: restarts, HTTP/2 resets"),
    Flag("UF", "UpstreamConnectionFailure", True, "503", "no connection to the upstream could be made",
         "PeerAuthentication and DestinationRule tls (mTLS mismatch); port and life of the upstream pod"),
    Flag("UC", "UpstreamConnectionTermination", False, "503", "the upstream closed the connection in mid-request",
         "keep-alive timeouts of the application against idleTimeout of the DestinationRule; crashes"),
    Flag("UO", "UpstreamOverflow", True, "503", "the circuit breaker is open: too many connections or requests",
         "connectionPool limits of the DestinationRule"),
    Flag("NR", "NoRouteFound", True, "404", "no route matched the request, or no filter chain the connection",
         "hosts and matches of VirtualService and Gateway; Sidecar egress hosts; ServiceEntry"),
    Flag("DI", "DelayInjected", False, "", "a configured fault delayed the request",
         "fault.delay of the VirtualService"),
    Flag("FI", "FaultInjected", False, "as set", "a configured fault answered instead of the service",
         "fault.abort of the VirtualService"),
    Flag("RL", "RateLimited", False, "429", "the rate limit was reached",
         "EnvoyFilter with the local or global rate limit"),
    Flag("UAEX", "UnauthorizedExternalService", False, "403", "external authorization refused the request",
         "AuthorizationPolicy with action CUSTOM and its extension provider"),
    Flag("RLSE", "RateLimitServiceError", False, "", "the rate-limit service itself failed",
         "the rate-limit service: its pods and its log"),
    Flag("DC", "DownstreamConnectionTermination", False, "0", "the client went away before the answer",
         "timeouts of the client; latency of the upstream"),
    Flag("URX", "UpstreamRetryLimitExceeded", True, "503", "all retries (HTTP) or connect attempts (TCP) failed",
         "the flag beside it, which says why each attempt failed; retries of the VirtualService"),
    Flag("SI", "StreamIdleTimeout", False, "408, 504", "nothing moved on the stream for too long",
         "stream idle timeout (EnvoyFilter); long polls and streams of the application"),
    Flag("IH", "InvalidEnvoyRequestHeaders", False, "400", "an x-envoy-* request header has a bad value",
         "what the client or a gateway in front puts into x-envoy-* headers"),
    Flag("DPE", "DownstreamProtocolError", False, "400", "the client did not speak proper HTTP",
         "port name or appProtocol of the Service (HTTP declared, something else spoken); the client"),
    Flag("UMSDR", "UpstreamMaxStreamDurationReached", False, "504", "the stream lasted longer than allowed",
         "maximum stream duration: EnvoyFilter, or the client's grpc-timeout"),
    Flag("RFCF", "ResponseFromCacheFilter", False, "", "the proxy answered from its cache",
         "EnvoyFilter with the cache filter"),
    Flag("NFCF", "NoFilterConfigFound", False, "500", "a filter's configuration did not arrive in time",
         "WasmPlugin: its image and pull; istiod's log"),
    Flag("DT", "DurationTimeout", True, "", "the connection or request lasted longer than allowed",
         "maxConnectionDuration of the DestinationRule; timeouts set by EnvoyFilter"),
    Flag("UPE", "UpstreamProtocolError", False, "502", "the upstream did not speak proper HTTP",
         "port name or appProtocol of the Service (HTTP/1 against HTTP/2); the application"),
    Flag("NC", "NoClusterFound", True, "503", "the route names a cluster that does not exist",
         "subset of the VirtualService that no DestinationRule defines; a Sidecar that hides the service"),
    Flag("OM", "OverloadManagerTerminated", False, "", "the proxy shed the request because it is overloaded itself",
         "memory and CPU limits of the proxy; its overload manager"),
    Flag("DF", "DnsResolutionFailed", False, "503", "the upstream's name could not be resolved",
         "hosts and resolution of the ServiceEntry; DNS of the cluster"),
    Flag("DO", "DropOverload", False, "503", "the endpoints' load policy dropped the request",
         "drop_overloads in the endpoint assignment (control plane)"),
    Flag("DR", "DownstreamRemoteReset", False, "", "the client reset its HTTP/2 stream",
         "timeouts and cancellations of the client"),
    Flag("UDO", "UnconditionalDropOverload", False, "503", "the endpoints' load policy drops every request",
         "drop_overloads at 100 % in the endpoint assignment (control plane)"),
)  # fmt: skip

RESPONSE_FLAGS: dict[str, Flag] = {f.short: f for f in _FLAGS}
"""By short name, in Envoy's own order."""

SHORT_NAMES: dict[str, str] = {f.long: f.short for f in _FLAGS}
"""Long name to short name, for formats that print `%RESPONSE_FLAGS_LONG%`."""

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
