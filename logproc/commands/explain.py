"""`logproc explain`: one line taken apart, field by field."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_FINDING, ConfigError, ExpressionError

if TYPE_CHECKING:
    from logproc.model import Text
    from parsers.explain import Explained, Explanation

TITLE = "One line taken apart: operator, column, meaning."

PLAIN_WIDTH = 120
"""Characters of a line where the text goes elsewhere than to a terminal."""
LONGEST_NAME = 250
"""Bytes of a text that may be the name of a file, typed in place of a line."""
MOST_SHOWN = 2000
"""Characters of one value that are printed; JSON has all."""


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def run(
    line: str = typer.Argument(
        None, metavar="LINE|-", help="The line, in single quotes; - or nothing: standard input."
    ),
    *,
    format: str = typer.Option(
        "auto", "--format", help="A format's name, a format string, a file with one, a mesh config, or auto."
    ),
    frame: str = typer.Option("auto", "--frame", help="What stands around the line: plain, cri, docker ..., or auto."),
    output: Output = typer.Option(Output.TEXT, "--output", "-o", help="How to print."),
    as_json: bool = typer.Option(False, "--json", help="The same as --output json."),
) -> int:
    """Explain one line: the table it goes to, the format it was read as, each field's operator, column, value and meaning.

    Response flags and response-code details are told one by one, with the Istio object to look at. Of a doubtful line it says why.
    Of a line that fits no format: the format that comes nearest, the column at which the line stops fitting it, and what was
    expected there; exit code 1, as for a line that does not fit --format. A line cut short, or without its time, shows both.

    Examples:

    \b
      logproc explain '[2026-11-21T10:00:00.000Z] "GET /orders HTTP/1.1" 503 UF,URX ...'
      kubectl logs deploy/web -c istio-proxy --tail=1 | logproc explain -
      sed -n 42p access.log | logproc explain - --format '[%START_TIME%] %RESPONSE_CODE% %DURATION%'
      logproc explain --json - < line.txt | jq '.fields[] | select(.column == "response_flags")'
    """
    from logproc.lean import arrow_without_pandas

    data = _line(line)
    arrow_without_pandas()
    from parsers.explain import explain

    text, partial = _framed(data, frame)
    said = explain(text, format, partial=partial)
    if as_json or output is Output.JSON:
        print(json.dumps(as_object(said), indent=2, ensure_ascii=True))
    else:
        _Page().show(said)
    return EXIT_FINDING if said.failure is not None or said.reason else 0


def _line(given: str | None) -> bytes:
    if given is None and sys.stdin.isatty():
        raise ConfigError("there is no line", "put it in single quotes, or pipe it: ... | logproc explain -")
    read = given is None or given == "-"
    data = sys.stdin.buffer.readline() if read else os.fsencode(given or "")
    data = data.rstrip(b"\r\n")
    if not data:
        raise ConfigError("the line is empty", "logproc explain 'LINE', or pipe it: ... | logproc explain -")
    if b"\n" in data:
        raise ConfigError("there is more than one line", "`logproc parse -` reads many")
    if not read and len(data) < LONGEST_NAME and b" " not in data and Path(os.fsdecode(data)).is_file():
        raise ConfigError(f"{given} is a file, not a line", f"sed -n 1p {given} | logproc explain -")
    return data


def _framed(data: bytes, name: str) -> tuple[Text, bool]:
    """The line in its frame, and whether its end is missing."""
    from logproc.frames import Framer, frame_named
    from logproc.model import Chunk, Span, Stream

    size = len(data)
    chunk = Chunk(Stream("line"), Span(0, 0, size, 0, 1), data + b"\n", last=True)
    framed = Framer(frame_named(name)).frame(chunk)[0]
    return framed.text, bool(framed.partial)


def as_object(said: Explanation) -> dict[str, Any]:
    """For JSON. What does not apply is null or empty; `columns` is the row as `parse --output jsonl` prints it."""
    from parsers.explain import REASONS, releases

    found: dict[str, Any] = {
        "table": said.table,
        "format": said.format or None,
        "releases": releases(said.format) or None,
        "same_shape": list(said.also),
        "frame": {"name": said.frame, **dict(said.frame_words)},
        "doubt": {"reason": said.doubt, "meaning": said.doubt_meaning} if said.doubt else None,
        "rejected": {"reason": said.reason, "meaning": REASONS.get(said.reason, "")} if said.reason else None,
        "failure": None,
        "fields": [_field_object(f) for f in said.fields],
        "columns": dict(said.row),
    }
    if said.failure is not None:
        found["failure"] = {
            "format": said.nearest,
            "column": said.failure.offset + 1,
            "expected": said.failure.expected,
            "operator": said.failure.operator or None,
        }
    return found


def _field_object(one: Explained) -> dict[str, Any]:
    from logproc.commands.flags import as_object as entry

    found: dict[str, Any] = {
        "source": one.source or None,
        "column": one.column or None,
        "text": one.text,
        "meaning": one.meaning,
        "values": dict(one.values),
    }
    if one.flags or one.unknown_flags:
        found["flags"] = [entry(flag) for flag in one.flags] + [{"short": name} for name in one.unknown_flags]
    if one.code_details:
        found["details"] = one.code_details
    return found


class _Page:
    """Prints for a person: a name at the left, everything about it to its right."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self.width = shutil.get_terminal_size().columns if terminal else PLAIN_WIDTH
        colour = terminal and not os.environ.get("NO_COLOR")
        self.bold, self.dim, self.end = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
        self.left = 0

    def show(self, said: Explanation) -> None:
        """All of it."""
        self.left = max([len("doubtful"), *(len(f.column or f.source) for f in said.fields if not said.reason)]) + 2
        self.left = min(self.left, self.width // 2)
        self._head(said)
        # Of a rejected line the head has said all.
        for one in () if said.reason else said.fields:
            print()
            self._field(one)

    def _head(self, said: Explanation) -> None:
        from parsers.explain import REASONS, releases

        self._entry("table", said.table + (f", {_KINDS[kind]}" if (kind := said.row.get("log_type")) in _KINDS else ""))
        if said.format:
            self._entry("format", f"{said.format}: {known}" if (known := releases(said.format)) else said.format)
        for name in said.also:
            self._entry("", f"the same shape: {name}: {releases(name)}")
        if said.frame_words:
            self._entry("frame", f"{said.frame}: " + ", ".join(f"{name} {word}" for name, word in said.frame_words))
        if said.doubt:
            self._entry("doubtful", f"{said.doubt}: {said.doubt_meaning}")
        if said.reason:
            self._entry(
                "rejected",
                f"{REASONS.get(said.reason, said.reason)}; its bytes (the first 64 KiB) are kept in the column raw",
            )
        if said.failure is not None:
            failure, known = said.failure, releases(said.nearest)
            self._entry(
                "nearest" if said.reason or said.nearest == said.format else "asked for",
                f"{said.nearest}: {known}" if known else said.nearest,
            )
            self._entry("", f"column {failure.offset + 1}: expected {failure.expected}")
            print(caret(said.line, failure.offset))
        elif said.table == "message_log":
            self._entry(
                "", "a message: it does not begin as access logs do; one of a format of your own needs --format"
            )
            if said.line.strip() and all(map(_is_of_flags, said.line.replace(",", " ").split())):
                self._entry("", f"what flags and details mean: logproc flags {said.line.strip()}")

    def _field(self, one: Explained) -> None:
        text = "not proved, so empty" if one.text is None else one.text
        self._entry(one.column or one.source, text, style=self.bold)
        source = one.source if one.column else ""
        self._more(f"{source}: {one.meaning}" if source else one.meaning)
        for name, value in one.values.items():
            # Columns of times have microseconds; that alone is not worth a line.
            if str(value).rstrip("0Z.") != text.rstrip("0Z.") if name == "timestamp" else str(value) != text:
                self._more(f"{name} = {value}")
        if one.code_details:
            self._more(one.code_details)
        for flag in one.flags:
            code = f"; usual code {flag.code}" if flag.code else ""
            self._more(f"{flag.short} {flag.long}: {flag.meaning}{code}")
            self._more(f"  look at: {flag.look_at}")
        for name in one.unknown_flags:
            self._more(f"{name}: no flag that Envoy documents; an extension can add its own")

    def _entry(self, name: str, text: str, style: str = "") -> None:
        from logproc.text_table import cut, printable

        shown = cut(printable(name), self.left - 1)
        blanks = " " * (self.left - len(shown))
        print(f"{style}{shown}{self.end if style else ''}{blanks}{self._wrapped(cut(printable(text), MOST_SHOWN))}")

    def _more(self, text: str) -> None:
        from logproc.text_table import cut, printable

        print(f"{' ' * self.left}{self.dim}{self._wrapped(cut(printable(text), MOST_SHOWN))}{self.end}")

    def _wrapped(self, text: str) -> str:
        """Broken at blanks; a long word stays whole, so that it can be copied."""
        room = max(self.width - self.left, 30)
        if len(text) <= room:
            return text
        hang = len(text) - len(text.lstrip(" "))
        lines = textwrap.wrap(
            text,
            room,
            break_long_words=False,
            break_on_hyphens=False,
            subsequent_indent=" " * hang,
            drop_whitespace=True,
        )
        return f"\n{' ' * self.left}".join(lines or [text])


def _is_of_flags(word: str) -> bool:
    """The word is a status code, a response flag or a response-code detail."""
    from parsers.flags import RESPONSE_CODE_DETAILS, RESPONSE_FLAGS, SHORT_NAMES

    return word.isdecimal() or any(word in names for names in (RESPONSE_FLAGS, SHORT_NAMES, RESPONSE_CODE_DETAILS))


_KINDS = {
    "http": "one HTTP request",
    "tcp": "one TCP connection",
    "l4": "one connection through ztunnel",
}


def caret(line: str, offset: int) -> str:
    """The line around a place in it and a caret below; what could confuse a terminal is escaped."""
    from logproc.text_table import display_width, printable

    before, after = printable(line[:offset]), printable(line[offset:])
    shown = ExpressionError("line", before + after, len(before), "")
    text, mark = shown.caret.split("\n")
    # Wide characters before the caret move it.
    at = len(mark) - 1
    return f"{text}\n{' ' * display_width(text[:at])}^"
