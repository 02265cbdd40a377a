"""The Dockerfile: rules that matter, and its steps run in a fresh folder as a build would."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from logproc import healthcheck
from logproc.metrics_http import MetricsServer

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, instruction: str) -> list[str]:
        return [text for name, text in self.steps if name == instruction]


def read_stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = rest.split()
            stages[name] = Stage(base, name)
        elif stages:
            stages[list(stages)[-1]].steps.append((instruction, re.sub(r" +", " ", rest)))
    return stages


STAGES = read_stages()
FINAL = ("collector", "full")


def lineage(name: str) -> list[Stage]:
    """A stage and those it is built on, oldest first."""
    stage = STAGES.get(name)
    return [*lineage(stage.base), stage] if stage else []


def last_of(name: str) -> dict[str, str]:
    """What each instruction of an image says at last."""
    return dict(step for stage in lineage(name) for step in stage.steps)


def test_there_is_a_stage_for_each_image() -> None:
    assert set(FINAL) <= set(STAGES)


def test_bases_are_named_with_a_version() -> None:
    for stage in STAGES.values():
        assert stage.base in STAGES or re.search(r":(\$\{\w+\}|[\w.-]+)$", stage.base), stage.base
    assert re.search(r"^ARG PYTHON=\d\.\d+-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", FINAL)
def test_an_image_runs_without_rights_and_says_how_it_is(name: str) -> None:
    last = last_of(name)

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"]), "a number, so that runAsNonRoot can check it"
    assert last["ENTRYPOINT"] == '["logproc"]'
    assert re.search(r'CMD \["python", "-m", "logproc\.healthcheck"\]', last["HEALTHCHECK"])
    assert last["WORKDIR"].startswith("/")
    assert last["STOPSIGNAL"] == "SIGTERM"
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in last["LABEL"]


@pytest.mark.parametrize("name", FINAL)
def test_nothing_that_builds_is_in_an_image(name: str) -> None:
    for stage in lineage(name):
        assert not any("pip" in run or "apt" in run for run in stage.of("RUN"))
        for copied in stage.of("COPY"):
            source = re.match(r"--from=(\S+)", copied)
            assert source is not None
            assert source[1] in STAGES


def test_what_is_installed_has_hashes() -> None:
    installs = [r for s in STAGES.values() for run in s.of("RUN") for r in run.split("&&") if "install" in r]

    assert installs
    for run in installs:
        assert "--require-hashes" in run or "--no-index" in run, run


def test_nothing_is_fetched_by_add_or_written_as_a_secret() -> None:
    for stage in STAGES.values():
        assert stage.of("ADD") == []
        assert not any(re.search(r"(?i)password|secret|token", text) for name, text in stage.steps if name in {"ENV", "ARG"})  # fmt: skip


def test_what_is_copied_is_there_and_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    sources = [
        source
        for stage in STAGES.values()
        for copied in stage.of("COPY")
        if "--from" not in copied
        for source in copied.split()[:-1]
    ]

    assert "*" in rules
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == k or source.startswith(f"{k}/") or fnmatch.fnmatch(source, k) for k in kept), source


def selected(*options: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/image/requirements.py", *options, ROOT / "requirements.lock"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    blocks = re.split(r"^(?=[a-z0-9])", done.stdout, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for block in blocks if block.strip())
    return {re.split(r"[=\[ ]", block)[0] for block in blocks if block.strip()}


def test_the_collectors_image_has_what_it_needs_and_no_more() -> None:
    found = selected()

    assert {"pyarrow", "kafka-python", "clickhouse-connect", "pydantic", "typer", "rich"} <= found
    assert not found & {"chdb", "chdb-core", "pandas", "kubernetes", "pytest", "hatchling", "mypy", "starlette"}


def test_extras_and_the_build_are_parts_of_the_lock_too() -> None:
    assert {"chdb-core", "starlette", "kubernetes", "uvicorn"} <= selected("--extras", "embedded,kubernetes")
    assert "hatchling" in selected("--build")
    assert "pyarrow" not in selected("--build")


def test_every_range_of_python_versions_keeps_its_version() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/image/requirements.py", ROOT / "requirements.lock"], capture_output=True, text=True, check=True
    )  # fmt: skip
    lock = (ROOT / "requirements.lock").read_text()

    assert re.findall(r"^numpy==.*", done.stdout, re.MULTILINE) == re.findall(r"^numpy==.*", lock, re.MULTILINE)


def test_the_health_check_asks_whoever_listens() -> None:
    sick = ""

    class Nothing:
        def collect(self) -> list[object]:
            return []

    with MetricsServer(("127.0.0.1", 0), Nothing(), lambda: sick, lambda: "") as server:  # type: ignore[arg-type]
        places = [(1, "/ping"), (server.port, "/healthz")]
        assert healthcheck.check(places) == ""
        sick = "the loop stands still"
        assert "the loop stands still" in healthcheck.check(places)
    assert "nothing listens" in healthcheck.check([(1, "/ping")])


INSTALLED = {"collector": 280, "full": 1000}
"""Most MB that may be installed."""

COMPRESSED = {"collector": 110, "full": 330}
"""Most MB of the layer as a registry has it; the base image has some 50 more, and `collector` is to stay under 200."""

NOWHERE, NO_BROKER = "clickhouse://logproc@127.0.0.1:1/logproc", "kafka://127.0.0.1:1/logproc"
TYPED: Sequence[tuple[Sequence[str], str]] = (
    (["query", "SELECT 1", "--store", NOWHERE], "no connection"),
    (["audit", "--store", NOWHERE], "no connection"),
    (["schema", "apply", "--store", NOWHERE], "no connection"),
    (["doctor", "--to", NOWHERE, "--to", NO_BROKER], "2 to mend"),
    (["topics", "check", NO_BROKER], "refused"),
    (["load", NO_BROKER, "--to", NOWHERE, "--rows", "0"], "--rows"),
    (["install", "--print", "--embedded"], ""),
    (["flags", "UO"], ""),
)
"""What is typed in pods, and what it says on standard error where nothing is to be reached: so all that it imports is there."""

OF_TARGET: Mapping[str, Sequence[tuple[Sequence[str], str]]] = {
    "collector": ((["query", "SELECT 1", "--store", "chdb:///tmp/none"], "chdb is not installed"),),
    "full": (
        (["query", "SELECT 1", "--store", "chdb:///tmp/none"], "no store"),
        (["collect", "pods", "--to", "chdb://{home}/store", "--state", "state", "--no-follow", "-q"], ""),
        (["audit", "--store", "store", "--files", "pods"], ""),
        (["report", "traffic", "--store", "store"], ""),
        (["tail", "deploy/web"], "no kubeconfig"),
    ),
}


@dataclass(frozen=True)
class Image:
    """What a target's steps have installed, and how it is run."""

    target: str
    made: Path
    home: Path
    user: Mapping[str, int]
    """Of the image, where this may become another one and that one can reach the interpreter; else empty."""

    def run(self, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [self.made / "bin" / words[0], *words[1:]], input=stdin, capture_output=True, timeout=300, check=False, cwd=self.home,
            env={"PATH": f"{self.made}/bin", "HOME": str(self.home)}, **self.user,  # type: ignore[call-overload]
        )  # fmt: skip
        return done


@pytest.fixture(scope="module", params=FINAL)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """As `docker build` would: the same commands, with a fresh folder in place of the image's root."""
    tmp_path = tmp_path_factory.mktemp("image")
    python = shutil.which("python3") or sys.executable
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "EXTRAS": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "http", "HTTP", "REQUESTS_"))}
    source = tmp_path / "src"
    source.mkdir()
    for stage in lineage(f"build-{request.param}"):
        for instruction, text in stage.steps:
            if instruction == "COPY":
                *files, target = text.split()
                for file in files:
                    copy(ROOT / file, source / target / ("" if target.endswith("/") else "."))
            if instruction == "RUN":
                command = re.sub(r"(?<![\w.])/(opt|wheels)\b", rf"{tmp_path}/\1", text)
                command = re.sub(r"(^|&& )python ", rf"\1{python} ", command)
                subprocess.run(["bash", "-ec", command], cwd=source, env=env, check=True, timeout=900)
    made, home = tmp_path / "opt" / "logproc", tmp_path / "home"
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o755)
    home.mkdir()
    home.chmod(0o777)
    reachable = all(folder.stat().st_mode & 0o005 == 0o005 for folder in (made / "bin" / "python").resolve().parents)
    user = dict(zip(("user", "group"), map(int, last_of(request.param)["USER"].split(":")), strict=True))
    return Image(request.param, made, home, user if os.geteuid() == 0 and reachable else {})


@pytest.mark.long
def test_the_entry_point_collects_as_the_images_user(image: Image) -> None:
    (program,) = json.loads(last_of(image.target)["ENTRYPOINT"])
    logs = image.run(program, "simulate", "--requests", "50")
    said = image.run(program, "collect", "-", "--to", "null:", "--no-follow", "-o", "json", stdin=logs.stdout)

    assert said.returncode == 0, said.stderr.decode()
    assert json.loads(said.stdout)["lines"] == logs.stdout.count(b"\n")


@pytest.mark.long
def test_what_is_typed_in_its_pods_finds_all_that_it_imports(image: Image) -> None:
    assert image.run("logproc", "simulate", "--requests", "50", "--out", "pods").returncode == 0
    for words, expected in (*TYPED, *OF_TARGET[image.target]):
        typed = image.run("logproc", *(word.format(home=image.home) for word in words))
        assert expected in typed.stderr.decode(), (words, typed.stderr.decode())
        assert (typed.returncode == 0) == (not expected), (words, typed.stderr.decode())
        assert b"Traceback" not in typed.stderr, typed.stderr.decode()


@pytest.mark.long
def test_the_health_check_is_a_program_of_the_image(image: Image) -> None:
    command = json.loads(last_of(image.target)["HEALTHCHECK"].partition("CMD ")[2])
    done = image.run(*command)

    assert done.returncode in {0, 1}
    assert done.returncode == 0 or b"nothing listens" in done.stderr + done.stdout


@pytest.mark.long
def test_only_its_own_programs_are_in_an_image(image: Image) -> None:
    assert {p.name for p in (image.made / "bin").iterdir() if not p.name.startswith("python")} == {"logproc"}
    assert image.run("python", "-c", "import pip").returncode == 1


@pytest.mark.long
def test_an_image_is_as_small_as_it_is_said_to_be(image: Image) -> None:
    installed = sum(p.stat().st_size for p in image.made.rglob("*") if p.is_file() and not p.is_symlink())
    with subprocess.Popen(["tar", "-C", image.made, "-cz", "."], stdout=subprocess.PIPE) as layer:
        assert layer.stdout is not None
        compressed = sum(map(len, iter(partial(layer.stdout.read, 1 << 20), b"")))
    print(f"{image.target}: {installed / 1e6:.0f} MB installed, {compressed / 1e6:.0f} MB compressed")

    assert layer.returncode == 0
    assert installed < INSTALLED[image.target] * 1e6
    assert compressed < COMPRESSED[image.target] * 1e6


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
