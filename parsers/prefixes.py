"""Frames that change from line to line: what tools put before single lines, or an object of JSON around them, found by its shape.

A stream of one frame is known by that frame (`logproc.model.Frame`); here are lines of another one among it, such as pasted or joined
logs have, and prefixes that need no frame of their own: `docker compose`, skaffold, syslog.

Nothing is looked for inside a line: a prefix is of fixed shape and stands at the beginning, so that a text which a client chose cannot
make the rest of a message look like an access log.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from logproc.model import Frame

PREFIXED = Frame("prefixed", ("time", "pod", "container"))
"""What a prefix tells; words that it does not tell are empty."""


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A line behind its prefix. `words` are those of PREFIXED; `certain`: nothing else begins so, whatever the line itself is."""

    line: bytes
    words: list[bytes]
    certain: bool


TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_NAME = rb"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
_POD = rb"[a-z0-9][a-z0-9.-]{0,252}"
_CLOCK = rb"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"

_CERTAIN = re.compile(
    rb"(?P<time>%(time)s) (?:stdout|stderr) [FP](?::\S*)? "  # CRI
    rb"|\[pod/(?P<pod>[^/\]\s]+)/(?P<container>[^/\]\s]+)\] (?:(?P<logged>%(time)s) )?"
    % {b"time": TIME}  # kubectl logs --prefix
)
_LIKELY = re.compile(
    rb"(?:%(name)s +\| (?:(?P<composed>%(time)s) )?"  # docker compose logs, with -t
    rb"|\[(?:(?P<pod>%(pod)s) )?(?P<container>%(name)s)\] "  # skaffold; [word] of people's own
    # stern, with -A and -t: a pod has the suffix of its controller, or the container is the proxy
    rb"|(?:%(pod)s )?(?P<stern_pod>%(pod)s-(?:[a-z0-9]{5}|[0-9]+)|%(pod)s(?= (?:istio-proxy|envoy) )) (?P<stern_container>%(pod)s) (?:(?P<sterned>%(time)s) )?"
    rb"|(?:<[0-9]{1,3}>(?:1 )?)?(?:%(clock)s|(?P<sent>%(time)s)) %(name)s [\w./-]{1,64}(?:\[[0-9]+\])?: "  # syslog, journald
    rb"|(?P<time>%(time)s) "  # kubectl logs --timestamps
    rb"|(?P<alone>istio-proxy|envoy) +"  # a container without its pod
    rb"|ACCESS )"  # Ambassador
    rb'(?=[\[{"0-9])'
    % {b"name": _NAME, b"pod": _POD, b"time": TIME, b"clock": _CLOCK}
    # A name in the place of the line's own time.
    + rb'|(?:%s +)(?="(?:[A-Z]{3,16} [^"]*HTTP/[0-9.]+|- - -)" [0-9]{1,3} )' % _NAME
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_MARK = b"\xef\xbb\xbf"
"""The mark with which some editors begin a file."""
_STRIPPED = (b"\x1b", b"\xef", b" ", b"\t")
_BEGINNINGS = (b"[", b"{", b'"')
_PREFIX_BYTES = 600
_MOST_BYTES = 1 << 20


def split(line: bytes) -> Prefixed | None:
    """The line behind a prefix that is known by its shape; None where it has none."""
    whole = line
    if line[:1] in _STRIPPED or b"\x1b[" in line[:_PREFIX_BYTES]:
        line = _COLOUR.sub(b"", line[:_PREFIX_BYTES].removeprefix(_MARK).lstrip(b" \t")) + line[_PREFIX_BYTES:]
    found = _CERTAIN.match(line)
    if found is not None:
        told = found.groupdict()
        words = [told["time"] or told["logged"], told["pod"], told["container"]]
        return Prefixed(line[found.end() :], [w or b"" for w in words], certain=True)
    found = _LIKELY.match(line)
    if found is None:
        return None if line is whole or not line.startswith(_BEGINNINGS) else Prefixed(line, [b""] * 3, certain=False)
    told = found.groupdict()
    words = [
        told["time"] or told["composed"] or told["sterned"] or told["sent"],
        told["pod"] or told["stern_pod"],
        told["stern_container"] or told["alone"] or (told["container"] if told["pod"] else b""),
    ]
    return Prefixed(line[found.end() :], [w or b"" for w in words], certain=False)


_RECORD = re.compile(rb'\{[^{]{0,4096}"(?:stream|podName)"|.*"(?:stream|podName)": ?"', re.DOTALL)
_TEXTS, _TIMES = ("log", "message", "msg"), ("time", "@timestamp", "timestamp", "ts")


def record(line: bytes) -> Prefixed | None:
    """The line within a runtime's or a forwarder's object of JSON, such as docker's json-file or `stern -o json`; None for any other.

    Known by its `stream` (stdout, stderr) beside a time, or by `podName` and `containerName`.
    """
    if len(line) > _MOST_BYTES or not _RECORD.match(line):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    text = next((found[k] for k in _TEXTS if isinstance(found.get(k), str)), None)
    time = next((found[k] for k in _TIMES if isinstance(found.get(k), str)), "")
    names = _pod(found)
    if text is None or not (names[1] or (found.get("stream") in ("stdout", "stderr") and time)):
        return None
    inner = text.removesuffix("\n").replace("\n", "\\n").encode("utf-8", "surrogatepass")
    words = [w.encode("utf-8", "surrogatepass") for w in (time, *names)]
    return Prefixed(inner, [w if b" " not in w else b"" for w in words], certain=True)


def _pod(found: dict[str, Any]) -> tuple[str, str]:
    """Pod and container as stern, Fluent Bit and Filebeat name them."""
    if isinstance(found.get("podName"), str) and isinstance(found.get("containerName"), str):
        return found["podName"], found["containerName"]
    told = found.get("kubernetes")
    if not isinstance(told, dict):
        return "", ""
    pod, container = told.get("pod_name") or told.get("pod"), told.get("container_name") or told.get("container")
    pod = pod.get("name") if isinstance(pod, dict) else pod
    container = container.get("name") if isinstance(container, dict) else container
    return (pod if isinstance(pod, str) else "", container if isinstance(container, str) else "")
