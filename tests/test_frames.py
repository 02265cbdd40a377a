"""What is put around lines is found and taken apart; fragments become whole lines."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logproc import frames
from logproc.errors import ConfigError
from logproc.frames import Fragment, Framed, Framer
from logproc.model import CRI, PLAIN, Chunk, Frame, Span, Stream

ACCESS = '[2026-11-20T10:00:00.123Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 178 35'
TIME = "2026-11-20T10:00:00.123456789Z"
DOCKER_LINE = json.dumps({"log": f"{ACCESS}\n", "stream": "stdout", "time": TIME}, separators=(",", ":"))
STERN_LINE = json.dumps(
    {"message": ACCESS, "nodeName": "n", "namespace": "s", "podName": "web-x2x4z", "containerName": "istio-proxy"},
    separators=(",", ":"),
)


def chunk_of(*lines: str, first_line: int = 0, last: bool = False, file_id: int = 1, start: int = 0) -> Chunk:
    data = "".join(f"{line}\n" for line in lines).encode()
    span = Span(file_id, start, start + len(data), first_line, len(lines))
    return Chunk(Stream("/p/0.log", "ns", "web-0", "istio-proxy", "uid"), span, data, last=last)


def shown(framed: Framed) -> tuple[list[int], list[str]]:
    texts = framed.text.data.decode().split("\n")[:-1]
    numbers = framed.numbers.tolist() if framed.numbers is not None else None
    return numbers or list(range(framed.span.first_line, framed.span.first_line + len(texts))), texts


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (ACCESS, PLAIN),
        (f"{TIME} stdout F {ACCESS}", CRI),
        (f"{TIME} stderr P {ACCESS}", CRI),
        ("2026-11-20T10:00:00+02:00 stdout F x", CRI),
        (DOCKER_LINE, frames.DOCKER),
        (f"[pod/web-x2x4z/istio-proxy] {ACCESS}", frames.KUBECTL_PREFIX),
        (f"{TIME} {ACCESS}", frames.KUBECTL_TIMESTAMPS),
        (f"[pod/web-x2x4z/istio-proxy] {TIME} {ACCESS}", frames.KUBECTL_PREFIX_TIMESTAMPS),
        (f"web-7d4b9c6f5-x2x4z istio-proxy {ACCESS}", frames.STERN),
        (STERN_LINE, frames.STERN_JSON),
        (f"{TIME}\tinfo\tenvoy config\tstarting", PLAIN),
        ("2026-11-20T10:00:00.123Z an application's own time", PLAIN),
        ('{"method":"GET","path":"/"}', PLAIN),
        ("", PLAIN),
    ],
)
def test_the_frame_is_found_by_a_sample(line: str, frame: Frame) -> None:
    assert frames.detect(f"{line}\n{line}\n".encode()) is frame


def test_a_stray_line_does_not_hide_the_frame() -> None:
    lines = ["panic: oh", *[f"{TIME} stdout F {ACCESS}"] * 5]

    assert frames.detect("\n".join(lines).encode()) is CRI


def test_an_unknown_frame_is_refused() -> None:
    with pytest.raises(ConfigError, match="kubectl-prefix"):
        frames.frame_named("cry")


def test_lines_without_fragments_pass_untouched() -> None:
    chunk = chunk_of(*[f"{TIME} stdout F {ACCESS}"] * 3)

    (framed,) = Framer().frame(chunk)

    assert framed.text.data is chunk.data
    assert framed.numbers is None


def test_fragments_are_joined_per_output_and_numbered_by_their_last() -> None:
    lines = ["T1 stdout P a", "T2 stderr P x", "T3 stdout P b", "T4 stderr F y", "T5 stdout F c", "T6 stdout F d"]
    lines = [line.replace(line[:2], f"2026-11-20T10:00:0{line[1]}Z") for line in lines]

    (framed,) = Framer(CRI).frame(chunk_of(*lines, first_line=10))

    assert shown(framed) == (
        [13, 14, 15],
        [
            "2026-11-20T10:00:02Z stderr F xy",
            "2026-11-20T10:00:01Z stdout F abc",
            "2026-11-20T10:00:06Z stdout F d",
        ],
    )
    assert (framed.joined, framed.joined_runs) == (3, ((10, 13),))


def test_a_fragment_is_carried_into_the_next_file_and_through_a_restart() -> None:
    first = Framer()
    (head,) = first.frame(chunk_of(f"{TIME} stdout F a", f"{TIME} stdout P b"))
    kept = json.dumps([f.as_json() for f in first.fragments(chunk_of("x").stream)])
    second = Framer(fragments=[Fragment.from_json(f) for f in json.loads(kept)])

    (tail,) = second.frame(chunk_of(f"{TIME} stdout F c", file_id=2))

    assert (head.joined, shown(head)[0]) == (1, [0])
    assert (tail.joined, shown(tail)) == (0, ([0], [f"{TIME} stdout F bc"]))
    assert second.fragments(chunk_of("x").stream) == []


def test_what_is_kept_of_a_fragment_does_not_grow_with_the_lines_after_it() -> None:
    framer = Framer()
    framer.frame(chunk_of(f"{TIME} stdout P a"))
    kept = framer.fragments(chunk_of("x").stream)
    restarted = Framer(fragments=kept)

    framer.frame(chunk_of(f"{TIME} stdout P b", first_line=1))
    restarted.frame(chunk_of(f"{TIME} stdout P c", first_line=1))

    assert [f.whole() for f in kept] == [f"{TIME} stdout F a\n".encode()]


@pytest.mark.parametrize("stream", [Stream("/x.log"), chunk_of().stream])
def test_fragments_are_joined_where_the_sample_is_of_other_lines(stream: Stream) -> None:
    foreign = ["panic: oh"] * 40
    framer = Framer()
    begin = chunk_of(*foreign, f"{TIME} stdout P a", f"{TIME} stdout F b", f"{TIME} stdout P c")
    (head,) = framer.frame(replace(begin, stream=stream))

    (tail,) = framer.frame(replace(chunk_of(*foreign, f"{TIME} stdout F d", first_line=43), stream=stream))

    assert (head.joined_runs, shown(head)) == (
        ((40, 41), (42, 43)),
        ([*range(40), 41], [*foreign, f"{TIME} stdout F ab"]),
    )
    assert (tail.joined, shown(tail)) == (0, ([*range(43, 84)], [*foreign, f"{TIME} stdout F cd"]))


def test_a_frame_that_was_named_is_not_doubted() -> None:
    lines = [f"{TIME} stdout P a", f"{TIME} stdout F b"]

    (framed,) = Framer(PLAIN).frame(chunk_of(*lines))

    assert (framed.joined, shown(framed)[1]) == (0, lines)


def test_a_stream_that_ends_in_mid_line_gives_a_partial_row() -> None:
    (framed,) = Framer().frame(chunk_of(f"{TIME} stdout P a", f"{TIME} stdout P b", last=True))

    assert shown(framed) == ([1], [f"{TIME} stdout F ab"])
    assert (framed.joined, framed.partial) == (1, (0,))


def test_a_fragment_counted_before_is_corrected_when_its_stream_ends() -> None:
    framer = Framer()
    framer.frame(chunk_of(f"{TIME} stdout F x", f"{TIME} stdout P a"))
    end = chunk_of(last=True, first_line=2, start=70)

    (correction,) = framer.frame(end)

    assert shown(correction) == ([1], [f"{TIME} stdout F a"])
    assert (correction.span.first_line, correction.span.lines, correction.joined) == (1, 0, -1)
    assert correction.partial == (0,)


def test_a_line_without_end_is_cut_at_the_cap() -> None:
    piece = "x" * 16384
    lines = [f"{TIME} stdout P {piece}"] * 100 + [f"{TIME} stdout F end"]

    (framed,) = Framer().frame(chunk_of(*lines))

    numbers, texts = shown(framed)
    assert numbers == [63, 100]
    assert len(texts[0]) == len(f"{TIME} stdout F ") + frames.FRAGMENT_CAP
    assert framed.partial == (0,)


def test_docker_lines_become_cri_lines() -> None:
    lines = [
        DOCKER_LINE,
        json.dumps({"log": "half ", "stream": "stderr", "time": TIME}),
        json.dumps({"log": "é\ud800\n", "stream": "stderr", "time": TIME}),
        "{broken",
    ]

    (framed,) = Framer(frames.DOCKER).frame(chunk_of(*lines))

    assert framed.text.frame is CRI
    assert framed.numbers is not None
    assert framed.numbers.tolist() == [0, 2, 3]
    assert framed.text.data.split(b"\n")[:3] == [
        f"{TIME} stdout F {ACCESS}".encode(),
        f"{TIME} stderr F half é".encode() + b"\xed\xa0\x80",
        b"{broken",
    ]


def test_stern_json_becomes_words() -> None:
    (framed,) = Framer().frame(chunk_of(STERN_LINE))

    assert framed.text.frame is frames.STERN
    assert framed.text.data.decode() == f"web-x2x4z istio-proxy {ACCESS}\n"


def test_oversized_lines_are_taken_out() -> None:
    chunk = chunk_of("one", "cut", "three")
    chunk = Chunk(chunk.stream, chunk.span, chunk.data, oversized=((1, 5_000_000),))

    (framed,) = Framer(PLAIN).frame(chunk)

    assert shown(framed) == ([0, 2], ["one", "three"])
    assert [(o.line, o.length, o.raw) for o in framed.oversized] == [(1, 5_000_000, b"cut")]
    assert framed.joined == 0


pieces = st.tuples(st.sampled_from(["stdout", "stderr", ""]), st.sampled_from("PPF"), st.text("abc", max_size=3))


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces, max_size=30), st.lists(st.integers(0, 30), max_size=5), st.sampled_from([CRI, None]))
def test_how_the_lines_are_cut_into_chunks_never_shows(
    lines: list[tuple[str, str, str]], cuts: list[int], frame: Frame | None
) -> None:
    texts = [
        f"2026-11-20T10:00:{i:02d}Z {out} {tag} {text}" if out else f"no frame {text}"
        for i, (out, tag, text) in enumerate(lines)
    ]

    def rows(bounds: list[int]) -> tuple[dict[int, str], int]:
        framer, found, joined = Framer(frame), {}, 0
        edges = sorted({0, len(texts), *(b for b in bounds if b < len(texts))})
        for a, b in pairwise(edges):
            for framed in framer.frame(chunk_of(*texts[a:b], first_line=a, start=a * 100)):
                found |= dict(zip(*shown(framed), strict=True))
                joined += framed.joined
        for framed in framer.frame(chunk_of(first_line=len(texts), start=len(texts) * 100, last=True)):
            found |= dict(zip(*shown(framed), strict=True))
            joined += framed.joined
        return found, joined

    whole, joined = rows([])
    assert rows(cuts) == (whole, joined)
    assert len(whole) + joined == len(texts)
