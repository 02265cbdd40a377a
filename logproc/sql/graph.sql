-- Who calls whom: each edge of the service graph with rate, errors, latency
--
-- From the lines of the client's proxies (outbound); calls by clients without a proxy are seen by the server's side alone and are
-- missing here. flags: the most frequent ones on the edge. per_second: from the first to the last line in the window.
WITH
    (
        SELECT greatest(1, dateDiff('microsecond', min(timestamp), max(timestamp)) / 1000000)
        FROM access_log
        WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    ) AS seconds
SELECT
    k8s_namespace AS namespace,
    if(app != '', app, '(unknown)') AS source,
    if(upstream_service != '', upstream_service, if(upstream_cluster != '', upstream_cluster, authority)) AS destination,
    upstream_subset AS subset,
    log_type AS type,
    'outbound' AS direction,
    sum(weight) AS requests,
    round(requests / seconds, 2) AS per_second,
    round(100 * sumIf(weight, response_code >= 500 OR (log_type != 'http' AND response_flags NOT IN ('', 'DC', 'DI', 'DT'))) / requests, 2) AS error_pct,
    (quantilesExactWeighted(0.5, 0.99)(duration_ms, weight) AS durations)[1] AS p50_ms,
    durations[2] AS p99_ms,
    arrayStringConcat(topKWeightedIf(3)(toString(response_flags), weight, response_flags != ''), ' ') AS flags
FROM access_log
WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
    AND access_log.direction NOT IN ('inbound', 'inbound-vip')
    AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
    AND ({service:String} = '' OR app = {service:String} OR startsWith(concat(upstream_service, '.'), concat({service:String}, '.')))
GROUP BY namespace, source, destination, subset, type
ORDER BY requests DESC, namespace, source, destination, subset, type
