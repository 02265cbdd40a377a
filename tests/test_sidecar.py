"""Beside one Envoy: its log is rotated, delivered, deleted, and read to the end when the pod ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from logproc.errors import ConfigError
from logproc.model import Stream
from logproc.sidecar import OwnPod, Sidecar
from tests import cli, envoy
from tests.kube_server import until


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[envoy.Envoy]:
    (tmp_path / "logs").mkdir()
    with envoy.running(tmp_path / "logs" / "access.log") as running:
        yield running


def start(
    tmp_path: Path, proxy: envoy.Envoy, *options: str, to: str = "stdout:?encoding=json"
) -> subprocess.Popen[bytes]:
    """A collector that prints rows, and its summary to standard error."""
    return subprocess.Popen(
        [
            *cli.LOGPROC, "collect", "--sidecar", str(proxy.path), "--to", to, "--log-format", "text",
            "--state", str(tmp_path / "state"), "--envoy-admin", f"http://127.0.0.1:{proxy.port}", "-o", "json", *options,
        ],
        stdout=(tmp_path / "rows").open("ab"), stderr=(tmp_path / "said").open("ab"),
        env=cli.environment(extra={"POD_NAME": "web-7d4b9c6f5-x2x4z", "POD_NAMESPACE": "shop", "POD_UID": "u1", "NODE_NAME": "n1"}),
    )  # fmt: skip


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """The rows that were printed, else those in Parquet files; without a line that is being written."""
    printed = (tmp_path / "rows").read_bytes().split(b"\n")[:-1]
    files = sorted((tmp_path / "out" / "access_log").glob("*.parquet"))
    return [json.loads(line) for line in printed if b"137068b0" in line] + [
        row for path in files for row in pq.read_table(path, columns=["path", "k8s_pod", "app", "k8s_node"]).to_pylist()
    ]


def rotated(proxy: envoy.Envoy) -> list[Path]:
    return [p for p in proxy.path.parent.iterdir() if p.name.startswith("access.log.")]


def summary(process: subprocess.Popen[bytes], tmp_path: Path) -> dict[str, Any]:
    process.wait(60)
    said = (tmp_path / "said").read_text()
    assert process.returncode == 0, said
    (line,) = [text for text in said.splitlines() if text.startswith("{") and '"lines"' in text]
    found: dict[str, Any] = json.loads(line)
    return found


def all_lines(count: int) -> list[str]:
    return [f"/{n}" for n in range(count)]


def test_the_log_is_rotated_and_every_line_stored_once_through_a_crash(tmp_path: Path, proxy: envoy.Envoy) -> None:
    writer = proxy.keep_writing()
    out = f"parquet://{tmp_path / 'out'}"  # a batch sent again takes the place of itself
    first = start(tmp_path, proxy, "--rotate-at", "200k", to=out)
    until(lambda: proxy.reopened >= 2)
    first.kill()
    first.wait()
    second = start(tmp_path, proxy, "--rotate-at", "200k", to=out)
    seen = proxy.reopened
    until(lambda: proxy.reopened >= seen + 2)
    proxy.stop_writing(writer)
    proxy.write(1)  # an Envoy opens its new file with the next line
    # Delivered files go, the one that Envoy writes stays.
    until(lambda: not rotated(proxy), 60)
    proxy.end()
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0

    found = rows(tmp_path)

    assert sorted((r["path"] for r in found), key=lambda p: int(p[1:])) == all_lines(proxy.written)
    assert {(r["k8s_pod"], r["app"], r["k8s_node"]) for r in found} == {("web-7d4b9c6f5-x2x4z", "web", "n1")}


def test_what_envoy_writes_while_it_drains_is_read(tmp_path: Path, proxy: envoy.Envoy) -> None:
    process = start(tmp_path, proxy, "--grace", "40")
    proxy.write(10)
    until(lambda: rows(tmp_path))
    process.send_signal(signal.SIGTERM)
    for _ in range(10):
        proxy.write(10)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    proxy.end()

    assert summary(process, tmp_path)["lines"] == 110
    assert len(rows(tmp_path)) == 110


def test_an_envoy_that_does_not_end_is_left_after_half_of_the_grace(tmp_path: Path, proxy: envoy.Envoy) -> None:
    process = start(tmp_path, proxy, "--grace", "2")
    proxy.write(10)
    until(lambda: rows(tmp_path))
    process.send_signal(signal.SIGTERM)

    assert summary(process, tmp_path)["lines"] == 10


def test_in_a_job_it_ends_with_its_envoy(tmp_path: Path, proxy: envoy.Envoy) -> None:
    process = start(tmp_path, proxy, "--exit-with-envoy")
    proxy.write(25)
    until(lambda: rows(tmp_path))
    proxy.write(5)
    proxy.end()

    assert summary(process, tmp_path)["lines"] == 30


def test_rotated_files_of_a_run_without_state_are_read_and_reopening_is_asked_for(
    tmp_path: Path, proxy: envoy.Envoy
) -> None:
    proxy.write(10)
    proxy.path.rename(f"{proxy.path}.123")
    process = start(tmp_path, proxy)
    until(lambda: proxy.reopened == 1)
    proxy.write(10)
    until(lambda: not rotated(proxy))
    proxy.end()
    process.send_signal(signal.SIGTERM)

    assert summary(process, tmp_path)["lines"] == 20
    assert [r["path"] for r in rows(tmp_path)] == all_lines(20)


def test_an_admin_port_that_refuses_is_told_once_and_nothing_is_lost(tmp_path: Path, proxy: envoy.Envoy) -> None:
    proxy.refuses = True
    process = start(tmp_path, proxy, "--rotate-at", "4Ki")
    proxy.write(50)
    until(lambda: rotated(proxy))
    proxy.write(50)
    until(lambda: len(rows(tmp_path)) >= 50)
    proxy.end()
    process.send_signal(signal.SIGTERM)
    process.wait(60)

    assert (tmp_path / "said").read_text().count("/reopen_logs with 503") == 1
    assert len(rows(tmp_path)) == 100
    assert rotated(proxy), "it was deleted though Envoy writes it"


def test_labels_of_the_downward_api(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.write_text('app="shop"\nversion="v\\"1"\npod-template-hash="7d4b9c6f5"\n')

    pod = OwnPod.read(labels, {"POD_NAME": "x", "POD_NAMESPACE": "ns", "POD_UID": "u"})

    assert pod.app_and_version(Stream("")) == ("shop", 'v"1')
    assert OwnPod.read(tmp_path / "none", {"HOSTNAME": "web-7d4b9c6f5-x2x4z"}).app_and_version(Stream("")) == (
        "web",
        "",
    )


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        Sidecar(str(tmp_path / "missing" / "access.log"))
    for admin in ("https://x:1", "http://x", "x:y"):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            Sidecar(str(tmp_path / "access.log"), admin=admin)
