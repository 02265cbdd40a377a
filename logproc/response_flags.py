"""What Envoy's response flags mean, and which Istio object to look at: read by parsers, reports and the store's own table of them.

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
