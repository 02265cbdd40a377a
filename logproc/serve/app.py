"""The routes: /ping, /replicas_status, and / for everything in SQL."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from logproc.errors import QueryError
from logproc.serve import answers, handshake
from logproc.serve.beginning import MAX_VALUES, spill, statement_of, values_of
from logproc.serve.body import IN_MEMORY, Body
from logproc.serve.compression import Compressor, Decompressor, chosen, compressor
from logproc.serve.engine import Kind, Outcome, Session
from logproc.serve.guard import ACCESS_DENIED, Guard
from logproc.serve.parameters import INTERPRETING, Parameters, read_parameters, settings_for
from logproc.serve.queries import CANCELLED, Queries, Result, new_mark
from logproc.serve.statements import Insert, Query
from logproc.serve.users import User, Users

DEFAULT_FORMAT = "TabSeparated"
ENGINE_DEFAULT = "default"

_HEAD = 64 << 10
"""Results up to this size are sent whole, with the right status; of larger ones an error comes at their end."""
_WHOLE = 16 << 20
"""The same where a client asks to wait for the end (clickhouse-connect always does): the memory of 16 such results is bounded."""
_KILL = re.compile(
    r"\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([^'\\]*)'\s*(?:SYNC|ASYNC)?\s*(?:FORMAT\s+\w+)?\s*;?\s*", re.IGNORECASE
)
_LOCAL = frozenset({"localhost", "[::1]"})
_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+")
_STALLED_SECONDS = 60.0
"""A client that takes nothing of its result, or sends nothing of its body, for so long is gone: it holds a thread of the engine, or memory."""

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose. `hosts`: names, beside loopback addresses, that requests without a password may come for."""

    max_body: int = 1 << 30
    hosts: frozenset[str] = _LOCAL
    name: str = "logproc"


@dataclass(slots=True)
class Request:
    """One request on its way: who asks and what for. `left` is done when the client is gone."""

    scope: Scope
    receive: Receive
    send: Send
    parameters: Parameters | None = None
    format: str = DEFAULT_FORMAT
    begun: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def coding(self) -> str:
        """How the answer is compressed."""
        wanted = self.parameters is not None and self.parameters.compressed
        return chosen(self.headers.get("accept-encoding", "")) if wanted else ""


class Front:
    """ClickHouse's HTTP interface, as an ASGI application."""

    def __init__(self, queries: Queries, guard: Guard, users: Users, options: Options | None = None) -> None:
        self._queries, self._guard, self._users = queries, guard, users
        self._options = options or Options()
        self._engine = queries.engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        request = Request(scope, receive, send, headers=headers)
        try:
            await self._answer(request)
        except ClientLeftError:
            return
        except QueryError as error:
            await self._fail(request, error)
        except Exception as error:
            log.exception("a request failed")
            await self._fail(request, QueryError(f"the server made a mistake ({type(error).__name__})"))

    async def _answer(self, request: Request) -> None:
        if request.scope["method"] not in {"GET", "POST", "HEAD"}:
            raise QueryError(f"method {request.scope['method']} is not answered here", code=48)
        parameters = request.parameters = read_parameters(request.scope["query_string"], request.headers)
        user = await self._user(request, parameters)
        body = Body(self._options.max_body)
        try:
            statement = await self._receive(request, body, readonly=user.may.readonly)
            if statement is None:
                await self._send_whole(request, b"Ok.\n", Outcome())
            elif isinstance(statement, Insert):
                await self._insert(request, user, statement, body)
            else:
                await self._query(request, user, statement)
        finally:
            body.close()

    async def _user(self, request: Request, parameters: Parameters) -> User:
        user = self._users.known(parameters.user, parameters.password)
        if user is None:
            user = await self._users.find(parameters.user, parameters.password)
        if not user.password:
            self._refuse_web_pages(request.headers)
        return user

    def _refuse_web_pages(self, headers: Mapping[str, str]) -> None:
        """A page of any site can send requests to this machine's own addresses; without a password that would be enough."""
        host = re.sub(r":\d+$", "", headers.get("host", "")).lower()
        if host and host not in self._options.hosts and not _LOOPBACK.fullmatch(host):
            raise QueryError(f"requests for the host {host!r} need a password", code=ACCESS_DENIED)
        origin = headers.get("origin", "")
        # An image of another site comes without an origin; a link that somebody follows is theirs to follow.
        embedded = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        if embedded or (origin and origin.split("://")[-1].lower() != headers.get("host", "").lower()):
            raise QueryError("requests of a web page need a password", code=ACCESS_DENIED)

    # What was sent

    async def _receive(self, request: Request, body: Body, *, readonly: bool) -> Query | Insert | None:
        """The statement, once all of the body is here. Raises ClientLeftError where it is cut short."""
        assert request.parameters is not None  # noqa: S101
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise QueryError("multipart bodies (external tables) are not supported here", code=48)
        undone = Decompressor(request.headers.get("content-encoding", ""))
        statement: Query | Insert | None = None
        more = True
        while more:
            message = await _next(request.receive)
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            more = message.get("more_body", False)
            received = message.get("body", b"")
            body.count(len(received))
            for piece in undone.feed(received):
                body.add(piece)
                if body.size > IN_MEMORY and not body.spilled:
                    statement = statement_of(request.parameters.query, body)
                    if not isinstance(statement, Insert):
                        raise QueryError("the statement is too long", code=307)
                    if readonly:
                        raise QueryError("Cannot execute query in readonly mode", code=164)
                await asyncio.sleep(0) if len(piece) > 1 << 20 else None
        undone.end()
        if statement is None:
            # Reading a quarter of a megabyte takes longer than all others should wait.
            query = request.parameters.query
            large = len(query) + body.size > _HEAD
            statement = await asyncio.to_thread(statement_of, query, body) if large else statement_of(query, body)
        return statement

    # What is done

    def _session(self, user: User, parameters: Parameters, *, inserting: bool = False) -> Session:
        settings, readonly = settings_for(user, parameters.settings, self._guard.text_settings)
        own = self._engine.database
        # The engine's own `default` is also the files of the machine; to clients it is the store's database.
        database = own if parameters.database in {"", ENGINE_DEFAULT} else parameters.database
        if user.may.readonly and database not in user.may.databases and database.lower() != "information_schema":
            raise QueryError(f"Not enough privileges: the database {database} is not allowed here", code=ACCESS_DENIED)
        visible = tuple(sorted(user.may.databases)) if user.may.readonly else ()
        return Session(database, new_mark(), settings, (user.may.readonly or readonly) and not inserting, visible)

    async def _query(self, request: Request, user: User, query: Query) -> None:
        parameters = request.parameters
        assert parameters is not None  # noqa: S101
        if found := _KILL.fullmatch(query.sql):
            return await self._kill(request, user, found[1])
        session = self._session(user, parameters)
        changes = request.scope["method"] == "POST" and not (session.readonly and not user.may.readonly)
        kind = await asyncio.to_thread(self._guard.check, query.sql, parameters.values, user.may, changes=changes)
        if kind is not Kind.READ_ONLY:
            outcome = await self._queries.command(query.sql, session, parameters.values)
            return await self._send_whole(request, outcome.body, outcome)
        request.format = query.format or parameters.format or DEFAULT_FORMAT
        if handshake.is_question(query.head, request.format, parameters.protocol):
            content = handshake.answer(self._engine, self._options.name, parameters.protocol)
            return await self._send_whole(request, content, Outcome(result_rows=1))
        if not re.fullmatch(r"\w+", request.format):
            raise QueryError(f"Unknown format {request.format!r}", code=73)
        result = await self._queries.ask(query, session, parameters.values, request.format, parameters.query_id)
        leaving = asyncio.ensure_future(_left(request.receive))
        answering = asyncio.ensure_future(self._stream(request, result, wait=parameters.wait_end))
        try:
            await asyncio.wait([leaving, answering], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            raise ClientLeftError
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
                with suppress(asyncio.CancelledError, QueryError, ClientLeftError):
                    await answering
            await result.cancel()

    async def _kill(self, request: Request, user: User, query_id: str) -> None:
        if user.may.readonly or request.scope["method"] != "POST":
            raise QueryError("Cannot execute query in readonly mode", code=164)
        ended = await self._queries.kill(query_id)
        line = f"finished\t{query_id}\t{user.name}\t\n".encode()
        await self._send_whole(request, line * ended, Outcome())

    async def _insert(self, request: Request, user: User, insert: Insert, body: Body) -> None:
        parameters = request.parameters
        assert parameters is not None  # noqa: S101
        session = self._session(user, parameters, inserting=True)
        changes = (
            request.scope["method"] == "POST"
            and not settings_for(user, parameters.settings, self._guard.text_settings)[1]
        )
        await asyncio.to_thread(self._guard.check, insert.sql, parameters.values, user.may, changes=changes)
        if insert.format.lower() == "values" and not body.spilled:
            session = await self._computing(session, values_of(body, insert, parameters.query))
        if not body.spilled:
            spill(body, insert, parameters.query)
        outcome = await self._queries.command(insert.reading(body.path()), session, parameters.values, insert=True)
        await self._send_whole(request, b"", outcome)

    async def _computing(self, session: Session, data: bytes) -> Session:
        """The session, with leave to compute what stands in VALUES where that is harmless; literals need none."""
        if len(data) > MAX_VALUES or not await asyncio.to_thread(
            self._guard.harmless_values, data.decode("utf-8", "replace")
        ):
            return session
        return replace(session, settings={**session.settings, **INTERPRETING})

    # What is answered

    async def _stream(self, request: Request, result: Result, *, wait: bool) -> None:
        """The result, whole with its numbers where it is small or was asked for whole, else as it comes."""
        pieces, size, ended = [], 0, False
        while size < (_WHOLE if wait else _HEAD):
            piece = await result.read()
            if not piece:
                ended = True
                break
            pieces.append(piece)
            size += len(piece)
        if ended:
            outcome = await result.finish()
            return await self._send_whole(request, b"".join(pieces), outcome)
        tag = answers.exception_tag()
        coding = request.coding
        made = compressor(coding) if coding else None
        await self._begin(
            request,
            200,
            [*self._headers(request, None), (b"x-clickhouse-exception-tag", tag.encode()), *_coding(coding)],
        )
        for piece in pieces:
            await self._more(request, made, piece)
        pieces.clear()
        while piece := await result.read():
            await self._more(request, made, piece)
        try:
            await result.finish()
        except QueryError as error:
            await self._more(request, made, answers.late_error(answers.error_text(error, self._engine.version), tag))
        end = made.flush() if made else b""
        await request.send({"type": "http.response.body", "body": end, "more_body": False})
        return None

    async def _more(self, request: Request, made: Compressor | None, piece: bytes) -> None:
        if made is not None:
            piece = await asyncio.to_thread(made.compress, piece) if len(piece) > 16 << 10 else made.compress(piece)
        if piece:
            try:
                async with asyncio.timeout(_STALLED_SECONDS):
                    await request.send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError as error:
                raise ClientLeftError from error

    async def _send_whole(self, request: Request, content: bytes, outcome: Outcome) -> None:
        coding = request.coding if content else ""
        if coding:
            large = len(content) > 16 << 10
            content = await asyncio.to_thread(_compressed, coding, content) if large else _compressed(coding, content)
        length = (b"content-length", str(len(content)).encode())
        await self._begin(request, 200, [*self._headers(request, outcome), length, *_coding(coding)])
        await self._end(request, content)

    async def _fail(self, request: Request, error: QueryError) -> None:
        if request.begun or (error.code == CANCELLED and error.message == ""):
            return
        content = answers.error_text(error, self._engine.version).encode()
        headers = self._headers(request, Outcome()) if request.parameters else []
        headers = [h for h in headers if h[0] not in {b"content-type", b"x-clickhouse-format"}]
        headers += [
            (b"content-type", b"text/plain; charset=UTF-8"),
            (b"x-clickhouse-exception-code", str(error.code or 1002).encode()),
        ]
        if (
            error.code in {194, 516}
            and "authorization" not in request.headers
            and "x-clickhouse-user" not in request.headers
        ):
            headers.append((b"www-authenticate", b'Basic realm="ClickHouse server HTTP API"'))
        coding = request.coding
        if coding:
            content = _compressed(coding, content)
        headers += [(b"content-length", str(len(content)).encode()), *_coding(coding)]
        await self._begin(request, answers.status_of(error.code), headers)
        await self._end(request, content)

    def _headers(self, request: Request, outcome: Outcome | None) -> Headers:
        parameters = request.parameters
        made = [
            ("content-type", answers.content_type(request.format)),
            ("x-clickhouse-server-display-name", self._options.name),
            ("x-clickhouse-query-id", parameters.query_id if parameters else ""),
            ("x-clickhouse-format", request.format),
            ("x-clickhouse-timezone", self._engine.timezone),
            ("cache-control", "no-store"),
        ]
        if outcome is not None:
            made.append(("x-clickhouse-summary", answers.summary(outcome)))
        return [(k.encode(), v.encode()) for k, v in made]

    async def _begin(self, request: Request, status: int, headers: Headers) -> None:
        request.begun = True
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await request.send(start)

    async def _end(self, request: Request, content: bytes) -> None:
        if request.scope["method"] == "HEAD":
            content = b""
        await request.send({"type": "http.response.body", "body": content, "more_body": False})


def _compressed(coding: str, content: bytes) -> bytes:
    made = compressor(coding)
    return made.compress(content) + made.flush()


def _coding(coding: str) -> Headers:
    return [(b"content-encoding", coding.encode()), (b"vary", b"accept-encoding")] if coding else []


async def _next(receive: Receive) -> Message:
    """What comes next of a request. Raises QueryError where nothing does."""
    try:
        async with asyncio.timeout(_STALLED_SECONDS):
            return await receive()
    except TimeoutError as error:
        raise QueryError(f"nothing more of the body came for {_STALLED_SECONDS:.0f} s", code=159) from error


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ok(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    headers = [(b"content-type", b"text/html; charset=UTF-8"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"Ok.\n"})


class _Ok:
    """An ASGI application; Starlette takes a plain function for something else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _ok(scope, receive, send)


def application(front: Front) -> Any:
    """The routes of a server."""
    methods = ["GET", "HEAD", "POST"]
    ok = _Ok()
    return Starlette(
        routes=[
            Route("/", front, methods=methods),
            Route("/ping", ok, methods=methods),
            Route("/replicas_status", ok, methods=methods),
        ]
    )
