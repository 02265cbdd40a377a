"""What a runtime's frame tells besides the line: the time of a line, and with `kubectl --prefix` the pod."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from logproc.columns import WORD
from logproc.model import Frame
from parsers import kernels
from parsers.arrow import Array, pa

POD, CONTAINER = "k8s_pod", "k8s_container"

_TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_SHAPES = {
    "time": _TIME,
    "stream": rb"stdout|stderr",
    "tag": rb"[FP](?::\S*)?",
    "prefix": rb"\[pod/[^/\]\s]+/[^/\]\s]+\]",
    "pod": rb"[a-z0-9][a-z0-9.-]*",
    "container": rb"[a-z0-9][a-z0-9.-]*",
}
"""What the words of a frame look like."""
_BEGINNINGS = {
    "time": (b"0123456789", b"0123456789"),
    "prefix": (b"[", b"p"),
    "pod": (b"abcdefghijklmnopqrstuvwxyz0123456789", b""),
}
"""Bytes that the first word of a frame can begin with, first and second; b"": any."""
# A message's own time is no frame: its level follows; and behind the runtime's time stands more than a time.
_NO_LEVEL = rb"(?!(?i:trace|debug|info|warn(?:ing)?|error|critical|fatal)\b|(?:stdout|stderr) [FP](?:[ :]|\Z))"


def prefix_parts(prefix: str) -> tuple[str | None, str | None]:
    """Pod and container of `[pod/NAME/CONTAINER]`, as `kubectl logs --prefix` prints it."""
    found = prefix.removeprefix("[").removesuffix("]").split("/")
    return (found[-2], found[-1]) if len(found) >= 2 else (None, None)


def word_columns(field: str, word: str) -> dict[str, str | None]:
    """The columns that one word of a frame fills."""
    if field == "prefix":
        pod, container = prefix_parts(word)
        return {POD: pod, CONTAINER: container}
    named = {"pod": POD, "container": CONTAINER}.get(field)
    return {named: word} if named else {}


class FrameColumns:
    """The columns of a frame for each row. `names`: which they are; `wanted`: numbers of the words that tell them."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.wanted = tuple(i for i, f in enumerate(frame.fields) if f in ("prefix", "pod", "container"))
        self.names = tuple(dict.fromkeys(n for i in self.wanted for n in word_columns(frame.fields[i], "")))
        self.time = frame.fields.index("time") if "time" in frame.fields else None
        self._words = _words(frame)
        self._beginnings = _beginnings(frame)

    def may_begin(self, data: bytes, starts: npt.NDArray[np.signedinteger[Any]]) -> npt.NDArray[np.bool_]:
        """Which of the lines that start there can have the frame, by their first two bytes; `split` tells for sure."""
        content = np.frombuffer(data, np.uint8)
        found = np.ones(len(starts), bool)
        if not len(starts):
            return found
        for i, known in self._beginnings:
            places = np.minimum(starts + i, len(content) - 1) if i else starts
            found &= known.take(content.take(places))
        return found

    def from_words(self, words: dict[int, Array]) -> dict[str, Array]:
        """From the wanted words of all rows."""
        found: dict[str, Array] = {}
        for i, array in words.items():
            read = [word_columns(self.frame.fields[i], w) for w in array.dictionary.to_pylist()]
            for name in word_columns(self.frame.fields[i], ""):
                found[name] = kernels.mapped(array, [r[name] for r in read])
        return found

    def split(self, line: bytes) -> tuple[list[bytes], bytes]:
        """The words of the frame and the rest of a line. A line without the frame has no words: it stands among framed ones as it is."""
        found = self._words.match(line)
        return ([], line) if found is None else (list(found.groups()), line[found.end() :])

    def told(self, words: list[bytes]) -> list[bytes]:
        """Time, pod and container of one line; empty where its frame does not tell them."""
        by_field = dict(zip(self.frame.fields, words, strict=False))
        pod, container = prefix_parts(by_field.get("prefix", b"").decode(errors="replace"))
        found = [by_field.get("time", b""), by_field.get("pod", b""), by_field.get("container", b"")]
        return [found[0], found[1] or (pod or "").encode(), found[2] or (container or "").encode()]

    def from_lines(self, words: list[list[bytes]]) -> dict[str, Array]:
        """From the words of lines, one list each."""
        return self.from_words(
            {
                i: pa.array(
                    [w[i].decode(errors="replace") or None if i < len(w) else None for w in words], pa.string()
                ).dictionary_encode()
                for i in self.wanted
            }
        )


@lru_cache(64)
def _beginnings(frame: Frame) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Which bytes can stand at the first places of a line; places where any can are left out."""
    found = []
    for i, some in enumerate(_BEGINNINGS.get(frame.fields[0], ()) if frame.fields else ()):
        if some:
            known = np.zeros(256, bool)
            known[list(some)] = True
            found.append((i, known))
    return found


@lru_cache(64)
def _words(frame: Frame) -> re.Pattern[bytes]:
    """The words of a frame at the beginning of a line, a group for each."""
    shapes = [rb"(" + _SHAPES.get(field, rb"[^ ]*") + rb")(?: |\Z)" for field in frame.fields]
    lone_time = _NO_LEVEL if frame.fields == ("time",) else b""
    return re.compile(b"".join(shapes) + lone_time)


def no_rows(names: tuple[str, ...]) -> dict[str, Array]:
    """The same columns without rows."""
    return {name: pa.nulls(0, WORD) for name in names}
