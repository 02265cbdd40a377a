"""What the HTTP interface needs of an engine. `sinks.embedded` has one; nothing here knows chDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a statement does, by the engine's own parser."""

    READ_ONLY = "READ_ONLY"
    MUTATING = "MUTATING"
    MUTATING_GLOBAL = "MUTATING_GLOBAL"
    CONTROL = "CONTROL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Session:
    """The connection that a statement gets; nothing of it outlives the statement.

    `mark` is how the running statement is found when it has to end. `visible` are the databases whose tables `system.tables` and
    the like show, empty for all. `readonly` forbids writes and changes of settings, by the engine itself.
    """

    database: str
    mark: str
    settings: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False
    visible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did. `body` is its result where it was not written to a file descriptor."""

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    result_rows: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    seconds: float = 0.0


class Engine(Protocol):
    """An engine; all of it may be called from many threads. Errors are `errors.QueryError` with the engine's code and text."""

    version: str
    timezone: str
    database: str

    def classify(self, sql: str) -> tuple[Kind, int]:
        """What the text would do, and how many statements it is, without running any."""
        ...

    def syntax(self, sql: str, parameters: Mapping[str, str]) -> str:
        """The syntax tree of one statement that was classified, a node a line, indented by its depth."""
        ...

    def formatted(self, sql: str) -> str:
        """The statement as the engine writes it: without comments, every text and name quoted in the same way."""
        ...

    def names(self, sql: str) -> frozenset[str]:
        """The one column of a query of our own."""
        ...

    def run(
        self,
        sql: str,
        session: Session,
        parameters: Mapping[str, str],
        format: str,
    ) -> Outcome:
        """Run a statement to its end and hand back its result."""
        ...

    def kill(self, mark: str) -> None:
        """End the statement that runs under this mark, if any does."""
        ...
