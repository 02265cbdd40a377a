"""The views that people would write themselves: each side's requests, both sides of one request beside each other, the flags' meanings."""

from __future__ import annotations

from dataclasses import dataclass

from logproc.columns import ACCESS_LOG_TABLE, LOW
from logproc.model import ACCESS_LOG
from logproc.response_flags import RESPONSE_FLAGS
from sinks.connection import literal, quoted
from sinks.tables import Layout

RESPONSE_FLAG, SERVER_REQUEST, CLIENT_REQUEST, HOP, HOP_BETWEEN = (
    "response_flag", "server_request", "client_request", "hop", "hop_between",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view."""

    name: str
    clickhouse: str
    meaning: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. `select` has `{table}` for the qualified `access_log`; `parameters` are asked for as `name(a = ..., b = ...)`."""

    name: str
    meaning: str
    columns: tuple[ViewColumn, ...]
    select: str
    parameters: tuple[ViewColumn, ...] = ()


_MOMENT = "DateTime64(6, 'UTC')"
_ALL = tuple(ViewColumn(c.name, c.clickhouse, c.meaning) for c in ACCESS_LOG_TABLE.columns)

# What of a line a hop shows; `timestamp` first, by which the lines of repeated requests are put beside each other.
_SIDE = (
    "timestamp", "k8s_namespace", "app", "version", "k8s_pod", "response_code", "response_flags", "duration_ms",
    "method", "authority", "path", "path_template", "upstream_service", "upstream_subset", "weight", "file_id", "line",
)  # fmt: skip
_NO_ID = "request_id = toUUID('00000000-0000-0000-0000-000000000000') AND request_id_other = ''"


def _from(side: str, name: str) -> str:
    return f"{side}.{_SIDE.index(name) + 1}"


def _either(name: str) -> str:
    """The client's value where there is a client's line, else the server's."""
    return f"if(seen_by = 'server', {_from('server', name)}, {_from('client', name)})"


_HOP_COLUMNS = (
    (ViewColumn("timestamp", _MOMENT, "when the request began, as the client's proxy says, else the server's"), _either("timestamp")),
    (ViewColumn("request_id", "UUID", "x-request-id, the same on both sides; zero where it is no UUID"), "request_id"),
    (ViewColumn("request_id_other", "String", "x-request-id where it is no UUID"), "request_id_other"),
    (ViewColumn("seen_by", LOW, "both; client: no line of a proxy at the server's side; server: none at the client's"),
     f"multiIf({_from('server', 'timestamp')} = 0, 'client', {_from('client', 'timestamp')} = 0, 'server', 'both')"),
    (ViewColumn("client_namespace", LOW, "namespace of the client's pod"), _from("client", "k8s_namespace")),
    (ViewColumn("client_app", LOW, "the client's app"), _from("client", "app")),
    (ViewColumn("client_version", LOW, "its version"), _from("client", "version")),
    (ViewColumn("client_pod", LOW, "its pod"), _from("client", "k8s_pod")),
    (ViewColumn("server_namespace", LOW, "namespace of the server's pod"), _from("server", "k8s_namespace")),
    (ViewColumn("server_app", LOW, "the server's app"), _from("server", "app")),
    (ViewColumn("server_version", LOW, "its version"), _from("server", "version")),
    (ViewColumn("server_pod", LOW, "its pod"), _from("server", "k8s_pod")),
    (ViewColumn("server_address", LOW, "the server's address, ip:port, by which the two lines are joined"), "address"),
    (ViewColumn("upstream_service", LOW, "host in the cluster's name"), _either("upstream_service")),
    (ViewColumn("upstream_subset", LOW, "subset in the cluster's name: the client's choice"), _either("upstream_subset")),
    (ViewColumn("method", LOW, "HTTP method"), _either("method")),
    (ViewColumn("authority", LOW, "Host or :authority"), _either("authority")),
    (ViewColumn("path", "String", "path and query"), _either("path")),
    (ViewColumn("path_template", LOW, "path without ids and query"), _either("path_template")),
    (ViewColumn("client_code", "Nullable(UInt16)", "status that the client got"), f"if(seen_by = 'server', NULL, {_from('client', 'response_code')})"),
    (ViewColumn("server_code", "Nullable(UInt16)", "status that the server gave"), f"if(seen_by = 'client', NULL, {_from('server', 'response_code')})"),
    (ViewColumn("client_flags", LOW, "response flags of the client's line"), _from("client", "response_flags")),
    (ViewColumn("server_flags", LOW, "response flags of the server's line"), _from("server", "response_flags")),
    (ViewColumn("client_ms", "Nullable(UInt32)", "milliseconds that the client's proxy waited"), f"if(seen_by = 'server', NULL, {_from('client', 'duration_ms')})"),
    (ViewColumn("server_ms", "Nullable(UInt32)", "milliseconds that the server's proxy needed"), f"if(seen_by = 'client', NULL, {_from('server', 'duration_ms')})"),
    (ViewColumn("network_ms", "Nullable(Int64)", "client_ms - server_ms: network, connecting, retries; below zero by rounding, or where the server worked on after the client had its answer"),
     f"if(seen_by = 'both', toInt64({_from('client', 'duration_ms')}) - {_from('server', 'duration_ms')}, NULL)"),
    (ViewColumn("weight", "UInt32", "requests that this row stands for"), _either("weight")),
)  # fmt: skip


def _hop(time: str = "", kept: str = "") -> str:
    """Lines by (request id, server's address), the n-th of the client beside the n-th of the server.

    A filter on the request id reaches the index through GROUP BY, which it does not through a join.
    """
    side = f"tuple({', '.join(_SIDE)})"
    return (
        "SELECT\n  "
        + ",\n  ".join(made if made == c.name else f"{made} AS {c.name}" for c, made in _HOP_COLUMNS)
        + "\nFROM (\n  SELECT request_id, request_id_other, if(direction = 'outbound', upstream_host, downstream_local_address) AS address,\n"
        f"    arraySort(groupArrayIf({side}, direction = 'outbound')) AS clients,\n"
        f"    arraySort(groupArrayIf({side}, direction = 'inbound')) AS servers,\n"
        "    greatest(length(clients), length(servers)) AS n\n"
        "  FROM {table}\n"
        f"  WHERE direction IN ('inbound', 'outbound') AND log_type = 'http' AND NOT ({_NO_ID}){time}\n"
        "  GROUP BY request_id, request_id_other, address\n"
        f")\nARRAY JOIN arrayResize(clients, n) AS client, arrayResize(servers, n) AS server{kept}"
    )


_SINCE, _UNTIL = f"{{since:{_MOMENT}}}", f"{{until:{_MOMENT}}}"
_COLUMNS = tuple(c for c, _ in _HOP_COLUMNS)
_HOP_MEANING = (
    "both sides of one HTTP request beside each other: the line of the client's proxy and that of the server's, joined by request id and the "
    "server's address; a request sent again or several times to one address is put beside its lines by time"
)


def _side_view(name: str, direction: str, meaning: str) -> View:
    names = ", ".join(c.name for c in _ALL)
    return View(
        name, meaning, _ALL, f"SELECT {names}\nFROM {{table}}\nWHERE direction = '{direction}' AND log_type = 'http'"
    )


def _flags() -> str:
    structure = "short String, long String, code String, meaning String, look_at String"
    rows = ",\n  ".join(
        f"({', '.join(literal(v) for v in (f.short, f.long, f.code, f.meaning, f.look_at))})"
        for f in RESPONSE_FLAGS.values()
    )
    return f"SELECT * FROM values({literal(structure)},\n  {rows})"


VIEWS = (
    View(
        RESPONSE_FLAG,
        "Envoy's response flags: what each means and where to look; SELECT ... FROM access_log ARRAY JOIN splitByChar(',', response_flags) AS short JOIN response_flag USING short",
        (
            ViewColumn("short", "String", "as in response_flags"),
            ViewColumn("long", "String", "as %RESPONSE_FLAGS_LONG% prints it"),
            ViewColumn("code", "String", "HTTP status that usually comes with it, empty where it says nothing"),
            ViewColumn("meaning", "String", "what happened"),
            ViewColumn("look_at", "String", "which object of Istio, or which log, to look at"),
        ),
        _flags(),
    ),
    _side_view(SERVER_REQUEST, "inbound", "HTTP requests as the servers' proxies saw them: each request that reached a pod with a proxy, once"),
    _side_view(CLIENT_REQUEST, "outbound", "HTTP requests as the clients' proxies and gateways saw them: each request that a pod with a proxy made, once whatever the retries"),
    View(HOP, f"{_HOP_MEANING}. Fast with a request_id; for a time ask {HOP_BETWEEN}", _COLUMNS, _hop()),
    View(
        HOP_BETWEEN,
        f"{HOP} of the requests of a time, which it reads alone: SELECT * FROM {HOP_BETWEEN}(since = '2026-11-21 10:00:00', until = '2026-11-21 11:00:00')",
        _COLUMNS,
        # The other side's line may lie a little outside: clocks differ, and a retry begins later.
        _hop(
            f"\n    AND timestamp >= {_SINCE} - INTERVAL 1 MINUTE AND timestamp < {_UNTIL} + INTERVAL 1 MINUTE",
            f"\nWHERE timestamp >= {_SINCE} AND timestamp < {_UNTIL}",
        ),
        (ViewColumn("since", _MOMENT, "begin, inclusive, UTC"), ViewColumn("until", _MOMENT, "end, exclusive, UTC")),
    ),
)  # fmt: skip


def select_of(view: View, database: str) -> str:
    """The SELECT of a view."""
    return view.select.replace("{table}", quoted(database, ACCESS_LOG))


def create_view(database: str, view: View, layout: Layout, *, replace: bool = False) -> str:
    """CREATE VIEW; with `replace` in the place of one of that name."""
    create = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
    columns = ",\n".join(f"  {quoted(c.name)} {c.clickhouse} COMMENT {literal(c.meaning)}" for c in view.columns)
    return (
        f"{create} {quoted(database, view.name)}{layout.on_cluster} (\n{columns}\n) AS\n"
        f"{select_of(view, database)}\nCOMMENT {literal(view.meaning)}"
    )
