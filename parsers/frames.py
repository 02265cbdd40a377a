"""What a runtime's frame tells besides the line: the time of a line, and with `kubectl --prefix` the pod."""

from __future__ import annotations

from logproc.columns import WORD
from logproc.model import Frame
from parsers import kernels
from parsers.arrow import Array, pa

POD, CONTAINER = "k8s_pod", "k8s_container"


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

    def from_words(self, words: dict[int, Array]) -> dict[str, Array]:
        """From the wanted words of all rows."""
        found: dict[str, Array] = {}
        for i, array in words.items():
            read = [word_columns(self.frame.fields[i], w) for w in array.dictionary.to_pylist()]
            for name in word_columns(self.frame.fields[i], ""):
                found[name] = kernels.mapped(array, [r[name] for r in read])
        return found

    def split(self, line: bytes) -> tuple[list[bytes], bytes]:
        """The words of the frame and the rest of a line; a line with too few words has an empty rest."""
        count = len(self.frame.fields)
        found = line.split(b" ", count)
        return (found[:count], found[count]) if len(found) > count else (found, b"")

    def from_lines(self, words: list[list[bytes]]) -> dict[str, Array]:
        """From the words of lines, one list each."""
        return self.from_words(
            {
                i: pa.array(
                    [w[i].decode(errors="replace") if i < len(w) else None for w in words], pa.string()
                ).dictionary_encode()
                for i in self.wanted
            }
        )


def no_rows(names: tuple[str, ...]) -> dict[str, Array]:
    """The same columns without rows."""
    return {name: pa.nulls(0, WORD) for name in names}
