"""Readers of Envoy and Istio access logs, one file per log format, and the compiler of format strings.

    from parsers import parse_line, parse_lines

    parse_line('[2026-11-21T10:00:00.000Z] "GET / HTTP/1.1" 503 UF ...').flags      # one line: an AccessLogEntry
    parse_lines(lines).tables["access_log"].to_pandas()                              # many: Arrow, one row for each line

`open_parser` gives what the collector uses: bytes of many streams to typed Arrow columns. A format is `auto` (each stream's is
detected), a name (`istio`, `istio-1.9`, `T5`, `envoy`, `istio-json` ...), a format string, a JSON template, or a file with one of them
or with Istio's mesh config. `docs/python.md` shows all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logproc.model import Parsed, Parser
    from parsers.entry import AccessLogEntry, NotAccessLogError
    from parsers.format_string import Format

AUTO = "auto"

__all__ = [
    "AUTO", "AccessLogEntry", "NotAccessLogError", "compile_format", "open_parser", "parse_line", "parse_lines", "resolve_format",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Classes are loaded when they are asked for: pydantic takes as long as all else together."""
    if name in ("AccessLogEntry", "NotAccessLogError"):
        from parsers import entry

        return getattr(entry, name)
    raise AttributeError(f"module 'parsers' has no attribute {name!r}")


def compile_format(text: str, *, omit_empty_values: bool = False) -> Format:
    """Compile a format string or JSON template. Raises logproc.errors.ExpressionError with the place of the fault."""
    from parsers import format_string

    return format_string.compile_format(text, omit_empty_values=omit_empty_values)


def resolve_format(format: str) -> Format | None:
    """The format of a name, a format string, or a file with a format or a mesh config; None for `auto`. Raises ConfigError where there is none."""
    from parsers import format_source

    return format_source.resolve_format(format)


def open_parser(format: str | Format = AUTO) -> Parser:
    """A parser for lines of this format, or of all known ones with `auto`. One thread uses it; it remembers each stream's format."""
    from parsers.dispatch import FormatParser

    return FormatParser(resolve_format(format) if isinstance(format, str) else format)


def parse_lines(lines: Sequence[str | bytes], format: str | Format = AUTO) -> Parsed:
    """Read single lines (without newlines): one row for each, in `tables` by table and `rows` by index of the line."""
    from logproc.model import PLAIN, Text

    data = b"".join((line.encode() if isinstance(line, str) else line).rstrip(b"\n") + b"\n" for line in lines)
    return open_parser(format).parse([Text("lines", PLAIN, data, len(lines))])


def parse_line(line: str | bytes, format: str | Format = AUTO) -> AccessLogEntry:
    """Read one access-log line. Raises NotAccessLogError for a line that is none."""
    from parsers import entry

    return entry.parse_line(line, format)
