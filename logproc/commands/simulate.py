"""`logproc simulate`: a mesh that writes what kubelets and proxies write."""

from __future__ import annotations

import gc
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from logproc.errors import ConfigError
from logproc.sizes import count_text, size_text

if TYPE_CHECKING:
    from logproc.simulator import Summary

TITLE = "Write the logs of a simulated mesh: rotating pod logs, or plain lines."

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def run(  # noqa: PLR0917  one for each option
    topology: str = typer.Argument("bookinfo", help="bookinfo, mushop, travels, helloworld, or large."),
    out: Path = typer.Option(
        None,
        "--out",
        help="Write pod logs as a kubelet does, under this folder; without it, plain lines to standard output.",
    ),
    requests: int = typer.Option(None, "--requests", help="Stop after so many requests."),
    seconds: float = typer.Option(
        None, "--seconds", help="Stop after so many seconds of simulated time.", show_default="60"
    ),
    rate: float = typer.Option(None, "--rate", help="Requests per second.", show_default="20, large: 200"),
    live: bool = typer.Option(False, "--live", help="In real time, until stopped (or --seconds, --requests)."),
    start: str = typer.Option(
        None, "--start", help="Time of the first request (RFC 3339).", show_default="now, less what the run lasts"
    ),
    seed: int = typer.Option(1, "--seed", help="Same seed and --start: the same bytes."),
    format: str = typer.Option(
        "istio", "--format", help="istio-1.0 to istio-1.31, T0 to T6, json, envoy ..., or a format string of your own."
    ),
    truth: Path = typer.Option(None, "--truth", help="Write what every line must be read as, one JSON object per row."),
    rotate_at: str = typer.Option("10Mi", "--rotate-at", help="Rotate files that have grown to this size."),
    keep: int = typer.Option(
        None, "--keep", help="Files to keep per container (a kubelet keeps 5).", show_default="all"
    ),
    restarts: int = typer.Option(1, "--restarts", help="Proxies that restart during the run (with --out)."),
    services: int = typer.Option(40, "--services", help="Services of the large mesh."),
) -> None:
    """Write the logs of a simulated mesh: test data for benchmarks, demonstrations and other people's tools.

    Every request makes the line of its client's proxy and that of its server's, through gateways and down the call tree, with one
    request id, matching addresses and durations that nest; some fail, each kind with the flags and details that Envoy prints.
    The proxies and applications have their say in between.

    With --out, files are laid out, framed, split, rotated and compressed as containerd and a kubelet do:
    DIR/<namespace>_<pod>_<uid>/<container>/<restart>.log

    Examples:

    \b
      logproc simulate | logproc parse -
      logproc simulate mushop --out /tmp/pods --seconds 600 --rate 100
      logproc simulate large --services 40 --out /tmp/pods --requests 1000000 --truth /tmp/truth.jsonl
      logproc simulate travels --out /tmp/pods --live --rotate-at 1Mi
      logproc simulate --format '%START_TIME% %REQ(:METHOD)% %RESPONSE_CODE% %TRACE_ID%' --requests 10
    """
    from logproc.simulator import SimulateOptions, simulate

    options = SimulateOptions(
        topology=topology,
        out=out,
        seed=seed,
        rate=rate,
        requests=requests,
        seconds=seconds,
        format=format,
        truth=truth,
        start=_moment(start) if start is not None else None,
        live=live,
        rotate_at=_size(rotate_at),
        keep=keep,
        restarts=restarts,
        services=services,
    )
    # Nothing here is cyclic, and millions of short-lived texts would have it look for cycles all the time.
    gc.set_threshold(200_000, 50, 50)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    progress = _Progress() if sys.stderr.isatty() and (out is not None or not sys.stdout.isatty()) else None
    summary = simulate(options, stop=stop, report=progress)
    if progress is not None:
        progress.clear()
    print(_sentence(summary, out), file=sys.stderr)


class _Progress:
    """A line on the terminal that says how far it is, at most five times a second."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, summary: Summary) -> None:
        now = time.monotonic()
        if now - self._shown >= 0.2:
            self._shown = now
            speed = summary.lines / max(summary.seconds, 1e-6)
            print(
                f"\r\x1b[K{count_text(summary.requests, 'request')}, {count_text(summary.lines, 'line')}, {speed:,.0f}/s",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        """Make room for the summary."""
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _sentence(summary: Summary, out: Path | None) -> str:
    begin = datetime.fromtimestamp(summary.start, UTC).isoformat().replace("+00:00", "Z")
    where = f" in {count_text(summary.files, 'file')} under {out}" if out is not None else ""
    return f"{count_text(summary.requests, 'request')} from {begin}: {count_text(summary.lines, 'line')}, {size_text(summary.bytes)}{where} in {summary.seconds:.1f} s"


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)\s*([kmg]?i?)b?", text.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"--rotate-at {text!r} is no size", "write 10Mi, 512Ki or a number of bytes")
    return int(found[1]) * _UNITS[found[2]]


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start {text!r} is no time", "write 2026-11-21T08:00:00Z") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
