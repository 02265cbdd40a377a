"""`logproc load`: batches from a Kafka topic into a store, each row once."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError
from logproc.log import LogFormat
from logproc.sizes import count_text

if TYPE_CHECKING:
    from datetime import datetime

    from logproc.loader import Loader
    from logproc.loader_metrics import LoadMetrics

TITLE = "Store what collectors sent to a Kafka topic, each row once."


class Output(StrEnum):
    """What is printed at the end."""

    TEXT = "text"
    JSON = "json"


def run(
    topic: str = typer.Argument(..., metavar="TOPIC", help="kafka://[USER@]HOST:PORT[,HOST:PORT]/TOPIC"),
    *,
    to: str = typer.Option(..., "--to", metavar="URL", help="clickhouse://USER@HOST:PORT/DATABASE, chdb:///DIR ..."),
    group: str = typer.Option("logproc-load", "--group", help="Consumer group: loaders of one group share the partitions."),
    until_idle: float = typer.Option(None, "--until-idle", metavar="SECONDS", min=0, help="End when everything is stored and nothing has come for so long.", show_default="run for ever"),
    from_beginning: bool = typer.Option(False, "--from-beginning", help="Read all that is kept again; what is stored is not stored twice."),
    until: str = typer.Option(None, "--until", metavar="TIME|OFFSETS", help="End before what arrived then, or before these offsets (0=120,1=88)."),
    rows: int = typer.Option(200_000, "--rows", min=1, help="Of an insert, if so many have come."),
    seconds: float = typer.Option(2.0, "--seconds", min=0, help="How long rows wait for others before they are inserted."),
    buffer: str = typer.Option("64Mi", "--buffer", metavar="SIZE", help="Messages in memory; then fetching pauses."),
    session: float = typer.Option(10.0, "--session", metavar="SECONDS", min=1, help="A loader that is gone for so long loses its partitions to the others."),
    grace: float = typer.Option(10.0, "--grace", metavar="SECONDS", min=0, help="After SIGTERM or Ctrl-C: time to finish the insert that runs."),
    output: Output = typer.Option(Output.TEXT, "--output", "-o", help="The summary: text on standard error, or json on standard output."),
    metrics_listen: str = typer.Option(None, "--metrics-listen", metavar="HOST:PORT", help="Serve /metrics, /healthz and /readyz there.", show_default="not served"),
    log_format: LogFormat = typer.Option(None, "--log-format", help="Messages on standard error.", show_default="text; json without a terminal, unless it ends by itself"),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress, no summary."),
) -> int:  # fmt: skip
    """Read the batches of a Kafka topic and store each row once, through crashes, repeats and rebalances.

    Run as many as the topic has partitions; those of one group share the work. A new group starts at the beginning of the topic.
    What cannot be stored goes to the topic TOPIC.dead_letter: see `logproc dead-letters`.

    \b
    Passwords come from the environment: LOGPROC_KAFKA_PASSWORD and LOGPROC_PASSWORD (the store's), or files named by
    LOGPROC_KAFKA_PASSWORD_FILE and LOGPROC_PASSWORD_FILE.

    Examples:

    \b
      logproc load kafka://broker:9092/logproc --to clickhouse://default@ch:8123/logproc
      logproc load kafka://broker:9092/logproc --to chdb:///var/lib/store --until-idle 10
      logproc load kafka://broker:9092/logproc --to clickhouse://ch/logproc --group again --from-beginning --until 2026-11-20
    """
    from logproc.lean import arrow_without_pandas
    from logproc.memory import keep_little

    arrow_without_pandas()
    keep_little()
    from logproc.broker import Broker
    from logproc.dead_letters import DeadLetters
    from logproc.load_progress import LoadProgress
    from logproc.loader import Loader, Options
    from logproc.merge import Limits
    from logproc.sizes import parse_size
    from logproc.topic import GroupReader
    from logproc.topic_settings import MAX_MESSAGE_BYTES
    from logproc.urls import Url
    from sinks import make_sink

    url = Url.parse(topic)
    if url.scheme != "kafka":
        raise ConfigError(f"{topic} is no topic", "write kafka://broker:9092/logproc, for example")
    broker = Broker.of(url, ("message_max",))
    make_sink(to)  # a wrong URL is said before anybody joins a group
    ends = until_idle is not None or until is not None
    progress = LoadProgress(quiet=quiet, format=log_format or _log_format(ends=ends))
    options = Options(
        group, Limits(rows=rows, seconds=seconds), parse_size("--buffer", buffer), until_idle, _until(until), grace
    )
    loader = Loader(
        GroupReader(broker, group, from_beginning=from_beginning, session=session),
        lambda: make_sink(to),
        DeadLetters(broker, MAX_MESSAGE_BYTES),
        broker.topic,
        options,
        say=progress.say,
        progress=progress.step,
    )
    began = time.monotonic()
    progress.begin_load(loader.metrics)
    try:
        with _stopped_by_signals(loader), _metrics_served(metrics_listen, loader.metrics, progress.say):
            metrics = loader.run()
    finally:
        progress.end()
    took = time.monotonic() - began
    if output is Output.JSON:
        print(json.dumps(_summary(metrics, took)), file=sys.stderr if to.startswith("stdout:") else sys.stdout)
    elif not quiet:
        progress.say(_sentence(metrics, took))
    return EXIT_FINDING if metrics.dead_messages or metrics.lost_messages else EXIT_DONE


def _until(text: str | None) -> Mapping[int, int] | datetime | None:
    """A time, or `PARTITION=OFFSET` with commas. Raises ConfigError."""
    if text is None:
        return None
    if re.fullmatch(r"\d+=\d+(,\d+=\d+)*", text.replace(" ", "")):
        return {int(p): int(o) for p, _, o in (pair.partition("=") for pair in text.split(","))}
    from datetime import UTC, datetime

    from logproc.when import EXAMPLES, since

    try:
        return since(text, datetime.now(UTC))
    except ValueError as error:
        raise ConfigError(
            f"--until: {text!r} is neither a time nor offsets", f"write {EXAMPLES}, or 0=120,1=88"
        ) from error


def _log_format(*, ends: bool) -> LogFormat:
    """Lines where a person reads them, JSON where a collector of logs does."""
    return LogFormat.TEXT if ends or sys.stderr.isatty() else LogFormat.JSON


@contextmanager
def _metrics_served(listen: str | None, metrics: LoadMetrics, say: Callable[[str], None]) -> Iterator[None]:
    if not listen:
        yield
        return
    from logproc.loader_metrics import LoaderCollector
    from logproc.metrics_http import MetricsServer, parse_listen

    address = parse_listen("--metrics-listen", listen)
    with MetricsServer(address, LoaderCollector(metrics), metrics.dead, metrics.unready) as server:
        say(f"metrics: http://{address[0] or '0.0.0.0'}:{server.port}/metrics")  # noqa: S104  it is what listens already
        yield


@contextmanager
def _stopped_by_signals(loader: Loader) -> Iterator[None]:
    """SIGTERM and Ctrl-C let the insert that runs end and leave the group; a second one ends at once."""
    before = {s: signal.signal(s, lambda *_: loader.stop()) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(metrics: LoadMetrics, seconds: float) -> dict[str, Any]:
    return {
        "messages": metrics.messages,
        "lines": metrics.lines,
        "rows": metrics.rows,
        "inserts": metrics.inserts,
        "dead": metrics.dead_messages,
        "lost": metrics.lost_messages,
        "seconds": round(seconds, 3),
    }


def _sentence(metrics: LoadMetrics, seconds: float) -> str:
    rows = ", ".join(f"{count:,} {table}" for table, count in metrics.rows.items() if count) or "no rows"
    said = (
        f"{count_text(metrics.lines, 'line')} of {count_text(metrics.messages, 'message')} in {seconds:.1f} s: {rows}"
    )
    said += f"; {count_text(metrics.dead_messages, 'dead letter')}" if metrics.dead_messages else ""
    return said + (f"; {count_text(metrics.lost_messages, 'message')} LOST" if metrics.lost_messages else "")
