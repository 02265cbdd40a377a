"""`logproc collect` as a user runs it: what it prints, how it ends, and what it says about bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from logproc.main import main
from tests import cli
from tests.kubelet import Container

LINE = (
    '[2026-11-20T10:00:00.123Z] "GET /api/items HTTP/1.1" 200 - via_upstream - "-" 0 178 35 27 "-" "curl/8.0"'
    ' "5c82d8bc-2a15-9a25-81bf-c567fe990e6d" "details:9080" "10.244.1.14:9080"'
    " outbound|9080||details.default.svc.cluster.local 10.244.2.19:38918 10.96.94.35:9080 10.244.2.19:39764 - default"
)


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """A run in this process, where nothing but the outcome matters: starting one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["logproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def rows(said: bytes | str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines()]


def test_the_summary_accounts_for_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"{LINE}\n{LINE}\nhello\n{LINE[:60]}\n{LINE}")

    code, out, _ = run_here(capsys, "collect", log, "--to", "null:", "--output", "json", "--strict")

    summary = json.loads(out)
    assert summary.keys() == {"lines", "rows", "doubtful", "joined", "left_out", "seconds"}
    assert summary["rows"] == {"access_log": 3, "message_log": 1, "rejected_line": 1}
    assert summary["lines"] == 5
    assert code == 1  # --strict


def test_a_file_is_stored_once_per_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"{LINE}\n" * 3)
    arguments = ("collect", log, "--to", "stdout:", "--state", tmp_path / "state", "--quiet")

    first = rows(run_here(capsys, *arguments)[1])
    second = rows(run_here(capsys, *arguments)[1])
    with log.open("a") as file:
        file.write(f"{LINE}\n")
    third = rows(run_here(capsys, *arguments)[1])

    assert [[row["line"] for row in found] for found in (first, second, third)] == [[0, 1, 2], [], [3]]


def test_a_log_root_gives_the_pod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Container(tmp_path / "pods").write(2)

    (first, _) = rows(run_here(capsys, "collect", tmp_path / "pods", "--to", "stdout:", "-q")[1])

    assert (first["k8s_namespace"], first["k8s_pod"], first["app"]) == ("shop", "web-7d4b9c6f5-x2x4z", "web")
    assert first["message"] == "line 0 of 0f3c "


def test_standard_input_is_read(tmp_path: Path) -> None:
    text = f"{LINE}\n".encode() * 3 + LINE.encode()

    assert [row["line"] for row in rows(cli.output("collect", "-", "--to", "stdout:", "-q", stdin=text))] == [
        0,
        1,
        2,
        3,
    ]


def test_docker_and_kubectl_frames_are_taken_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docker, kubectl = tmp_path / "docker.log", tmp_path / "kubectl.log"
    docker.write_text(json.dumps({"log": f"{LINE}\n", "stream": "stdout", "time": "2026-11-20T10:00:00.2Z"}) + "\n")
    kubectl.write_text(f"[pod/web-7d4b9c6f5-x2x4z/istio-proxy] {LINE}\n")

    found = rows(run_here(capsys, "collect", docker, kubectl, "--to", "stdout:", "-q")[1])

    assert [row["table"] for row in found] == ["access_log", "access_log"]
    assert (found[1]["k8s_pod"], found[1]["app"]) == ("web-7d4b9c6f5-x2x4z", "web")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_was_read_is_stored(tmp_path: Path, number: int) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"{LINE}\n" * 3)
    process = cli.start("collect", log, "--to", "stdout:", "--state", tmp_path / "state", "--follow", "-o", "json")
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()  # it runs: a line was stored
    with log.open("a") as file:
        file.write(f"{LINE}\n")
    second = process.stdout.readline() + process.stdout.readline() + process.stdout.readline()
    process.send_signal(number)
    rest, errors = process.stdout.read(), process.stderr.read()
    process.wait(30)

    assert process.returncode == 0
    assert [row["line"] for row in rows(first + second + rest)] == [0, 1, 2, 3]
    assert json.loads(errors.splitlines()[-1])["lines"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing.log"], 2, "nothing.log: no such file or folder"),
        (["nothing.log/below"], 2, "no such file or folder"),
        (["/dev/null"], 2, "neither a file nor a folder"),
        (["-", "a.log"], 2, "cannot be read at once"),
        (["a.log", "--frame", "cry"], 2, "there is no frame 'cry'"),
        (["a.log", "--max-line", "huge"], 2, "'huge' is no size"),
        (["a.log", "--state", "a.log"], 3, "state folder"),
        (["a.log", "--state", "."], 3, "is not a state folder"),
    ],
)
def test_what_cannot_begin_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, says: str,
) -> None:  # fmt: skip
    (tmp_path / "a.log").write_text("x\n")
    monkeypatch.chdir(tmp_path)
    to = "stdout:" if "--state" in arguments else "null:"

    ended, out, err = run_here(capsys, "collect", *arguments, "--to", to)

    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert (ended, len(errors), out) == (code, 1, "")
    assert says in errors[0]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", 0),
        (b"\n\n\n", 3),
        (b"\x00\x01\xff\xfe\n" * 50, 50),
        (LINE.encode() + b"\r\n" + LINE.encode() + b"\r\n", 2),
        (b"x" * 5_000_000 + b"\n" + LINE.encode() + b"\n", 2),
        (b"\xef\xbb\xbf" + LINE.encode(), 1),
    ],
    ids=["empty", "blank lines", "binary", "CRLF", "5 MB line", "BOM"],
)
def test_bad_content_is_stored_as_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, lines: int
) -> None:
    (tmp_path / "a.log").write_bytes(content)

    code, out, _ = run_here(capsys, "collect", tmp_path / "a.log", "--to", "null:", "-o", "json")

    summary = json.loads(out)
    assert code == 0
    assert summary["lines"] == sum(summary["rows"].values()) == lines


AS_NOBODY = """
import os, sys
import logproc.main, logproc.collector, logproc.commands.collect, logproc.progress, parsers.dispatch, sinks.null
import parsers.columnar, parsers.defaults, parsers.strict
os.seteuid(65534)
sys.argv = ["logproc", *sys.argv[1:]]
logproc.main.main()
"""


@pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="only root can become another user")
def test_folders_that_may_not_be_read_are_named_and_the_others_read() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        Path(name).chmod(0o755)
        read_as_nobody(Path(name))


def read_as_nobody(tmp_path: Path) -> None:
    open_pod, closed_pod = Container(tmp_path / "pods", uid="a"), Container(tmp_path / "pods", uid="b")
    open_pod.write(3)
    closed_pod.write(3)
    closed_pod.folder.chmod(0o700)
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", AS_NOBODY, "collect", str(path), "--to", "null:", "-o", "json"]
        return subprocess.run(command, capture_output=True, text=True, env=cli.environment(tmp_path), check=False)

    partly, wholly = run(tmp_path / "pods"), run(secret)

    assert (partly.returncode, json.loads(partly.stdout)["lines"]) == (0, 3)
    assert f"{closed_pod.folder}: Permission denied; not read" in partly.stderr
    assert (wholly.returncode, wholly.stderr.splitlines()[0]) == (3, f"error: {secret}: permission denied")


def test_a_folder_without_pods_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_here(capsys, "collect", tmp_path, "--to", "null:")

    assert code == 0
    assert "holds no pod logs" in err


def test_one_collector_per_state(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x\n")
    arguments = ("collect", tmp_path / "a.log", "--to", "stdout:", "--state", tmp_path / "state")
    first = cli.start(*arguments, "--follow")
    assert first.stdout is not None
    first.stdout.readline()

    second = cli.run(*arguments)
    first.terminate()
    first.communicate(timeout=30)

    assert second.returncode == 3
    assert f"in use by process {first.pid}".encode() in second.stderr


def test_a_spool_that_cannot_grow_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """Files of this process may have 1 KiB: the state fits, a batch does not."""
    log, state = tmp_path / "a.log", tmp_path / "state"
    log.write_text(f"{LINE}\n" * 3)
    limited = ["prlimit", "--fsize=1024", *cli.LOGPROC, "collect", log, "--to", "stdout:", "--state", state, "--follow"]
    process = subprocess.Popen(limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment())
    assert process.stderr is not None
    while b"the spool cannot be written" not in (said := process.stderr.readline()):
        assert said, "it ended"
    process.terminate()
    out, _ = process.communicate(timeout=30)

    assert (process.returncode, out) == (0, b"")
    assert len(rows(cli.output("collect", log, "--to", "stdout:", "--state", state, "-q"))) == 3
