-- The slowest routes: by service, method and path without ids
--
-- Milliseconds, HTTP only; total_s is the time that all requests of the route took together. Of one request the server's line
-- (inbound) has the time of the service, the client's line (outbound) the time that the caller waited, retries included.
--
-- parameter limit = 20: rows to show
-- parameter least = 5: requests that a route must have to be shown
SELECT
    k8s_namespace AS namespace,
    if(app != '', app, if(upstream_service != '', upstream_service, authority)) AS service,
    if(access_log.direction = '', '-', access_log.direction) AS direction,
    if(direction = 'outbound', if(upstream_service != '', upstream_service, authority), '') AS destination,
    method,
    path_template AS route,
    sum(weight) AS requests,
    (quantilesExactWeighted(0.5, 0.95, 0.99)(duration_ms, weight) AS durations)[1] AS p50_ms,
    durations[2] AS p95_ms,
    durations[3] AS p99_ms,
    max(duration_ms) AS max_ms,
    round(sum(toUInt64(duration_ms) * weight) / 1000, 1) AS total_s,
    round(100 * sumIf(weight, response_code >= 500) / requests, 2) AS error_pct
FROM access_log
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    AND log_type = 'http'
    AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
    AND ({service:String} = '' OR app = {service:String} OR startsWith(concat(upstream_service, '.'), concat({service:String}, '.')))
GROUP BY namespace, service, direction, destination, method, route
HAVING requests >= {least:UInt32}
ORDER BY p95_ms DESC, requests DESC, namespace, service, direction, destination, method, route
LIMIT {limit:UInt32}
