"""Blocks of rows to text as Envoy prints it, by any format: constants are folded in, the rest is one `%` per line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from logproc.simulator.lines import Fields, column
from logproc.simulator.outcomes import MISSING
from logproc.simulator.values import SECOND, time_texts
from parsers.defaults import DEFAULTS, by_name
from parsers.format_string import Format, Operator, compile_format

COMMANDS = {
    "PROTOCOL": "protocol",
    "UPSTREAM_PROTOCOL": "upstream_protocol",
    "RESPONSE_CODE": "code",
    "RESPONSE_CODE_DETAILS": "details",
    "CONNECTION_TERMINATION_DETAILS": "termination",
    "RESPONSE_FLAGS": "flags",
    "BYTES_RECEIVED": "received",
    "BYTES_SENT": "sent",
    "DURATION": "duration",
    "UPSTREAM_HOST": "upstream_host",
    "UPSTREAM_REMOTE_ADDRESS": "upstream_host",
    "UPSTREAM_CLUSTER": "cluster",
    "UPSTREAM_CLUSTER_RAW": "cluster",
    "UPSTREAM_LOCAL_ADDRESS": "upstream_local",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local",
    "DOWNSTREAM_REMOTE_ADDRESS": "downstream_remote",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "reason",
    "ROUTE_NAME": "route",
    "REQUESTED_SERVER_NAME": "sni",
    "STREAM_ID": "request_id",
    "HOSTNAME": "hostname",
}
"""Operators that print a field as it is."""
REQUEST_HEADERS = {
    ":METHOD": "method",
    ":PATH": "path",
    ":AUTHORITY": "authority",
    "HOST": "authority",
    "X-FORWARDED-FOR": "xff",
    "USER-AGENT": "user_agent",
    "X-REQUEST-ID": "request_id",
}
RESPONSE_HEADERS = {"X-ENVOY-UPSTREAM-SERVICE-TIME": "service_time"}
_NUMBERS = {"RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION", "UPSTREAM_REQUEST_ATTEMPT_COUNT"}
"""Operators whose values a JSON format prints without quotes."""
_NEVER_NULL = {"PROTOCOL", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG"}
_ADDRESS = re.compile(
    "(UPSTREAM_HOST|UPSTREAM_REMOTE|UPSTREAM_LOCAL|DOWNSTREAM_LOCAL|DOWNSTREAM_REMOTE)(?:_ADDRESS)?_(WITHOUT_PORT|PORT)"
)
_ADDRESS_FIELDS = {"UPSTREAM_HOST": "upstream_host", "UPSTREAM_REMOTE": "upstream_host", "UPSTREAM_LOCAL": "upstream_local", "DOWNSTREAM_LOCAL": "downstream_local", "DOWNSTREAM_REMOTE": "downstream_remote"}  # fmt: skip
LONG_FLAGS = {
    "UF": "UpstreamConnectionFailure",
    "UC": "UpstreamConnectionTermination",
    "UH": "NoHealthyUpstream",
    "NR": "NoRouteFound",
    "NC": "NoClusterFound",
    "UT": "UpstreamRequestTimeout",
    "URX": "UpstreamRetryLimitExceeded",
    "DC": "DownstreamConnectionTermination",
    "UO": "UpstreamOverflow",
    "FI": "FaultInjected",
    "DI": "DelayInjected",
    "RL": "RateLimited",
}

Values = str | list[Any]
"""One text for all rows, or one value per row."""


def named_format(name: str) -> Format:
    """The format that `--format` names: a known name, or the text itself. Raises ExpressionError for a text that does not read."""
    found = by_name({"json": "istio-json"}.get(name, name))
    return found if found is not None else compile_format(name)


def format_names() -> list[str]:
    """The names that `named_format` knows, besides T0 to T6 and every `istio-1.N`."""
    return ["json", *(d.name for d in DEFAULTS)]


def own_connection_format(format: Format) -> Format | None:
    """What prints connections where HTTP and TCP have different formats: Istio 1.0 had."""
    return by_name("istio-1.0-tcp") if format.name == "istio-1.0" else None


class Renderer:
    """Prints rows by one format."""

    def __init__(self, format: Format) -> None:
        self.format = format
        self._ends_names = not format.name
        if format.json is not None:
            self._json_pieces: list[str | tuple[Operator | str, ...]] = []
            _flatten(format.json, self._json_pieces)

    def lines(self, fields: Fields, rows: int) -> list[str]:
        """One line for each row, without newline."""
        if self.format.json is not None:
            return self._json_lines(fields, rows)
        template: list[str] = []
        columns: list[Sequence[Any]] = []
        for part in self.format.parts:
            value = part if isinstance(part, str) else self.values(part, fields, rows)
            if isinstance(value, str):
                template.append(value.replace("%", "%%"))
            else:
                template.append("%s")
                columns.append(value)
        return _fill("".join(template), columns, rows)

    def values(self, operator: Operator, fields: Fields, rows: int) -> Values:
        """What an operator prints; `-` (or nothing, where empty values are left out) for one that the simulator knows nothing of."""
        value = self._whole(operator, fields, rows)
        if operator.length is not None:
            cut = operator.length
            value = value[:cut] if isinstance(value, str) else [str(v)[:cut] for v in value]
        if self.format.omit_empty_values and self.format.json is None:
            value = (
                ("" if value == MISSING else value)
                if isinstance(value, str)
                else ["" if v == MISSING else v for v in value]
            )
        return value

    def _whole(self, operator: Operator, fields: Fields, rows: int) -> Values:
        command, argument = operator.command, operator.argument or ""
        if command == "UPSTREAM_CLUSTER" and self._ends_names:
            # Istio ends stat names with a semicolon; only its own formats print the name without.
            return [v if v == MISSING else v + ";" for v in fields["cluster"]]
        if command in COMMANDS:
            value: Values = fields[COMMANDS[command]]
            return value
        derived = _DERIVED.get(command)
        if derived is not None:
            return derived(argument, fields, rows)
        address = _ADDRESS.fullmatch(command)
        if address is None or argument:
            return MISSING
        part = 0 if address[2] == "WITHOUT_PORT" else 2
        values = column(fields, _ADDRESS_FIELDS[address[1]], rows)
        return [v if v == MISSING else v.rpartition(":")[part] for v in values]

    def _json_lines(self, fields: Fields, rows: int) -> list[str]:
        template: list[str] = []
        columns: list[Sequence[Any]] = []
        for piece in self._json_pieces:
            if isinstance(piece, str):
                template.append(piece.replace("%", "%%"))
                continue
            template.append("%s")
            if len(piece) == 1 and isinstance(piece[0], Operator):
                columns.append(_typed(piece[0], self.values(piece[0], fields, rows), rows))
            else:
                parts = [p if isinstance(p, str) else self.values(p, fields, rows) for p in piece]
                spread = [[p] * rows if isinstance(p, str) else p for p in parts]
                columns.append([_quote("".join(map(str, row))) for row in zip(*spread, strict=True)])
        return _fill("".join(template), columns, rows)


def _fill(template: str, columns: list[Sequence[Any]], rows: int) -> list[str]:
    if not columns:
        return [template % ()] * rows
    return list(map(template.__mod__, zip(*columns, strict=True)))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _typed(operator: Operator, value: Values, rows: int) -> list[str]:
    """JSON values of one operator: numbers bare, texts quoted, a missing one null (a missing protocol or flag stays `-`)."""
    known: dict[Any, str] = {MISSING: _quote(MISSING) if operator.command in _NEVER_NULL else "null"}
    plain = operator.command in _NUMBERS and operator.length is None
    out = []
    for v in [value] * rows if isinstance(value, str) else value:
        if v not in known:
            known[v] = str(v) if plain else _quote(str(v))
        out.append(known[v])
    return out


def _flatten(template: Mapping[str, Any], out: list[str | tuple[Operator | str, ...]]) -> None:
    """A JSON template as a row of literal texts and parts to fill in."""
    out.append("{")
    for number, (key, value) in enumerate(template.items()):
        out.append(f"{',' if number else ''}{_quote(key)}:")
        _flatten_value(value, out)
    out.append("}")


def _flatten_value(value: Any, out: list[str | tuple[Operator | str, ...]]) -> None:
    if isinstance(value, Mapping):
        _flatten(value, out)
    elif isinstance(value, tuple):
        if all(isinstance(p, str) for p in value):
            out.append(_quote("".join(value)))
        else:
            out.append(value)
    elif isinstance(value, list):
        out.append("[")
        for number, item in enumerate(value):
            if number:
                out.append(",")
            _flatten_value(item, out)
        out.append("]")
    else:
        out.append(json.dumps(value))


def _header(argument: str, known: Mapping[str, str], fields: Fields, rows: int) -> Values:
    """`(MAIN?ALTERNATIVE)`: the first of the two that is there."""
    names = [known[name] for name in argument.upper().split("?") if name in known]
    if not names:
        return MISSING
    if len(names) == 1:
        value: Values = fields[names[0]]
        return value
    first, second = (column(fields, name, rows) for name in names)
    return [b if a == MISSING else a for a, b in zip(first, second, strict=True)]


def _request_header(argument: str, fields: Fields, rows: int) -> Values:
    if argument.upper().startswith("X-B3-TRACEID"):
        return _trace_ids("", fields, rows)
    return _header(argument, REQUEST_HEADERS, fields, rows)


def _response_header(argument: str, fields: Fields, rows: int) -> Values:
    return _header(argument, RESPONSE_HEADERS, fields, rows)


def _trace_ids(_argument: str, fields: Fields, rows: int) -> Values:
    """The trace of a request is named after its id."""
    return [v.replace("-", "") if len(v) == 36 else MISSING for v in column(fields, "request_id", rows)]


def _long_flags(_argument: str, fields: Fields, rows: int) -> Values:
    return [",".join(LONG_FLAGS.get(f, f) for f in v.split(",")) for v in column(fields, "flags", rows)]


def _path(argument: str, fields: Fields, rows: int) -> Values:
    paths = column(fields, "path", rows)
    return [p.partition("?")[0] for p in paths] if argument.upper().startswith("NQ") else paths


def _no_query(argument: str, fields: Fields, rows: int) -> Values:
    value = _header(argument, REQUEST_HEADERS, fields, rows)
    return value.partition("?")[0] if isinstance(value, str) else [str(v).partition("?")[0] for v in value]


def _log_type(_argument: str, fields: Fields, rows: int) -> Values:
    return ["TcpConnectionEnd" if v == MISSING else "DownstreamEnd" for v in column(fields, "method", rows)]


def _attempts(_argument: str, fields: Fields, rows: int) -> Values:
    flags, hosts = column(fields, "flags", rows), column(fields, "upstream_host", rows)
    return [0 if host == MISSING else 3 if "URX" in flag else 1 for flag, host in zip(flags, hosts, strict=True)]


_PIECE = re.compile("%([1-9]?f|s|%|.)")


def time_digits(layout: str) -> int:
    """Decimals of the second that a strftime layout prints (3 for the default)."""
    if not layout:
        return 3
    return max([9 if m[1] == "f" else int(m[1][0]) for m in _PIECE.finditer(layout) if m[1].endswith("f")], default=0)


def _start_time(layout: str, fields: Fields, _rows: int) -> Values:
    if not layout:
        return time_texts(fields["start"])
    out = []
    for us in fields["start"].tolist():
        moment = datetime.fromtimestamp(us // SECOND, UTC)

        def piece(found: re.Match[str], us: int = us, moment: datetime = moment) -> str:
            code = found[1]
            if code.endswith("f"):
                return f"{us % SECOND * 1000:09d}"[: 9 if code == "f" else int(code[0])]
            if code == "s":
                return str(us // SECOND)
            return moment.strftime(found[0])

        out.append(_PIECE.sub(piece, layout))
    return out


_DERIVED: dict[str, Callable[[str, Fields, int], Values]] = {
    "REQ": _request_header,
    "REQUEST_HEADER": _request_header,
    "RESP": _response_header,
    "RESPONSE_HEADER": _response_header,
    "START_TIME": _start_time,
    "START_TIME_LOCAL": _start_time,
    "RESPONSE_FLAGS_LONG": _long_flags,
    "PATH": _path,
    "REQ_WITHOUT_QUERY": _no_query,
    "TRACE_ID": _trace_ids,
    "ACCESS_LOG_TYPE": _log_type,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": _attempts,
}
