"""`logproc serve`: ClickHouse's HTTP interface over an embedded store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from logproc.errors import EXIT_GAVE_UP, ConfigError

if TYPE_CHECKING:
    from logproc.serve.server import Server
    from sinks.embedded import Embedded

TITLE = "Let any ClickHouse client ask an embedded store."

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def run(
    ctx: typer.Context,
    *,
    store: str = typer.Option(
        None, "--store", envvar="LOGPROC_STORE", help="A folder, or chdb:///folder.", show_default="the demo's store"
    ),
    listen: str = typer.Option("127.0.0.1:8123", "--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one."),
    users: Path = typer.Option(None, "--users", metavar="FILE", help="Users with passwords and limits (TOML)."),
    readonly: bool = typer.Option(False, "--readonly", help="Nobody may change anything."),
    tls_cert: Path = typer.Option(None, "--tls-cert", metavar="FILE", help="Certificate (PEM), for https."),
    tls_key: Path = typer.Option(None, "--tls-key", metavar="FILE", help="Its key (PEM)."),
    max_execution_time: int = typer.Option(300, "--max-execution-time", metavar="SECONDS", min=0, help="Of one statement; 0: no limit."),
    max_memory_usage: str = typer.Option("2Gi", "--max-memory-usage", metavar="SIZE", help="Of one statement; 0: no limit."),
    max_result_rows: int = typer.Option(0, "--max-result-rows", metavar="ROWS", min=0, help="Of one result; 0: no limit."),
    max_memory: str = typer.Option("0", "--max-memory", metavar="SIZE", help="Of all statements together; 0: most of the machine's."),
    max_queries: int = typer.Option(16, "--max-queries", min=1, help="Statements that run at once; others wait their turn."),
    max_body: str = typer.Option("1Gi", "--max-body", metavar="SIZE", help="Of one request, uncompressed."),
    grace: float = typer.Option(10.0, "--grace", metavar="SECONDS", min=0, help="After SIGTERM or Ctrl-C: time to finish inserts."),
) -> None:  # fmt: skip
    """Answer ClickHouse's HTTP interface over an embedded store: curl, clickhouse-connect, the npm client, clickhouse-go, Grafana.

    Ready when GET /ping answers `Ok.`. Without --users there is one user, `default`: without a password, and then only on
    loopback, or with the one in LOGPROC_PASSWORD. An embedded store is open in one process at a time: this one answers for it.

    Examples:

    \b
      logproc serve --store /var/lib/logproc
      curl 'http://127.0.0.1:8123/?query=SELECT+count()+FROM+access_log'
      logproc collect /var/log/pods --to clickhouse://default@127.0.0.1:8123/logproc
      logproc serve --store /var/lib/logproc --listen :8443 --users users.toml --tls-cert tls.crt --tls-key tls.key
      logproc serve hash-password
    """
    if ctx.invoked_subcommand is not None:
        return
    engine, server = open_server(
        store, listen, users=users, readonly=readonly, tls_cert=tls_cert, tls_key=tls_key, max_execution_time=max_execution_time,
        max_memory_usage=max_memory_usage, max_result_rows=max_result_rows, max_memory=max_memory, max_queries=max_queries, max_body=max_body, grace=grace,
    )  # fmt: skip
    try:
        server.run(lambda: announce(server))
    finally:
        let_go(engine)


@app.command("hash-password", short_help="Print the hash of a password for a users file.")
def hash_password() -> None:
    """Print the hash of a password for a users file; it is read from the terminal, or from standard input."""
    from getpass import getpass

    from logproc.serve.users import hash_password as hashed

    if sys.stdin.isatty():
        password = getpass("password: ", sys.stderr)
        if getpass("again: ", sys.stderr) != password:
            raise ConfigError("the two differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise ConfigError("the password is empty")
    print(hashed(password))


def open_server(
    store: str | None,
    listen: str,
    *,
    users: Path | None,
    readonly: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_execution_time: int,
    max_memory_usage: str,
    max_result_rows: int,
    max_memory: str,
    max_queries: int,
    max_body: str,
    grace: float,
    create: bool | None = None,
) -> tuple[Embedded, Server]:
    """The engine of a store and a server for it, which has its socket but does not answer yet. Raises ConfigError, StateError."""
    from logproc.serve.guard import VISIBLE_BY, Permissions
    from logproc.serve.queries import Capacity
    from logproc.serve.server import Listen, Server
    from logproc.serve.users import DEFAULT, Limits, User, Users, hash_password, read_users
    from logproc.sizes import parse_size
    from logproc.store_choice import choose_store
    from logproc.urls import password
    from sinks import chdb, ddl, parse
    from sinks.embedded import Embedded

    url = parse(choose_store(store))
    if url.scheme != "chdb":
        raise ConfigError(f"{url}: a server answers for itself", "--store is the folder of an embedded store here")
    limits = Limits(max_execution_time, parse_size("--max-memory-usage", max_memory_usage), max_result_rows)
    if users is not None:
        known = read_users(users, limits, database=ddl.DATABASE, readonly=readonly)
    else:
        secret = password()
        may = Permissions(readonly, frozenset({ddl.DATABASE} if readonly else ()))
        known = {DEFAULT: User(DEFAULT, hash_password(secret) if secret else "", may, limits)}
    place = Listen.parse(listen, tls_cert, tls_key)
    body = parse_size("--max-body", max_body)
    make = not readonly if create is None else create
    memory = parse_size("--max-memory", max_memory)
    engine = Embedded(chdb.folder_of(url), create=make, visible_by=VISIBLE_BY, memory=memory)
    try:
        server = Server(engine, Users(known), place, capacity=Capacity(running=max_queries), max_body=body, grace=grace)
    except BaseException:
        engine.close()
        raise
    return engine, server


def let_go(engine: Embedded) -> None:
    """Close the engine. Where a statement did not end in time the process ends here: nothing of it was acknowledged."""
    if engine.close():
        return
    print("warning: a statement did not end in time; it was not acknowledged", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_GAVE_UP)


def announce(server: Server, say: Callable[[str], None] | None = None) -> None:
    """Say that it is ready, and what to try; on standard error unless told otherwise."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    say(f"listening on {server.url}")
    say(f"try: curl '{server.url}/?query=SELECT+count()+FROM+access_log'")
