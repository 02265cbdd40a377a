"""What a command imports before it works: the time to its first line, which a person waits for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LINE = '[2026-11-21T10:00:00.123Z] "GET /orders HTTP/1.1" 503 UF 0 91 12 - "-" "curl/8" "7f0c" "orders:8080" "10.0.0.1:8080"'
SERVERS = frozenset(
    {"chdb", "chdb_core", "clickhouse_connect", "kafka", "kubernetes", "lz4", "opentelemetry", "prometheus_client", "starlette", "uvicorn"}
)  # fmt: skip
"""What reaches or is a server."""
READERS = frozenset({"numpy", "pyarrow", "pydantic", "pyparsing"})


def imported(*arguments: str) -> set[str]:
    argv = [sys.executable, "-X", "importtime", "-m", "logproc", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    names = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    # A package that was only looked for is named too, its modules are not.
    return {name.split(".")[0] for name in names if name != "pandas"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_reads_nothing(argument: str) -> None:
    found = imported(argument)

    assert "typer" in found
    assert found & (SERVERS | READERS | {"pandas", "rich"}) == set()


def test_explain_loads_the_readers_alone() -> None:
    found = imported("explain", LINE)

    assert found >= READERS
    assert found & (SERVERS | {"pandas", "rich", "asyncio", "http"}) == set()


def test_the_live_view_of_a_file_loads_no_client_of_a_server(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(f"{LINE}\n")

    found = imported("tail", str(log), "--no-follow")

    assert found >= READERS
    assert found & (SERVERS | {"pandas", "rich"}) == set()
