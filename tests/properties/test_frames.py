"""Any line in any frame, any cut of the bytes: the row is the line's, and neither frame nor cut shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc import reading
from logproc.frames import FRAMES
from logproc.jsonl import rows_as_json
from logproc.parsing import Reader
from parsers import open_parser
from parsers.defaults import DEFAULTS
from parsers.samples import sample

SETTINGS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
NANO = "2026-11-21T10:15:43.123456789Z"
WRAPS = {
    "plain": lambda line: line,
    "cri": lambda line: f"{NANO} stdout F {line}",
    "kubectl-prefix": lambda line: f"[pod/web-0/istio-proxy] {line}",
    "kubectl-timestamps": lambda line: f"{NANO} {line}",
    "kubectl-prefix-timestamps": lambda line: f"[pod/web-0/istio-proxy] {NANO} {line}",
    "stern": lambda line: f"web-0 istio-proxy {line}",
    "docker": lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": NANO}),
    "stern-json": lambda line: json.dumps({"message": line + "\n", "podName": "web-0", "containerName": "istio-proxy"}),
}
SAMPLES = [sample(d) for d in DEFAULTS]
ODD = [
    "", " ", "words of an application", "2026-11-21T10:00:00.000001Z\tinfo\txds\tconnected", '{"a":', "[", '"', "\x00", "[2026", SAMPLES[0][:120], "[2026-11-21 10:15:42.123][1][info][main] x",
]  # fmt: skip
LINES = st.sampled_from(SAMPLES).flatmap(
    lambda one: st.lists(st.just(one) | st.sampled_from(ODD), max_size=30).map(lambda some: [one, *some])
)
"""Lines of one format, and odd ones: which of two known formats has printed a line can hang on the stream."""


def read(tmp_path: Any, data: bytes, frame: str | None, block: int) -> list[dict[str, Any]]:
    file = tmp_path / "x.log"
    file.write_bytes(data)
    reader = Reader(open_parser(), FRAMES[frame] if frame else None)
    found: dict[int, dict[str, Any]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK_BYTES", block)
        for chunk in reading.Input(str(file)).chunks():
            for table, batch in reader.read(chunk).tables.items():
                for text in rows_as_json(table, batch):
                    row = json.loads(text)
                    assert row["line"] not in found
                    found[row["line"]] = row
    assert sorted(found) == list(range(reader.totals.lines))
    return [found[i] for i in sorted(found)]


@SETTINGS
@given(LINES, st.sampled_from(list(WRAPS)), st.integers(50, 3000), st.booleans())
def test_neither_frame_nor_cut_shows(tmp_path: Any, lines: list[str], frame: str, block: int, ended: bool) -> None:
    if not ended and not (lines and lines[-1]):
        ended = True
    end = "\n" if ended and lines else ""

    def data(wrap: str) -> bytes:
        return ("\n".join(WRAPS[wrap](line) for line in lines) + end).encode()

    plain = read(tmp_path, data("plain"), "plain", 1 << 20)
    framed = read(tmp_path, data(frame), frame, block)

    assert len(plain) == len(framed) == len(lines)
    for bare, row in zip(plain, framed, strict=True):
        # A frame tells a time where the line tells none, and the pod.
        told = {"k8s_pod", "k8s_container"} | ({"timestamp"} if "timestamp" not in bare else set())
        assert {k: v for k, v in row.items() if k not in told} == bare


@SETTINGS
@given(
    st.lists(
        st.tuples(st.sampled_from([SAMPLES[0], *SAMPLES[-7:]]), st.sampled_from(list(WRAPS))), min_size=1, max_size=30
    )
)
def test_frames_that_change_line_by_line(tmp_path: Any, cases: list[tuple[str, str]]) -> None:
    whole = "".join(f"{WRAPS[wrap](line)}\n" for line, wrap in cases).encode()

    rows = read(tmp_path, whole, None, 1 << 20)

    for (line, _), row in zip(cases, rows, strict=True):
        assert row["table"] == "access_log", line
        assert row["duration_ms"] == 35
        assert "doubt" not in row
