"""Runs the pages under docs/walkthroughs as a reader would: each `$ logproc` line, in order, in a fresh folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "walkthroughs"
NEEDS_CLUSTER = re.compile(r"logproc tail (?:-|deploy/)")
_PIECE = re.compile(r"```console\n(?P<typed>.*?)```(?:\n\n<!-- output -->\n(?P<shown>.*?)<!-- end -->)?", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One block of commands, what the page shows of its output, and what it really is."""

    typed: tuple[str, ...]
    shown: str | None
    output: str
    errors: str
    code: int


def steps(page: Path, folder: Path) -> list[Step]:
    """Run a page; `/tmp/NAME` of the page is `folder`. What needs a cluster is left out."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LOGPROC_")}
    env |= {"HOME": str(folder), "NO_COLOR": "1", "COLUMNS": "150", "LOGPROC": f"{sys.executable} -m logproc"}
    place = f"/tmp/{page.stem}"
    found = []
    for piece in _PIECE.finditer(page.read_text()):
        typed = tuple(line[2:] for line in piece["typed"].splitlines() if line.startswith("$ "))
        runs = [c for c in typed if not NEEDS_CLUSTER.search(c)]
        output, errors, code = "", "", 0
        for command in runs:
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                env[name] = value.replace(place, str(folder))
                continue
            done = subprocess.run(
                ["bash", "-c", command.replace(place, str(folder)).replace("logproc ", "$LOGPROC ", 1)],
                capture_output=True, text=True, env=env, cwd=Path(__file__).parent.parent, timeout=120, check=False,
            )  # fmt: skip
            separator = "\n" if output and done.stdout else ""
            output += separator + done.stdout.replace(str(folder), place)
            errors, code = errors + done.stderr, code or done.returncode
        shown = piece["shown"]
        kept = "\n".join(line.rstrip() for line in output.splitlines())
        found.append(Step(typed, shown, kept, errors, code))
    return found


def refresh(page: Path, folder: Path) -> None:
    """Put real output into a page."""
    text = page.read_text()
    outputs = iter([s.output for s in steps(page, folder) if s.shown is not None])
    block = re.compile(r"<!-- output -->\n.*?<!-- end -->", re.DOTALL)
    text = block.sub(lambda _: f"<!-- output -->\n```text\n{next(outputs)}\n```\n<!-- end -->", text)
    page.write_text(text)
