"""What `logproc demo` shows, as SQL over the store it made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROOF = """
SELECT sum(lines) AS lines, sum(access_rows) AS access, sum(message_rows) AS messages, sum(rejected_rows) AS rejected,
    sum(joined) AS joined, sum(left_out) AS left_out,
    (SELECT count() FROM access_log) + (SELECT count() FROM message_log) + (SELECT count() FROM rejected_line) AS rows
FROM ledger WHERE state = 'stored'
"""

SERVICES = """
SELECT k8s_namespace AS namespace, app AS service, sum(weight) AS requests,
    round(requests / {seconds:Float64}, 1) AS per_second,
    round(100 * sumIf(weight, response_code >= 500) / requests, 1) AS error_pct,
    (quantilesExactWeighted(0.5, 0.95, 0.99)(duration_ms, weight) AS d)[1] AS p50_ms, d[2] AS p95_ms, d[3] AS p99_ms
FROM access_log WHERE log_type = 'http' AND direction = 'inbound'
GROUP BY namespace, service ORDER BY requests DESC, namespace, service LIMIT 12
"""

FLAGS = """
SELECT arrayJoin(splitByChar(',', toString(response_flags))) AS flag, sum(weight) AS lines,
    topKWeighted(1)(toString(if(app != '', app, upstream_service)), weight)[1] AS mostly_at
FROM access_log WHERE response_flags != '' GROUP BY flag ORDER BY lines DESC, flag LIMIT 6
"""

NEXT_QUERY = "SELECT app, response_flags, count() FROM access_log GROUP BY ALL ORDER BY 3 DESC LIMIT 10"


def canary_parameters() -> dict[str, str]:
    """Parameters of the report `canary` for the storefront over all times."""
    return {
        "since": "1970-01-01 00:00:00",
        "until": "2100-01-01 00:00:00",
        "namespace": "",
        "service": "mushop-storefront",
    }


def physical_lines(root: Path) -> Iterator[tuple[int, int]]:
    """(lines, bytes) of each log file under a folder, compressed ones unpacked: counted apart from the collector."""
    import gzip

    for path in sorted(root.rglob("*.log*")):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = size = 0
            while block := file.read(1 << 20):
                lines += block.count(b"\n")
                size += len(block)
            yield lines, size
