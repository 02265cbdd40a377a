"""`logproc tail` as it is typed: over the fake API, files and pipes; what is wrong is said, and where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from logproc.main import main
from tests import cli
from tests.fake_api.server import FakeApi, Refusal
from tests.tail.lines import MESSAGE, inbound, outbound


@pytest.fixture
def shop(api: FakeApi) -> FakeApi:
    for name, version in (("storefront-7d4b9c6f5-2xk8p", "original"), ("storefront-beta-6c8f7d9b5-t5lhv", "beta")):
        api.add(
            name,
            containers=("storefront",),
            sidecars=("istio-proxy",),
            labels={"app": "storefront", "version": version},
        )
    api.write("storefront-7d4b9c6f5-2xk8p", MESSAGE, *(inbound(n) for n in range(12)))
    api.write(
        "storefront-beta-6c8f7d9b5-t5lhv",
        inbound(30, code=503, flags="UC", details="upstream_reset_before_response_started{connection_termination}"),
    )
    return api


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Done]:
    """The command line in this process: a second less for each of many tests."""

    def run(*args: str | Path, kubeconfig: Path | str = "") -> Done:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.argv", ["logproc", "tail", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfdbinary.readouterr()
        return Done(int(left.value.code or 0), out, err)

    return run


@pytest.fixture
def tail(typed: Callable[..., Done]) -> Callable[..., Done]:
    def run(api: FakeApi, folder: Path, *args: str) -> Done:
        return typed(*args, kubeconfig=api.kubeconfig(folder))

    return run


def test_objects_of_parse_and_where_they_come_from(shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    done = tail(shop, tmp_path, "-n", "shop", "-l", "app=storefront", "--tail", "5", "--no-follow", "-o", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    (plain,) = [
        json.loads(line) for line in cli.output("parse", "-", "-o", "jsonl", stdin=inbound(11).encode()).splitlines()
    ]
    same = next(r for r in rows if r["request_id"].endswith("011"))

    assert done.returncode == 0
    assert len(rows) == 6
    place = {"k8s_namespace": "shop", "k8s_pod": "storefront-7d4b9c6f5-2xk8p", "k8s_container": "istio-proxy"}
    assert {k: v for k, v in same.items() if k != "line"} == {
        **{k: v for k, v in plain.items() if k != "line"},
        **place,
    }
    assert b"following" not in done.stdout


def test_rows_are_aligned_and_say_what_went_wrong(shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    done = tail(shop, tmp_path, "-l", "app=storefront", "--tail", "2", "--no-follow", "--only", "access")
    lines = done.stdout.decode().splitlines()

    assert lines[-1].split() == [
        "10:00:30.030", "storefront-beta-t5lhv", "←", "GET", "/api/catalogue", "503", "UC", "UpstreamConnectionTermination", "12ms",
        "storefront.mushop", "-",
    ]  # fmt: skip
    assert len({line.index("/api/catalogue") for line in lines}) == 1


def test_filters_narrow_what_is_shown(shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    done = tail(shop, tmp_path, "-l", "app=storefront", "--no-follow", "--code", "5xx", "--explain")

    assert done.stdout.count(b"503") == 1
    assert b"keep-alive timeouts of the application" in done.stdout
    assert b" 200 " not in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["-n", "shpo", "-l", "app=storefront"], 2, ["there is no namespace 'shpo'", "did you mean shop?"]),
        (["-l", "app=storefront,version=$"], 2, ["label selector: line 1, column 24", "                         ^"]),
        (["-l", "app=storefront", "-c", "proxy"], 2, ["has a container 'proxy'", "their containers: istio-proxy, storefront"]),
        (["-l", "app=storefront", "--where", "code >"], 2, ["expected a value", "^"]),
        (["-l", "app=storefront", "--code", "abc"], 2, ["--code: 'abc'"]),
        (["deploy/storefrnt"], 2, ["no deployments/storefrnt", "did you mean storefront?"]),
        (["deployx/storefront"], 2, ["'deployx' is no kind of workload"]),
        (["-l", "app=storefront", "--context", "fak"], 2, ["no context 'fak'", "did you mean fake?"]),
        (["storefront-("], 2, ["expected a regular expression"]),
        (["-l", "app=storefront", "--since", "yesterday"], 2, ["--since: 'yesterday' is no time"]),
        (["-l", "app=storefront", "-o", "{podd}"], 2, ["did you mean pod?"]),
        (["-l", "app=storefront", "--expect-weight", "beta=10±3%", "--summary"], 2, ["--for 30s"]),
        (["-l", "app=storefront", "--expect-weight", "beta", "--summary", "--for", "1s"], 2, ["SUBSET=PERCENT±PERCENT"]),
        (["-l", "app=nothing", "--no-follow"], 0, ["no pod fits -l app=nothing in namespace shop"]),
        (["-l", "app=storefront", "--previous"], 0, ["it has not restarted"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    args: list[str], code: int, said: list[str], shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]
) -> None:
    shop.objects["/apis/apps/v1/namespaces/shop/deployments/storefront"] = {
        "metadata": {"name": "storefront"},
        "spec": {"selector": {"matchLabels": {"app": "storefront"}}},
    }
    done = tail(shop, tmp_path, *args)

    assert done.returncode == code, done.stderr.decode()
    for part in said:
        assert part in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_workload_stands_for_its_pods(shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    shop.objects["/apis/apps/v1/namespaces/shop/deployments/beta"] = {
        "metadata": {"name": "beta"},
        "spec": {"selector": {"matchLabels": {"app": "storefront", "version": "beta"}}},
    }
    done = tail(shop, tmp_path, "deploy/beta", "--no-follow", "-o", "{pod} {code}")

    assert done.stdout.decode() == "storefront-beta-6c8f7d9b5-t5lhv 503\n"


def test_no_cluster_and_an_expired_login(
    shop: FakeApi,
    tmp_path: Path,
    tail: Callable[..., Done],
    typed: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop.tokens = {"another"}
    expired = tail(shop, tmp_path, "-l", "app=storefront")
    shop.close()
    away = tail(shop, tmp_path, "-l", "app=storefront")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    none = typed("-l", "app=storefront")
    lost = typed("-l", "app=storefront", kubeconfig=tmp_path / "nowhere")

    assert [d.returncode for d in (expired, away, none, lost)] == [3, 3, 2, 2]
    assert b"does not accept the login" in expired.stderr
    assert b"log in again" in expired.stderr
    assert b"no cluster answers at http://127.0.0.1" in away.stderr
    assert b"no kubeconfig" in none.stderr
    assert b"is not there" in lost.stderr


def test_an_exec_plugin_gives_the_token_and_its_complaint_is_told(
    shop: FakeApi, tmp_path: Path, typed: Callable[..., Done]
) -> None:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "good"}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    plugin.chmod(0o755)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    config = shop.kubeconfig(tmp_path, user=user)
    good = typed("-l", "app=storefront", "--no-follow", kubeconfig=config)
    plugin.write_text("#!/bin/sh\necho 'your session is over' >&2\nexit 1\n")
    bad = typed("-l", "app=storefront", "--no-follow", kubeconfig=config)

    assert good.returncode == 0
    assert good.stdout
    assert bad.returncode == 3
    assert b"your session is over" in bad.stderr


def test_no_right_to_list_pods(shop: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    shop.refuse(Refusal(403, 'pods is forbidden: User "me" cannot list resource "pods"'), 9, path="/pods")
    done = tail(shop, tmp_path, "-l", "app=storefront")

    assert done.returncode == 3
    assert b"not allowed to read pods in namespace shop" in done.stderr


def test_a_pod_of_ten_containers(api: FakeApi, tmp_path: Path, tail: Callable[..., Done]) -> None:
    names = tuple(f"c{n}" for n in range(10))
    api.add("many-0", containers=names)
    api.write("many-0", "first container", container="c0")
    done = tail(api, tmp_path, "pod/many-0", "--no-follow")
    chosen = tail(api, tmp_path, "pod/many-0", "--no-follow", "-c", "c[0-3]")

    assert b"first container" in done.stdout
    assert b"reading c0, one of 10 containers (c0, c1," in done.stderr
    assert b"reading 4 containers of 1 pod" in chosen.stderr


def started(*args: str, **options: Any) -> subprocess.Popen[bytes]:
    env = cli.environment() | options.pop("env", {})
    return subprocess.Popen(
        [*cli.LOGPROC, "tail", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, **options
    )


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_ends_with_a_count(shop: FakeApi, tmp_path: Path) -> None:
    process = started("-l", "app=storefront", env={"KUBECONFIG": str(shop.kubeconfig(tmp_path))})
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert first
    assert process.returncode == 0
    assert b"lines of 2 pods in" in errors.splitlines()[-1]


def test_waits_for_a_pod_and_says_so(api: FakeApi, tmp_path: Path) -> None:
    process = started("-l", "app=late", "-o", "raw", env={"KUBECONFIG": str(api.kubeconfig(tmp_path))})
    assert process.stdout is not None and process.stderr is not None
    told = process.stderr.readline()
    api.add("late-1", labels={"app": "late"})
    api.write("late-1", "here I am")
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)

    assert b"no pod fits -l app=late in namespace shop; waiting for one" in told
    assert line == b"here I am\n"
    assert process.returncode == 0


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(inbound(n) + "\n" for n in range(5000)))
    done = subprocess.run(
        f"{' '.join(cli.LOGPROC)} tail {log} --tail -1 | head -1",
        shell=True, capture_output=True, timeout=60, env=cli.environment(), check=False,
    )  # fmt: skip

    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_a_file_that_grows_and_rotates(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(inbound(n, path=f"/{n}") + "\n" for n in range(30)))
    process = started(str(log), "-o", "{path}")
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(10)]
    with log.open("a") as file:
        file.write(inbound(30, path="/30") + "\n")
    log.rename(tmp_path / "access.log.1")
    log.write_text(inbound(31, path="/31") + "\n")
    later = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert first == [f"/{n}\n".encode() for n in range(20, 30)]
    assert later == [b"/30\n", b"/31\n"]


def test_pod_folders_begin_with_the_last_lines_of_the_current_files(tmp_path: Path, typed: Callable[..., Done]) -> None:
    for pod in ("web-1", "web-2"):
        folder = tmp_path / f"shop_{pod}_uid-{pod}" / "istio-proxy"
        folder.mkdir(parents=True)
        (folder / "0.log.20261121-100000").write_text(
            f"2026-11-21T09:00:00.000000000Z stdout F {inbound(1, path='/old')}\n"
        )
        lines = [f"2026-11-21T10:00:{n:02d}.{pod[-1]}Z stdout F {inbound(n, path=f'/{pod}/{n}')}\n" for n in range(20)]
        (folder / "0.log").write_text("".join(lines))
    done = typed(tmp_path, "--tail", "2", "--no-follow", "-o", "{pod} {path} {namespace}")

    assert done.stdout.decode().splitlines() == [
        f"{pod} /{pod}/{n} shop" for n in (18, 19) for pod in ("web-1", "web-2")
    ]


def test_prefixed_lines_of_kubectl_have_their_pods(tmp_path: Path) -> None:
    lines = "".join(
        f"[pod/storefront-{'beta-' if n % 2 else ''}6c8f7d9b5-t5lhv/istio-proxy] {inbound(n)}\n" for n in range(4)
    )
    done = cli.run("tail", "-", "-o", "{pod} {app}", stdin=lines.encode())

    assert set(done.stdout.decode().splitlines()) == {
        "storefront-6c8f7d9b5-t5lhv storefront",
        "storefront-beta-6c8f7d9b5-t5lhv storefront-beta",
    }


def test_lines_that_are_no_access_log_pass_through(tmp_path: Path) -> None:
    odd = b"hello\n\x1b[31mred\x1b[0m\n\xff\xfe\n" + inbound().encode() + b'\n[2026-11-21T10:00:00.000Z] "GET\n'
    done = cli.run("tail", "-", stdin=odd)
    raw = cli.run("tail", "-", "-o", "raw", stdin=b"one\ntwo\n" + inbound().encode() + b"\n")

    assert b"hello" in done.stdout
    assert b"\x1b" not in done.stdout
    assert b"/api/catalogue" in done.stdout
    assert len(done.stdout.splitlines()) == 5
    assert raw.stdout == b"one\ntwo\n" + inbound().encode() + b"\n"


def test_the_observed_weight_is_a_gate(tmp_path: Path) -> None:
    lines = [outbound(n, subset="beta" if n % 10 == 0 else "original") for n in range(500)]
    data = "\n".join(lines).encode() + b"\n"
    passed = cli.run(
        "tail",
        "-",
        "--summary",
        "-o",
        "json",
        "--for",
        "1m",
        "--expect-weight",
        "beta=10±3%",
        "--by",
        "subset",
        stdin=data,
    )
    failed = cli.run("tail", "-", "--summary", "--for", "1m", "--expect-weight", "beta=20+-3%", stdin=data)
    missing = cli.run("tail", "-", "--summary", "--for", "1m", "--expect-weight", "gamma=20+-3%", stdin=data)
    said = json.loads(passed.stdout)

    assert (passed.returncode, failed.returncode, missing.returncode) == (0, 1, 1)
    assert said["expectations"] == [
        {"service": "storefront.mushop", "subset": "beta", "expected": 10.0, "tolerance": 3.0, "observed": 10.0, "low": 7.67, "high": 12.94,
         "requests": 50, "ok": True}
    ]  # fmt: skip
    assert {r["subset"]: r["weight"] for r in said["rows"]} == {"beta": 0.1, "original": 0.9}
    assert "observed 10.0 % of the requests" in failed.stdout.decode()
    assert "no request to it was seen" in missing.stdout.decode()


def test_newly_stored_rows(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(inbound(n, path=f"/{n}", code=503 if n == 7 else 200) + "\n" for n in range(9)))
    cli.collect([log], f"chdb://{tmp_path}/store", tmp_path / "state")
    some = cli.run("tail", f"chdb://{tmp_path}/store", "--no-follow", "--tail", "3", "-o", "{path} {code}")
    errors = cli.run("tail", f"chdb://{tmp_path}/store", "--no-follow", "--tail", "-1", "--code", "503")

    assert some.stdout.decode().splitlines() == ["/6 200", "/7 503", "/8 200"]
    assert errors.stdout.count(b"\n") == 1


def test_completion_knows_the_cluster(shop: FakeApi, tmp_path: Path) -> None:
    config = shop.kubeconfig(tmp_path)

    def words(*typed: str) -> set[str]:
        line = " ".join(["logproc", "tail", *typed])
        env = cli.environment() | {
            "KUBECONFIG": str(config), "_LOGPROC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(typed) + 1),
        }  # fmt: skip
        code = "import sys; sys.argv[0] = 'logproc'; from logproc.main import main; main()"
        done = subprocess.run([cli.LOGPROC[0], "-c", code], env=env, capture_output=True, timeout=60, check=False)
        return set(done.stdout.decode().split())

    assert words("--context", "") == {"fake", "other"}
    assert words("-n", "sh") == {"shop"}
    assert words("-c", "") == {"istio-proxy", "storefront"}
    assert words("-l", "app=") >= {"app=storefront"} or words("-l", "app") >= {"app="}
    assert "deploy/" in words("dep")


def test_nothing_named_on_a_terminal() -> None:
    main, replica = os.openpty()
    done = subprocess.run(
        [*cli.LOGPROC, "tail"], stdin=replica, capture_output=True, env=cli.environment(), timeout=60, check=False
    )
    os.close(main)
    os.close(replica)

    assert done.returncode == 2
    assert b"nothing is named" in done.stderr
