"""What runtimes and tools put around a line: found by a sample, and CRI fragments joined to whole lines.

In: chunks of whole physical lines. Out: `Framed`, the text a parser reads and the physical number of each of its lines.
A chunk without fragments passes through untouched; docker's and stern's JSON is rewritten to words in front of the text.
"""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from logproc.errors import ConfigError
from logproc.model import CRI, PLAIN, Chunk, Frame, LineNumbers, Span, Stream, Text

DOCKER = Frame("docker", CRI.fields)
"""Docker's json-file, `{"log":"text\\n","stream":"stdout","time":"..."}`: rewritten to the words of CRI."""
KUBECTL_PREFIX = Frame("kubectl-prefix", ("prefix",))
KUBECTL_TIMESTAMPS = Frame("kubectl-timestamps", ("time",))
KUBECTL_PREFIX_TIMESTAMPS = Frame("kubectl-prefix-timestamps", ("prefix", "time"))
STERN = Frame("stern", ("pod", "container"))
STERN_JSON = Frame("stern-json", STERN.fields)
"""`stern -o json`: rewritten to the words of stern's default output."""

FRAMES = {
    f.name: f
    for f in (
        PLAIN, CRI, DOCKER, KUBECTL_PREFIX, KUBECTL_TIMESTAMPS, KUBECTL_PREFIX_TIMESTAMPS, STERN, STERN_JSON,
    )
}  # fmt: skip

FRAGMENT_CAP = 1 << 20
"""Bytes of an unfinished CRI line that are held; then what is there becomes a row with doubt 'partial'."""
RAW_CAP = 64 << 10
"""Bytes of an oversized line that are kept."""
_SAMPLE_LINES = 32
_REMEMBERED_STREAMS = 16_384

_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_NANO_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7,9}(?:Z|[+-]\d\d:\d\d)"
_PREFIX = rb"\[pod/[^/\]\s]+/[^/\]\s]+\] "
_PAIR = np.dtype("<u2")
_BLANK_P = _PAIR.type(int.from_bytes(b" P", "little"))
_CRI_LINE = re.compile(rb"(%s) (stdout|stderr) ([FP])(?::\S*)? (.*)" % _TIME, re.DOTALL)
_CRI_SHAPE = re.compile(rb"%s (?:stdout|stderr) [FP](?::\S*)? " % _TIME)
# The first that fits most of a sample is taken, so the narrower ones come first.
_SHAPES: tuple[tuple[Frame, re.Pattern[bytes]], ...] = (
    (CRI, _CRI_SHAPE),
    (DOCKER, re.compile(rb'(?=\{"(?:log|stream|time|attrs)":)(?=.*"log": ?")(?=.*"stream": ?"std).*"time": ?"')),
    (STERN_JSON, re.compile(rb'\{"message": ?".*"podName": ?"[^"]+", ?"containerName": ?"')),
    (KUBECTL_PREFIX_TIMESTAMPS, re.compile(_PREFIX + _NANO_TIME + rb" ")),
    (KUBECTL_PREFIX, re.compile(_PREFIX)),
    (KUBECTL_TIMESTAMPS, re.compile(_NANO_TIME + rb" ")),
    (STERN, re.compile(rb"[a-z0-9][-a-z0-9.]*-(?:[a-z0-9]{5}|\d+) [a-z0-9][-a-z0-9]* (?=[\[{\d\"])")),
)

_SHAPE_OF = {frame.name: shape for frame, shape in _SHAPES}


def frame_named(name: str) -> Frame | None:
    """The frame that `--frame` names; None for `auto`. Raises ConfigError for any other name."""
    if name == "auto":
        return None
    if name not in FRAMES:
        raise ConfigError(f"--frame: there is no frame {name!r}", f"known: auto, {', '.join(FRAMES)}")
    return FRAMES[name]


def detect(sample: bytes) -> Frame:
    """The frame of the first lines of `sample`: the one that at least half of them have, else plain."""
    lines = [line for line in sample[: 256 << 10].split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line]
    for frame, shape in _SHAPES:
        fitting = sum(1 for line in lines if shape.match(line))
        if fitting and 2 * fitting >= len(lines):
            return frame
    return PLAIN


@dataclass(slots=True)
class Fragment:
    """The beginning of a line whose end has not come: text of one output (stdout, stderr) of one stream."""

    stream: Stream
    output: bytes
    time: bytes
    file_id: int
    line: int
    """Physical line of its last fragment, and the byte at which the span it came with ended."""
    end: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, text: bytes, span: Span, line: int) -> None:
        """Append the next fragment."""
        self.parts.append(text)
        self.size += len(text)
        self.file_id, self.line, self.end = span.file_id, line, span.end

    def copy(self) -> Fragment:
        """An independent copy: one that is kept with a position must not grow with lines behind it."""
        return replace(self, parts=list(self.parts))

    def whole(self) -> bytes:
        """The CRI line made of what is there."""
        return b"".join((self.time, b" ", self.output, b" F ", *self.parts, b"\n"))

    def as_json(self) -> dict[str, Any]:
        """For keeping on disk; `from_json` reads it."""
        s = self.stream
        return {
            "stream": [s.path, s.k8s_namespace, s.k8s_pod, s.k8s_container, s.k8s_pod_uid, s.restart],
            "output": self.output.decode(),
            "time": self.time.decode(),
            "file_id": self.file_id,
            "line": self.line,
            "end": self.end,
            "text": base64.b64encode(b"".join(self.parts)).decode(),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Fragment:
        """Read what `as_json` made."""
        text = base64.b64decode(kept["text"])
        return cls(
            Stream(*kept["stream"]), kept["output"].encode(), kept["time"].encode(), kept["file_id"], kept["line"],
            kept["end"], [text], len(text),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line too long to be read: its number, true length, and first 64 KiB."""

    line: int
    length: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Framed:
    """The text of one span. Each of `span.lines` is a line of the text, oversized, or joined to a later line."""

    stream: Stream
    span: Span
    text: Text
    numbers: LineNumbers | None = None
    """Physical line of each text line, ascending; None: `span.first_line` and those that follow."""
    joined: int = 0
    """Lines that are part of a later line's row. -1 (with `span.lines == 0`): a line counted as joined before is a row after all."""
    joined_runs: tuple[tuple[int, int], ...] = ()
    partial: tuple[int, ...] = ()
    """Indices of text lines whose end never came."""
    oversized: tuple[Oversized, ...] = ()
    lost: bool = False
    """The span could not be read: there is no text of it."""


class Framer:
    """Finds each stream's frame and joins its fragments. Chunks of a stream come in order."""

    def __init__(self, frame: Frame | None = None, fragments: Iterable[Fragment] = ()) -> None:
        self._fixed = frame
        self._frames: OrderedDict[tuple[str, str, int], Frame] = OrderedDict()
        self._open: dict[tuple[str, str, int], dict[bytes, Fragment]] = {}
        for fragment in fragments:
            self._open.setdefault(fragment.stream.key, {})[fragment.output] = fragment.copy()

    def fragments(self, stream: Stream) -> list[Fragment]:
        """The open fragments of a stream, as they are now: what is appended later is not in them."""
        return [fragment.copy() for fragment in self._open.get(stream.key, {}).values()]

    def frame(self, chunk: Chunk) -> list[Framed]:
        """The chunk as a parser reads it; a second element corrects an earlier span when the stream ends in mid-line."""
        framed: list[Framed] = []
        key = chunk.stream.key
        if chunk.lost:
            # What follows is not the end of a line that was begun before.
            return [Framed(chunk.stream, chunk.span, Text(key, PLAIN, b"", 0), lost=True), *self._end(key)]
        if chunk.span.lines:
            framed.append(self._text(chunk, self._fixed or self._frame_of(key, chunk.data)))
        if chunk.last:
            framed.extend(self._end(key))
            self._frames.pop(key, None)
        return framed

    def _frame_of(self, key: tuple[str, str, int], data: bytes) -> Frame:
        known = self._frames.get(key)
        if known is not None:
            shape = _SHAPE_OF.get(known.name)
            if shape is not None and shape.match(data):
                return known
        found = detect(data)
        if known is not None and found is PLAIN and known is not PLAIN and data.count(b"\n", 0, 4096) < 4:
            return known  # a stray line or two between framed ones
        self._frames[key] = found
        self._frames.move_to_end(key)
        if len(self._frames) > _REMEMBERED_STREAMS:
            self._frames.popitem(last=False)
        return found

    def _text(self, chunk: Chunk, frame: Frame) -> Framed:
        span, key, data = chunk.span, chunk.stream.key, chunk.data
        rewrite = _REWRITES.get(frame.name)
        joins = frame is DOCKER or self._has_fragments(chunk, frame)
        if not (rewrite or joins or chunk.oversized):
            return Framed(chunk.stream, span, Text(key, frame, data, span.lines))
        wanted = {DOCKER.name: CRI, STERN_JSON.name: STERN}.get(frame.name, frame)
        lines = data.split(b"\n")[:-1]
        lengths = dict(chunk.oversized)
        oversized = tuple(Oversized(span.first_line + i, n, lines[i]) for i, n in chunk.oversized)
        numbered = [(span.first_line + i, line) for i, line in enumerate(lines) if i not in lengths]
        if rewrite:
            numbered = [(number, rewrite(line)) for number, line in numbered]
        joiner = _Join(self._open.pop(key, {}) if joins else {}, chunk)
        if joins:
            joiner.lines(numbered)
            if chunk.last:
                joiner.end()
            if joiner.open:
                self._open[key] = joiner.open
            whole = joiner.whole
        else:
            whole = [(number, line + b"\n", False) for number, line in numbered]
        numbers = np.fromiter((n for n, _, _ in whole), np.int64, len(whole))
        joined = np.setdiff1d(np.fromiter((n for n, _ in numbered), np.int64, len(numbered)), numbers)
        text = Text(key, wanted, b"".join(line for _, line, _ in whole), len(whole))
        partial = tuple(i for i, (_, _, cut) in enumerate(whole) if cut)
        return Framed(chunk.stream, span, text, numbers, len(joined), _runs(joined), partial, oversized)

    def _has_fragments(self, chunk: Chunk, frame: Frame) -> bool:
        """Whether fragments may be in it, also where a sample of other lines made it plain: the sample must not decide how lines are read."""
        if frame is PLAIN and self._fixed is None:
            if chunk.stream.key in self._open:
                return True
            # A search through every plain chunk would cost 6 % of its parsing; a runtime's log is never plain from end to end.
            return bool(chunk.stream.k8s_pod_uid or _has_cri_lines(chunk.data)) and _has_tag_p(chunk.data)
        return frame is CRI and (chunk.stream.key in self._open or _has_tag_p(chunk.data))

    def _end(self, key: tuple[str, str, int]) -> list[Framed]:
        """Rows of fragments that earlier spans counted as joined: each corrects its line in a span of no lines."""
        corrections = []
        for fragment in sorted(self._open.pop(key, {}).values(), key=lambda f: f.line):
            span = Span(fragment.file_id, fragment.end, fragment.end, fragment.line, 0)
            number = np.array([fragment.line], np.int64)
            text = Text(key, CRI, fragment.whole(), 1)
            corrections.append(Framed(fragment.stream, span, text, number, -1, (), (0,)))
        return corrections


class _Join:
    """Joins the fragments of one chunk's lines, and those that were open before it."""

    def __init__(self, before: dict[bytes, Fragment], chunk: Chunk) -> None:
        self.open, self._chunk = before, chunk
        self.whole: list[tuple[int, bytes, bool]] = []
        """Physical line, text with its newline, and whether its end is missing."""

    def lines(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        for number, line in numbered:
            match = _CRI_LINE.match(line)
            if match is None:
                self.whole.append((number, line + b"\n", False))
                continue
            time, output, tag, text = match.groups()
            fragment = self.open.get(output)
            if tag == b"F" and fragment is None:
                self.whole.append((number, line + b"\n", False))
                continue
            if fragment is None:
                fragment = self.open[output] = Fragment(self._chunk.stream, output, time, 0, 0, 0)
            fragment.add(text, self._chunk.span, number)
            if tag == b"F" or fragment.size >= FRAGMENT_CAP:
                del self.open[output]
                self.whole.append((number, fragment.whole(), tag == b"P"))

    def end(self) -> None:
        """The stream has ended: what is open and has its last fragment in this chunk is a row; the rest is for a correction."""
        span = self._chunk.span
        for output, fragment in list(self.open.items()):
            if fragment.file_id == span.file_id and fragment.line >= span.first_line:
                del self.open[output]
                self.whole.append((fragment.line, fragment.whole(), True))
        self.whole.sort(key=lambda row: row[0])


def _has_cri_lines(data: bytes) -> bool:
    """Whether one of the first lines or the last one is a CRI line."""
    first, last = data[: 256 << 10].split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES], data.rfind(b"\n", 0, len(data) - 1) + 1
    return any(map(_CRI_SHAPE.match, first)) or _CRI_SHAPE.match(data, last) is not None


def _has_tag_p(data: bytes) -> bool:
    """Whether a tag P can be in it. Pairs of bytes are compared, at even and at odd offsets: a fifth of the time of two searches."""
    for offset in (0, 1):
        found = np.frombuffer(data, _PAIR, (len(data) - offset) // 2, offset) == _BLANK_P
        if not found.any():
            continue
        for at in found.nonzero()[0].tolist():
            start = 2 * at + offset
            if data[start - 6 : start] in {b"stdout", b"stderr"}:
                return True
    return False


def _runs(numbers: LineNumbers) -> tuple[tuple[int, int], ...]:
    """Half-open runs of ascending numbers."""
    if not len(numbers):
        return ()
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(numbers, cuts))


def _one_line(text: str) -> bytes:
    return text.replace("\n", "\\n").encode("utf-8", "surrogatepass")


def _docker_to_cri(line: bytes) -> bytes:
    try:
        entry = json.loads(line)
        log, time, output = entry["log"], entry["time"], entry["stream"]
        tag = "F" if log.endswith("\n") else "P"
        return f"{time} {output} {tag} ".encode() + _one_line(log.removesuffix("\n"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return line


def _stern_json_to_words(line: bytes) -> bytes:
    try:
        entry = json.loads(line)
        return f"{entry['podName']} {entry['containerName']} ".encode() + _one_line(entry["message"].removesuffix("\n"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return line


_REWRITES: dict[str, Callable[[bytes], bytes]] = {
    DOCKER.name: _docker_to_cri,
    STERN_JSON.name: _stern_json_to_words,
}
