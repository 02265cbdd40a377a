"""Reads pod logs back, independently of the engine."""

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path

from logproc.identity import file_id
from logproc.model import Stream

CRI = re.compile(rb"(\S+) (stdout|stderr) ([PF]) (.*)", re.DOTALL)


@dataclass
class Line:
    time: str
    stream: str
    tag: str
    text: bytes


@dataclass
class LogFile:
    path: Path
    stream: Stream
    lines: list[Line] = field(default_factory=list)
    data: bytes = b""

    @property
    def id(self) -> int:
        return file_id(self.stream, self.data.split(b"\n", 1)[0])


def files(root: Path) -> dict[tuple[str, str], list[LogFile]]:
    """(pod, container) to its files, oldest first."""
    found: dict[tuple[str, str], list[LogFile]] = {}
    for folder in sorted(p for p in root.glob("*/*") if p.is_dir()):
        namespace, pod, uid = folder.parent.name.split("_")
        # 0.log.STAMP(.gz) sort by stamp and come before 0.log.
        paths = sorted(folder.iterdir(), key=lambda p: (int(p.name.split(".")[0]), p.name.count(".") == 1, p.name))
        logs = []
        for path in paths:
            restart = int(path.name.split(".")[0])
            log = LogFile(path, Stream(str(path), namespace, pod, folder.name, uid, restart))
            log.data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert log.data.endswith(b"\n")
            for raw in log.data[:-1].split(b"\n"):
                match = CRI.fullmatch(raw)
                assert match, raw
                log.lines.append(Line(match[1].decode(), match[2].decode(), match[3].decode(), match[4]))
            logs.append(log)
        found[pod, folder.name] = logs
    return found


@dataclass
class Row:
    log: LogFile
    line: int
    time: str
    text: str


def rows(logs: list[LogFile]) -> list[Row]:
    """Whole lines, fragments joined per stream and across files; a row has the place of its last fragment."""
    out = []
    open_fragments = {"stdout": b"", "stderr": b""}
    for log in logs:
        for number, line in enumerate(log.lines):
            text = open_fragments[line.stream] + line.text
            if line.tag == "P":
                open_fragments[line.stream] = text
                continue
            open_fragments[line.stream] = b""
            out.append(Row(log, number, line.time, text.decode()))
    assert not any(open_fragments.values())
    return out


def all_rows(root: Path) -> list[Row]:
    return [row for logs in files(root).values() for row in rows(logs)]


def lines_of(root: Path, container: str = "istio-proxy") -> list[str]:
    return [row.text for (_, name), logs in files(root).items() if name == container for row in rows(logs)]
