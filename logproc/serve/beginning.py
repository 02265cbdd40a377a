"""Where the statement of a request is, and where its data begin: in the URL, in the body, or begun in the one and continued in the other."""

from __future__ import annotations

from dataclasses import replace

from logproc.errors import QueryError
from logproc.serve.body import IN_MEMORY, Body
from logproc.serve.statements import SYNTAX_ERROR, Insert, Query, read

_MAX_SQL = 256 << 10
"""What the engine's parser takes; to find out that a longer one is no statement takes it half a minute, in which no other is read."""
MAX_VALUES = 256 << 10
"""Expressions in VALUES are computed up to this size of the data; beyond it they have to be literals."""


def statement_of(query: str, body: Body) -> Query | Insert | None:
    """SQL is in the URL, in the body, or begins in the one and goes on in the other. None: there is none."""
    if not query.strip():
        return _in_body(body)
    if len(query) > _MAX_SQL:
        raise QueryError("the statement is too long", code=307)
    statement = read(query)
    if isinstance(statement, Insert):
        if body.size > IN_MEMORY:
            spill(body, statement, query)
        return statement
    if body.size > _MAX_SQL:
        raise QueryError("the statement is too long", code=307)
    rest = body.head(_MAX_SQL)
    return read(f"{query}\n{_text(rest)}") if rest.strip() else statement


def _in_body(body: Body) -> Query | Insert | None:
    head = body.head(_MAX_SQL)
    if not head.strip():
        return None
    # Data of any bytes may follow the statement.
    statement = read(head.decode("utf-8", "surrogateescape"))
    if not isinstance(statement, Insert):
        if body.size > _MAX_SQL:
            raise QueryError("the statement is too long", code=307)
        _text(head)
        return statement
    text = head.decode("utf-8", "surrogateescape")
    _text(statement.sql.encode("utf-8", "surrogateescape"))
    skip = len(text[: statement.data].encode("utf-8", "surrogateescape"))
    statement = replace(statement, data=-skip)
    if body.size > IN_MEMORY:
        spill(body, statement, "")
    return statement


def values_of(body: Body, insert: Insert, query: str) -> bytes:
    """The data of an INSERT that is in memory, as far as it has to be looked at."""
    if insert.data < 0:
        return body.head(MAX_VALUES - insert.data + 1)[-insert.data :]
    return query[insert.data :].encode() + body.head(MAX_VALUES + 1)


def spill(body: Body, insert: Insert, query: str) -> None:
    """Only the data go to the file. A place below zero is one in the body, in bytes."""
    if insert.data < 0:
        body.spill(-insert.data)
    else:
        body.spill(0, query[insert.data :].encode())


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise QueryError("the statement is no UTF-8", code=SYNTAX_ERROR) from error
