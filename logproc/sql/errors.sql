-- What failed: response flags and 5xx by service and cluster, with their meaning
--
-- One request can show on both sides: the client's proxy (outbound) says what it got, the server's (inbound) what it answered.
-- pct: of all lines of the same service, direction and cluster. Without a flag the application itself answered with that code.
-- More on a flag: logproc flags UF
--
-- parameter limit = 20: rows to show
SELECT
    if(flag_set = '', '-', flag_set) AS flags,
    code,
    service,
    direction,
    cluster,
    requests,
    pct,
    details,
    if(
        flag_set = '',
        if(startsWith(details, 'via_upstream'), 'the application answered so', ''),
        arrayStringConcat(arrayMap(f -> transform(f, {flag_names:Array(String)}, {flag_meanings:Array(String)}, 'a flag of an extension'), splitByChar(',', flag_set)), '; ')
    ) AS meaning
FROM
(
    SELECT
        toString(response_flags) AS flag_set,
        response_code AS code,
        if(app != '', app, if(upstream_service != '', upstream_service, authority)) AS service,
        if(access_log.direction = '', '-', access_log.direction) AS direction,
        if(upstream_cluster != '', upstream_cluster, authority) AS cluster,
        sum(weight) AS requests,
        round(100 * requests / sum(requests) OVER (PARTITION BY service, direction, cluster), 2) AS pct,
        toString(topKWeighted(1)(response_code_details, weight)[1]) AS details
    FROM access_log
    WHERE timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}
        AND ({namespace:String} = '' OR k8s_namespace = {namespace:String})
        AND ({service:String} = '' OR app = {service:String} OR startsWith(concat(upstream_service, '.'), concat({service:String}, '.')))
    GROUP BY flag_set, code, service, direction, cluster
)
WHERE flag_set != '' OR code >= 500
ORDER BY requests DESC, flags, code, service, direction, cluster
LIMIT {limit:UInt32}
