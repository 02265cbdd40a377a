-- Latency of each service, and how much of it is spent in the service itself
--
-- Milliseconds, HTTP only. Of inbound lines, service_* is the application's own time and proxy_* what the server's proxy adds; of
-- outbound lines, service_* is everything behind the client's proxy. Only lines that say the upstream's time count in those.
WITH
    isNotNull(upstream_service_time_ms) AS says,
    countIf(says) AS known,
    quantilesExactWeightedIf(0.5, 0.99)(assumeNotNull(upstream_service_time_ms), weight, says) AS behind,
    quantilesExactWeightedIf(0.5, 0.99)(greatest(0, toInt64(duration_ms) - assumeNotNull(upstream_service_time_ms)), weight, says) AS here
SELECT
    k8s_namespace AS namespace,
    if(app != '', app, if(upstream_service != '', upstream_service, authority)) AS service,
    if(access_log.direction = '', '-', access_log.direction) AS direction,
    sum(weight) AS requests,
    (quantilesExactWeighted(0.5, 0.9, 0.95, 0.99, 0.999)(duration_ms, weight) AS durations)[1] AS p50_ms,
    durations[2] AS p90_ms,
    durations[3] AS p95_ms,
    durations[4] AS p99_ms,
    durations[5] AS p999_ms,
    max(duration_ms) AS max_ms,
    if(known > 0, behind[1], NULL) AS service_p50_ms,
    if(known > 0, behind[2], NULL) AS service_p99_ms,
    if(known > 0, here[1], NULL) AS proxy_p50_ms,
    if(known > 0, here[2], NULL) AS proxy_p99_ms
FROM access_log
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    AND log_type = 'http'
    AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
    AND ({service:String} = '' OR app = {service:String} OR startsWith(concat(upstream_service, '.'), concat({service:String}, '.')))
GROUP BY namespace, service, direction
ORDER BY p99_ms DESC, namespace, service, direction
