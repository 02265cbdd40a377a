"""`logproc doctor`: each finding with what mends it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from logproc.doctor import cluster, machine
from logproc.doctor.finding import Finding, Verdict, clock
from logproc.kube_api import Access
from tests.cli import run


def verdicts(found: Iterator[Finding]) -> list[Verdict]:
    return [f.verdict for f in found]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "pods"
    container = folder / "shop_web-1_uid" / "istio-proxy"
    container.mkdir(parents=True)
    (container / "0.log").write_text("x\n")
    return folder


def test_logs_that_can_be_read_are_counted(logs: Path) -> None:
    (found,) = machine.logs(logs)

    assert (found.verdict, found.said) == (Verdict.GOOD, "1 file can be read")


def test_a_missing_folder_is_to_be_mounted(tmp_path: Path) -> None:
    (found,) = machine.logs(tmp_path / "none")

    assert found.verdict is Verdict.BAD
    assert "hostPath" in found.mend


def test_links_that_lead_out_of_the_mount_name_their_target(logs: Path) -> None:
    (logs / "shop_web-1_uid" / "istio-proxy" / "1.log").symlink_to("/var/lib/docker/containers/abc/abc-json.log")
    (found,) = machine.logs(logs)

    assert found.verdict is Verdict.BAD
    assert "/var/lib/docker/containers/abc" in found.mend


def test_files_of_another_user_are_named_with_mode_and_owner(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may read everything
    (found,) = machine.logs(logs)

    assert found.verdict is Verdict.BAD
    assert "DAC_READ_SEARCH" in found.mend
    assert f"user {os.geteuid()}" in found.mend


def test_an_empty_folder_is_only_noted(tmp_path: Path) -> None:
    assert verdicts(machine.logs(tmp_path)) == [Verdict.NOTE]


def test_the_state_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "deeper"
    found = list(machine.state(folder, 1024))

    assert Verdict.BAD not in {f.verdict for f in found}
    assert list(tmp_path.iterdir()) == []


def test_a_spool_larger_than_its_disk_is_found(tmp_path: Path) -> None:
    found = next(iter(machine.state(tmp_path, 1 << 60)))

    assert found.verdict is Verdict.BAD
    assert "--spool-max" in found.mend


def test_a_file_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert verdicts(machine.state(tmp_path / "file" / "state", 1)) == [Verdict.BAD]


def test_clocks_are_compared() -> None:
    now = datetime.now(UTC)

    assert clock("x", now).verdict is Verdict.GOOD
    assert "behind ours" in clock("x", now - timedelta(minutes=5)).said
    assert "ahead of ours" in clock("x", now + timedelta(minutes=5)).said


@contextmanager
def api(allowed: set[str], skew: timedelta = timedelta()) -> Iterator[str]:
    """An API server that answers access reviews: allowed are resources."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response_only(200)
            self.send_header("Date", format_datetime(datetime.now(UTC) + skew, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer({"gitVersion": "v1.36.3"})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == cluster.REVIEWS
            resource = asked["spec"]["resourceAttributes"]["resource"]
            self.answer({**asked, "status": {"allowed": resource in allowed}})

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_rights_at_the_api_are_asked_one_by_one() -> None:
    with api({"pods", "configmaps"}) as server:
        assert verdicts(cluster.check(Access(server), "istio-system/istio")) == [Verdict.GOOD, Verdict.GOOD]
    with api({"pods"}) as server:
        found = [f for f in cluster.check(Access(server), "istio-system/istio") if f.verdict is Verdict.BAD]
    assert [f.said.partition(":")[0] for f in found] == [
        f"may not {verb} configmaps/istio -n istio-system" for verb in ("get", "list", "watch")
    ]


def test_the_clock_of_the_api_server_is_compared() -> None:
    with api({"pods", "configmaps"}, timedelta(hours=1)) as server:
        last = list(cluster.check(Access(server), "a/b"))[-1]

    assert (last.check, last.verdict) == ("clock", Verdict.BAD)


def test_an_api_that_does_not_answer_says_how_to_go_without() -> None:
    (found,) = cluster.check(Access("http://127.0.0.1:1"), "a/b")

    assert found.verdict is Verdict.BAD
    assert "--no-kubernetes" in found.mend


def test_the_command_takes_its_places_from_the_settings(logs: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[collect]\nto = "kafka://127.0.0.1:1/logproc"\nstate = "{tmp_path}/state"\n')
    done = run("--config", config, "doctor", logs, "-o", "json")
    found = {f["check"]: f for f in json.loads(done.stdout)}

    assert done.returncode == 1
    assert found["settings"]["verdict"] == found["logs"]["verdict"] == "ok"
    assert found["state"]["subject"] == f"{tmp_path}/state"
    assert found["kafka"]["verdict"] == "bad"
    assert found["kafka"]["mend"]


def test_wrong_settings_are_a_finding(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[collect]\nfolow = true\n")
    done = run("--config", config, "doctor")

    assert done.returncode == 1
    assert b"did you mean follow?" in done.stdout
    assert b"1 to mend" in done.stderr


def test_a_store_that_is_none_is_to_be_mended(tmp_path: Path) -> None:
    """A word without a scheme is a folder, as everywhere."""
    for url in ("nowhere", "csv:///x", str(tmp_path / "none")):
        done = run("doctor", "--to", url, "-o", "json")
        (found,) = [f for f in json.loads(done.stdout) if f["check"] == "store"]

        assert (done.returncode, found["verdict"]) == (1, "bad")
    assert run("doctor", "--to", "null:").returncode == 0
