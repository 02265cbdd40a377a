"""Frames that change from line to line: each line is read as it would be alone, whatever stands before it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from logproc.frames import Framer
from logproc.model import ACCESS_LOG, CRI, MESSAGE_LOG, Chunk, Frame, Span, Stream, Text
from parsers import open_parser, parse_lines
from parsers.defaults import JSON_DEFAULTS, TEXT_DEFAULTS
from parsers.samples import sample
from tests.parsers.lines import render

ISTIO = TEXT_DEFAULTS[0].format
LINE = render(ISTIO)
JSON_LINE = sample(JSON_DEFAULTS[0])
NANO = "2026-11-21T10:15:43.123456789Z"
DOCKER = {"stream": "stdout", "time": NANO}
POD, CONTAINER = "web-5d4f8c7b9-x2x7k", "istio-proxy"

PREFIXES = {
    "cri": (f"{NANO} stdout F ", None, None),
    "kubectl --timestamps": (f"{NANO} ", None, None),
    "kubectl --prefix": (f"[pod/{POD}/{CONTAINER}] ", POD, CONTAINER),
    "kubectl --prefix --timestamps": (f"[pod/{POD}/{CONTAINER}] {NANO} ", POD, CONTAINER),
    "stern": (f"{POD} {CONTAINER} ", POD, CONTAINER),
    "stern -A": (f"shop {POD} {CONTAINER} ", POD, CONTAINER),
    "stern, a pod without a controller": (f"web {CONTAINER} ", "web", CONTAINER),
    "stern --timestamps": (f"web-0 app {NANO} ", "web-0", "app"),
    "compose": ("envoy-1         | ", None, None),
    "compose -t": (f"envoy-1  | {NANO} ", None, None),
    "compose, coloured": ("\x1b[36menvoy-1  | \x1b[0m", None, None),
    "skaffold": (f"[{POD} {CONTAINER}] ", POD, CONTAINER),
    "a word in brackets": ("[sidecar-access] ", None, None),
    "syslog": ("Nov 21 10:15:43 node-1 envoy[123]: ", None, None),
    "syslog, ISO": (f"<14>1 {NANO} node-1 envoy[123]: ", None, None),
    "a container alone": ("istio-proxy ", None, "istio-proxy"),
    "ambassador": ("ACCESS ", None, None),
    "a mark of UTF-8": ("\ufeff", None, None),
    "indented": ("    ", None, None),
    "colour alone": ("\x1b[32m", None, None),
}
RECORDS = {
    "docker": ({"log": "{}\n", **DOCKER}, None, None),
    "fluent bit": (
        {"log": "{}", **DOCKER, "kubernetes": {"pod_name": POD, "container_name": CONTAINER}}, POD, CONTAINER,
    ),
    "filebeat": (
        {"message": "{}", **DOCKER, "kubernetes": {"pod": {"name": POD}, "container": {"name": CONTAINER}}}, POD, CONTAINER,
    ),
    "stern -o json": ({"message": "{}\n", "podName": POD, "containerName": CONTAINER}, POD, CONTAINER),
}  # fmt: skip


def framed(name: str, line: str) -> str:
    if name in PREFIXES:
        return PREFIXES[name][0] + line
    record = RECORDS[name][0]
    return json.dumps({k: v.replace("{}", line) if isinstance(v, str) else v for k, v in record.items()})


def told(name: str) -> dict[str, str]:
    _, pod, container = (PREFIXES | RECORDS)[name]
    return {k: v for k, v in (("k8s_pod", pod), ("k8s_container", container)) if v}


def rows(lines: list[str]) -> dict[int, tuple[str, dict[str, Any]]]:
    parsed = parse_lines(lines)
    found = {}
    for table, batch in parsed.tables.items():
        for number, row in zip(parsed.rows[table].tolist(), batch.to_pylist(), strict=True):
            found[number] = (table, {k: v for k, v in row.items() if v is not None})
    assert sorted(found) == list(range(len(lines)))
    return found


NAMES = [*PREFIXES, *RECORDS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line", [LINE, JSON_LINE], ids=["text", "json"])
def test_an_access_line_behind_a_prefix_is_read_as_without(name: str, line: str) -> None:
    plain = rows([line])[0]

    found = rows([line, framed(name, line), "words of an application"])

    assert found[1] == (ACCESS_LOG, plain[1] | told(name))
    assert found[2][0] == MESSAGE_LOG


def test_all_prefixes_may_alternate_in_one_file() -> None:
    lines = [framed(name, render(ISTIO, {"duration_ms": str(i)})) for i, name in enumerate(NAMES * 5)]

    found = rows(lines)

    assert [found[i][0] for i in range(len(lines))] == [ACCESS_LOG] * len(lines)
    assert [found[i][1]["duration_ms"] for i in range(len(lines))] == list(range(len(lines)))
    assert "doubt" not in {k for _, row in found.values() for k in row}


def test_a_record_around_another_prefix() -> None:
    found = rows([framed("docker", "ACCESS " + LINE), framed("stern -o json", f"envoy-1 | {LINE}")])

    assert [found[i][0] for i in (0, 1)] == [ACCESS_LOG] * 2
    assert found[1][1]["k8s_pod"] == POD


def test_a_message_behind_a_runtimes_frame_has_its_own_time_and_level() -> None:
    message = "2026-11-21T10:15:42.000001Z\tinfo\txds\tconnected"

    found = rows([LINE, *(framed(name, message) for name in ("cri", "kubectl --prefix", "docker"))])

    assert all(
        (t, r["level"], r["scope"], r["message"]) == (MESSAGE_LOG, "info", "xds", "connected")
        for t, r in list(found.values())[1:]
    )


@pytest.mark.parametrize(
    "message",
    [
        f"2026-11-21T10:15:42.000001Z\tinfo\t{LINE}",
        f"2026-11-21T10:15:42.000001Z warning envoy http header value: {LINE}",
        f"2026-11-21T10:15:42.000001Z info {LINE}",
        f"user said {LINE}",
        f"got request [GET] {LINE}",
        f"path=/x {LINE}",
        f"[2026-11-21 10:15:42.000][12][info][http] {LINE}",
        f'{{"level":"info","msg":{json.dumps(LINE)}}}',
        f'{{"time":"{NANO}","level":"info","message":{json.dumps(LINE)}}}',
    ],
)
def test_an_access_line_inside_a_message_is_its_text(message: str) -> None:
    assert rows([LINE, message])[1][0] == MESSAGE_LOG


@pytest.mark.parametrize(
    ("frame", "prefix"),
    [
        (CRI, PREFIXES["cri"][0]),
        (Frame("kubectl-timestamps", ("time",)), f"{NANO} "),
        (Frame("kubectl-prefix", ("prefix",)), PREFIXES["kubectl --prefix"][0]),
        (Frame("stern", ("pod", "container")), PREFIXES["stern"][0]),
    ],
    ids=lambda v: v.name if isinstance(v, Frame) else "",
)
@pytest.mark.parametrize("many", [1, 40])
def test_a_line_without_the_frame_of_its_stream_is_whole(frame: Frame, prefix: str, many: int) -> None:
    message = "2026-11-21T10:15:42.000001Z\tinfo\txds\tconnected"
    lines = [prefix + LINE, LINE, prefix + JSON_LINE, JSON_LINE, message, prefix + message] * many
    data = "".join(f"{line}\n" for line in lines).encode()

    parsed = open_parser().parse([Text("a", frame, data, len(lines))])

    assert parsed.tables[ACCESS_LOG].num_rows == 4 * many
    assert set(parsed.tables[ACCESS_LOG].column("doubt").to_pylist()) == {None}
    assert parsed.rows[MESSAGE_LOG].tolist() == [i for i in range(6 * many) if i % 6 > 3]
    assert set(parsed.tables[MESSAGE_LOG].column("message").to_pylist()) == {"connected"}
    assert set(parsed.tables[MESSAGE_LOG].column("level").to_pylist()) == {"info"}


def test_a_forged_frame_in_a_path_moves_nothing() -> None:
    """A plain line among framed ones, whose client wrote what the line is after three words are taken off."""
    forged = render(ISTIO, {"path": f"/a {render(ISTIO, {'path': '/forged'})}"})
    framed_lines = [PREFIXES["cri"][0] + LINE] * 30
    data = "".join(f"{line}\n" for line in [*framed_lines, forged]).encode()

    parsed = open_parser().parse([Text("a", CRI, data, 31)])

    last = parsed.tables[ACCESS_LOG].to_pylist()[-1]
    assert last["path"] != "/forged"
    assert last["method"] == "GET"
    assert last["doubt"] is not None


def test_what_a_framer_makes_of_a_mixed_file_is_one_row_a_line() -> None:
    lines = [framed(name, LINE) for name in NAMES for _ in range(3)] + [LINE] * 5
    data = "".join(f"{line}\n" for line in lines).encode()
    framer = Framer()

    texts = [f.text for f in framer.frame(Chunk(Stream("f"), Span(0, 0, len(data), 0, len(lines)), data, last=True))]

    parsed = open_parser().parse(texts)
    assert parsed.rows[ACCESS_LOG].tolist() == list(range(len(lines)))
