"""`logproc serve` under load: many clients at once, each asking again as soon as it is answered."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from tests.bench import data
from tests.bench.measure import run
from tests.serve.servers import serving

CLIENTS = 200
SECONDS = 60.0
MEMORY = "2Gi"
REPORT = (
    "SELECT app, count() AS n, countIf(response_code >= 500) AS errors, quantilesTDigest(0.5, 0.95, 0.99)(duration_ms) FROM access_log "
    "WHERE timestamp > (SELECT max(timestamp) FROM access_log) - INTERVAL 1 HOUR GROUP BY app ORDER BY n DESC"
)
MIX = ["SELECT 1"] * 9 + [REPORT]
"""Of ten requests one is the report."""


async def _client(port: int, first: int, end: float, took: dict[str, list[float]], errors: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = first
    while time.monotonic() < end:
        sql = MIX[number % len(MIX)]
        number += 1
        began = time.monotonic()
        writer.write(f"GET /?query={quote(sql)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        took[sql].append(time.monotonic() - began)
        if b" 200 " not in head[:15]:
            errors.append(body.decode(errors="replace")[:200])
    writer.close()


async def _load(port: int, seconds: float) -> tuple[dict[str, list[float]], list[str]]:
    took: dict[str, list[float]] = {sql: [] for sql in MIX}
    errors: list[str] = []
    end = time.monotonic() + seconds
    done = await asyncio.gather(*(_client(port, n, end, took, errors) for n in range(CLIENTS)), return_exceptions=True)
    errors += [repr(e) for e in done if e is not None]
    return took, errors


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(repeats: int) -> None:
    """Latency, errors and memory of 200 clients for a minute."""
    del repeats
    with tempfile.TemporaryDirectory(dir=data.FOLDER) as folder:
        source = data.lines("T5")
        rows = run(
            [
                *data.LOGPROC,
                "collect",
                str(source),
                "--to",
                f"{folder}/store",
                "--state",
                f"{folder}/state",
                "--no-follow",
                "-o",
                "json",
            ]
        ).said["lines"]
        with serving("serve", "--store", f"{folder}/store", "--max-memory", MEMORY) as server:
            took, errors = asyncio.run(_load(server.port, SECONDS))
            peak, cpu = _peak_mb(server.process.pid), _cpu(server.process.pid)
            server.stop()
    print(f"\n`logproc serve`, {CLIENTS} clients for {SECONDS:.0f} s, {rows:,} rows, --max-memory {MEMORY}\n")
    print("| statement | answers | p50 ms | p99 ms |\n|--|--|--|--|")
    for sql, seconds in took.items():
        ordered = sorted(seconds)
        name = "`SELECT 1`" if sql == "SELECT 1" else "report of 1 h"
        print(
            f"| {name} | {len(ordered):,} | {1000 * ordered[len(ordered) // 2]:.0f} | {1000 * ordered[int(len(ordered) * 0.99)]:.0f} |"
        )
    print(f"\nerrors: {len(errors)}{' ' + errors[0] if errors else ''}; peak memory {peak:.0f} MB; CPU {cpu:.0f} s")
