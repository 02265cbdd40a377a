"""Wheel and source distribution: what is in them, and that the wheel runs where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from logproc import __version__

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_version_comes_from_one_place(built: Path) -> None:
    assert {p.name for p in built.iterdir()} == {
        f"logproc-{__version__}-py3-none-any.whl",
        f"logproc-{__version__}.tar.gz",
    }


def test_the_wheel_has_the_packages_their_types_and_their_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    for package in ("logproc", "parsers", "sinks"):
        assert f"{package}/py.typed" in names
        sources = {str(p.relative_to(ROOT)) for p in (ROOT / package).rglob("*.py")}
        assert sources <= names
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "logproc" / "sql").rglob("*.sql")} <= names
    assert {name.split("/")[0] for name in names} == {"logproc", "parsers", "sinks", f"logproc-{__version__}.dist-info"}
    assert not [n for n in names if "__pycache__" in n]


def test_metadata_say_what_users_look_for(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    place = f"logproc-{__version__}.dist-info"
    found = HeaderParser().parsestr(archive.read(f"{place}/METADATA").decode())

    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert {"embedded", "kubernetes"} <= set(found.get_all("Provides-Extra", []))
    assert not any("chdb" in r and "extra" not in r for r in found.get_all("Requires-Dist", []))
    assert f"{place}/licenses/LICENSE" in archive.namelist()
    assert b"logproc = logproc.main:main" in archive.read(f"{place}/entry_points.txt")


def test_the_source_distribution_builds_tests_and_documents_but_has_no_leftovers(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "Dockerfile",
    } <= names
    assert {"docs/deploy.md", "deploy/compose.yaml", "tests/conftest.py"} <= names
    assert not [n for n in names if n.startswith((".venv", ".cache", "dist", "demo-data", "csv:"))]


def test_the_wheel_runs_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are this environment's; the project itself comes from the wheel alone."""
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    # Without this environment's own .pth files, one of which leads to the sources.
    (packages / "here.pth").write_text(f"{unpacked}\n{sysconfig.get_path('purelib')}\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, "-m", *args], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)

    where = subprocess.run(
        [python, "-c", "import logproc, parsers, sinks; print(logproc.__file__, parsers.__file__, sinks.__file__)"],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.count(str(unpacked)) == 3
    assert run("logproc", "--version").stdout == f"logproc {__version__}\n"
    simulated = run("logproc", "simulate", "--requests", "20", "--out", "pods")
    assert simulated.returncode == 0, simulated.stderr
    collected = run("logproc", "collect", "pods", "--to", "null:", "--no-follow", "-o", "json")
    assert collected.returncode == 0, collected.stderr
    assert '"lines": ' in collected.stdout
    assert run("logproc", "report").stdout.startswith("report")


def test_completion_for_shells_is_offered() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logproc", "--show-completion", "bash"], capture_output=True, text=True, cwd=ROOT, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "COMPLETE" in done.stdout
