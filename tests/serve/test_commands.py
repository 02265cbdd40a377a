"""`logproc serve` and `logproc up` as they are started, refused and stopped."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import trustme

from logproc.errors import EXIT_GAVE_UP, ConfigError
from logproc.serve.server import Listen
from logproc.serve.users import Limits, hash_password, read_users
from tests.cli import LOGPROC, environment, output, run
from tests.serve.servers import Running, serving, start, until

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)"
LINE = (
    '[2026-11-20T10:00:00.{n:03d}Z] "GET /reviews/{n} HTTP/1.1" 200 - via_upstream - "-" 0 295 12 11 "-" "curl/8.5.0" '
    '"137068b0-3a6d-9e4b-91c4-9787a5af{n:04x}" "reviews:9080" "10.244.1.7:9080" inbound|9080|| 127.0.0.6:52345 10.244.1.7:9080 10.244.2.9:41234 '
    "outbound_.9080_._.reviews.default.svc.cluster.local default\n"
)


def log(path: Path, lines: int, first: int = 0) -> Path:
    with path.open("a") as file:
        file.writelines(LINE.format(n=n) for n in range(first, first + lines))
    return path


def refused(*args: str | Path, **options: object) -> str:
    done = run(*args, timeout=60, **options)  # type: ignore[arg-type]
    assert done.returncode in {2, 3}
    assert done.stdout == b""
    error = done.stderr.decode()
    assert error.startswith("error: "), error
    assert "Traceback" not in error
    return f"{done.returncode} {error}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "store"
    path = log(folder.with_name("access.log"), 10)
    output("collect", path, "--to", folder, "--state", folder.with_name("state"), "--no-follow")
    return folder


def test_says_where_and_what_to_try(store: Path) -> None:
    with serving("serve", "--store", store) as server:
        until(lambda: len(server.said) > 1)
        assert server.said == [
            f"listening on {server.url}",
            f"try: curl '{server.url}/?query=SELECT+count()+FROM+access_log'",
        ]
        command = server.said[1].removeprefix("try: ")
        assert subprocess.run(command, shell=True, capture_output=True, check=True).stdout == b"10\n"
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_in_the_middle_of_a_question(store: Path, number: int) -> None:
    with serving("serve", "--store", store) as server:
        said: list[object] = []

        def ask() -> None:
            try:
                said.append(server.ask(ENDLESS).status)
            except OSError as error:
                said.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: server.value("SELECT count() FROM system.processes") == "2")
        began = time.monotonic()
        assert server.stop(number, 30) == 0
        assert time.monotonic() - began < 20
        thread.join(20)
        assert said


def test_a_port_that_is_taken(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused("serve", "--store", store, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert said.startswith("2 ")
    assert "the port is in use" in said


def test_a_store_that_another_process_has_says_who(store: Path) -> None:
    with serving("serve", "--store", store) as server:
        for command in (
            ["serve", "--store", store, "--listen", "127.0.0.1:0"],
            ["query", "SELECT 1", "--store", store],
        ):
            said = refused(*command)
            assert said.startswith("3 ")
            assert f"in use by process {server.process.pid}" in said


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    assert "is no store" in refused("serve", "--store", tmp_path / "other", "--listen", "127.0.0.1:0")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused("serve", "--store", tmp_path / "file", "--listen", "127.0.0.1:0")
    assert "there is no store" in refused(
        "serve", "--store", tmp_path / "none", "--readonly", "--listen", "127.0.0.1:0"
    )
    assert "embedded" in refused("serve", "--store", "clickhouse://localhost/x", "--listen", "127.0.0.1:0")


def test_a_store_of_a_newer_logproc(tmp_path: Path) -> None:
    with serving("serve", "--store", tmp_path / "store") as server:
        server.value("INSERT INTO schema_version (version) VALUES (9999)")
    assert "version 9999" in refused("serve", "--store", tmp_path / "store", "--listen", "127.0.0.1:0")


@pytest.mark.parametrize("place", ["nonsense", "127.0.0.1:99999", "host.invalid:1", "127.0.0.1:x", "203.0.113.1:1"])
def test_places_that_cannot_be_listened_on(place: str) -> None:
    with pytest.raises(ConfigError, match="--listen"):
        Listen.parse(place).bind()


def test_places_as_people_write_them() -> None:
    for text, host, loopback in (
        ("8123", "127.0.0.1", True), (":8123", "0.0.0.0", False), ("[::1]:8123", "::1", True), ("localhost:8123", "localhost", True), ("10.0.0.1:8123", "10.0.0.1", False),
    ):  # fmt: skip
        listen = Listen.parse(text)
        assert (listen.host, listen.port, listen.loopback) == (host, 8123, loopback)
        assert listen.url(8123).endswith(":8123")


def test_nobody_listens_to_the_world_without_a_password(store: Path, tmp_path: Path) -> None:
    said = refused("serve", "--store", store, "--listen", "0.0.0.0:0")
    assert "everybody who reaches this address" in said
    assert "--users" in said
    users = tmp_path / "users.toml"
    users.write_text("[users.default]\nreadonly = true\n")
    assert "everybody" in refused("serve", "--store", store, "--listen", ":0", "--users", users)
    with serving("serve", "--store", store, "--listen", "0.0.0.0:0", env={"LOGPROC_PASSWORD": "secret"}) as server:
        assert server.ask("SELECT 1").status == 401
        assert server.ask("SELECT 1", user="default", password="secret").status == 200
        assert server.ask("SELECT 1", user="default", password="secret", headers={"Host": "logs.example"}).status == 200


def test_read_only_for_everybody(store: Path) -> None:
    with serving("serve", "--store", store, "--readonly") as server:
        assert server.value("SELECT count() FROM access_log") == "10"
        for sql in (
            "DROP TABLE access_log",
            "INSERT INTO access_log (line) VALUES (1)",
            "CREATE DATABASE x",
            "SELECT * FROM system.processes",
        ):
            assert server.ask(sql).status >= 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "users: Field required"),
        ("[users]\n", "there is no user"),
        ("[users.a]\npasword = 'x'", "users.a.pasword"),
        ("[users.a]\npassword = 'plain'", "the password is no hash"),
        ("[users.a]\npassword = 'scrypt$3$8$1$AAAA$AAAA'", "n must be a power of 2"),
        ("[users.a]\npassword = 'scrypt$1073741824$8$1$AAAA$AAAA'", "no hash that can be checked"),
        ("[users.a]\nreadonly = 'yes'", "users.a.readonly"),
        ("[users.a]\nmax_memory_usage = 'much'", "is no size"),
        ("users = [", "it has to be TOML"),
    ],
)
def test_a_users_file_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    users = tmp_path / "users.toml"
    users.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_users(users, Limits(), database="logproc")
    assert said in str(caught.value)


def test_users_without_a_file(store: Path, tmp_path: Path) -> None:
    assert "No such file" in refused("serve", "--store", store, "--users", tmp_path / "none", "--listen", "127.0.0.1:0")


def test_hash_password(store: Path, tmp_path: Path) -> None:
    made = output("serve", "hash-password", stdin=b"pass word\n").decode().strip()
    users = tmp_path / "users.toml"
    users.write_text(f'[users.me]\npassword = "{made}"\n')
    with serving("serve", "--store", store, "--users", users) as server:
        assert server.ask("SELECT 1", user="me", password="pass word").status == 200
        assert server.ask("SELECT 1", user="me", password="password").status == 403
        assert server.ask("SELECT 1").status in {401, 403}
    assert "empty" in refused("serve", "hash-password", stdin=b"\n")
    assert hash_password("x") != hash_password("x")


def test_tls(store: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    with serving(
        "serve", "--store", store, "--tls-cert", tmp_path / "both.pem", "--tls-key", tmp_path / "both.pem"
    ) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with urllib.request.urlopen(f"{server.url}/?query=SELECT+1", context=context) as answer:
            assert answer.read() == b"1\n"
    assert "TLS needs" in refused(
        "serve", "--store", store, "--tls-cert", tmp_path / "both.pem", "--listen", "127.0.0.1:0"
    )
    for broken in (tmp_path / "none.pem", Path(__file__)):
        assert "--tls-cert" in refused(
            "serve", "--store", store, "--tls-cert", broken, "--tls-key", broken, "--listen", "127.0.0.1:0"
        )


def test_a_kill_in_the_middle_of_inserts_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    sent, acknowledged = set(), set()
    for round_ in range(2):
        server = start("serve", "--store", tmp_path / "store")
        server.value(
            "CREATE TABLE IF NOT EXISTS batches (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY batch SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1"
        )
        stop = threading.Event()

        def write(first: int, server: Running = server, stop: threading.Event = stop) -> None:
            for batch in range(first, first + 10_000, 2):
                if stop.is_set():
                    return
                body = "".join(f"{batch},{n}\n" for n in range(5000))
                sent.add(batch)
                try:
                    answer = server.ask(
                        body, query="INSERT INTO batches FORMAT CSV", insert_deduplication_token=f"b{batch}"
                    )
                except OSError:
                    return
                if answer.status == 200:
                    acknowledged.add(batch)

        threads = [threading.Thread(target=write, args=(round_ * 20_000 + n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        until(lambda round_=round_: len(acknowledged) > 8 * (round_ + 1))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join(30)

    with serving("serve", "--store", tmp_path / "store") as server:
        stored = dict(
            json.loads(line)
            for line in server.value(
                "SELECT batch, toUInt32(count()) FROM batches GROUP BY batch FORMAT JSONCompactEachRow"
            ).splitlines()
        )
    assert set(stored.values()) == {5000}, "a batch is whole or absent"
    assert acknowledged <= set(stored) <= sent
    assert len(set(stored) - acknowledged) <= 6  # those whose acknowledgement the kill cut off


def test_a_collector_elsewhere_writes_each_line_once_through_kills(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = ["--listen", f"127.0.0.1:{port}"]
    path = log(tmp_path / "access.log", 900)
    for n in range(60):
        log(path, 900, n * 900 % 900)
    server = start("serve", "--store", tmp_path / "store", *listen)
    collect = subprocess.Popen(
        [*LOGPROC, "collect", str(path), "--to", f"clickhouse://default@127.0.0.1:{port}/logproc", "--state", str(tmp_path / "state"),
         "--no-follow", "--output", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    until(
        lambda: (
            server.value("SELECT count() FROM system.processes WHERE query_kind = 'Insert'") != "0"
            or server.value("SELECT count() FROM access_log") != "0"
        )
    )
    server.kill()
    time.sleep(0.5)
    server = start("serve", "--store", tmp_path / "store", *listen)
    said, errors = collect.communicate(timeout=120)
    assert collect.returncode == 0, errors
    assert json.loads(said)["rows"]["access_log"] == 61 * 900

    again = output(
        "collect",
        path,
        "--to",
        f"clickhouse://default@127.0.0.1:{port}/logproc",
        "--state",
        tmp_path / "other",
        "--no-follow",
        "--output",
        "json",
    )
    assert json.loads(again)["lines"] == 61 * 900
    assert server.value("SELECT count(), uniqExact(line) FROM access_log") == f"{61 * 900}\t{61 * 900}"
    assert server.value("SELECT sum(n) FROM traffic_1m") == str(61 * 900)
    assert server.stop() == 0


def test_up_answers_while_lines_stream_in(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 5)
    with serving("up", path, "--store", tmp_path / "store", "--state", tmp_path / "state") as server:
        until(lambda: server.value("SELECT count() FROM access_log") == "5")
        log(path, 7, 5)
        until(lambda: server.value("SELECT count() FROM access_log") == "12")
        log(path, 3, 12)
        assert server.stop() == 0
    # What was written after it stopped reading is read by the next one.
    output("collect", path, "--to", tmp_path / "store", "--state", tmp_path / "state", "--no-follow")
    with serving("serve", "--store", tmp_path / "store") as server:
        assert server.value("SELECT count(), uniqExact(line) FROM access_log") == "15\t15"


def test_up_takes_the_options_of_collect_and_ends_with_its_summary(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 4)
    probe = path.read_text().splitlines()[0].replace("curl/8", "kube-probe/1.31")
    assert "kube-probe" in probe
    path.write_text(path.read_text() + probe + "\n")
    printed = tmp_path / "summary.json"
    with (
        printed.open("wb") as out,
        serving(
            "up", path, "--store", tmp_path / "store", "--state", tmp_path / "state",
            "--no-probes", "--redact", "user_agent", "-o", "json", "--metrics-listen", "127.0.0.1:0", "--log-format", "json",
            stdout=out,
        ) as server,
    ):  # fmt: skip
        until(lambda: server.value("SELECT count() FROM access_log") == "4")
        assert server.value("SELECT count() FROM access_log WHERE user_agent != ''") == "0"
        said = [json.loads(line) for line in server.said]
        (metrics,) = [s["message"].split()[-1] for s in said if s["message"].startswith("metrics: ")]
        with urllib.request.urlopen(metrics, timeout=10) as page:
            assert b"logproc" in page.read()
        assert server.stop() == 0
    summary = json.loads(printed.read_text())
    assert (summary["lines"], summary["rows"]["access_log"], summary["left_out"]) == (5, 4, 1)


def test_up_refuses_options_before_it_makes_a_store(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 1)
    said = refused(
        "up", path, "--store", tmp_path / "store", "--exclude", "response_cod = 1", "--listen", "127.0.0.1:0"
    )
    assert "response_cod" in said
    assert "-l needs the Kubernetes API" in refused(
        "up", path, "--store", tmp_path / "store", "-l", "app=x", "--no-kubernetes", "--listen", "127.0.0.1:0"
    )


def test_a_collector_that_gives_up_ends_up_with_its_code(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 5)
    state = tmp_path / "state"
    with serving("up", path, "--store", tmp_path / "store", "--state", state) as server:
        until(lambda: server.value("SELECT count() FROM access_log") == "5")
        # What the store refuses for good cannot be put aside either: there is a file where its folder should be.
        (state / "dead_letter").write_text("")
        assert server.ask("ALTER TABLE access_log ADD CONSTRAINT five CHECK line < 5").status == 200
        log(path, 5, 5)
        assert server.process.wait(60) == EXIT_GAVE_UP
    assert any("cannot be put aside" in line for line in server.said), server.said


def test_tail_follows_what_another_process_stores(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 3)
    with serving("up", path, "--store", tmp_path / "store", "--state", tmp_path / "state") as server:
        until(lambda: server.value("SELECT count() FROM access_log") == "3")
        place = f"clickhouse://default@127.0.0.1:{server.port}/logproc"
        tail = subprocess.Popen(
            [*LOGPROC, "tail", place, "--tail", "2", "-o", "{path} {code}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(None, None),
        )  # fmt: skip
        try:
            assert tail.stdout is not None
            assert [tail.stdout.readline() for _ in range(2)] == [b"/reviews/1 200\n", b"/reviews/2 200\n"]
            for first in range(3, 9, 2):
                log(path, 2, first)
                assert [tail.stdout.readline() for _ in range(2)] == [
                    b"/reviews/%d 200\n" % (first + n) for n in (0, 1)
                ]
            tail.send_signal(signal.SIGINT)
            printed, said = tail.communicate(timeout=30)
        finally:
            tail.kill()
        assert (tail.returncode, printed) == (0, b"")
        assert b"8 shown" in said
        assert server.stop() == 0


def test_up_is_refused_as_its_parts_are(tmp_path: Path) -> None:
    path = log(tmp_path / "access.log", 5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(
            "up",
            path,
            "--store",
            tmp_path / "store",
            "--state",
            tmp_path / "state",
            "--listen",
            f"127.0.0.1:{taken.getsockname()[1]}",
        )
    assert "the port is in use" in said


def test_the_other_commands_take_it_for_a_server(server: Running, tmp_path: Path) -> None:
    url = f"clickhouse://default@127.0.0.1:{server.port}/second"
    path = log(tmp_path / "access.log", 50)
    output("schema", "apply", "--store", url)
    output("schema", "check", "--store", url)
    output("collect", path, "--to", url, "--state", tmp_path / "state", "--no-follow")
    assert json.loads(output("audit", "--store", url, "--output", "json"))["rows"] == 50
    assert json.loads(output("query", "SELECT count() AS n FROM access_log", "--store", url, "-o", "jsonl")) == {
        "n": 50
    }
    assert server.ask("DROP DATABASE second").status == 200


def test_help_starts_fast_and_shows_the_way() -> None:
    assert b"hash-password" in output("serve", "--help")
    assert b"--listen" in output("up", "--help")
    script = "import sys; import logproc.commands.serve, logproc.commands.up; print([m for m in ('uvicorn', 'starlette', 'chdb', 'pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"[]\n"
