CREATE DATABASE IF NOT EXISTS `logproc` ENGINE = Atomic;

CREATE TABLE IF NOT EXISTS `logproc`.`access_log` (
  `timestamp` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'when the request (HTTP) or connection (TCP) began',
  `received_at` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'when the collector sealed the batch with this row',
  `k8s_namespace` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'namespace of the pod that wrote the line',
  `app` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod\'s name without its suffixes',
  `version` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label version, app.kubernetes.io/version or service.istio.io/canonical-revision',
  `k8s_pod` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'pod that wrote the line',
  `k8s_container` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'container that wrote the line',
  `k8s_node` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'node on which the collector read it',
  `file_id` UInt64 CODEC(ZSTD(1)) COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `line` UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'number of the physical line in its file, from 0',
  `log_type` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'http, tcp, or l4 (ztunnel)',
  `method` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'HTTP method',
  `authority` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Host or :authority the client asked for',
  `path` String CODEC(ZSTD(3)) COMMENT 'path and query as the client sent them',
  `path_template` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'path without query; ids, uuids, hex and numbers replaced by {id}, {uuid}, {hex}, {n}',
  `protocol` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'HTTP/1.1, HTTP/2, HTTP/3',
  `response_code` UInt16 CODEC(ZSTD(1)) COMMENT 'HTTP status; 0: no response began (the client left), or TCP',
  `response_flags` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Envoy\'s response flags, short names sorted and joined with \',\'; ask with hasToken(response_flags, \'UO\')',
  `response_code_details` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'who answered and why: via_upstream is the application, everything else the mesh',
  `connection_termination_details` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'why Envoy closed the connection',
  `upstream_transport_failure_reason` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'TLS or TCP failure towards the upstream',
  `bytes_received` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'request body bytes; TCP: bytes from the client',
  `bytes_sent` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'response body bytes; TCP: bytes to the client',
  `duration_ms` UInt32 CODEC(T64, ZSTD(1)) COMMENT 'milliseconds from first byte in to last byte out',
  `upstream_service_time_ms` Nullable(UInt32) CODEC(T64, ZSTD(1)) COMMENT 'milliseconds the upstream needed, as it said itself',
  `request_id` UUID CODEC(ZSTD(1)) COMMENT 'x-request-id, the same on every hop; zero where it is absent or no UUID',
  `request_id_other` String CODEC(ZSTD(1)) COMMENT 'x-request-id where it is no UUID',
  `trace_id` String CODEC(ZSTD(1)) COMMENT 'trace id, where the format prints one',
  `user_agent` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'User-Agent',
  `x_forwarded_for` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'X-Forwarded-For, a list',
  `upstream_cluster` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'direction|port|subset|host as Envoy names it',
  `direction` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'inbound (server\'s line), outbound (client\'s line), inbound-vip (waypoint); from the cluster',
  `upstream_port` UInt16 CODEC(ZSTD(1)) COMMENT 'port in the cluster\'s name',
  `upstream_subset` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'subset of the DestinationRule, from the cluster; on inbound lines from the SNI: the caller\'s choice',
  `upstream_service` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'host in the cluster\'s name; on inbound lines from the SNI',
  `upstream_host` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'address that was chosen, ip:port',
  `upstream_local_address` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'this side\'s address towards the upstream, without port',
  `upstream_local_port` UInt16 CODEC(ZSTD(1)) COMMENT 'its port',
  `downstream_local_address` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'address the client connected to, ip:port',
  `downstream_remote_address` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the client\'s address, without port',
  `downstream_remote_port` UInt16 CODEC(ZSTD(1)) COMMENT 'its port',
  `requested_server_name` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'TLS SNI of the client',
  `route_name` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'name of the route that matched',
  `weight` UInt32 CODEC(T64, ZSTD(1)) COMMENT 'lines this row stands for: 1, or N where sampling kept one of N',
  `doubt` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'empty where the line fits its format in exactly one way; else why not (quotes, encoding, partial, time ...)',
  `extra` Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'fields of a custom format that have no column, by their operator or JSON key',
  INDEX i_request_id request_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX i_timestamp timestamp TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
PRIMARY KEY (toStartOfHour(timestamp), k8s_namespace, app)
ORDER BY (toStartOfHour(timestamp), k8s_namespace, app, file_id, line)
TTL toDateTime(timestamp) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 67108864, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one row per access-log line: HTTP, TCP and ztunnel. One request makes a client line (outbound) and a server line (inbound)';

CREATE TABLE IF NOT EXISTS `logproc`.`message_log` (
  `timestamp` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'time in the line, else the runtime\'s, else received_at',
  `received_at` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'when the collector sealed the batch with this row',
  `k8s_namespace` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'namespace of the pod that wrote the line',
  `app` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod\'s name without its suffixes',
  `version` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label version, app.kubernetes.io/version or service.istio.io/canonical-revision',
  `k8s_pod` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'pod that wrote the line',
  `k8s_container` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'container that wrote the line',
  `k8s_node` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'node on which the collector read it',
  `file_id` UInt64 CODEC(ZSTD(1)) COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `line` UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'number of the physical line in its file, from 0',
  `level` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'trace, debug, info, warning, error, critical ... as printed',
  `scope` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'component that speaks: envoy config, sds, ads ...',
  `message` String CODEC(ZSTD(3)) COMMENT 'the text after them',
  `doubt` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'empty where the line fits its format in exactly one way; else why not (quotes, encoding, partial, time ...)'
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
PRIMARY KEY (toStartOfHour(timestamp), k8s_namespace, app)
ORDER BY (toStartOfHour(timestamp), k8s_namespace, app, file_id, line)
TTL toDateTime(timestamp) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 67108864, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one row per line that is no access log: messages of Envoy, pilot-agent and applications';

CREATE TABLE IF NOT EXISTS `logproc`.`rejected_line` (
  `timestamp` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'the runtime\'s time of the line, else received_at',
  `received_at` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'when the collector sealed the batch with this row',
  `k8s_namespace` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'namespace of the pod that wrote the line',
  `app` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod\'s name without its suffixes',
  `version` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'label version, app.kubernetes.io/version or service.istio.io/canonical-revision',
  `k8s_pod` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'pod that wrote the line',
  `k8s_container` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'container that wrote the line',
  `k8s_node` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'node on which the collector read it',
  `file_id` UInt64 CODEC(ZSTD(1)) COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `line` UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'number of the physical line in its file, from 0',
  `reason` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'why: format, too_long, binary ...',
  `length` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'bytes of the whole line',
  `raw` String CODEC(ZSTD(3)) COMMENT 'its bytes, at most the first 64 KiB'
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
PRIMARY KEY (toStartOfHour(timestamp), k8s_namespace, app)
ORDER BY (toStartOfHour(timestamp), k8s_namespace, app, file_id, line)
TTL toDateTime(timestamp) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 67108864, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one row per line that begins like an access log and cannot be read as one; the bytes are kept';

CREATE TABLE IF NOT EXISTS `logproc`.`ledger` (
  `received_at` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'when the collector sealed the batch with this row',
  `collector` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'state folder that sealed the batch (16 hex digits)',
  `seq` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'number of the batch of that collector',
  `k8s_node` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'node',
  `k8s_namespace` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'namespace',
  `k8s_pod` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'pod',
  `k8s_container` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'container',
  `file_id` UInt64 CODEC(ZSTD(1)) COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `path` String CODEC(ZSTD(1)) COMMENT 'path of the file when it was read',
  `first_line` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'first line',
  `lines` Int64 CODEC(T64, ZSTD(1)) COMMENT 'physical lines',
  `start` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'byte at which they begin',
  `end` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'byte after them',
  `min_time` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'earliest timestamp of their rows',
  `max_time` DateTime64(6, 'UTC') CODEC(GCD, Delta(8), ZSTD(1)) COMMENT 'latest timestamp of their rows',
  `access_rows` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'rows in access_log',
  `message_rows` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'rows in message_log',
  `rejected_rows` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'rows in rejected_line',
  `joined` Int64 CODEC(T64, ZSTD(1)) COMMENT 'fragments that are part of a later line\'s row',
  `left_out` UInt64 CODEC(T64, ZSTD(1)) COMMENT 'lines excluded, sampled out, or older than the table keeps',
  `state` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'stored, dead (refused by the store, kept as a dead letter) or lost'
)
ENGINE = MergeTree
ORDER BY (file_id, first_line)
TTL toDateTime(received_at) + toIntervalDay(60)
SETTINGS ttl_only_drop_parts = 0, min_bytes_for_wide_part = 67108864, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one row per stored run of lines of a file; the union of a file\'s rows with state \'stored\' is what is stored of it';

CREATE TABLE IF NOT EXISTS `logproc`.`traffic_1m` (
  `minute` DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'minute in which the requests began',
  `k8s_namespace` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'namespace of the pod that wrote the lines',
  `app` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'its app',
  `version` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'its version',
  `direction` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'inbound (server\'s lines), outbound (client\'s lines), inbound-vip',
  `upstream_service` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'host in the cluster\'s name',
  `upstream_subset` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'subset in the cluster\'s name',
  `response_code` UInt16 CODEC(ZSTD(1)) COMMENT 'HTTP status',
  `response_flags` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Envoy\'s response flags',
  `log_type` LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'http, tcp, or l4 (ztunnel); empty for lines counted under version 1 of the schema',
  `n` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'lines, each by its weight',
  `bytes_in` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'bytes received',
  `bytes_out` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'bytes sent',
  `duration_sum` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'milliseconds in all',
  `duration_max` SimpleAggregateFunction(max, UInt32) CODEC(ZSTD(1)) COMMENT 'the longest, in milliseconds',
  `duration_hist` SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) CODEC(ZSTD(1)) COMMENT 'lines by duration: bucket b holds durations from 2^(b/4) - 1 to 2^((b+1)/4) - 1 ms'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
PRIMARY KEY (k8s_namespace, app, direction, upstream_service, upstream_subset, version, response_code, response_flags, minute)
ORDER BY (k8s_namespace, app, direction, upstream_service, upstream_subset, version, response_code, response_flags, minute, log_type)
TTL minute + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'access_log by minute: counts, sums and a histogram of durations; sum them once more when reading';

CREATE MATERIALIZED VIEW IF NOT EXISTS `logproc`.`traffic_1m_mv` TO `logproc`.`traffic_1m` AS
SELECT
  toStartOfMinute(timestamp) AS minute,
  k8s_namespace,
  app,
  version,
  direction,
  upstream_service,
  upstream_subset,
  response_code,
  response_flags,
  log_type,
  sum(weight) AS n,
  sum(bytes_received * weight) AS bytes_in,
  sum(bytes_sent * weight) AS bytes_out,
  sum(toUInt64(duration_ms) * weight) AS duration_sum,
  max(duration_ms) AS duration_max,
  sumMap(map(toUInt8(floor(log2(duration_ms + 1) * 4)), toUInt64(weight))) AS duration_hist
FROM `logproc`.`access_log`
GROUP BY minute, k8s_namespace, app, version, direction, upstream_service, upstream_subset, response_code, response_flags, log_type;

CREATE VIEW IF NOT EXISTS `logproc`.`response_flag` (
  `short` String COMMENT 'as in response_flags',
  `long` String COMMENT 'as %RESPONSE_FLAGS_LONG% prints it',
  `code` String COMMENT 'HTTP status that usually comes with it, empty where it says nothing',
  `meaning` String COMMENT 'what happened',
  `look_at` String COMMENT 'which object of Istio, or which log, to look at'
) AS
SELECT * FROM values('short String, long String, code String, meaning String, look_at String',
  ('LH', 'FailedLocalHealthCheck', '503', 'this proxy\'s own service failed its health check', 'readiness of the pod itself'),
  ('UH', 'NoHealthyUpstream', '503', 'the cluster has no healthy endpoint', 'endpoints and readiness of the service; outlierDetection of its DestinationRule'),
  ('UT', 'UpstreamRequestTimeout', '504', 'the upstream did not answer in time', 'timeout of the VirtualService route; latency of the upstream'),
  ('LR', 'LocalReset', '503', 'this proxy reset the stream to the upstream', 'this proxy\'s own log at debug level; its filters and limits'),
  ('UR', 'UpstreamRemoteReset', '503', 'the upstream reset the stream', 'the application behind upstream_host: restarts, HTTP/2 resets'),
  ('UF', 'UpstreamConnectionFailure', '503', 'no connection to the upstream could be made', 'PeerAuthentication and DestinationRule tls (mTLS mismatch); port and life of the upstream pod'),
  ('UC', 'UpstreamConnectionTermination', '503', 'the upstream closed the connection in mid-request', 'keep-alive timeouts of the application against idleTimeout of the DestinationRule; crashes'),
  ('UO', 'UpstreamOverflow', '503', 'the circuit breaker is open: too many connections or requests', 'connectionPool limits of the DestinationRule'),
  ('NR', 'NoRouteFound', '404', 'no route matched the request, or no filter chain the connection', 'hosts and matches of VirtualService and Gateway; Sidecar egress hosts; ServiceEntry'),
  ('DI', 'DelayInjected', '', 'a configured fault delayed the request', 'fault.delay of the VirtualService'),
  ('FI', 'FaultInjected', 'as set', 'a configured fault answered instead of the service', 'fault.abort of the VirtualService'),
  ('RL', 'RateLimited', '429', 'the rate limit was reached', 'EnvoyFilter with the local or global rate limit'),
  ('UAEX', 'UnauthorizedExternalService', '403', 'external authorization refused the request', 'AuthorizationPolicy with action CUSTOM and its extension provider'),
  ('RLSE', 'RateLimitServiceError', '', 'the rate-limit service itself failed', 'the rate-limit service: its pods and its log'),
  ('DC', 'DownstreamConnectionTermination', '0', 'the client went away before the answer', 'timeouts of the client; latency of the upstream'),
  ('URX', 'UpstreamRetryLimitExceeded', '503', 'all retries (HTTP) or connect attempts (TCP) failed', 'the flag beside it, which says why each attempt failed; retries of the VirtualService'),
  ('SI', 'StreamIdleTimeout', '408, 504', 'nothing moved on the stream for too long', 'stream idle timeout (EnvoyFilter); long polls and streams of the application'),
  ('IH', 'InvalidEnvoyRequestHeaders', '400', 'an x-envoy-* request header has a bad value', 'what the client or a gateway in front puts into x-envoy-* headers'),
  ('DPE', 'DownstreamProtocolError', '400', 'the client did not speak proper HTTP', 'port name or appProtocol of the Service (HTTP declared, something else spoken); the client'),
  ('UMSDR', 'UpstreamMaxStreamDurationReached', '504', 'the stream lasted longer than allowed', 'maximum stream duration: EnvoyFilter, or the client\'s grpc-timeout'),
  ('RFCF', 'ResponseFromCacheFilter', '', 'the proxy answered from its cache', 'EnvoyFilter with the cache filter'),
  ('NFCF', 'NoFilterConfigFound', '500', 'a filter\'s configuration did not arrive in time', 'WasmPlugin: its image and pull; istiod\'s log'),
  ('DT', 'DurationTimeout', '', 'the connection or request lasted longer than allowed', 'maxConnectionDuration of the DestinationRule; timeouts set by EnvoyFilter'),
  ('UPE', 'UpstreamProtocolError', '502', 'the upstream did not speak proper HTTP', 'port name or appProtocol of the Service (HTTP/1 against HTTP/2); the application'),
  ('NC', 'NoClusterFound', '503', 'the route names a cluster that does not exist', 'subset of the VirtualService that no DestinationRule defines; a Sidecar that hides the service'),
  ('OM', 'OverloadManagerTerminated', '', 'the proxy shed the request because it is overloaded itself', 'memory and CPU limits of the proxy; its overload manager'),
  ('DF', 'DnsResolutionFailed', '503', 'the upstream\'s name could not be resolved', 'hosts and resolution of the ServiceEntry; DNS of the cluster'),
  ('DO', 'DropOverload', '503', 'the endpoints\' load policy dropped the request', 'drop_overloads in the endpoint assignment (control plane)'),
  ('DR', 'DownstreamRemoteReset', '', 'the client reset its HTTP/2 stream', 'timeouts and cancellations of the client'),
  ('UDO', 'UnconditionalDropOverload', '503', 'the endpoints\' load policy drops every request', 'drop_overloads at 100 % in the endpoint assignment (control plane)'))
COMMENT 'Envoy\'s response flags: what each means and where to look; SELECT ... FROM access_log ARRAY JOIN splitByChar(\',\', response_flags) AS short JOIN response_flag USING short';

CREATE VIEW IF NOT EXISTS `logproc`.`server_request` (
  `timestamp` DateTime64(6, 'UTC') COMMENT 'when the request (HTTP) or connection (TCP) began',
  `received_at` DateTime64(6, 'UTC') COMMENT 'when the collector sealed the batch with this row',
  `k8s_namespace` LowCardinality(String) COMMENT 'namespace of the pod that wrote the line',
  `app` LowCardinality(String) COMMENT 'label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod\'s name without its suffixes',
  `version` LowCardinality(String) COMMENT 'label version, app.kubernetes.io/version or service.istio.io/canonical-revision',
  `k8s_pod` LowCardinality(String) COMMENT 'pod that wrote the line',
  `k8s_container` LowCardinality(String) COMMENT 'container that wrote the line',
  `k8s_node` LowCardinality(String) COMMENT 'node on which the collector read it',
  `file_id` UInt64 COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `line` UInt64 COMMENT 'number of the physical line in its file, from 0',
  `log_type` LowCardinality(String) COMMENT 'http, tcp, or l4 (ztunnel)',
  `method` LowCardinality(String) COMMENT 'HTTP method',
  `authority` LowCardinality(String) COMMENT 'Host or :authority the client asked for',
  `path` String COMMENT 'path and query as the client sent them',
  `path_template` LowCardinality(String) COMMENT 'path without query; ids, uuids, hex and numbers replaced by {id}, {uuid}, {hex}, {n}',
  `protocol` LowCardinality(String) COMMENT 'HTTP/1.1, HTTP/2, HTTP/3',
  `response_code` UInt16 COMMENT 'HTTP status; 0: no response began (the client left), or TCP',
  `response_flags` LowCardinality(String) COMMENT 'Envoy\'s response flags, short names sorted and joined with \',\'; ask with hasToken(response_flags, \'UO\')',
  `response_code_details` LowCardinality(String) COMMENT 'who answered and why: via_upstream is the application, everything else the mesh',
  `connection_termination_details` LowCardinality(String) COMMENT 'why Envoy closed the connection',
  `upstream_transport_failure_reason` LowCardinality(String) COMMENT 'TLS or TCP failure towards the upstream',
  `bytes_received` UInt64 COMMENT 'request body bytes; TCP: bytes from the client',
  `bytes_sent` UInt64 COMMENT 'response body bytes; TCP: bytes to the client',
  `duration_ms` UInt32 COMMENT 'milliseconds from first byte in to last byte out',
  `upstream_service_time_ms` Nullable(UInt32) COMMENT 'milliseconds the upstream needed, as it said itself',
  `request_id` UUID COMMENT 'x-request-id, the same on every hop; zero where it is absent or no UUID',
  `request_id_other` String COMMENT 'x-request-id where it is no UUID',
  `trace_id` String COMMENT 'trace id, where the format prints one',
  `user_agent` LowCardinality(String) COMMENT 'User-Agent',
  `x_forwarded_for` LowCardinality(String) COMMENT 'X-Forwarded-For, a list',
  `upstream_cluster` LowCardinality(String) COMMENT 'direction|port|subset|host as Envoy names it',
  `direction` LowCardinality(String) COMMENT 'inbound (server\'s line), outbound (client\'s line), inbound-vip (waypoint); from the cluster',
  `upstream_port` UInt16 COMMENT 'port in the cluster\'s name',
  `upstream_subset` LowCardinality(String) COMMENT 'subset of the DestinationRule, from the cluster; on inbound lines from the SNI: the caller\'s choice',
  `upstream_service` LowCardinality(String) COMMENT 'host in the cluster\'s name; on inbound lines from the SNI',
  `upstream_host` LowCardinality(String) COMMENT 'address that was chosen, ip:port',
  `upstream_local_address` LowCardinality(String) COMMENT 'this side\'s address towards the upstream, without port',
  `upstream_local_port` UInt16 COMMENT 'its port',
  `downstream_local_address` LowCardinality(String) COMMENT 'address the client connected to, ip:port',
  `downstream_remote_address` LowCardinality(String) COMMENT 'the client\'s address, without port',
  `downstream_remote_port` UInt16 COMMENT 'its port',
  `requested_server_name` LowCardinality(String) COMMENT 'TLS SNI of the client',
  `route_name` LowCardinality(String) COMMENT 'name of the route that matched',
  `weight` UInt32 COMMENT 'lines this row stands for: 1, or N where sampling kept one of N',
  `doubt` LowCardinality(String) COMMENT 'empty where the line fits its format in exactly one way; else why not (quotes, encoding, partial, time ...)',
  `extra` Map(LowCardinality(String), String) COMMENT 'fields of a custom format that have no column, by their operator or JSON key'
) AS
SELECT timestamp, received_at, k8s_namespace, app, version, k8s_pod, k8s_container, k8s_node, file_id, line, log_type, method, authority, path, path_template, protocol, response_code, response_flags, response_code_details, connection_termination_details, upstream_transport_failure_reason, bytes_received, bytes_sent, duration_ms, upstream_service_time_ms, request_id, request_id_other, trace_id, user_agent, x_forwarded_for, upstream_cluster, direction, upstream_port, upstream_subset, upstream_service, upstream_host, upstream_local_address, upstream_local_port, downstream_local_address, downstream_remote_address, downstream_remote_port, requested_server_name, route_name, weight, doubt, extra
FROM `logproc`.`access_log`
WHERE direction = 'inbound' AND log_type = 'http'
COMMENT 'HTTP requests as the servers\' proxies saw them: each request that reached a pod with a proxy, once';

CREATE VIEW IF NOT EXISTS `logproc`.`client_request` (
  `timestamp` DateTime64(6, 'UTC') COMMENT 'when the request (HTTP) or connection (TCP) began',
  `received_at` DateTime64(6, 'UTC') COMMENT 'when the collector sealed the batch with this row',
  `k8s_namespace` LowCardinality(String) COMMENT 'namespace of the pod that wrote the line',
  `app` LowCardinality(String) COMMENT 'label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod\'s name without its suffixes',
  `version` LowCardinality(String) COMMENT 'label version, app.kubernetes.io/version or service.istio.io/canonical-revision',
  `k8s_pod` LowCardinality(String) COMMENT 'pod that wrote the line',
  `k8s_container` LowCardinality(String) COMMENT 'container that wrote the line',
  `k8s_node` LowCardinality(String) COMMENT 'node on which the collector read it',
  `file_id` UInt64 COMMENT 'the log file: hash of (pod uid, container, restart) and its first line; with `line` a row\'s identity',
  `line` UInt64 COMMENT 'number of the physical line in its file, from 0',
  `log_type` LowCardinality(String) COMMENT 'http, tcp, or l4 (ztunnel)',
  `method` LowCardinality(String) COMMENT 'HTTP method',
  `authority` LowCardinality(String) COMMENT 'Host or :authority the client asked for',
  `path` String COMMENT 'path and query as the client sent them',
  `path_template` LowCardinality(String) COMMENT 'path without query; ids, uuids, hex and numbers replaced by {id}, {uuid}, {hex}, {n}',
  `protocol` LowCardinality(String) COMMENT 'HTTP/1.1, HTTP/2, HTTP/3',
  `response_code` UInt16 COMMENT 'HTTP status; 0: no response began (the client left), or TCP',
  `response_flags` LowCardinality(String) COMMENT 'Envoy\'s response flags, short names sorted and joined with \',\'; ask with hasToken(response_flags, \'UO\')',
  `response_code_details` LowCardinality(String) COMMENT 'who answered and why: via_upstream is the application, everything else the mesh',
  `connection_termination_details` LowCardinality(String) COMMENT 'why Envoy closed the connection',
  `upstream_transport_failure_reason` LowCardinality(String) COMMENT 'TLS or TCP failure towards the upstream',
  `bytes_received` UInt64 COMMENT 'request body bytes; TCP: bytes from the client',
  `bytes_sent` UInt64 COMMENT 'response body bytes; TCP: bytes to the client',
  `duration_ms` UInt32 COMMENT 'milliseconds from first byte in to last byte out',
  `upstream_service_time_ms` Nullable(UInt32) COMMENT 'milliseconds the upstream needed, as it said itself',
  `request_id` UUID COMMENT 'x-request-id, the same on every hop; zero where it is absent or no UUID',
  `request_id_other` String COMMENT 'x-request-id where it is no UUID',
  `trace_id` String COMMENT 'trace id, where the format prints one',
  `user_agent` LowCardinality(String) COMMENT 'User-Agent',
  `x_forwarded_for` LowCardinality(String) COMMENT 'X-Forwarded-For, a list',
  `upstream_cluster` LowCardinality(String) COMMENT 'direction|port|subset|host as Envoy names it',
  `direction` LowCardinality(String) COMMENT 'inbound (server\'s line), outbound (client\'s line), inbound-vip (waypoint); from the cluster',
  `upstream_port` UInt16 COMMENT 'port in the cluster\'s name',
  `upstream_subset` LowCardinality(String) COMMENT 'subset of the DestinationRule, from the cluster; on inbound lines from the SNI: the caller\'s choice',
  `upstream_service` LowCardinality(String) COMMENT 'host in the cluster\'s name; on inbound lines from the SNI',
  `upstream_host` LowCardinality(String) COMMENT 'address that was chosen, ip:port',
  `upstream_local_address` LowCardinality(String) COMMENT 'this side\'s address towards the upstream, without port',
  `upstream_local_port` UInt16 COMMENT 'its port',
  `downstream_local_address` LowCardinality(String) COMMENT 'address the client connected to, ip:port',
  `downstream_remote_address` LowCardinality(String) COMMENT 'the client\'s address, without port',
  `downstream_remote_port` UInt16 COMMENT 'its port',
  `requested_server_name` LowCardinality(String) COMMENT 'TLS SNI of the client',
  `route_name` LowCardinality(String) COMMENT 'name of the route that matched',
  `weight` UInt32 COMMENT 'lines this row stands for: 1, or N where sampling kept one of N',
  `doubt` LowCardinality(String) COMMENT 'empty where the line fits its format in exactly one way; else why not (quotes, encoding, partial, time ...)',
  `extra` Map(LowCardinality(String), String) COMMENT 'fields of a custom format that have no column, by their operator or JSON key'
) AS
SELECT timestamp, received_at, k8s_namespace, app, version, k8s_pod, k8s_container, k8s_node, file_id, line, log_type, method, authority, path, path_template, protocol, response_code, response_flags, response_code_details, connection_termination_details, upstream_transport_failure_reason, bytes_received, bytes_sent, duration_ms, upstream_service_time_ms, request_id, request_id_other, trace_id, user_agent, x_forwarded_for, upstream_cluster, direction, upstream_port, upstream_subset, upstream_service, upstream_host, upstream_local_address, upstream_local_port, downstream_local_address, downstream_remote_address, downstream_remote_port, requested_server_name, route_name, weight, doubt, extra
FROM `logproc`.`access_log`
WHERE direction = 'outbound' AND log_type = 'http'
COMMENT 'HTTP requests as the clients\' proxies and gateways saw them: each request that a pod with a proxy made, once whatever the retries';

CREATE VIEW IF NOT EXISTS `logproc`.`hop` (
  `timestamp` DateTime64(6, 'UTC') COMMENT 'when the request began, as the client\'s proxy says, else the server\'s',
  `request_id` UUID COMMENT 'x-request-id, the same on both sides; zero where it is no UUID',
  `request_id_other` String COMMENT 'x-request-id where it is no UUID',
  `seen_by` LowCardinality(String) COMMENT 'both; client: no line of a proxy at the server\'s side; server: none at the client\'s',
  `client_namespace` LowCardinality(String) COMMENT 'namespace of the client\'s pod',
  `client_app` LowCardinality(String) COMMENT 'the client\'s app',
  `client_version` LowCardinality(String) COMMENT 'its version',
  `client_pod` LowCardinality(String) COMMENT 'its pod',
  `server_namespace` LowCardinality(String) COMMENT 'namespace of the server\'s pod',
  `server_app` LowCardinality(String) COMMENT 'the server\'s app',
  `server_version` LowCardinality(String) COMMENT 'its version',
  `server_pod` LowCardinality(String) COMMENT 'its pod',
  `server_address` LowCardinality(String) COMMENT 'the server\'s address, ip:port, by which the two lines are joined',
  `upstream_service` LowCardinality(String) COMMENT 'host in the cluster\'s name',
  `upstream_subset` LowCardinality(String) COMMENT 'subset in the cluster\'s name: the client\'s choice',
  `method` LowCardinality(String) COMMENT 'HTTP method',
  `authority` LowCardinality(String) COMMENT 'Host or :authority',
  `path` String COMMENT 'path and query',
  `path_template` LowCardinality(String) COMMENT 'path without ids and query',
  `client_code` Nullable(UInt16) COMMENT 'status that the client got',
  `server_code` Nullable(UInt16) COMMENT 'status that the server gave',
  `client_flags` LowCardinality(String) COMMENT 'response flags of the client\'s line',
  `server_flags` LowCardinality(String) COMMENT 'response flags of the server\'s line',
  `client_ms` Nullable(UInt32) COMMENT 'milliseconds that the client\'s proxy waited',
  `server_ms` Nullable(UInt32) COMMENT 'milliseconds that the server\'s proxy needed',
  `network_ms` Nullable(Int64) COMMENT 'client_ms - server_ms: network, connecting, retries; below zero by rounding, or where the server worked on after the client had its answer',
  `weight` UInt32 COMMENT 'requests that this row stands for'
) AS
SELECT
  if(seen_by = 'server', server.1, client.1) AS timestamp,
  request_id,
  request_id_other,
  multiIf(server.1 = 0, 'client', client.1 = 0, 'server', 'both') AS seen_by,
  client.2 AS client_namespace,
  client.3 AS client_app,
  client.4 AS client_version,
  client.5 AS client_pod,
  server.2 AS server_namespace,
  server.3 AS server_app,
  server.4 AS server_version,
  server.5 AS server_pod,
  address AS server_address,
  if(seen_by = 'server', server.13, client.13) AS upstream_service,
  if(seen_by = 'server', server.14, client.14) AS upstream_subset,
  if(seen_by = 'server', server.9, client.9) AS method,
  if(seen_by = 'server', server.10, client.10) AS authority,
  if(seen_by = 'server', server.11, client.11) AS path,
  if(seen_by = 'server', server.12, client.12) AS path_template,
  if(seen_by = 'server', NULL, client.6) AS client_code,
  if(seen_by = 'client', NULL, server.6) AS server_code,
  client.7 AS client_flags,
  server.7 AS server_flags,
  if(seen_by = 'server', NULL, client.8) AS client_ms,
  if(seen_by = 'client', NULL, server.8) AS server_ms,
  if(seen_by = 'both', toInt64(client.8) - server.8, NULL) AS network_ms,
  if(seen_by = 'server', server.15, client.15) AS weight
FROM (
  SELECT request_id, request_id_other, if(direction = 'outbound', upstream_host, downstream_local_address) AS address,
    arraySort(groupArrayIf(tuple(timestamp, k8s_namespace, app, version, k8s_pod, response_code, response_flags, duration_ms, method, authority, path, path_template, upstream_service, upstream_subset, weight, file_id, line), direction = 'outbound')) AS clients,
    arraySort(groupArrayIf(tuple(timestamp, k8s_namespace, app, version, k8s_pod, response_code, response_flags, duration_ms, method, authority, path, path_template, upstream_service, upstream_subset, weight, file_id, line), direction = 'inbound')) AS servers,
    greatest(length(clients), length(servers)) AS n
  FROM `logproc`.`access_log`
  WHERE direction IN ('inbound', 'outbound') AND log_type = 'http' AND NOT (request_id = toUUID('00000000-0000-0000-0000-000000000000') AND request_id_other = '')
  GROUP BY request_id, request_id_other, address
)
ARRAY JOIN arrayResize(clients, n) AS client, arrayResize(servers, n) AS server
COMMENT 'both sides of one HTTP request beside each other: the line of the client\'s proxy and that of the server\'s, joined by request id and the server\'s address; a request sent again or several times to one address is put beside its lines by time. Fast with a request_id; for a time ask hop_between';

CREATE VIEW IF NOT EXISTS `logproc`.`hop_between` (
  `timestamp` DateTime64(6, 'UTC') COMMENT 'when the request began, as the client\'s proxy says, else the server\'s',
  `request_id` UUID COMMENT 'x-request-id, the same on both sides; zero where it is no UUID',
  `request_id_other` String COMMENT 'x-request-id where it is no UUID',
  `seen_by` LowCardinality(String) COMMENT 'both; client: no line of a proxy at the server\'s side; server: none at the client\'s',
  `client_namespace` LowCardinality(String) COMMENT 'namespace of the client\'s pod',
  `client_app` LowCardinality(String) COMMENT 'the client\'s app',
  `client_version` LowCardinality(String) COMMENT 'its version',
  `client_pod` LowCardinality(String) COMMENT 'its pod',
  `server_namespace` LowCardinality(String) COMMENT 'namespace of the server\'s pod',
  `server_app` LowCardinality(String) COMMENT 'the server\'s app',
  `server_version` LowCardinality(String) COMMENT 'its version',
  `server_pod` LowCardinality(String) COMMENT 'its pod',
  `server_address` LowCardinality(String) COMMENT 'the server\'s address, ip:port, by which the two lines are joined',
  `upstream_service` LowCardinality(String) COMMENT 'host in the cluster\'s name',
  `upstream_subset` LowCardinality(String) COMMENT 'subset in the cluster\'s name: the client\'s choice',
  `method` LowCardinality(String) COMMENT 'HTTP method',
  `authority` LowCardinality(String) COMMENT 'Host or :authority',
  `path` String COMMENT 'path and query',
  `path_template` LowCardinality(String) COMMENT 'path without ids and query',
  `client_code` Nullable(UInt16) COMMENT 'status that the client got',
  `server_code` Nullable(UInt16) COMMENT 'status that the server gave',
  `client_flags` LowCardinality(String) COMMENT 'response flags of the client\'s line',
  `server_flags` LowCardinality(String) COMMENT 'response flags of the server\'s line',
  `client_ms` Nullable(UInt32) COMMENT 'milliseconds that the client\'s proxy waited',
  `server_ms` Nullable(UInt32) COMMENT 'milliseconds that the server\'s proxy needed',
  `network_ms` Nullable(Int64) COMMENT 'client_ms - server_ms: network, connecting, retries; below zero by rounding, or where the server worked on after the client had its answer',
  `weight` UInt32 COMMENT 'requests that this row stands for'
) AS
SELECT
  if(seen_by = 'server', server.1, client.1) AS timestamp,
  request_id,
  request_id_other,
  multiIf(server.1 = 0, 'client', client.1 = 0, 'server', 'both') AS seen_by,
  client.2 AS client_namespace,
  client.3 AS client_app,
  client.4 AS client_version,
  client.5 AS client_pod,
  server.2 AS server_namespace,
  server.3 AS server_app,
  server.4 AS server_version,
  server.5 AS server_pod,
  address AS server_address,
  if(seen_by = 'server', server.13, client.13) AS upstream_service,
  if(seen_by = 'server', server.14, client.14) AS upstream_subset,
  if(seen_by = 'server', server.9, client.9) AS method,
  if(seen_by = 'server', server.10, client.10) AS authority,
  if(seen_by = 'server', server.11, client.11) AS path,
  if(seen_by = 'server', server.12, client.12) AS path_template,
  if(seen_by = 'server', NULL, client.6) AS client_code,
  if(seen_by = 'client', NULL, server.6) AS server_code,
  client.7 AS client_flags,
  server.7 AS server_flags,
  if(seen_by = 'server', NULL, client.8) AS client_ms,
  if(seen_by = 'client', NULL, server.8) AS server_ms,
  if(seen_by = 'both', toInt64(client.8) - server.8, NULL) AS network_ms,
  if(seen_by = 'server', server.15, client.15) AS weight
FROM (
  SELECT request_id, request_id_other, if(direction = 'outbound', upstream_host, downstream_local_address) AS address,
    arraySort(groupArrayIf(tuple(timestamp, k8s_namespace, app, version, k8s_pod, response_code, response_flags, duration_ms, method, authority, path, path_template, upstream_service, upstream_subset, weight, file_id, line), direction = 'outbound')) AS clients,
    arraySort(groupArrayIf(tuple(timestamp, k8s_namespace, app, version, k8s_pod, response_code, response_flags, duration_ms, method, authority, path, path_template, upstream_service, upstream_subset, weight, file_id, line), direction = 'inbound')) AS servers,
    greatest(length(clients), length(servers)) AS n
  FROM `logproc`.`access_log`
  WHERE direction IN ('inbound', 'outbound') AND log_type = 'http' AND NOT (request_id = toUUID('00000000-0000-0000-0000-000000000000') AND request_id_other = '')
    AND timestamp >= {since:DateTime64(6, 'UTC')} - INTERVAL 1 MINUTE AND timestamp < {until:DateTime64(6, 'UTC')} + INTERVAL 1 MINUTE
  GROUP BY request_id, request_id_other, address
)
ARRAY JOIN arrayResize(clients, n) AS client, arrayResize(servers, n) AS server
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
COMMENT 'hop of the requests of a time, which it reads alone: SELECT * FROM hop_between(since = \'2026-11-21 10:00:00\', until = \'2026-11-21 11:00:00\')';

CREATE TABLE IF NOT EXISTS `logproc`.`schema_version` (
  `version` UInt32 COMMENT 'number of the schema',
  `applied_at` DateTime('UTC') DEFAULT now() COMMENT 'when the store got it'
)
ENGINE = MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'versions of the tables in this database; the highest holds';

INSERT INTO `logproc`.`schema_version` (version) VALUES (2);
