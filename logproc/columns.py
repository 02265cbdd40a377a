"""Every table and column once: name, Arrow type, ClickHouse type and codec, meaning.

The Arrow schemas, the DDL and the reference in the docs are rendered from here.
Sizes behind the choice of types and codecs are in the architecture page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from logproc.model import ACCESS_LOG, LEDGER, MESSAGE_LOG, REJECTED_LINE

TIMESTAMP = pa.timestamp("us", tz="UTC")
WORD = pa.dictionary(pa.int32(), pa.string())
"""Few distinct values: dictionary in Arrow, LowCardinality in ClickHouse."""
TEXT = pa.string()
MAP = pa.map_(pa.string(), pa.string())
UUID = pa.binary(16)

LOW = "LowCardinality(String)"
ZSTD = "ZSTD(1)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `from_line`: a parser fills it from the line itself; the others come from the place and the pod."""

    name: str
    arrow: pa.DataType
    clickhouse: str
    codec: str
    meaning: str
    from_line: bool = True
    operator: str = ""
    """Envoy's command operator(s) behind it."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns in order, and the parts of its DDL that are not columns."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    order_by: str
    primary_key: str = ""
    partition_by: str = ""
    time: str = "timestamp"
    """The column by which rows expire."""
    indexes: tuple[str, ...] = ()
    optional_indexes: tuple[str, ...] = ()
    """Indexes that cost more than they are worth to most; made where they are asked for."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a batch of this table."""
        return pa.schema([pa.field(c.name, c.arrow) for c in self.columns])

    def column(self, name: str) -> Column:
        """The column of that name (KeyError where there is none)."""
        return _by_name(self)[name]


@cache
def _by_name(table: Table) -> dict[str, Column]:
    return {c.name: c for c in table.columns}


def _word(name: str, meaning: str, operator: str = "", *, from_line: bool = True) -> Column:
    return Column(name, WORD, LOW, ZSTD, meaning, from_line, operator)


def _place(name: str, meaning: str) -> Column:
    return _word(name, meaning, from_line=False)


_TIMESTAMP = "GCD, Delta(8), ZSTD(1)"

_RECEIVED_AT = Column(
    "received_at",
    TIMESTAMP,
    "DateTime64(6, 'UTC')",
    _TIMESTAMP,
    "when the collector sealed the batch with this row",
    from_line=False,
)
_POD = (
    _place("k8s_namespace", "namespace of the pod that wrote the line"),
    _place(
        "app",
        "label app, app.kubernetes.io/name or service.istio.io/canonical-name; without labels the pod's name without its suffixes",
    ),
    _place("version", "label version, app.kubernetes.io/version or service.istio.io/canonical-revision"),
    _place("k8s_pod", "pod that wrote the line"),
    _place("k8s_container", "container that wrote the line"),
    _place("k8s_node", "node on which the collector read it"),
)
_FILE_ID = Column(
    "file_id", pa.uint64(), "UInt64", ZSTD, "the log file: hash of (pod uid, container, restart) and its first line; with `line` a row's identity",
    from_line=False,
)  # fmt: skip
_LINE = Column(
    "line",
    pa.uint64(),
    "UInt64",
    "Delta(8), ZSTD(1)",
    "number of the physical line in its file, from 0",
    from_line=False,
)
_DOUBT = _word(
    "doubt",
    "empty where the line fits its format in exactly one way; else why not (quotes, encoding, partial, time ...)",
)

ACCESS_LOG_TABLE = Table(
    ACCESS_LOG,
    "one row per access-log line: HTTP, TCP and ztunnel. One request makes a client line (outbound) and a server line (inbound)",
    (
        Column(
            "timestamp",
            TIMESTAMP,
            "DateTime64(6, 'UTC')",
            _TIMESTAMP,
            "when the request (HTTP) or connection (TCP) began",
            operator="START_TIME",
        ),
        _RECEIVED_AT,
        *_POD,
        _FILE_ID,
        _LINE,
        _word("log_type", "http, tcp, or l4 (ztunnel)"),
        _word("method", "HTTP method", "REQ(:METHOD)"),
        _word("authority", "Host or :authority the client asked for", "REQ(:AUTHORITY)"),
        Column(
            "path",
            TEXT,
            "String",
            "ZSTD(3)",
            "path and query as the client sent them",
            operator="REQ(X-ENVOY-ORIGINAL-PATH?:PATH)",
        ),
        _word("path_template", "path without query; ids, uuids, hex and numbers replaced by {id}, {uuid}, {hex}, {n}"),
        _word("protocol", "HTTP/1.1, HTTP/2, HTTP/3", "PROTOCOL"),
        Column(
            "response_code",
            pa.uint16(),
            "UInt16",
            ZSTD,
            "HTTP status; 0: no response began (the client left), or TCP",
            operator="RESPONSE_CODE",
        ),
        _word(
            "response_flags",
            "Envoy's response flags, short names sorted and joined with ','; ask with hasToken(response_flags, 'UO')",
            "RESPONSE_FLAGS",
        ),
        _word(
            "response_code_details",
            "who answered and why: via_upstream is the application, everything else the mesh",
            "RESPONSE_CODE_DETAILS",
        ),
        _word("connection_termination_details", "why Envoy closed the connection", "CONNECTION_TERMINATION_DETAILS"),
        _word(
            "upstream_transport_failure_reason",
            "TLS or TCP failure towards the upstream",
            "UPSTREAM_TRANSPORT_FAILURE_REASON",
        ),
        Column(
            "bytes_received",
            pa.uint64(),
            "UInt64",
            "T64, ZSTD(1)",
            "request body bytes; TCP: bytes from the client",
            operator="BYTES_RECEIVED",
        ),
        Column(
            "bytes_sent",
            pa.uint64(),
            "UInt64",
            "T64, ZSTD(1)",
            "response body bytes; TCP: bytes to the client",
            operator="BYTES_SENT",
        ),
        Column(
            "duration_ms",
            pa.uint32(),
            "UInt32",
            "T64, ZSTD(1)",
            "milliseconds from first byte in to last byte out",
            operator="DURATION",
        ),
        Column(
            "upstream_service_time_ms",
            pa.uint32(),
            "Nullable(UInt32)",
            "T64, ZSTD(1)",
            "milliseconds the upstream needed, as it said itself",
            operator="RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
        ),
        Column(
            "request_id",
            UUID,
            "UUID",
            ZSTD,
            "x-request-id, the same on every hop; zero where it is absent or no UUID",
            operator="REQ(X-REQUEST-ID)",
        ),
        Column(
            "request_id_other", TEXT, "String", ZSTD, "x-request-id where it is no UUID", operator="REQ(X-REQUEST-ID)"
        ),
        Column("trace_id", TEXT, "String", ZSTD, "trace id, where the format prints one", operator="TRACE_ID"),
        _word("user_agent", "User-Agent", "REQ(USER-AGENT)"),
        _word("x_forwarded_for", "X-Forwarded-For, a list", "REQ(X-FORWARDED-FOR)"),
        _word("upstream_cluster", "direction|port|subset|host as Envoy names it", "UPSTREAM_CLUSTER_RAW"),
        _word(
            "direction", "inbound (server's line), outbound (client's line), inbound-vip (waypoint); from the cluster"
        ),
        Column("upstream_port", pa.uint16(), "UInt16", ZSTD, "port in the cluster's name"),
        _word(
            "upstream_subset",
            "subset of the DestinationRule, from the cluster; on inbound lines from the SNI: the caller's choice",
        ),
        _word("upstream_service", "host in the cluster's name; on inbound lines from the SNI"),
        _word("upstream_host", "address that was chosen, ip:port", "UPSTREAM_HOST"),
        _word(
            "upstream_local_address", "this side's address towards the upstream, without port", "UPSTREAM_LOCAL_ADDRESS"
        ),
        Column("upstream_local_port", pa.uint16(), "UInt16", ZSTD, "its port", operator="UPSTREAM_LOCAL_ADDRESS"),
        _word("downstream_local_address", "address the client connected to, ip:port", "DOWNSTREAM_LOCAL_ADDRESS"),
        _word("downstream_remote_address", "the client's address, without port", "DOWNSTREAM_REMOTE_ADDRESS"),
        Column("downstream_remote_port", pa.uint16(), "UInt16", ZSTD, "its port", operator="DOWNSTREAM_REMOTE_ADDRESS"),
        _word("requested_server_name", "TLS SNI of the client", "REQUESTED_SERVER_NAME"),
        _word("route_name", "name of the route that matched", "ROUTE_NAME"),
        Column(
            "weight",
            pa.uint32(),
            "UInt32",
            "T64, ZSTD(1)",
            "lines this row stands for: 1, or N where sampling kept one of N",
            from_line=False,
        ),
        _DOUBT,
        Column(
            "extra",
            MAP,
            f"Map({LOW}, String)",
            ZSTD,
            "fields of a custom format that have no column, by their operator or JSON key",
        ),
    ),
    order_by="(toStartOfHour(timestamp), k8s_namespace, app, file_id, line)",
    primary_key="(toStartOfHour(timestamp), k8s_namespace, app)",
    partition_by="toDate(timestamp)",
    indexes=(
        "INDEX i_request_id request_id TYPE bloom_filter(0.01) GRANULARITY 1",
        "INDEX i_timestamp timestamp TYPE minmax GRANULARITY 1",
    ),
    optional_indexes=("INDEX i_path path TYPE text(tokenizer = splitByNonAlpha)",),
)

MESSAGE_LOG_TABLE = Table(
    MESSAGE_LOG,
    "one row per line that is no access log: messages of Envoy, pilot-agent and applications",
    (
        Column(
            "timestamp",
            TIMESTAMP,
            "DateTime64(6, 'UTC')",
            _TIMESTAMP,
            "time in the line, else the runtime's, else received_at",
        ),
        _RECEIVED_AT,
        *_POD,
        _FILE_ID,
        _LINE,
        _word("level", "trace, debug, info, warning, error, critical ... as printed"),
        _word("scope", "component that speaks: envoy config, sds, ads ..."),
        Column("message", TEXT, "String", "ZSTD(3)", "the text after them"),
        _DOUBT,
    ),
    order_by="(toStartOfHour(timestamp), k8s_namespace, app, file_id, line)",
    primary_key="(toStartOfHour(timestamp), k8s_namespace, app)",
    partition_by="toDate(timestamp)",
)

REJECTED_LINE_TABLE = Table(
    REJECTED_LINE,
    "one row per line that begins like an access log and cannot be read as one; the bytes are kept",
    (
        Column(
            "timestamp",
            TIMESTAMP,
            "DateTime64(6, 'UTC')",
            _TIMESTAMP,
            "the runtime's time of the line, else received_at",
        ),
        _RECEIVED_AT,
        *_POD,
        _FILE_ID,
        _LINE,
        _word("reason", "why: format, too_long, binary ..."),
        Column("length", pa.uint64(), "UInt64", "T64, ZSTD(1)", "bytes of the whole line"),
        Column("raw", pa.binary(), "String", "ZSTD(3)", "its bytes, at most the first 64 KiB"),
    ),
    order_by="(toStartOfHour(timestamp), k8s_namespace, app, file_id, line)",
    primary_key="(toStartOfHour(timestamp), k8s_namespace, app)",
    partition_by="toDate(timestamp)",
)


def _number(name: str, meaning: str, arrow: pa.DataType | None = None, clickhouse: str = "UInt64") -> Column:
    return Column(name, arrow or pa.uint64(), clickhouse, "T64, ZSTD(1)", meaning, from_line=False)


LEDGER_TABLE = Table(
    LEDGER,
    "one row per stored run of lines of a file; the union of a file's rows with state 'stored' is what is stored of it",
    (
        _RECEIVED_AT,
        Column("collector", TEXT, LOW, ZSTD, "state folder that sealed the batch (16 hex digits)", from_line=False),
        _number("seq", "number of the batch of that collector"),
        _place("k8s_node", "node"),
        _place("k8s_namespace", "namespace"),
        _place("k8s_pod", "pod"),
        _place("k8s_container", "container"),
        _FILE_ID,
        Column("path", TEXT, "String", ZSTD, "path of the file when it was read", from_line=False),
        _number("first_line", "first line"),
        Column("lines", pa.int64(), "Int64", "T64, ZSTD(1)", "physical lines", from_line=False),
        _number("start", "byte at which they begin"),
        _number("end", "byte after them"),
        Column(
            "min_time",
            TIMESTAMP,
            "DateTime64(6, 'UTC')",
            _TIMESTAMP,
            "earliest timestamp of their rows",
            from_line=False,
        ),
        Column(
            "max_time", TIMESTAMP, "DateTime64(6, 'UTC')", _TIMESTAMP, "latest timestamp of their rows", from_line=False
        ),
        _number("access_rows", "rows in access_log"),
        _number("message_rows", "rows in message_log"),
        _number("rejected_rows", "rows in rejected_line"),
        Column(
            "joined",
            pa.int64(),
            "Int64",
            "T64, ZSTD(1)",
            "fragments that are part of a later line's row",
            from_line=False,
        ),
        _number("left_out", "lines excluded, sampled out, or older than the table keeps"),
        _place("state", "stored, dead (refused by the store, kept as a dead letter) or lost"),
    ),
    order_by="(file_id, first_line)",
    time="received_at",
)

TABLES: dict[str, Table] = {t.name: t for t in (ACCESS_LOG_TABLE, MESSAGE_LOG_TABLE, REJECTED_LINE_TABLE, LEDGER_TABLE)}
"""In the order in which a batch's tables are written: the ledger last."""
