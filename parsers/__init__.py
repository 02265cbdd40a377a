"""Readers of Envoy and Istio access logs, one file per log format, and the compiler of format strings.

    from parsers import compile_format, open_parser, parse_lines

    parse_lines(["[2026-11-21T10:00:00.000Z] \\"GET / HTTP/1.1\\" 200 - ..."]).tables["access_log"].to_pylist()

`open_parser` gives what the collector uses: bytes of many streams to typed Arrow columns. A format is `auto` (each stream's is
detected), a name (`istio`, `istio-1.9`, `T5`, `envoy`, `istio-json` ...), a format string, or JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logproc.model import Parsed, Parser
    from parsers.format_string import Format

AUTO = "auto"

__all__ = ["AUTO", "compile_format", "open_parser", "parse_lines", "resolve_format"]


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
