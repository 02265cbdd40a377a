"""`logproc dead-letters`: messages that could not be stored, shown and sent back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from logproc.sizes import count_text

if TYPE_CHECKING:
    from logproc.dead_letters import Desk

TITLE = "Messages that could not be stored: list them, send them back."

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Messages of a topic that could not be stored: list them, send them back.

    They are kept in the topic TOPIC.dead_letter, with the reason in their headers.

    \b
    Examples:
      logproc dead-letters list kafka://broker:9092/logproc
      logproc dead-letters replay kafka://broker:9092/logproc
    """,
)


class Output(StrEnum):
    """How letters are printed."""

    TEXT = "text"
    JSONL = "jsonl"


URL = typer.Argument(
    ..., metavar="URL", help="kafka://[USER@]HOST:PORT[,HOST:PORT]/TOPIC, the topic without .dead_letter"
)


@app.command("list", short_help="List the letters that were not sent back yet.")
def list_(
    url: str = URL,
    *,
    all: bool = typer.Option(False, "--all", help="Those that were sent back already, too."),
    output: Output = typer.Option(Output.TEXT, "--output", "-o", help="A line for each, or JSON objects."),
) -> None:
    """List the letters that were not sent back yet, the oldest first.

    \b
    Examples:
      logproc dead-letters list kafka://broker:9092/logproc
      logproc dead-letters list kafka://broker:9092/logproc --all -o jsonl
    """
    with _desk(url) as desk:
        count = 0
        for letter in desk.letters(all=all):
            count += 1
            if output is Output.JSONL:
                names = ("number", "partition", "offset", "at", "reason", "lines")
                print(json.dumps({n: getattr(letter, n) for n in names} | {"bytes": len(letter.value)}))
            else:
                what = count_text(letter.lines, "line") if letter.lines else count_text(len(letter.value), "byte")
                print(
                    f"{letter.number}  {letter.at}  partition {letter.partition} offset {letter.offset}  {what}  {letter.reason}"
                )
    if output is Output.TEXT:
        print(f"{count} dead letters" if count else "no dead letters", file=sys.stderr)


@app.command("replay", short_help="Put the letters into the topic again.")
def replay(
    url: str = URL,
    *,
    number: int = typer.Option(None, "--first", min=1, help="So many, the oldest first.", show_default="all"),
) -> None:
    """Put the letters into the topic again, the oldest first; loaders store them, or bury them again.

    A letter that was sent back is not listed any more. What is stored already is not stored twice.

    \b
    Examples:
      logproc dead-letters replay kafka://broker:9092/logproc --first 1
    """
    from itertools import islice

    from logproc.topic_settings import MAX_MESSAGE_BYTES

    with _desk(url) as desk:
        count = 0
        for letter in islice(desk.letters(), number):
            desk.send_back([letter], MAX_MESSAGE_BYTES)
            count += 1
    print(f"{count} sent back" if count else "no dead letters", file=sys.stderr)


@contextmanager
def _desk(url: str) -> Iterator[Desk]:
    from logproc.broker import Broker
    from logproc.dead_letters import Desk
    from logproc.errors import ConfigError
    from logproc.urls import Url

    parsed = Url.parse(url)
    if parsed.scheme != "kafka":
        raise ConfigError(f"{url} is no topic", "write kafka://broker:9092/logproc, for example")
    desk = Desk(Broker.of(parsed, ("message_max",)))
    desk.open()
    try:
        yield desk
    finally:
        desk.close()
