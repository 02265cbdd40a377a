"""The tree of errors, each with a hint for a person and an exit code for a script.

LogprocError
├── ConfigError           2  what was typed or configured cannot work
│   └── ExpressionError   2  a format, filter or template that does not read, with the place in it
├── SourceError           3  what was to be read cannot be read
├── SinkError             3  what was to be written cannot be written
│   ├── Unavailable          not now: the same call later can succeed
│   └── Rejected             never: this batch is refused for good
├── StateError            3  the state folder is damaged, foreign or in use
└── QueryError            2  SQL that the store refused

Foreign exceptions are translated in the one file that knows the client. A broken pipe is no error (exit code 0).
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FINDING = 1
EXIT_USAGE = 2
EXIT_GAVE_UP = 3


class LogprocError(Exception):
    """An error that a person can act on: `message` says what and where, `hint` what to do next."""

    exit_code = EXIT_GAVE_UP

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(LogprocError):
    """Wrong usage or configuration."""

    exit_code = EXIT_USAGE


class ExpressionError(ConfigError):
    """A text in one of our small languages that does not read.

    `text` is the whole input, `offset` the character at which reading stopped (0-based), `expected` what could stand there.
    """

    def __init__(self, what: str, text: str, offset: int, expected: str, hint: str = "") -> None:
        self.what, self.text, self.offset, self.expected = what, text, offset, expected
        line_start = text.rfind("\n", 0, offset) + 1
        line_end = text.find("\n", offset)
        line_text = text[line_start : line_end if line_end >= 0 else len(text)]
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - line_start + 1
        # Long lines are cut around the caret, so that it stands on a terminal where it belongs.
        left = max(0, self.column - 1 - 60)
        shown = line_text[left : left + 100]
        self.caret = f"  {shown}\n  {' ' * (self.column - 1 - left)}^"
        super().__init__(f"{what}: line {self.line}, column {self.column}: expected {expected}\n{self.caret}", hint)


class SourceError(LogprocError):
    """A source cannot be read."""


class SinkError(LogprocError):
    """A sink cannot be written."""


class Unavailable(SinkError):  # noqa: N818  the name says what the caller does: wait and send the same again
    """The sink cannot take the batch now; the same call later can succeed. `retry_after` is in seconds."""

    def __init__(self, message: str, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class Rejected(SinkError):  # noqa: N818
    """The sink refuses this batch for good; sending it again cannot help."""


class StateError(LogprocError):
    """The state folder is damaged, foreign, or used by another process."""


class QueryError(LogprocError):
    """The store refused a query. `code` is ClickHouse's error code, 0 where there is none."""

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code
