"""A statement as a client sends it: where its FORMAT is and where the data of an INSERT begins.

Only what has to be moved is found here; what a statement means is asked of the engine's own parser (see guard.py). A text that is read
wrongly here is therefore refused there, and never does more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from logproc.errors import QueryError

SYNTAX_ERROR = 62

# As the engine's own lexer has them (`SELECT tokenizeQuery(...)` shows it): what it takes for a comment and is none here would hide the rest.
_TOKEN = re.compile(
    r"""
      (?P<blank>[\s\ufeff]+|--[^\n]*|//[^\n]*|\#[!\ ][^\n]*)
    | (?P<comment>/\*)
    | (?P<text>'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+"|`(?:[^`\\]|\\.|``)*+`|‘[^’]*’|“[^”]*”)
    | (?P<open>['"`‘“])
    | (?P<heredoc>\$[A-Za-z0-9_]*\$)
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*|\$[A-Za-z0-9_$]+)
    | (?P<number>[0-9][A-Za-z0-9_.]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_ENDS = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """One token with its place; `depth` counts the brackets around it. One of the kind `open` is not closed and reaches to the end."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    @property
    def word(self) -> str:
        """In upper case, "" for what is no bare word."""
        return self.text.upper() if self.kind == "word" else ""


def tokens(sql: str) -> Iterator[Token]:
    """The tokens without blanks and comments, one by one: binary data may follow the last that is asked for."""
    depth = place = 0
    while found := _TOKEN.match(sql, place):
        kind, start = found.lastgroup or "", place
        place = found.end()
        if kind == "comment":
            place = _comment_end(sql, place)
        elif kind == "heredoc":
            end = sql.find(found[0], place)
            place = end + len(found[0]) if end >= 0 else -1
            kind = "text"
        if kind == "open" or place < 0:
            # To look for an end again after each such sign would take the square of the length.
            yield Token("open", sql[start:], start, len(sql), depth)
            return
        if kind in {"blank", "comment"}:
            continue
        text = sql[start:place]
        depth -= text in ")]}"
        yield Token(kind, text, start, place, depth)
        depth += text in "([{"


def _comment_end(sql: str, place: int) -> int:
    """Behind a comment whose begin is before `place`, -1 where it is not closed; the engine lets one stand in another."""
    inside = 1
    for found in _COMMENT_ENDS.finditer(sql, place):
        inside += 1 if found[0] == "/*" else -1
        if not inside:
            return found.end()
    return -1


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that hands back rows, or none. `head` is it up to FORMAT, `tail` the SETTINGS behind that."""

    sql: str
    head: str
    format: str = ""
    tail: str = ""

    def into(self, format: str, path: str) -> str:
        """The statement with its result written to a file that exists."""
        return (
            f"{self.head}\nINTO OUTFILE '{path}' TRUNCATE FORMAT {self.format or format}{self.tail and f' {self.tail}'}"
        )


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with data: `sql` is it without them, which begin at character `data` of what was read."""

    sql: str
    head: str
    settings: str
    format: str
    data: int

    def reading(self, path: str) -> str:
        """The statement with its data read from a file."""
        return f"{self.head} FROM INFILE '{path}'{self.settings and f' {self.settings}'} FORMAT {self.format}"


def read(text: str) -> Query | Insert:
    """Read one statement. Raises QueryError for an empty one and for a file to write or read."""
    first = next(tokens(text), None)
    if first is None:
        raise QueryError("Empty query", code=SYNTAX_ERROR)
    if first.word == "INSERT" and (insert := _insert(text)):
        return insert
    return _query(text)


def _query(text: str) -> Query:
    found = list(tokens(text))
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise QueryError("Empty query", code=SYNTAX_ERROR)
    if found[-1].kind == "open":
        raise QueryError(
            f"Syntax error: what begins with {found[-1].text[:20]!r} at position {found[-1].start + 1} is not closed",
            code=SYNTAX_ERROR,
        )
    for here, after in itertools.pairwise(found):
        if (here.word, after.word) in {("INTO", "OUTFILE"), ("FROM", "INFILE")}:
            raise QueryError(
                f"{here.word} {after.word} is not allowed here: files of the server are not a client's", code=497
            )
    sql = text[: found[-1].end]
    place = _format(found)
    if place is None:
        return Query(sql, sql)
    tail = text[found[place + 2].start : found[-1].end] if place + 2 < len(found) else ""
    return Query(sql, text[: found[place - 1].end], found[place + 1].text, tail)


def _format(found: Sequence[Token]) -> int | None:
    """The index of the FORMAT that ends a statement: a name follows, and after it nothing or SETTINGS."""
    for place in range(len(found) - 2, 0, -1):
        here, name = found[place], found[place + 1]
        if here.word == "FORMAT" and here.depth == 0 and name.kind == "word":
            rest = found[place + 2 :]
            if not rest or rest[0].word == "SETTINGS":
                return place
            return None
    return None


def _insert(text: str) -> Insert | None:
    """An INSERT up to its data; None for INSERT ... SELECT."""
    settings: Token | None = None
    before: Token | None = None
    stream = tokens(text)
    for token in stream:
        if token.depth or token.kind != "word":
            before = token
            continue
        if token.word in {"SELECT", "WITH"}:
            return None
        if token.word == "FROM":
            raise QueryError("INSERT ... FROM INFILE is not allowed here: send the data", code=497)
        if token.word == "SETTINGS" and settings is None:
            settings = token
        elif (
            token.word in {"FORMAT", "VALUES"}
            and before is not None
            and before.word not in {"INTO", "TABLE"}
            and before.text != "."
        ):
            return _with_data(text, token, before, settings, stream)
        before = token
    if before is None or before.word in {"INSERT", "INTO", "TABLE"}:
        return None
    # As ClickHouse: without a format the data are VALUES.
    sql = text.rstrip().rstrip(";").rstrip()
    return Insert(f"{sql} VALUES", *_apart(sql, len(sql), settings), "Values", len(text))


def _with_data(text: str, token: Token, before: Token, settings: Token | None, stream: Iterator[Token]) -> Insert:
    name_of, end = "Values", token.end
    if token.word == "FORMAT":
        name = next(stream, None)
        if name is None or name.kind != "word":
            raise QueryError("Syntax error: the name of a format is missing after FORMAT", code=SYNTAX_ERROR)
        name_of, end = name.text, name.end
    sql = text[:end]
    blank = re.compile(r"[ \t\r]*;?[ \t\r]*\n?").match(text, end)
    return Insert(sql, *_apart(text, before.end, settings), name_of, blank.end() if blank else end)


def _apart(text: str, end: int, settings: Token | None) -> tuple[str, str]:
    """What is before the settings of an INSERT, and they."""
    return (text[: settings.start].rstrip(), text[settings.start : end]) if settings else (text[:end], "")
