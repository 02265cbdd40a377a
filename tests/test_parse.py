"""`logproc parse`: each line one row, in order, in any form."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from logproc.columns import TABLES
from tests.cli import LOGPROC, environment
from tests.session import Session

ID = "137068b0-3a6d-9e4b-91c4-9787a5af72e0"


def access(path: str = "/api/1", code: int = 200, flags: str = "-", duration: int = 12) -> str:
    """A line of today's Istio default."""
    return (
        f'[2026-11-20T08:01:06.859Z] "GET {path} HTTP/1.1" {code} {flags} via_upstream - "-" 0 4780 {duration} 11 "10.0.0.1" '
        f'"curl/8" "{ID}" "reviews:9080" "10.244.1.32:9080" outbound|9080|v2|reviews.default.svc.cluster.local '
        f"10.244.1.5:59333 10.96.0.7:9080 10.244.1.5:40000 - default"
    )


MESSAGE = "2026-11-20T08:00:00.000001Z\tinfo\tenvoy main\tstarting"
BROKEN = '[2026-11-20T08:01:07.859Z] "GET /broken HTTP/1.1" 200 gone'
LINES = [access(), MESSAGE, access("/slow", 503, "URX,UF", 1500), BROKEN, "words of an application", access("/x", 404)]
KINDS = ["access_log", "message_log", "access_log", "rejected_line", "message_log", "access_log"]


@pytest.fixture(scope="module")
def logproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(home=tmp_path_factory.mktemp("parse")) as session:
        yield session


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "access.log"
    file.write_text("".join(f"{line}\n" for line in LINES))
    return file


def objects(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_jsonl_is_one_object_per_line_in_order(logproc: Session, log: Path) -> None:
    said = logproc("parse", log, "-o", "jsonl")
    found = objects(said.out)

    assert (said.code, said.err) == (0, "")
    assert [(o["table"], o["line"]) for o in found] == list(zip(KINDS, range(6), strict=True))
    assert all(list(o)[:2] == ["table", "line"] and None not in o.values() for o in found)
    assert all(set(o) - {"table"} <= {c.name for c in TABLES[o["table"]].columns} for o in found)
    failed = found[2]
    assert (failed["timestamp"], failed["response_flags"], failed["request_id"]) == (
        "2026-11-20T08:01:06.859000Z", "UF,URX", ID,
    )  # fmt: skip
    assert (failed["upstream_local_address"], failed["upstream_local_port"]) == ("10.244.1.5", 59333)
    assert "requested_server_name" not in failed
    assert (found[3]["raw"], found[4]["message"]) == (BROKEN, LINES[4])


def test_standard_input_and_gzip_give_the_same(logproc: Session, log: Path) -> None:
    plain = logproc("parse", log, "-o", "jsonl").out
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))

    assert logproc("parse", "-", "-o", "jsonl", stdin=log.read_bytes()).out == plain
    assert logproc("parse", "-o", "jsonl", stdin=packed.read_bytes()).out == plain
    assert logproc("parse", packed, "-o", "jsonl").out == plain


def test_table(logproc: Session, log: Path) -> None:
    said = logproc("parse", log)

    heading, *lines = said.text.splitlines()
    assert heading.split() == [
        "timestamp", "method", "path", "response_code", "response_flags", "response_code_details", "duration_ms", "upstream_cluster",
    ]  # fmt: skip
    assert [line.split()[3] for line in lines] == ["/api/1", "/slow", "/x"]
    assert (
        said.err == "not shown: rows of other tables (2 of message_log, 1 of rejected_line); --table NAME shows them\n"
    )
    assert logproc("parse", log, "--table", "message_log").text.splitlines()[1].endswith("starting")
    assert BROKEN in logproc("parse", log, "--table", "rejected_line").text


def test_an_empty_table_says_why_it_is_empty(logproc: Session, log: Path) -> None:
    assert logproc("parse", "-", stdin=b"").err == "no lines were read\n"
    assert logproc("parse", log, "--where", "code = 599").err.startswith(
        "--where holds for none of 3 rows of access_log\n"
    )
    assert "--where" not in logproc("parse", log, "--where", "path : /slow*").err


def test_the_forms_hold_the_same_rows(logproc: Session, log: Path) -> None:
    lines = [o for o in objects(logproc("parse", log, "-o", "jsonl").out) if o["table"] == "access_log"]
    rows = list(csv.DictReader(io.StringIO(logproc("parse", log, "-o", "csv").text)))
    stream = pa.ipc.open_stream(logproc("parse", log, "-o", "arrow").out).read_all().to_pylist()
    file = parquet.read_table(io.BytesIO(logproc("parse", log, "-o", "parquet").out)).to_pylist()

    assert stream == file
    assert len(rows) == len(file) == len(lines) == 3
    for line, row, typed in zip(lines, rows, file, strict=True):
        assert {k: v for k, v in row.items() if v} == {k: str(v) for k, v in line.items() if k != "table"}
        assert (str(typed["request_id"]), typed["response_code"]) == (ID, line["response_code"])
        assert {k for k, v in typed.items() if v is not None} == set(line) - {"table"}


def test_where_and_columns(logproc: Session, log: Path) -> None:
    filtered = logproc(
        "parse", log, "--where", "code = 5xx and duration > 1s", "-o", "jsonl", "--columns", "path, flags,code"
    )

    assert objects(filtered.out) == [
        {"table": "access_log", "line": 2, "path": "/slow", "response_flags": "UF,URX", "response_code": 503}
    ]
    assert logproc("parse", log, "--where", "not has_flag(UF)", "--columns", "line,path", "-o", "csv").text == (
        '"line","path"\n0,"/api/1"\n5,"/x"\n'
    )
    assert logproc(
        "parse", log, "--table", "message_log", "--where", "level = info", "--columns", "level", "-o", "csv"
    ).text == ('"level"\n"info"\n')
    assert logproc("parse", log, "--where", "code = 999", "-o", "csv", "--columns", "path").text == '"path"\n'


def test_several_files_are_named(logproc: Session, log: Path, tmp_path: Path) -> None:
    other = tmp_path / 'o"ther.log'
    other.write_text(access("/other"))

    found = objects(logproc("parse", log, other, "-o", "jsonl").out)
    rows = list(csv.DictReader(io.StringIO(logproc("parse", log, other, "-o", "csv").text)))

    assert [(o["file"], o["line"]) for o in found] == [(str(log), n) for n in range(6)] + [(str(other), 0)]
    assert [row["file"] for row in rows] == [str(log)] * 3 + [str(other)]


def test_stats(logproc: Session, log: Path) -> None:
    said = logproc("parse", log, "-o", "none", "--stats")
    stats = json.loads(said.err)

    assert (said.code, said.out) == (0, b"")
    assert stats["lines"] == 6
    assert stats["rows"] == {"access_log": 3, "message_log": 2, "rejected_line": 1}
    assert (stats["doubtful"], stats["joined"], stats["bytes"]) == (0, 0, log.stat().st_size)
    assert stats["seconds"] > 0
    assert stats["cpu_seconds"] > 0


def test_strict(logproc: Session, log: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.log"
    good.write_text(access() + "\n" + MESSAGE + "\n")

    assert logproc("parse", log, "--strict", "-o", "none").code == 1
    assert logproc("parse", log, "-o", "none").code == 0
    assert logproc("parse", good, "--strict", "-o", "none").code == 0


def test_cri_fragments_are_one_row_at_their_last_line(logproc: Session) -> None:
    line = access("/" + "x" * 300)
    cri = "2026-11-20T08:01:06.859000001Z stdout "
    text = f"{cri}F {access()}\n{cri}P {line[:200]}\n{cri}F {line[200:]}\n2026-11-20T08:01:06.859000001Z stderr F {MESSAGE}\n"

    said = logproc("parse", "-", "-o", "jsonl", "--stats", stdin=text.encode())
    found = objects(said.out)

    assert [(o["table"], o["line"]) for o in found] == [("access_log", 0), ("access_log", 2), ("message_log", 3)]
    assert found[1]["path"] == "/" + "x" * 300
    assert json.loads(said.err)["joined"] == 1


def test_kubectl_prefix_tells_the_pod(logproc: Session) -> None:
    text = "".join(f"[pod/reviews-v{n}-abc-def/istio-proxy] {access()}\n" for n in (1, 2))

    found = objects(logproc("parse", "-", "-o", "jsonl", stdin=text.encode()).out)

    assert [(o["k8s_pod"], o["k8s_container"]) for o in found] == [
        (f"reviews-v{n}-abc-def", "istio-proxy") for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("content", "tables"),
    [
        (b"", []),
        (b"\n\n", ["message_log", "message_log"]),
        (access().encode(), ["access_log"]),
        (access().encode() + b"\r\n", ["access_log"]),
        (b"\x00\xff\x00\xfe\n" + access().encode() + b"\n", ["rejected_line", "access_log"]),
        (b"z" * 3_000_000 + b"\n" + access().encode() + b"\n", ["rejected_line", "access_log"]),
        (access("/\xff").encode("latin-1") + b"\n", ["access_log"]),
    ],
    ids=["empty", "blank", "no newline", "crlf", "binary", "oversized", "encoding"],
)
def test_hostile_content_is_rows_like_any_other(logproc: Session, content: bytes, tables: list[str]) -> None:
    said = logproc("parse", "-", "-o", "jsonl", stdin=content)

    assert said.code == 0, said.err
    assert [o["table"] for o in objects(said.out)] == tables
    for form in ("table", "csv", "arrow", "parquet"):
        assert logproc("parse", "-", "-o", form, stdin=content).code == 0


def test_rows_come_as_their_lines_do(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*LOGPROC, "parse", "-", "-o", "jsonl"],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{access('/first')}\n".encode())
    process.stdin.flush()

    assert b"/first" in process.stdout.readline(), "the pipe is still open"
    process.stdin.close()
    assert process.wait(60) == 0


def test_an_oversized_line_keeps_its_length(logproc: Session) -> None:
    (row,) = objects(logproc("parse", "-", "-o", "jsonl", stdin=b"z" * 3_000_000 + b"\n").out)

    assert (row["reason"], row["length"], len(row["raw"])) == ("too_long", 3_000_000, 64 << 10)


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (("/no/such/file",), 2, "error: /no/such/file: No such file or directory\n"),
        (("/",), 2, "error: / is a folder\n"),
        (("-", "--where", "cod = 5"), 2, "hint: did you mean code?\n"),
        (("-", "--columns", "pat"), 2, "hint: did you mean path?\n"),
        (("-", "--format", "nope"), 2, "error: no format is named 'nope'\n"),
        (("-", "--frame", "nope"), 2, "error: --frame: there is no frame 'nope'\n"),
        (("-", "-o", "yaml"), 2, "error: parse: --output 'yaml': one of table, jsonl,"),
        (("-", "--table", "ledger"), 2, "error: parse: --table 'ledger': one of access_log,"),
    ],
)
def test_what_is_typed_wrong(logproc: Session, args: tuple[str, ...], code: int, error: str) -> None:
    said = logproc("parse", *args)

    assert (said.code, said.out) == (code, b"")
    assert error in said.err
    assert "Traceback" not in said.err


def test_damaged_gzip_prints_what_is_whole_and_fails(logproc: Session, log: Path) -> None:
    packed = gzip.compress(log.read_bytes() * 50)[:-20]

    said = logproc("parse", "-", "-o", "jsonl", stdin=packed)

    assert said.code == 3
    assert "damaged gzip data" in said.err
    assert len(objects(said.out)) > 100


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, form: str) -> None:
    file = tmp_path / "long.log"
    file.write_text("".join(access(f"/{os.urandom(16).hex()}") + "\n" for _ in range(20_000)))
    process = subprocess.Popen(
        [*LOGPROC, "parse", str(file), "-o", form],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(3)
    process.stdout.close()

    assert process.wait(60) == 0
    assert process.stderr.read() == b""
