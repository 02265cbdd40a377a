"""`logproc tail` against a real kube-apiserver, its watches and its log streams. `make test-kube` runs these.

The log files are read by the kubelet's own code (in kwok), so rotation, restarts and `sinceTime` are what a node makes of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests import cli
from tests.kube.bed import NOBODY, TAILER, Bed
from tests.tail.lines import MESSAGE, inbound

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("kube")]


class Tail:
    """A running `tail -o jsonl`, its objects by pod."""

    def __init__(self, config: Path, *args: str) -> None:
        self.process = subprocess.Popen(
            [*cli.LOGPROC, "tail", *args, "-o", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=cli.environment() | {"KUBECONFIG": str(config)},
        )  # fmt: skip
        self.rows: list[dict[str, Any]] = []
        self.told: list[str] = []
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read, self._hear)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def _hear(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append(line.decode())

    def paths(self, pod: str) -> list[str]:
        return [r["path"] for r in self.rows if r["k8s_pod"] == pod and "path" in r]

    def until(self, condition: Any, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, (self.told, len(self.rows), self.rows[-3:])
            time.sleep(0.02)

    def heard(self, part: str) -> bool:
        return any(part in text for text in self.told)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join(5)
        return code


@contextmanager
def tailing(config: Path, *args: str) -> Iterator[Tail]:
    tail = Tail(config, *args)
    try:
        yield tail
    finally:
        if tail.process.poll() is None:
            tail.process.kill()
            tail.process.wait()


@contextmanager
def pods(bed: Bed, *names: str, **options: Any) -> Iterator[None]:
    for name in names:
        bed.add(name, **options)
    try:
        yield
    finally:
        for name in names:
            with suppress(OSError):  # the test has removed it
                bed.remove(name)
            bed.forget(name)


def test_ten_rotations_and_ten_cut_connections_lose_and_double_nothing(bed: Bed) -> None:
    config = bed.kubeconfig("tailer", TAILER)
    with pods(bed, "turn-0", app="turn"):
        bed.write("turn-0", MESSAGE)
        with tailing(config, "-l", "app=turn", "--tail", "-1") as tail:
            tail.until(lambda: tail.rows)
            written = 0
            for turn in range(20):
                for _ in range(40):
                    bed.write("turn-0", inbound(written, path=f"/{written}"))
                    written += 1
                tail.until(lambda written=written: len(tail.paths("turn-0")) == written)  # type: ignore[misc]
                if turn % 2:
                    bed.rotate("turn-0")
                    bed.write("turn-0", inbound(written, path=f"/{written}"))
                    written += 1
                else:
                    bed.kill("kwok")
                    bed.start("kwok")
            tail.until(lambda: len(tail.paths("turn-0")) >= written)
            time.sleep(0.5)
            code = tail.stop()

    assert tail.paths("turn-0") == [f"/{n}" for n in range(written)]
    assert code == 0
    assert tail.heard("lines of 1 pod in")


def test_pods_come_and_go_and_containers_restart(bed: Bed) -> None:
    config = bed.kubeconfig("tailer", TAILER)
    with pods(bed, "come-0", app="come"):
        bed.write("come-0", *(inbound(n, path=f"/{n}") for n in range(15)))
        with tailing(config, "-l", "app=come") as tail:
            tail.until(lambda: len(tail.paths("come-0")) == 10)
            with pods(bed, "come-1", app="come", sidecar=True):
                bed.write("come-1", *(inbound(n, path=f"/{n}") for n in range(12)))
                tail.until(lambda: len(tail.paths("come-1")) == 12)
                bed.restart("come-0")
                bed.write("come-0", *(inbound(n, path=f"/again/{n}") for n in range(12)))
                tail.until(lambda: len(tail.paths("come-0")) == 22)
                bed.write("come-1", inbound(99, path="/last"))
                bed.remove("come-1")
                tail.until(lambda: tail.heard("come-1 is gone"))
            assert tail.stop() == 0

    assert tail.paths("come-0") == [f"/{n}" for n in range(5, 15)] + [f"/again/{n}" for n in range(12)]
    assert tail.paths("come-1") == [f"/{n}" for n in range(12)] + ["/last"]
    assert tail.heard("restarted (OOMKilled, exit code 137)")
    assert tail.heard("+ come-1/istio-proxy")


def test_an_api_server_that_dies_is_waited_for(bed: Bed) -> None:
    config = bed.kubeconfig("tailer", TAILER)
    with pods(bed, "wait-0", app="wait"), tailing(config, "-l", "app=wait") as tail:
        bed.write("wait-0", inbound(0, path="/0"))
        tail.until(lambda: tail.paths("wait-0"))
        bed.kill("kube-apiserver")
        bed.write("wait-0", *(inbound(n, path=f"/{n}") for n in range(1, 6)))
        time.sleep(1)
        bed.start("kube-apiserver")
        bed.wait_for_server()
        tail.until(lambda: len(tail.paths("wait-0")) == 6, 60)
        bed.write("wait-0", inbound(6, path="/6"))
        tail.until(lambda: len(tail.paths("wait-0")) == 7)
        assert tail.stop() == 0

    assert tail.paths("wait-0") == [f"/{n}" for n in range(7)]


def test_partial_lines_and_previous_logs(bed: Bed) -> None:
    config = bed.kubeconfig("tailer", TAILER)
    with pods(bed, "part-0", app="part"):
        long = inbound(1, path="/long/" + "x" * 20_000)
        bed.write("part-0", long[:16_384], tag="P")
        bed.write("part-0", long[16_384:])
        # The server of the test before has just come back: rights and logs of a new pod may take it a moment more.
        until = time.monotonic() + 30
        while True:
            done = cli.run("tail", "-l", "app=part", "--no-follow", "-o", "raw", env={"KUBECONFIG": str(config)})
            if done.stdout or time.monotonic() > until:
                break
            time.sleep(0.5)
        bed.restart("part-0")
        bed.write("part-0", inbound(2, path="/now"))
        before = cli.run("tail", "-l", "app=part", "--previous", "-o", "raw", env={"KUBECONFIG": str(config)})

    assert done.stdout.decode() == long + "\n", done.stderr.decode()
    assert before.stdout.decode() == long + "\n"


@pytest.mark.parametrize(
    ("token", "args", "code", "said"),
    [
        (TAILER, ["-l", "app=none", "--no-follow"], 0, "no pod fits -l app=none in namespace mushop"),
        (TAILER, ["-n", "default", "-l", "app=none"], 3, "not allowed to read pods in namespace default"),
        (NOBODY, ["-l", "app=none"], 3, "not allowed to read pods in namespace mushop"),
        ("wrong", ["-l", "app=none"], 3, "does not accept the login"),
        ("admin-token", ["-n", "mushpo", "-l", "app=none"], 2, "did you mean mushop?"),
        ("admin-token", ["deploy/none"], 2, "has no deployments/none"),
        ("admin-token", ["-l", "app=none", "--field-selector", "spec.node=1", "--no-follow"], 2, "field label not supported"),
    ],
)  # fmt: skip
def test_what_the_server_refuses_is_said(bed: Bed, token: str, args: list[str], code: int, said: str) -> None:
    config = bed.kubeconfig("someone", token)
    done = cli.run("tail", *args, env={"KUBECONFIG": str(config)})

    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()


def test_kubectl_sees_the_same_lines(bed: Bed) -> None:
    config = bed.kubeconfig("tailer", TAILER)
    with pods(bed, "same-0", "same-1", app="same"):
        for n in range(20):
            bed.write(f"same-{n % 2}", inbound(n, path=f"/{n}"))
        env = os.environ | {"KUBECONFIG": str(config)}
        command = ["kubectl", "logs", "-l", "app=same", "-c", "istio-proxy", "--prefix", "--tail=-1"]
        try:
            theirs = subprocess.run(command, env=env, capture_output=True, check=True, timeout=60).stdout
        except FileNotFoundError:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("kubectl is missing")
        piped = cli.run("tail", "-", "-o", "{pod} {path}", stdin=theirs)
        ours = cli.run(
            "tail",
            "-l",
            "app=same",
            "--no-follow",
            "--tail",
            "-1",
            "-o",
            "{pod} {path}",
            env={"KUBECONFIG": str(config)},
        )

    assert sorted(piped.stdout.splitlines()) == sorted(ours.stdout.splitlines())
    assert len(ours.stdout.splitlines()) == 20
