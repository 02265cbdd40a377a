-- What the ledger says of each file: its lines, those of them that are dead letters, and where its runs leave a gap or overlap.
-- Runs are half-open, [first, stop). Those whose rows are older than the tables keep (`keep_from`) count for coverage alone.
WITH runs AS (
  SELECT
    file_id, path, k8s_namespace, k8s_pod, k8s_container, lines, state, joined, left_out,
    toInt64(first_line) AS first,
    toInt64(first_line) + lines AS stop,
    access_rows + message_rows + rejected_rows > 0 AND toUnixTimestamp64Micro(min_time) < {keep_from:Int64} AS expired,
    max(toInt64(first_line) + lines) OVER earlier AS before,
    max(if(state = 'stored', toInt64(first_line) + lines, 0)) OVER earlier AS before_stored,
    min(received_at) OVER (PARTITION BY file_id) AS known_since
  FROM ledger
  WHERE state IN ('stored', 'dead')
    AND file_id % {parts:UInt64} = {part:UInt64}
    AND (empty({files:Array(UInt64)}) OR has({files:Array(UInt64)}, file_id))
  WINDOW earlier AS (
    PARTITION BY file_id ORDER BY toInt64(first_line), toInt64(first_line) + lines
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  )
)
SELECT
  file_id,
  anyLast(path) AS path,
  anyLast(k8s_namespace) AS k8s_namespace,
  anyLast(k8s_pod) AS k8s_pod,
  anyLast(k8s_container) AS k8s_container,
  sumIf(greatest(stop - greatest(first, before), 0), lines > 0 AND NOT expired) AS read,
  sumIf(greatest(stop - greatest(first, before_stored), 0), lines > 0 AND NOT expired AND state = 'stored') AS stored,
  sumIf(joined, state = 'stored' AND NOT expired) AS joined_lines,
  sumIf(left_out, state = 'stored' AND NOT expired) AS left_out_lines,
  max(stop) AS last,
  sumIf(first - before, is_gap) AS gap_lines,
  groupArrayIf(100)((before, first), is_gap) AS gaps,
  sumIf(least(stop, before_stored) - first, is_overlap) AS overlap_lines,
  groupArrayIf(100)((first, least(stop, before_stored)), is_overlap) AS overlaps
FROM (
  SELECT
    *,
    lines > 0 AND first > before AND NOT (before = 0 AND toUnixTimestamp64Micro(known_since) < {keep_from:Int64}) AS is_gap,
    state = 'stored' AND lines > 0 AND first < before_stored AS is_overlap
  FROM runs
)
GROUP BY file_id
