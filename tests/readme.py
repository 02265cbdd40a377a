"""Puts real output into the README: `make readme` runs what the page shows and replaces what stands between its markers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "README.md"
PROGRAM = f"{sys.executable} -m logproc"
HOME = Path("/tmp/logproc-readme")

QUERY = (
    "SELECT upstream_cluster, response_flags, count(), quantile(0.99)(duration_ms) FROM logproc.access_log"
    " GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5"
)
COMMANDS = {
    "make demo": "demo",
    "collect": "collect access.log --to chdb:///tmp/logproc-readme/one-shot --state /tmp/logproc-readme/state --no-follow --output json",
    "flags": "flags UO",
    "query": f'query "{QUERY}"',
    "report": "report traffic --service mushop-storefront",
}


def shown(command: str, folder: str) -> str:
    """Standard output of one command, as a user without a terminal's colours sees it."""
    env = os.environ | {"HOME": str(HOME), "XDG_DATA_HOME": str(HOME / "share"), "NO_COLOR": "1"}
    done = subprocess.run(
        f"{PROGRAM} {command}", shell=True, capture_output=True, text=True, env=env, cwd=folder, check=True
    )
    text = (
        done.stdout.rstrip()
        .replace(str(HOME / "share"), "~/.local/share")
        .replace("python -m logproc", ".venv/bin/logproc")
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


def main() -> None:
    """Replace the outputs."""
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run(
            f"{PROGRAM} simulate helloworld --requests 1000", shell=True, capture_output=True, check=True, cwd=folder
        )
        (Path(folder) / "access.log").write_bytes(lines.stdout)
        for name, command in COMMANDS.items():
            block = f"<!-- output: {name} -->\n```text\n{shown(command, folder)}\n```\n<!-- end -->"
            page = re.sub(rf"<!-- output: {name} -->.*?<!-- end -->", lambda _, b=block: b, page, flags=re.DOTALL)  # type: ignore[misc]
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
