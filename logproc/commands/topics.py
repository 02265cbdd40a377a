"""`logproc topics`: the Kafka topic that batches go through, made, changed and compared."""

from __future__ import annotations

import sys
from typing import Any

import typer

from logproc.errors import EXIT_FINDING
from logproc.sizes import count_text

TITLE = "The Kafka topic: make, change, compare."

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""The Kafka topic that batches go through, and the one for dead letters beside it: make, change, compare.

    \b
    Examples:
      logproc topics apply kafka://broker:9092/logproc
      logproc topics apply kafka://broker:9092/logproc --partitions 24 --retention 3d
      logproc topics check 'kafka://admin@broker:9093/logproc?ca=ca.pem&sasl=scram-sha-512'
    """,
)

URL = typer.Argument(..., metavar="URL", help="kafka://[USER@]HOST:PORT[,HOST:PORT]/TOPIC")
PARTITIONS = typer.Option(
    None, "--partitions", min=1, help="So many loaders can work at once.", show_default="12 for a new topic"
)
REPLICATION = typer.Option(
    None, "--replication", min=1, help="Copies of each message.", show_default="3, or as many as there are brokers"
)
RETENTION = typer.Option("7d", "--retention", help="How long a loader may be away before batches are lost.")
MESSAGE_MAX = typer.Option("8Mi", "--max-message-bytes", metavar="SIZE", help="A batch is one message.")
MIN_INSYNC = typer.Option(None, "--min-insync", min=1, help="Copies that have to be there before a batch counts as sent.", show_default="one less than there are")  # fmt: skip


@app.command("apply", short_help="Make the topics, or change what differs.")
def apply_(
    url: str = URL,
    *,
    partitions: int = PARTITIONS,
    replication: int = REPLICATION,
    retention: str = RETENTION,
    max_message_bytes: str = MESSAGE_MAX,
    min_insync: int = MIN_INSYNC,
) -> None:
    """Make the topic and its dead-letter topic, or change what is other than it should be; nothing is done where nothing is to do.

    \b
    Examples:
      logproc topics apply kafka://broker:9092/logproc --partitions 24
    """
    from dataclasses import replace

    from logproc import topic_settings

    broker, wanted = _wanted(
        url, partitions, replication, retention=retention, size=max_message_bytes, min_insync=min_insync
    )
    with broker.admin() as admin:
        done = topic_settings.apply(admin, broker, broker.topic, wanted)
        dead = replace(wanted, partitions=1, retention_days=topic_settings.DEAD_LETTER_RETENTION_DAYS)
        done += topic_settings.apply(admin, broker, broker.topic + topic_settings.DEAD_LETTER_SUFFIX, dead)
        there = topic_settings.read(admin, broker, broker.topic).partitions if partitions else 0
    for line in done:
        print(line, file=sys.stderr)
    if partitions and there > partitions:
        print(
            f"note: {broker.topic} has {count_text(there, 'partition')}; Kafka takes none away, and more do no harm",
            file=sys.stderr,
        )
    elif not done:
        print("nothing to do", file=sys.stderr)


@app.command("check", short_help="List what is other than it should be.")
def check(
    url: str = URL,
    *,
    partitions: int = PARTITIONS,
    replication: int = REPLICATION,
    retention: str = RETENTION,
    max_message_bytes: str = MESSAGE_MAX,
    min_insync: int = MIN_INSYNC,
) -> int:
    """List what of the topic is other than it should be, one line each; exit code 1 where there is any.

    \b
    Examples:
      logproc topics check kafka://broker:9092/logproc --retention 3d
    """
    from logproc import topic_settings

    broker, wanted = _wanted(
        url, partitions, replication, retention=retention, size=max_message_bytes, min_insync=min_insync
    )
    with broker.admin() as admin:
        state = topic_settings.read(admin, broker, broker.topic)
    found = topic_settings.differences(state, wanted)
    for line in found:
        typer.echo(line)
    if not found:
        typer.echo(
            f"{broker.topic}: {count_text(state.partitions, 'partition')}, {count_text(state.replication, 'replica')}: as it should be"
        )
    return EXIT_FINDING if found else 0


def _wanted(
    url: str, partitions: int | None, replication: int | None, *, retention: str, size: str, min_insync: int | None
) -> tuple[Any, Any]:
    from logproc.broker import Broker
    from logproc.errors import ConfigError
    from logproc.sizes import parse_size
    from logproc.topic_settings import Wanted
    from logproc.urls import Url
    from logproc.when import duration

    try:
        days = duration(retention).total_seconds() / 86_400
    except ValueError as error:
        raise ConfigError(f"--retention: {retention!r} is no duration", "write 12h, 7d or 2w, for example") from error
    parsed = Url.parse(url)
    if parsed.scheme != "kafka":
        raise ConfigError(f"{url} is no topic", "write kafka://broker:9092/logproc, for example")
    wanted = Wanted(partitions, replication, days, parse_size("--max-message-bytes", size), min_insync)
    return Broker.of(parsed, ("message_max",)), wanted
