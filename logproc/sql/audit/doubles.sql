-- Runs of lines of a file that have more than one row, with the rows that are too many.
SELECT min(line) AS first, max(line) + 1 AS stop, sum(n) - count() AS surplus
FROM (
  SELECT line, n, line - row_number() OVER (ORDER BY line) AS island
  FROM (
    SELECT line, count() AS n FROM (
      SELECT line FROM access_log WHERE file_id = {file:UInt64} UNION ALL
      SELECT line FROM message_log WHERE file_id = {file:UInt64} UNION ALL
      SELECT line FROM rejected_line WHERE file_id = {file:UInt64}
    )
    GROUP BY line
    HAVING n > 1
  )
)
GROUP BY island
ORDER BY first
LIMIT {limit:UInt64}
