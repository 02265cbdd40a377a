"""Lines that are no access log: pilot-agent and Envoy about themselves, applications about their requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from logproc.simulator.lines import Block, column
from logproc.simulator.mesh import Pod
from logproc.simulator.values import SECOND, Ints, time_texts

_quote = json.JSONEncoder(ensure_ascii=False).encode
_DUMP = 20_000
"""Bytes of an application's largest line: a container runtime splits it."""
_DUMP_SHARE = 1 / 4000


class Message(NamedTuple):
    """One line that is no access log; `when` in microseconds. `level`, `scope`, `text`: what is to be read out of `line`.

    `time`: the line tells its time itself (RFC 3339 UTC with six decimals).
    """

    when: int
    line: str
    text: str
    level: str = ""
    scope: str = ""
    time: str = ""
    stderr: bool = False


def _component(when: int, level: str, scope: str, text: str, *, stderr: bool = False) -> Message:
    time = time_texts(np.array([when - 180]), 6)[0]
    middle = f"{scope}\t" if scope else ""
    # Envoy prints where in its source it speaks as part of that column; it belongs to the message.
    if text.startswith("external/"):
        middle = f"{scope} "
    return Message(when, f"{time}\t{level}\t{middle}{text}", text, level, scope, time, stderr)


def _plain(when: int, line: str, *, stderr: bool = False) -> Message:
    return Message(when, line, line, stderr=stderr)


def startup(pod: Pod, when: int, rng: np.random.Generator) -> list[Message]:
    """What a proxy says when it starts: pilot-agent on standard output, Envoy on standard error."""
    namespace = pod.workload.namespace
    ready = int(rng.integers(800_000, 2_500_000))
    agent = (
        ("", f'FLAG: --domain="{namespace}.svc.cluster.local"'),
        ("", "Version 1.24.2-ad1e19a8c0bd1e4e2e3a5e5ef2f0f1a8d6ac3b0c-Clean"),
        ("", f"Proxy role ips=[{pod.ip}] type=sidecar id={pod.name}.{namespace} domain={namespace}.svc.cluster.local"),
        ("", "Effective config: binaryPath: /usr/local/bin/envoy"),
    )
    out = [_component(when + 1_000 * i, "info", scope, text) for i, (scope, text) in enumerate(agent)]
    out += [
        _plain(when + 4_100 + i, text)
        for i, text in enumerate(
            ("concurrency: 2", "configPath: ./etc/istio/proxy", "discoveryAddress: istiod.istio-system.svc:15012")
        )
    ]
    later = (
        ("info", "", "JWT policy is third-party-jwt", False),
        ("info", "xdsproxy", 'Initializing with upstream address "istiod.istio-system.svc:15012" and cluster "Kubernetes"', False),
        ("info", "sds", "Starting SDS grpc server", False),
        ("info", "", "Opening status port 15020", False),
        ("info", "xdsproxy", "connected to delta upstream XDS server: istiod.istio-system.svc:15012\tid=1", False),
        ("info", "cache", "generated new workload certificate\tresourceName=default\tlatency=95.8ms\tttl=23h59m59.9s", False),
        (
            "warning",
            "envoy main",
            "external/envoy/source/server/server.cc:936\tThere is no configured limit to the number of allowed active downstream connections.\tthread=14",
            True,
        ),
        ("info", "ads", f"ADS: new connection for node:{pod.name}.{namespace}-1", False),
    )  # fmt: skip
    out += [
        _component(when + 20_000 + 9_000 * i, level, scope, text, stderr=error)
        for i, (level, scope, text, error) in enumerate(later)
    ]
    out.append(_component(when + ready, "info", "", f"Readiness succeeded in {ready / SECOND:.9f}s"))
    out.append(_component(when + ready + 400, "info", "", "Envoy proxy is ready"))
    return out


def reconnects(when: int, rng: np.random.Generator) -> list[Message]:
    """What a proxy says when its control plane closes the stream, as it does every half hour."""
    number = int(rng.integers(2, 90))
    return [
        _component(when, "info", "xdsproxy", f"connected to delta upstream XDS server: istiod.istio-system.svc:15012\tid={number}"),
        _component(
            when + 30_000,
            "warning",
            "envoy config",
            "external/envoy/source/extensions/config_subscription/grpc/grpc_stream.h:190\tDeltaAggregatedResources gRPC config stream to xds-grpc closed: 14, connection error: desc = \"error reading server preface: EOF\"\tthread=14",
            stderr=True,
        ),
    ]  # fmt: skip


def probe(when: int) -> Message:
    """The kubelet asks nginx whether it is well."""
    return _plain(
        when, f'10.244.0.1 - - [{_clf(np.array([when]))[0]}] "GET /health HTTP/1.1" 200 2 "-" "kube-probe/1.31" "-"'
    )


def application(block: Block, rng: np.random.Generator) -> list[tuple[int, Message]]:
    """What the application says of the requests it answered: (row of the block, line)."""
    style, rows = APP_LINES[block.app_log], block.rows
    details = column(block.fields, "details", rows)
    times = style.times(block.end)
    values = zip(
        block.end.tolist(), times, *(column(block.fields, name, rows) for name in Served._fields[2:]), strict=True
    )
    out: list[tuple[int, Message]] = []
    dumps = set(np.flatnonzero(rng.random(rows) < _DUMP_SHARE).tolist())
    for row, served in enumerate(map(Served._make, values)):
        if details[row] != "via_upstream":
            continue
        out.append((row, style.line(served)))
        if served.code == 500:
            out += [(row, line) for line in _traceback(served.when)]
        if row in dumps:
            out.append((row, _plain(served.when + 9, "DEBUG payload " + "Größe=42;" * (_DUMP // 9))))
    return out


def _traceback(when: int) -> list[Message]:
    lines = (
        "Traceback (most recent call last):",
        '  File "/app/server.py", line 412, in handle',
        "    answer = upstream.get(url, timeout=2)",
        "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable",
    )
    return [_plain(when + 1 + i, line, stderr=True) for i, line in enumerate(lines)]


def _dates(layout: str) -> Callable[[Ints], list[str]]:
    def times(us: Ints) -> list[str]:
        seconds = (us // SECOND).tolist()
        known = {s: datetime.fromtimestamp(s, UTC).strftime(layout) for s in set(seconds)}
        return [known[s] for s in seconds]

    return times


_clf = _dates("%d/%b/%Y:%H:%M:%S +0000")


class Served(NamedTuple):
    """One request as its application knows it."""

    when: int
    time: str
    method: str
    path: str
    code: int
    sent: int
    user_agent: str
    xff: str
    duration: int
    request_id: str


def _nginx(r: Served) -> Message:
    request = f"{r.method} {r.path} HTTP/1.1"
    return _plain(r.when, f'127.0.0.6 - - [{r.time}] "{request}" {r.code} {r.sent} "-" "{r.user_agent}" "{r.xff}"')


def _python(r: Served) -> Message:
    return _plain(r.when, f'127.0.0.6 - - [{r.time}] "{r.method} {r.path} HTTP/1.1" {r.code} -')


def _json(r: Served) -> Message:
    level = "error" if r.code >= 500 else "info"
    text = f"{r.method} {r.path} {r.code}"
    rest = f'"took_ms":{r.duration},"id":"{r.request_id}"'
    line = f'{{"level":"{level}","ts":"{r.time}","logger":"http","msg":{_quote(text)},{rest}}}'
    # As Istio prints the same in text: further keys behind the message.
    return Message(r.when, line, f"{text}\ttook_ms={r.duration}\tid={r.request_id}", level, "http", r.time)


@dataclass(frozen=True, slots=True)
class Style:
    """How an application logs a request: its times, and its line from time and fields."""

    times: Callable[[Ints], list[str]]
    line: Callable[[Served], Message]


APP_LINES: dict[str, Style] = {
    "nginx": Style(_clf, _nginx),
    "python": Style(_dates("%d/%b/%Y %H:%M:%S"), _python),
    "json": Style(lambda us: time_texts(us - 60, 6), _json),
}
"""By the name that a workload has in `app_log`."""


def truth(message: Message) -> dict[str, object]:
    """The row that a message is: without `timestamp` where the line tells none."""
    row: dict[str, object] = {"table": "message_log"}
    if message.time:
        row["timestamp"] = message.time
    if message.level:
        row["level"] = message.level
    if message.scope:
        row["scope"] = message.scope
    row["message"] = message.text
    return row
