-- The rows of each file beside the runs of the ledger that they belong to; per file the runs where the two differ.
-- `there` rows, `lines` distinct lines of them, `expected` rows by the ledger; `outside` rows are in no run.
WITH
  runs AS (
    SELECT
      file_id, first_line, max(first_line + lines) AS stop,
      argMax(access_rows + message_rows + rejected_rows, lines) AS expected,
      argMax(access_rows + message_rows + rejected_rows > 0 AND toUnixTimestamp64Micro(min_time) < {keep_from:Int64}, lines) AS expired
    FROM ledger
    WHERE state = 'stored' AND lines > 0
      AND file_id % {parts:UInt64} = {part:UInt64}
      AND (empty({files:Array(UInt64)}) OR has({files:Array(UInt64)}, file_id))
    GROUP BY file_id, first_line
  ),
  -- A run without rows has to show too; a correction (a run of no lines) expects a row in the run that counted its line as joined.
  found AS (
    SELECT file_id, line, 1 AS there, 0 AS corrected FROM access_log UNION ALL
    SELECT file_id, line, 1 AS there, 0 AS corrected FROM message_log UNION ALL
    SELECT file_id, line, 1 AS there, 0 AS corrected FROM rejected_line UNION ALL
    SELECT file_id, first_line AS line, 0 AS there, 0 AS corrected FROM runs UNION ALL
    SELECT file_id, first_line AS line, 0 AS there, access_rows + message_rows + rejected_rows AS corrected
    FROM ledger WHERE state = 'stored' AND lines = 0
  )
SELECT
  file_id,
  sumIf(there, NOT expired OR outside) AS rows,
  sum(there - lines) AS surplus,
  groupArrayIf(1000)((first_line, stop, outside, expected, there, lines, earliest, latest, expired), there != lines OR outside OR (lines != expected AND NOT expired)) AS wrong
FROM (
  SELECT
    f.file_id AS file_id,
    r.first_line AS first_line,
    f.line >= r.stop AS outside,
    any(r.stop) AS stop,
    if(outside, 0, any(r.expected) + sum(f.corrected)) AS expected,
    any(r.expired) AS expired,
    sum(f.there) AS there,
    groupBitmapIf(f.line, f.there > 0) AS lines,
    minIf(f.line, f.there > 0) AS earliest,
    maxIf(f.line, f.there > 0) AS latest
  FROM (
    SELECT * FROM found
    WHERE file_id % {parts:UInt64} = {part:UInt64}
      AND (empty({files:Array(UInt64)}) OR has({files:Array(UInt64)}, file_id))
  ) AS f
  ASOF LEFT JOIN runs AS r ON f.file_id = r.file_id AND f.line >= r.first_line
  GROUP BY file_id, first_line, outside
)
GROUP BY file_id
