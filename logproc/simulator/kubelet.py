"""Where the lines go: container log files as a kubelet keeps them, or plain lines on a stream.

A container runtime writes one physical line `TIME STREAM TAG text` for each line, and for one longer than 16 KiB several, all but
the last with the tag P. The kubelet renames a file that has grown to its limit, and compresses it when the next one is renamed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from logproc.errors import ConfigError, SinkError
from logproc.identity import file_id
from logproc.model import Stream
from logproc.simulator.mesh import Pod

FRAGMENT = 16 << 10
"""Bytes of text in one physical line at most."""
_SURE = FRAGMENT // 4
"""Characters that fit in one physical line whatever they are."""
_OPEN_FILES = 400

Truth = dict[str, Any] | None


@dataclass(slots=True)
class Written:
    """What was written so far. `lines` are physical ones; `rows` what they make once fragments are joined."""

    lines: int = 0
    rows: int = 0
    bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one container, in order: the runtime's time of each, the text, whether it came on standard error, the row it makes."""

    times: Sequence[str]
    texts: Sequence[str]
    errors: Sequence[bool]
    truths: Sequence[Truth] | None

    def part(self, begin: int, end: int) -> Lines:
        """Some of them."""
        truths = None if self.truths is None else self.truths[begin:end]
        return Lines(self.times[begin:end], self.texts[begin:end], self.errors[begin:end], truths)


class Place(Protocol):
    """Takes the lines of one container, in order."""

    written: Written

    def write(self, owner: int, lines: Lines) -> None:
        """Write lines of one container."""
        ...

    def restart(self, owner: int) -> None:
        """The container starts again."""
        ...

    def close(self) -> None:
        """Everything is on disk."""
        ...


class TruthFile:
    """One JSON object per row, in the order in which the rows are written."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror}") from error

    def write(self, truth: dict[str, Any], place: dict[str, Any]) -> None:
        """Write one row: its table, its place, its columns."""
        row = {"table": truth["table"], **place, **{k: v for k, v in truth.items() if k != "table"}}
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Show what was written to other processes."""
        self._file.flush()

    def close(self) -> None:
        """Done."""
        self._file.close()


@dataclass(slots=True)
class _Log:
    """The log of one container: its current file and those before it."""

    stream: Stream
    file: BinaryIO | None = None
    size: int = 0
    line: int = 0
    first_line: bytes | None = None
    restart: int = 0
    stamp: str = ""
    plain: Path | None = None
    """The newest rotated file, not compressed yet."""
    archived: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return Path(self.stream.path)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.restart}.log"

    @property
    def id(self) -> int:
        s = self.stream
        now = Stream(s.path, s.k8s_namespace, s.k8s_pod, s.k8s_container, s.k8s_pod_uid, self.restart)
        return file_id(now, self.first_line or b"")


class PodLogs:
    """A node's `/var/log/pods`: `<root>/<namespace>_<pod>_<uid>/<container>/<restart>.log`."""

    def __init__(
        self,
        root: Path,
        containers: Sequence[tuple[Pod, str]],
        rotate_at: int,
        keep: int | None,
        truth: TruthFile | None,
    ) -> None:
        self.written = Written()
        self.root, self.rotate_at, self.keep, self.truth = root, rotate_at, keep, truth
        self._open: dict[int, None] = {}
        self._logs = [
            _Log(Stream(str(root / f"{pod.workload.namespace}_{pod.name}_{pod.uid}" / container), pod.workload.namespace, pod.name, container, pod.uid))
            for pod, container in containers
        ]  # fmt: skip
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{root}: {error.strerror}") from error

    def write(self, owner: int, lines: Lines) -> None:
        """Frame, write and rotate."""
        log = self._logs[owner]
        self.written.rows += len(lines.texts)
        try:
            if lines.truths is not None:
                self._put_each(owner, log, _framed(lines))
                return
            data, count = _framed_at_once(lines)
            if log.size + len(data) < self.rotate_at:
                self._put(owner, log, data, count)
            else:
                self._put_each(owner, log, [(line + b"\n", None) for line in data.split(b"\n")[:-1]])
        except OSError as error:
            raise SinkError(f"{log.path}: {error.strerror}", "is there space left?") from error

    def _put_each(self, owner: int, log: _Log, lines: Sequence[tuple[bytes, Truth]]) -> None:
        """Write physical lines, and rotate wherever the file has grown to its limit."""
        begin, size = 0, log.size
        for i, (line, _) in enumerate(lines):
            size += len(line)
            if size >= self.rotate_at:
                self._put_some(owner, log, lines[begin : i + 1])
                self._rotate(owner, log, line)
                begin, size = i + 1, 0
        if begin < len(lines):
            self._put_some(owner, log, lines[begin:])

    def _put_some(self, owner: int, log: _Log, lines: Sequence[tuple[bytes, Truth]]) -> None:
        first = log.line
        self._put(owner, log, b"".join([line for line, _ in lines]), len(lines))
        if self.truth is None:
            return
        place = {
            "file_id": log.id,
            "line": 0,
            "k8s_namespace": log.stream.k8s_namespace,
            "k8s_pod": log.stream.k8s_pod,
            "k8s_container": log.stream.k8s_container,
        }
        for i, (_, truth) in enumerate(lines):
            if truth is not None:
                place["line"] = first + i
                self.truth.write(truth, place)

    def _put(self, owner: int, log: _Log, data: bytes, lines: int) -> None:
        if log.file is None:
            self._open_file(owner, log)
        assert log.file is not None  # noqa: S101  opened above
        if log.first_line is None:
            log.first_line = data[: data.index(b"\n")]
        log.file.write(data)
        log.size += len(data)
        log.line += lines
        self.written.lines += lines
        self.written.bytes += len(data)

    def _open_file(self, owner: int, log: _Log) -> None:
        if len(self._open) >= _OPEN_FILES:
            self._close(next(iter(self._open)))
        new = log.first_line is None
        if new:
            log.folder.mkdir(parents=True, exist_ok=True)
        try:
            log.file = log.path.open("xb" if new else "ab", buffering=0)
        except FileExistsError:
            raise ConfigError(
                f"{log.path} is there already", "write to an empty folder, or with another --seed"
            ) from None
        log.path.chmod(0o640)
        self._open[owner] = None
        self.written.files += new

    def _close(self, owner: int) -> None:
        log = self._logs[owner]
        if log.file is not None:
            log.file.close()
            log.file = None
            del self._open[owner]

    def _rotate(self, owner: int, log: _Log, last: bytes) -> None:
        """Compress the file rotated before, rename the current one, begin the next."""
        self._close(owner)
        if log.plain is not None:
            log.archived.append(_compress(log.plain))
        stamp = last[:19].decode().replace("-", "").replace(":", "").replace("T", "-")
        if stamp <= log.stamp:
            # A second rotation within a second: names must differ and sort.
            after = datetime.strptime(log.stamp, "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp() + 1
            stamp = datetime.fromtimestamp(after, UTC).strftime("%Y%m%d-%H%M%S")
        log.stamp = stamp
        log.plain = log.path.rename(f"{log.path}.{stamp}")
        if self.keep is not None:
            while len(log.archived) + 2 > self.keep and log.archived:
                log.archived.pop(0).unlink()
        self._begin(log)

    def _begin(self, log: _Log) -> None:
        log.size, log.line, log.first_line = 0, 0, None

    def restart(self, owner: int) -> None:
        """The container starts again: its next file counts one up."""
        log = self._logs[owner]
        self._close(owner)
        log.restart += 1
        if log.plain is not None:
            log.archived.append(_compress(log.plain))
            log.plain = None
        self._begin(log)

    def close(self) -> None:
        """Close what is open."""
        for owner in list(self._open):
            self._close(owner)


class PlainLines:
    """Lines of the proxies on one stream, without frame."""

    def __init__(self, file: BinaryIO, truth: TruthFile | None) -> None:
        self.written = Written()
        self.file, self.truth = file, truth

    def write(self, owner: int, lines: Lines) -> None:  # noqa: ARG002  all lines are one stream's
        """Write the texts as they are."""
        first, texts = self.written.lines, lines.texts
        data = "".join([f"{text}\n" for text in texts]).encode()
        self.file.write(data)
        self.file.flush()
        self.written.lines += len(texts)
        self.written.rows += len(texts)
        self.written.bytes += len(data)
        if self.truth is not None and lines.truths is not None:
            for i, truth in enumerate(lines.truths):
                if truth is not None:
                    # Lines on a pipe belong to no file.
                    self.truth.write(truth, {"file_id": 0, "line": first + i})

    def restart(self, owner: int) -> None:
        """A stream does not show it."""

    def close(self) -> None:
        """The stream is the caller's."""


def _compress(path: Path) -> Path:
    """As the kubelet does: into `.tmp`, which becomes `.gz`, and then the plain file goes."""
    temporary, target = Path(f"{path}.tmp"), Path(f"{path}.gz")
    with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as out:
        out.write(path.read_bytes())
    temporary.chmod(0o640)
    temporary.rename(target)
    path.unlink()
    return target


def _micros(runtime_time: str) -> str:
    """A runtime's time cut to microseconds."""
    whole, _, fraction = runtime_time[:-1].partition(".")
    return f"{whole}.{fraction[:6]:0<6}Z"


def _framed(lines: Lines) -> list[tuple[bytes, Truth]]:
    """Physical lines, each with the row that ends with it. A line on standard error slips between the fragments of one on standard
    output, as the runtime reads both by turns.
    """
    out: list[tuple[bytes, Truth]] = []
    held: tuple[bytes, Truth] | None = None
    for i, (time, text) in enumerate(zip(lines.times, lines.texts, strict=True)):
        data, error = text.encode(), lines.errors[i]
        head = f"{time} {'stderr' if error else 'stdout'} ".encode()
        truth = None if lines.truths is None else lines.truths[i]
        if truth is not None and "timestamp" not in truth:
            truth["timestamp"] = _micros(time)
        parts = [data[at : at + FRAGMENT] for at in range(0, len(data), FRAGMENT)] or [b""]
        fragments: list[tuple[bytes, Truth]] = [(head + b"P " + part + b"\n", None) for part in parts[:-1]]
        last = (head + b"F " + parts[-1] + b"\n", truth)
        if held is not None and error and not fragments:
            out += [last, held]
            held = None
            continue
        if held is not None:
            out.append(held)
            held = None
        out += fragments
        if fragments and not error:
            held = last
        else:
            out.append(last)
    return out if held is None else [*out, held]


def _framed_at_once(lines: Lines) -> tuple[bytes, int]:
    """The same without rows, as one text and its number of physical lines: most lines are short and come on standard output."""
    texts, total = lines.texts, len(lines.texts)
    special = [i for i, (text, error) in enumerate(zip(texts, lines.errors, strict=True)) if error or len(text) > _SURE]
    out: list[bytes] = []
    at = count = 0
    for i in [*special, total]:
        if i < at:
            continue
        plain = zip(lines.times[at:i], texts[at:i], strict=True)
        out.append("".join([f"{time} stdout F {text}\n" for time, text in plain]).encode())
        count += i - at
        at = i
        if i < total:
            # Neighbours of such a line can slip between its fragments.
            while at < total and (lines.errors[at] or len(texts[at]) > _SURE):
                at += 1
            framed = _framed(lines.part(i, at))
            out += [line for line, _ in framed]
            count += len(framed)
    return b"".join(out), count
