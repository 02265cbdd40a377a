-- Observed weight of each subset or version, with the range that its true weight is in
--
-- by subset: what the client's proxies chose (outbound lines, one per request whatever the retries); compare it with the weights of
-- the VirtualService. by version: which pods answered (inbound lines), where a service has more than one version.
-- share_pct is observed; low_pct and high_pct are its 95 % Wilson interval: a weight within them is not contradicted by the traffic.
SELECT
    service,
    direction,
    if(direction = 'inbound', 'version', 'subset') AS by,
    if(name = '', '(none)', name) AS name,
    requests,
    round(100 * share, 2) AS share_pct,
    round(100 * greatest(0, (share + 1.92073 / n - 1.96 * sqrt(share * (1 - share) / n + 0.960365 / n / n)) / (1 + 3.8416 / n)), 2) AS low_pct,
    round(100 * least(1, (share + 1.92073 / n + 1.96 * sqrt(share * (1 - share) / n + 0.960365 / n / n)) / (1 + 3.8416 / n)), 2) AS high_pct,
    error_pct,
    p99_ms
FROM
(
    SELECT
        if(direction = 'inbound', app, upstream_service) AS service,
        direction,
        toString(if(direction = 'inbound', version, upstream_subset)) AS name,
        sum(weight) AS requests,
        requests / sum(requests) OVER (PARTITION BY service, direction) AS share,
        -- Lines that were sampled stand for several requests, but do not make the observation any surer.
        pow(sum(requests) OVER (PARTITION BY service, direction), 2) / sum(sum(toUInt64(weight) * weight)) OVER (PARTITION BY service, direction) AS n,
        count() OVER (PARTITION BY service, direction) AS names,
        max(name) OVER (PARTITION BY service, direction) AS last_name,
        round(100 * sumIf(weight, response_code >= 500) / requests, 2) AS error_pct,
        quantileExactWeighted(0.99)(duration_ms, weight) AS p99_ms
    FROM access_log
    WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
        AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
        AND direction IN ('inbound', 'outbound')
        AND ({service:String} = '' OR (direction = 'inbound' AND app = {service:String}) OR (direction = 'outbound' AND startsWith(concat(upstream_service, '.'), concat({service:String}, '.'))))
    GROUP BY service, direction, name
)
WHERE service != '' AND (names > 1 OR (direction = 'outbound' AND last_name != ''))
ORDER BY service, direction DESC, name
