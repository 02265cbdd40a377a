-- Runs of lines in [first, stop) of a file that have no row in any table.
SELECT toUInt64(previous + 1) AS first, toUInt64(line) AS stop
FROM (
  SELECT
    line,
    lagInFrame(line, 1, toInt64({first:UInt64}) - 1) OVER (ORDER BY line ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
  FROM (
    SELECT DISTINCT line FROM (
      SELECT toInt64(line) AS line FROM access_log WHERE file_id = {file:UInt64} AND line >= {first:UInt64} AND line < {stop:UInt64} UNION ALL
      SELECT toInt64(line) AS line FROM message_log WHERE file_id = {file:UInt64} AND line >= {first:UInt64} AND line < {stop:UInt64} UNION ALL
      SELECT toInt64(line) AS line FROM rejected_line WHERE file_id = {file:UInt64} AND line >= {first:UInt64} AND line < {stop:UInt64} UNION ALL
      SELECT toInt64({stop:UInt64}) AS line
    )
  )
)
WHERE line > previous + 1
ORDER BY line
LIMIT {limit:UInt64}
