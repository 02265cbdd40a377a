"""A second reading of access lines, written apart from the readers and sharing no code with them: split, count, look up.

It reads only lines that any person would read without doubt: one blank between words, no quotes inside quotes.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

HEAD = ["response_code", "response_flags"]
MIDDLE = [
    "bytes_received", "bytes_sent", "duration_ms", "upstream_service_time_ms",
    '"x_forwarded_for', '"user_agent', '"request_id', '"authority', '"upstream_host',
]  # fmt: skip
TAIL = ["upstream_cluster", "upstream_local_address", "downstream_local_address", "downstream_remote_address"]
SNI, ROUTE = ["requested_server_name"], ["route_name"]
MIXER, FAILURE = ['"mixer'], ['"upstream_transport_failure_reason']
DETAILS = ["response_code_details", "connection_termination_details"]
SHAPES = [
    HEAD + DETAILS + FAILURE + MIDDLE + TAIL + SNI + ROUTE,  # Istio 1.9 and later
    HEAD + FAILURE + MIDDLE + TAIL + SNI + ROUTE,  # 1.8
    HEAD + MIXER + FAILURE + MIDDLE + TAIL + SNI + ROUTE,  # 1.3 to 1.7
    HEAD + MIXER + FAILURE + MIDDLE + TAIL + SNI,  # 1.2
    HEAD + MIXER + MIDDLE + TAIL + SNI,  # 1.1
    HEAD + MIDDLE + TAIL + SNI,
    HEAD + MIDDLE + TAIL,  # 1.0
    HEAD + MIDDLE,  # Envoy
    [*HEAD, "response_code_details", *MIDDLE],
]
NUMBERS = {"response_code", "bytes_received", "bytes_sent", "duration_ms", "upstream_service_time_ms"}
JSON_COLUMNS = {
    "start_time": "timestamp",
    "duration": "duration_ms",
    "upstream_service_time": "upstream_service_time_ms",
    **{
        k: k
        for k in (
            "method", "path", "protocol", "response_code", "response_flags", "response_code_details", "connection_termination_details",
            "upstream_transport_failure_reason", "bytes_received", "bytes_sent", "x_forwarded_for", "user_agent", "request_id",
            "authority", "upstream_host", "upstream_cluster", "upstream_local_address", "downstream_local_address",
            "downstream_remote_address", "requested_server_name", "route_name",
        )
    },
}  # fmt: skip
ALIASES = {
    "url": "path", "x_envoy_origin_path": "path", "status": "response_code", "respflags": "response_flags", "start": "start_time",
    "system_time": "start_time", "remote_ip": "downstream_remote_address", "http_method": "method", "upstream_name": "upstream_cluster",
    "client_duration": "duration", "x_request_id": "request_id", "x_envoy_upstream_service_time": "upstream_service_time",
    "status_code": "response_code",
}  # fmt: skip
"""What people call the same in templates of their own."""


def plain_key(key: str) -> str:
    """`:authority`, `user-agent`, `responseCode`: as Istio spells them."""
    spelled = re.sub("([a-z])([A-Z])", r"\1_\2", key.lstrip(":")).replace("-", "_").lower()
    return ALIASES.get(spelled, spelled)


def words(text: str) -> list[str] | None:
    """Words between single blanks; a quoted one begins with its quote. None where quotes do not stand around whole words."""
    found, at = [], 0
    while at <= len(text):
        if text[at : at + 1] == '"':
            end = text.find('"', at + 1)
            if end < 0 or text[end + 1 : end + 2] not in ("", " "):
                return None
            found.append(text[at:end])
            at = end + 2
        else:
            end = text.find(" ", at)
            end = len(text) if end < 0 else end
            if '"' in text[at:end]:
                return None
            found.append(text[at:end])
            at = end + 1
    return found


def read_text(line: str) -> dict[str, Any] | None:
    """The columns of a text line of Istio or Envoy; None where it has not exactly the shape of one."""
    start = re.search(r'\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\] (?=")', line)
    if start is None:
        return None
    request, quote, rest = line[start.end() + 1 :].partition('" ')
    parts = words(rest)
    if not quote or parts is None or '"' in request:
        return None
    shape = next(
        (s for s in SHAPES if len(s) == len(parts) and all((a[0] == '"') == (b[:1] == '"') for a, b in zip(s, parts, strict=True))), None
    )  # fmt: skip
    if shape is None:
        return None
    texts = {name.lstrip('"'): part.removeprefix('"') for name, part in zip(shape, parts, strict=True)}
    mixer = texts.pop("mixer", "-")
    method, _, target = request.partition(" ")
    ended = re.fullmatch("(.*?) ?(HTTP/[0-9.]+|-)", target)  # Istio 1.0 has no blank before the protocol
    if ended is None:
        return None
    path, protocol = ended.groups()
    texts |= {"timestamp": start[1], "method": method, "path": path, "protocol": protocol}
    row = typed(texts)
    return row | ({"extra": {"DYNAMIC_METADATA(istio.mixer:status)": mixer}} if mixer != "-" else {})


def read_json(line: str) -> dict[str, Any] | None:
    """The columns of a flat JSON line with Istio's keys, in any spelling, each once; None for any other."""
    found = json.loads(line)
    keys = [plain_key(k) for k in found]
    if len(set(keys)) < len(keys) or any(isinstance(v, dict | list) for v in found.values()):
        return None
    known = {JSON_COLUMNS[plain_key(k)]: v for k, v in found.items() if plain_key(k) in JSON_COLUMNS}
    others = {k: v for k, v in found.items() if plain_key(k) not in JSON_COLUMNS and v is not None and v != "-"}
    row = typed({k: "-" if v is None else str(v).strip("[] ") for k, v in known.items()})
    return row | {"_others": {k: v if isinstance(v, str) else json.dumps(v) for k, v in others.items()}}


def typed(texts: dict[str, str]) -> dict[str, Any]:
    """Columns from texts; what is missing is left out."""
    row: dict[str, Any] = {}
    for name, text in texts.items():
        if text == "-" or (name in NUMBERS and text == ""):
            continue
        if name in NUMBERS:
            row[name] = int(text)
        elif name == "timestamp":
            stamp = text.removesuffix("Z")
            whole, _, fraction = stamp.partition(".")
            row[name] = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(
                tzinfo=UTC, microsecond=int((fraction + "000000")[:6])
            )
        elif name == "response_flags":
            row[name] = ",".join(sorted(set(text.split(","))))
        elif name in ("upstream_local_address", "downstream_remote_address"):
            host, colon, port = text.rpartition(":")
            split = (
                colon and port.isdigit() and (re.fullmatch(r"[\w.-]+", host) or re.fullmatch(r"\[[0-9a-f:.]+\]", host))
            )
            row[name] = host.strip("[]") if split else text
            if split:
                row[name.replace("_address", "_port")] = int(port)
        elif name == "request_id":
            uuid = re.fullmatch("[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", text)
            row.update({"request_id": bytes.fromhex(text.replace("-", ""))} if uuid else {"request_id_other": text})
        else:
            row[name] = text
    derive(row, texts)
    return row


def derive(row: dict[str, Any], texts: dict[str, str]) -> None:
    """What follows from the path, the cluster and the SNI."""
    if "path" in row:
        row["path_template"] = "/".join(template(s) for s in re.split("[?#]", row["path"])[0].split("/"))
    cluster = row["upstream_cluster"] = row.get("upstream_cluster", "").removesuffix(";")
    if not cluster:
        del row["upstream_cluster"]
    piece = cluster.split("|")
    if len(piece) == 4 and piece[0] in ("inbound", "outbound", "inbound-vip") and piece[1].isdigit():
        found: dict[str, Any] = {"direction": piece[0], "upstream_port": int(piece[1]), "upstream_service": piece[3]}
        if piece[0] == "outbound":
            found["upstream_subset"] = piece[2]
        if piece[0] == "inbound-vip":
            found["upstream_subset"] = re.sub("^(http|tcp)(/|$)", "", piece[2])
        if piece[0] == "inbound":
            asked = row.get("requested_server_name", "").split("_.")
            if len(asked) == 4 and asked[0] == "outbound":
                found["upstream_service"], found["upstream_subset"] = asked[3], asked[2]
        row.update({k: v for k, v in found.items() if v != ""})
    elif cluster.startswith("InboundPassthrough"):
        row["direction"] = "inbound"
    elif cluster in ("PassthroughCluster", "BlackHoleCluster"):
        row["direction"] = "outbound"
    requested = [texts[n] for n in ("method", "path", "protocol") if n in texts]
    if any(t != "-" for t in requested) or row.get("response_code", 0) > 0:
        row["log_type"] = "http"
    elif "response_code" in row:
        row["log_type"] = "tcp"


def template(segment: str) -> str:
    """A path's segment with what names one thing replaced."""
    if re.fullmatch("[0-9]+", segment):
        return "{n}"
    if re.fullmatch("[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", segment):
        return "{uuid}"
    if re.fullmatch("[0-9A-Fa-f]{8,}", segment) and re.search("[0-9]", segment):
        return "{hex}"
    if re.fullmatch("[0-9A-Za-z]{16,}", segment) and len(re.findall("[0-9]", segment)) >= 4:
        return "{id}"
    return segment
