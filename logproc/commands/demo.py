"""`logproc demo`: the whole path on one machine, without any service."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError
from logproc.sizes import count_text

if TYPE_CHECKING:
    import pyarrow as pa

TITLE = "A simulated mesh, collected into an embedded ClickHouse, with a report."

TOPOLOGIES = (("mushop", 60.0), ("travels", 60.0))
"""What is simulated, at how many requests per second."""
MARK = ".logproc-demo"


def run(
    folder: Path = typer.Option(None, "--dir", help="Folder for logs and store; what an earlier demo left there is replaced.", show_default="~/.local/share/logproc/demo"),
    seconds: int = typer.Option(60, "--seconds", help="Seconds of traffic to simulate.", min=1, max=3600),
    seed: int = typer.Option(1, "--seed", help="The same seed: the same traffic.", min=0),
) -> int:  # fmt: skip
    """Simulate a minute of two meshes, collect their pod logs into an embedded ClickHouse, and show what SQL tells about them.

    Nothing is needed and nothing keeps running. The store stays where it is said, for `logproc query` and `logproc report`.

    Examples:

    \b
      logproc demo
      logproc demo --seconds 600 --dir /tmp/demo
    """
    from logproc.store_choice import demo_folder

    place = (folder or demo_folder()).absolute()
    _clear(place)
    began = time.monotonic()
    _simulate(place / "pods", seconds, seed)
    lines, read_seconds = _collect(place)
    whole = _show(place, seconds, lines, read_seconds)
    _next(place, folder is None, time.monotonic() - began)
    return EXIT_DONE if whole else EXIT_FINDING


def _clear(place: Path) -> None:
    """Make the folder empty; only what an earlier demo made is removed."""
    if place.exists() and any(place.iterdir()) and not (place / MARK).exists():
        raise ConfigError(f"{place} is not empty and not a demo's", "name another folder with --dir")
    try:
        for old in ("pods", "store", "state"):
            shutil.rmtree(place / old, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        (place / MARK).touch()
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}", "name a folder you can write with --dir") from error


def _step(text: str) -> None:
    print(f"\n{text}", flush=True)


def _simulate(logs: Path, seconds: int, seed: int) -> None:
    from logproc.simulator import SimulateOptions, simulate

    start = float(int(time.time()) - seconds)
    for number, (name, rate) in enumerate(TOPOLOGIES):
        made = simulate(
            SimulateOptions(
                name, out=logs, seed=seed + number, rate=rate, seconds=float(seconds), start=start, rotate_at=256 << 10
            )
        )
        print(
            f"simulated {name}: {count_text(made.requests, 'request')}, {count_text(made.lines, 'log line')}, {count_text(made.files, 'file')}"
        )


def _collect(place: Path) -> tuple[int, float]:
    from logproc.collector import Options, collector
    from logproc.progress import Progress
    from parsers import open_parser
    from sinks import make_sink

    progress = Progress()
    sink = make_sink(f"chdb://{place / 'store'}")
    options = Options([str(place / "pods")], place / "state", containers="*")
    began = time.monotonic()
    with collector(options, open_parser("auto"), sink, say=progress.say, progress=progress.step) as (pipeline, source):
        progress.begin(pipeline.metrics, source.status)
        try:
            metrics = pipeline.run()
        finally:
            progress.end()
    return metrics.read.lines, time.monotonic() - began


def _show(place: Path, seconds: int, lines: int, read_seconds: float) -> bool:
    from logproc import demo, reports
    from parsers.flags import RESPONSE_FLAGS
    from sinks.store import open_store

    files = list(demo.physical_lines(place / "pods"))
    written, size = sum(n for n, _ in files), sum(b for _, b in files)
    print(
        f"collected {count_text(lines, 'line')} ({size / 1e6:.0f} MB of log in {count_text(len(files), 'file')}) in {read_seconds:.1f} s"
    )
    with closing(open_store(str(place / "store"))) as store:
        proof = store.query_arrow(demo.PROOF).to_pylist()[0]
        whole = _prove(proof, written)
        _step("Services, as their own proxies saw them (inbound)")
        _table(store.query_arrow(demo.SERVICES, {"seconds": float(seconds)}))
        _step("What went wrong: Envoy's response flags (`logproc flags UO` tells more)")
        flags = store.query_arrow(demo.FLAGS)
        meanings = [RESPONSE_FLAGS[f].meaning if f in RESPONSE_FLAGS else "" for f in flags["flag"].to_pylist()]
        _table(flags.append_column("meaning", [meanings]))
        _step("Canary: storefront is split 90 : 10 by its VirtualService; what arrived, with its 95 % interval")
        _table(store.query_arrow(reports.read("canary").sql, demo.canary_parameters()))
    return whole


def _prove(proof: dict[str, Any], written: int) -> bool:
    lines, rows, joined = int(proof["lines"]), int(proof["rows"]), int(proof["joined"])
    whole = written == lines == rows + joined + int(proof["left_out"])
    _step("Nothing lost, nothing twice")
    print(f"  lines in the files   {written:>9,}   counted apart from the collector")
    print(f"  lines in the ledger  {lines:>9,}   SELECT sum(lines) FROM ledger")  # noqa: S608
    print(
        f"  rows in the tables   {rows:>9,}   {proof['access']:,} access_log + {proof['messages']:,} message_log"
        f" + {proof['rejected']:,} rejected_line"
    )
    print(f"  joined to a later row{joined:>9,}   fragments of lines that the runtime cut")
    print(f"  equal: {rows:,} + {joined:,} = {lines:,}" if whole else "  NOT EQUAL: please report this")
    return whole


def _table(rows: pa.Table) -> None:
    from logproc.output import Table

    out = Table(rows.schema)
    for batch in rows.to_batches():
        out.write(batch)
    out.close()


def _next(place: Path, default: bool, seconds: float) -> None:
    import shlex

    from logproc import demo
    from logproc.store_choice import demo_store

    typed = Path(sys.argv[0])
    program = (
        "logproc"
        if shutil.which("logproc")
        else shlex.quote(os.path.relpath(typed))
        if typed.stem == "logproc"
        else "python -m logproc"
    )
    store = "" if default and demo_store() == place / "store" else f" --store {shlex.quote(str(place / 'store'))}"
    _step(f"The store is {place / 'store'} ({seconds:.0f} s in all). Try next:")
    print(f"  {program} report errors{store}")
    print(f"  {program} query '{demo.NEXT_QUERY}'{store}")
    print(f"  {program} flags UO")
