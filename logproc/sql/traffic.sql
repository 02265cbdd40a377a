-- Traffic of each service: rate, errors, latency
--
-- One request makes a line of the client's proxy (outbound) and one of the server's (inbound): a service has a row for what it
-- answered (inbound) and one for what it asked of others (outbound). Adding them up would count requests twice.
-- per_second: from the first to the last line in the window. error_pct: answered with 5xx; connections (tcp, l4): failed in the mesh.
-- Durations are milliseconds; a connection's is its whole life.
WITH
    (
        SELECT greatest(1, dateDiff('microsecond', min(timestamp), max(timestamp)) / 1000000)
        FROM access_log
        WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    ) AS seconds
SELECT
    k8s_namespace AS namespace,
    if(app != '', app, if(upstream_service != '', upstream_service, authority)) AS service,
    if(access_log.direction = '', '-', access_log.direction) AS direction,
    log_type AS type,
    sum(weight) AS requests,
    round(requests / seconds, 2) AS per_second,
    round(100 * sumIf(weight, response_code >= 500 OR (log_type != 'http' AND response_flags NOT IN ('', 'DC', 'DI', 'DT'))) / requests, 2) AS error_pct,
    (quantilesExactWeighted(0.5, 0.95, 0.99)(duration_ms, weight) AS durations)[1] AS p50_ms,
    durations[2] AS p95_ms,
    durations[3] AS p99_ms
FROM access_log
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
    AND ({service:String} = '' OR app = {service:String} OR startsWith(concat(upstream_service, '.'), concat({service:String}, '.')))
GROUP BY namespace, service, direction, type
ORDER BY max(requests) OVER (PARTITION BY namespace, service) DESC, namespace, service, direction, type
