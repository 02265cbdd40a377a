"""What is measured over: simulated traffic of a large mesh, made once and kept in `.cache/bench`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.bench.measure import ROOT, run

FOLDER = ROOT / ".cache" / "bench"
LOGPROC = [sys.executable, "-m", "logproc"]


def _made(path: Path, make: list[str], stdout: bool) -> Path:
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        print(f"making {path.relative_to(ROOT)} ...", file=sys.stderr)
        if stdout:
            import subprocess

            with path.with_suffix(".tmp").open("wb") as out:
                subprocess.run(make, stdout=out, stderr=subprocess.DEVNULL, check=True, cwd=ROOT)
            path.with_suffix(".tmp").rename(path)
        else:
            run(make)
    return path


def lines(format: str = "T5", requests: int = 120_000) -> Path:
    """A file of access lines of one format, as printed by Envoy (component lines left out)."""
    path = FOLDER / f"{format}-{requests}.log"
    if not path.exists():
        raw = _made(
            FOLDER / f"{format}-{requests}.raw",
            [*LOGPROC, "simulate", "large", "--requests", str(requests), "--seed", "1", "--format", format],
            stdout=True,
        )
        start = b"{" if format == "json" else b"["
        with raw.open("rb") as source, path.open("wb") as out:
            out.writelines(line for line in source if line.startswith(start))
        raw.unlink()
    return path


def cri(plain: Path) -> Path:
    """The same lines in CRI frames."""
    path = plain.with_suffix(".cri")
    if not path.exists():
        with plain.open("rb") as source, path.open("wb") as out:
            for number, line in enumerate(source):
                out.write(
                    b"2026-11-20T10:%02d:%02d.%09dZ stdout F "
                    % (number // 60000 % 60, number // 1000 % 60, number * 997 % 10**9)
                    + line
                )
    return path


def hostile(plain: Path, share: float) -> Path:
    """The same lines, `share` of them with quotes and brackets forged into the user agent, spread evenly."""
    path = plain.with_suffix(f".hostile{share:g}")
    if not path.exists():
        every = round(1 / share)
        with plain.open("rb") as source, path.open("wb") as out:
            for number, line in enumerate(source):
                if number % every == 0:
                    pieces = line.split(b'"')
                    pieces[7] += b'" "x" [2026-01-01T00:00:00.000Z] "GET /forged HTTP/1.1" 200 - "y'
                    line = b'"'.join(pieces)
                out.write(line)
    return path


def repeated(plain: Path, size: int) -> Path:
    """The same lines again and again up to `size` bytes, for measures of memory."""
    path = plain.with_suffix(f".{size >> 20}MiB")
    if not path.exists():
        with path.open("wb") as out:
            while out.tell() < size:
                with plain.open("rb") as source:
                    shutil.copyfileobj(source, out)
    return path


def pods(requests: int = 250_000) -> Path:
    """Kubelet log folders of a large mesh."""
    return _made(
        FOLDER / f"pods-{requests}",
        [
            *LOGPROC,
            "simulate",
            "large",
            "--requests",
            str(requests),
            "--seed",
            "1",
            "--out",
            str(FOLDER / f"pods-{requests}"),
        ],
        stdout=False,
    )
