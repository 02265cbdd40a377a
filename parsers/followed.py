"""Formats that change while lines are read: those of Istio's mesh config."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logproc.errors import ConfigError
from logproc.model import Parsed, Text
from parsers import format_source
from parsers.dispatch import FormatParser


class FollowingParser:
    """A parser that reads with the formats of the newest mesh config before all other known ones.

    `latest` gives its text, "" while it is not known. Proxies take a new format when they are configured anew, one after the other:
    so lines of the format before are read as well.
    """

    def __init__(
        self, parser: FormatParser, latest: Callable[[], str], say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._parser, self._latest, self._say = parser, latest, say
        self._taken = ""

    def parse(self, texts: Sequence[Text]) -> Parsed:
        """Read all lines of all texts at once."""
        text = self._latest()
        if text != self._taken:
            self._taken = text
            self._take(text)
        return self._parser.parse(texts)

    def _take(self, text: str) -> None:
        try:
            formats = format_source.formats_in("the mesh config", text)
        except ConfigError as error:
            self._say(f"warning: a log format in the mesh config does not read: {error.message}")
            return
        self._parser.prefer(formats)
        if formats:
            self._say(
                f"note: reading with {'a log format' if len(formats) == 1 else f'{len(formats)} log formats'} of the mesh config"
            )
