"""Grammars of the structured values inside fields: clusters, flags, addresses, SNI, details, paths, request ids.

Each runs once per distinct value, so they are written for clarity; results are remembered in bounded caches.
`-` (Envoy's word for "missing") reads as None wherever a value can be missing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

import pyparsing as pp

from parsers.flags import SHORT_NAMES

CACHE = 1 << 14
"""Distinct values remembered per kind; a client can invent any number of them, so every cache is bounded."""

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster's name tells. All None: a name Istio did not make, such as `xds-grpc` or `kube_default_reviews_9080`."""

    direction: str | None = None
    port: int | None = None
    subset: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Sni:
    """Istio's SNI `outbound_.PORT_.SUBSET_.HOST`: what the caller asked for, as the server side sees it."""

    port: int
    subset: str | None
    service: str


@dataclass(frozen=True, slots=True)
class Details:
    """Response-code details `name{args}` or `name[args]`; args is None where there are none."""

    name: str
    args: str | None = None


def _number(tokens: pp.ParseResults) -> int:
    return int(tokens[0])


def _is_port(_text: str, _at: int, tokens: pp.ParseResults) -> bool:
    return int(tokens[0]) <= 65535


# Whitespace is part of a value: nothing may be skipped, so every grammar leaves it alone and ends at the very end.
_END = pp.StringEnd()
_BAR, _DOT = pp.Literal("|"), pp.Literal("_.")
_PORT = pp.Regex("[0-9]{1,5}").add_condition(_is_port).add_parse_action(_number)("port")
_PIECE = pp.Regex(r"[^|\s]*")
_SERVICE = pp.Regex(r"[^|\s]*")("service")

_OUTBOUND = pp.Literal("outbound")("direction") + _BAR + _PORT + _BAR + _PIECE("subset") + _BAR + _SERVICE
# The third piece of an inbound cluster is the port's name (before Istio 1.8), never a subset.
_INBOUND = pp.Literal("inbound")("direction") + _BAR + _PORT + _BAR + _PIECE + _BAR + _SERVICE
# A waypoint's third piece is the protocol, the subset behind a slash: `http`, `tcp`, `http/v1`.
_PROTOCOL = pp.Regex("(?:http|tcp)(?:/|(?=[|]))")
_INBOUND_VIP = (
    pp.Literal("inbound-vip")("direction")
    + _BAR
    + _PORT
    + _BAR
    + pp.Optional(_PROTOCOL)
    + _PIECE("subset")
    + _BAR
    + _SERVICE
)
# Gateways that pass TLS through name their clusters as Istio names the SNI.
_SNI = (
    pp.Literal("outbound")("direction") + _DOT + _PORT + _DOT + pp.Regex(r"(?:(?!_\.)[^|\s])*")("subset")
    + _DOT + pp.Regex(r"[^|\s]+")("service")
)  # fmt: skip
_PASSTHROUGH = pp.Regex("InboundPassthrough[A-Za-z0-9]*").set_parse_action(lambda: "inbound")("direction") | pp.Regex(
    "PassthroughCluster|BlackHoleCluster"
).set_parse_action(lambda: "outbound")("direction")

_CLUSTER = ((_INBOUND_VIP | _INBOUND | _OUTBOUND | _SNI | _PASSTHROUGH) + _END).leave_whitespace()
_SNI_ONLY = (_SNI + _END).leave_whitespace()


@lru_cache(CACHE)
def cluster(text: str) -> Cluster:
    """Read a cluster's name: `outbound|80|v1|host`, `inbound|8080||`, `inbound|8080|portName|host`, `inbound-vip|80|http/v1|host`,
    `outbound_.80_.v1_.host`, and Istio's passthrough and black-hole clusters; one trailing `;` (Istio's alt stat name) is ignored.
    """
    try:
        found = _CLUSTER.parse_string(text.removesuffix(";")).as_dict()
    except pp.ParseException:
        return Cluster()
    return Cluster(found["direction"], found.get("port"), found.get("subset") or None, found.get("service") or None)


@lru_cache(CACHE)
def sni(text: str) -> Sni | None:
    """Read Istio's SNI `outbound_.PORT_.SUBSET_.HOST` (SUBSET may be empty); None for any other name."""
    try:
        found = _SNI_ONLY.parse_string(text)
    except pp.ParseException:
        return None
    return Sni(found["port"], found["subset"] or None, found["service"])


_NAME = pp.Regex(r"[^{}\[\]]+")("name")
# Arguments are free text and can hold brackets of their own, so they end with the value.
_DETAILS = (
    _NAME + (pp.Regex(r"\{(?P<args>.*)\}\Z", re.DOTALL) | pp.Regex(r"\[(?P<args>.*)\]\Z", re.DOTALL)) + _END
).leave_whitespace()


@lru_cache(CACHE)
def details(text: str) -> Details:
    """Read response-code details: `via_upstream`, `upstream_reset_before_response_started{connection_failure}`,
    `rbac_access_denied_matched_policy[none]`. What has no such shape is a name as a whole.
    """
    try:
        found = _DETAILS.parse_string(text)
    except pp.ParseException:
        return Details(text)
    return Details(found["name"], found["args"])


@lru_cache(CACHE)
def flags(text: str) -> str | None:
    """Response flags as a set: short names sorted and joined with `,`. Long names become short, unknown ones stay; `-` is None.

    The order in which Envoy prints them differs between releases, so only the set means anything.
    """
    if text == MISSING:
        return None
    return ",".join(sorted({SHORT_NAMES.get(name, name) for name in text.split(",")}))


# One pass of `re` and not pyparsing: every connection has another port, so these texts hardly repeat.
_ADDRESS = re.compile(
    r"(?:tcp://)?(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})",
    re.ASCII,
)


def address(text: str) -> tuple[str | None, int | None]:
    """Split `ip:port`, `[v6]:port`, `tcp://ip:port`; whatever has no port (unix paths, `envoy://...`, a bare IPv6) stays whole.

    `2001:db8::1:80` without brackets is an address of its own; only where that cannot be is its end a port. `-` is (None, None).
    """
    if text == MISSING:
        return None, None
    found = _ADDRESS.fullmatch(text)
    if found:
        port = int(found["port"])
        return (found["bracketed"] or found["host"], port) if port <= 65535 else (text, None)
    if text.count(":") > 1 and not _is_ipv6(text):
        host, _, end = text.rpartition(":")
        if end.isascii() and end.isdigit() and len(end) <= 5 and int(end) <= 65535 and _is_ipv6(host):
            return host, int(end)
    return text, None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


_HEX = re.compile("[0-9A-Fa-f]{8,}")
_ID = re.compile("[A-Za-z0-9]{16,}")


def path_template(path: str) -> str:
    """The path without query and fragment, each segment that names a thing replaced: {uuid}, {n} (digits), {hex} (8 or more, with
    a digit), {id} (16 or more letters and digits, with 4 digits): few distinct values to group by.
    """
    path = path.partition("?")[0].partition("#")[0]
    first, *segments = path.split("/")
    return "/".join([first, *[s if not s or s.isalpha() else _segment(s) for s in segments]])


def _segment(segment: str) -> str:
    if segment.isdecimal() and segment.isascii():
        return "{n}"
    if len(segment) < 8:
        return segment
    if _UUID.fullmatch(segment):
        return "{uuid}"
    if _HEX.fullmatch(segment):
        return "{hex}"
    if _ID.fullmatch(segment) and sum(map(segment.count, "0123456789")) >= 4:
        return "{id}"
    return segment


_UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")


def request_id(text: str) -> bytes | None:
    """The 16 bytes of a UUID written 8-4-4-4-12, in either case; None for any other text."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None
