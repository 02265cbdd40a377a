-- What a store of version 1 was made with, as it was embedded, and some of its rows: recorded once, never changed.

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
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
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
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
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
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
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
SETTINGS ttl_only_drop_parts = 0, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
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
  `n` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'lines, each by its weight',
  `bytes_in` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'bytes received',
  `bytes_out` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'bytes sent',
  `duration_sum` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)) COMMENT 'milliseconds in all',
  `duration_max` SimpleAggregateFunction(max, UInt32) CODEC(ZSTD(1)) COMMENT 'the longest, in milliseconds',
  `duration_hist` SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)) CODEC(ZSTD(1)) COMMENT 'lines by duration: bucket b holds durations from 2^(b/4) - 1 to 2^((b+1)/4) - 1 ms'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (k8s_namespace, app, direction, upstream_service, upstream_subset, version, response_code, response_flags, minute)
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
  sum(weight) AS n,
  sum(bytes_received * weight) AS bytes_in,
  sum(bytes_sent * weight) AS bytes_out,
  sum(toUInt64(duration_ms) * weight) AS duration_sum,
  max(duration_ms) AS duration_max,
  sumMap(map(toUInt8(floor(log2(duration_ms + 1) * 4)), toUInt64(weight))) AS duration_hist
FROM `logproc`.`access_log`
GROUP BY minute, k8s_namespace, app, version, direction, upstream_service, upstream_subset, response_code, response_flags;

CREATE TABLE IF NOT EXISTS `logproc`.`schema_version` (
  version UInt32 COMMENT 'number of the schema',
  applied_at DateTime('UTC') DEFAULT now() COMMENT 'when the store got it'
)
ENGINE = MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'versions of the tables in this database; the highest holds';

INSERT INTO `logproc`.`schema_version` (version) VALUES (1);
