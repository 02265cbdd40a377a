"""`logproc up`: collect into an embedded store and answer for it, in one process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from logproc.commands import collect as shared
from logproc.log import LogFormat

if TYPE_CHECKING:
    from logproc.pipeline import Pipeline

TITLE = "Collect and serve in one process, to query while logs stream in."


def run(
    paths: list[str] = shared.PATHS,
    *,
    store: str = typer.Option(..., "--store", envvar="LOGPROC_STORE", help="A folder, or chdb:///folder; made where there is none."),
    listen: str = typer.Option("127.0.0.1:8123", "--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one."),
    state: Path = typer.Option(None, "--state", metavar="DIR", help="Where it remembers what is stored.", show_default="~/.local/state/logproc/HASH-OF-STORE"),
    format: str = shared.FORMAT,
    frame: str = shared.FRAME,
    containers: str = shared.CONTAINERS,
    namespaces: str = shared.NAMESPACES,
    selector: str = shared.SELECTOR,
    kubernetes: bool = shared.KUBERNETES,
    kubeconfig: Path = shared.KUBECONFIG,
    mesh_config: str = shared.MESH_CONFIG,
    exclude: list[str] = shared.EXCLUDE,
    probes: bool = shared.PROBES,
    sample: list[str] = shared.SAMPLE,
    redact: str = shared.REDACT,
    output: shared.Output = shared.OUTPUT,
    max_line: str = shared.MAX_LINE,
    spool_max: str = shared.SPOOL_MAX,
    held_max: str = shared.HELD_MAX,
    rate_limit: str = shared.RATE_LIMIT,
    memory: str = shared.MEMORY,
    users: Path = typer.Option(None, "--users", metavar="FILE", help="Users with passwords and limits (TOML)."),
    readonly: bool = typer.Option(False, "--readonly", help="Clients may not change anything."),
    tls_cert: Path = typer.Option(None, "--tls-cert", metavar="FILE", help="Certificate (PEM), for https."),
    tls_key: Path = typer.Option(None, "--tls-key", metavar="FILE", help="Its key (PEM)."),
    max_execution_time: int = typer.Option(300, "--max-execution-time", metavar="SECONDS", min=0, help="Of one statement; 0: no limit."),
    max_memory_usage: str = typer.Option("2Gi", "--max-memory-usage", metavar="SIZE", help="Of one statement; 0: no limit."),
    max_result_rows: int = typer.Option(0, "--max-result-rows", metavar="ROWS", min=0, help="Of one result; 0: no limit."),
    max_memory: str = typer.Option("0", "--max-memory", metavar="SIZE", help="Of all statements together; 0: most of the machine's."),
    max_queries: int = typer.Option(16, "--max-queries", min=1, help="Statements that run at once; others wait their turn."),
    max_body: str = typer.Option("1Gi", "--max-body", metavar="SIZE", help="Of one request, uncompressed."),
    grace: float = shared.GRACE,
    metrics_listen: str = shared.METRICS_LISTEN,
    log_format: LogFormat = shared.LOG_FORMAT,
    strict: bool = shared.STRICT,
    quiet: bool = shared.QUIET,
) -> int:  # fmt: skip
    """Follow log files into an embedded store, and answer ClickHouse's HTTP interface over it, in one process.

    Everything of `logproc collect --follow` and `logproc serve` holds; what one of them gives up ends both, with its exit code.

    Examples:

    \b
      logproc up /var/log/pods --store /var/lib/logproc
      logproc up access.log --store /tmp/store --listen 127.0.0.1:8123
      logproc up /var/log/pods --store /var/lib/logproc --no-probes --metrics-listen :9090
      curl 'http://127.0.0.1:8123/?query=SELECT+count()+FROM+access_log'
    """
    from logproc.lean import arrow_without_pandas
    from logproc.memory import keep_little

    arrow_without_pandas()
    keep_little()
    from logproc.collector import default_state
    from logproc.commands.serve import announce, let_go, open_server
    from logproc.progress import Progress
    from parsers import open_parser
    from sinks import chdb, parse

    url = str(parse(store))
    options = shared.read_options(paths, state or default_state(url), locals(), follow=True, grace=grace)
    parser = open_parser(format)
    engine, server = open_server(
        store, listen, users=users, readonly=readonly, create=True, tls_cert=tls_cert, tls_key=tls_key,
        max_execution_time=max_execution_time, max_memory_usage=max_memory_usage, max_result_rows=max_result_rows,
        max_memory=max_memory, max_queries=max_queries, max_body=max_body, grace=grace,
    )  # fmt: skip
    progress = Progress(quiet=quiet, format=log_format or shared.usual_log_format(follow=True))
    began = time.monotonic()
    try:
        sink = chdb.sink(parse(store))
        with shared.opened(options, parser, sink, locals(), to=url, progress=progress) as (pipeline, source):
            if state is None and not quiet:
                progress.say(f"state: {options.state}")
            collecting = Collecting(pipeline, server.stop)
            progress.begin(pipeline.metrics, source.status)
            try:
                collecting.hear_signals()
                collecting.start()
                try:
                    server.run(lambda: announce(server, progress.say), collecting.stop)
                finally:
                    collecting.end()
            finally:
                progress.end()
    finally:
        server.close()
        let_go(engine)
    return shared.concluded(pipeline.metrics, time.monotonic() - began, locals(), say=progress.say)


class Collecting:
    """The collector in a thread of its own; where it gives up, `gave_up` is called."""

    def __init__(self, pipeline: Pipeline, gave_up: Callable[[], None]) -> None:
        self._pipeline, self._gave_up = pipeline, gave_up
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="collector")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it in order; a second time, at once."""
        self._stopped = True
        self._pipeline.stop()

    def end(self) -> None:
        """Stop it, and wait until what it has read is stored. Raises what it raised."""
        self.hear_signals()
        if not self._stopped:
            self.stop()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._pipeline.run()
        except BaseException as error:
            self._error = error
            self._gave_up()

    def hear_signals(self) -> None:
        """Stop at SIGTERM and Ctrl-C: before the server hears them, and after it has ended and hears them no more."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
