"""The arrows between the packages, read from the code: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = {
    "logproc.model", "logproc.columns", "logproc.errors", "logproc.urls", "logproc.identity", "logproc.jsonl", "logproc.response_flags",
    "logproc.serve.engine",
    # what both ends of a topic share
    "logproc.message", "logproc.broker", "logproc.producer", "logproc.topic_settings",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in {"logproc", "parsers", "sinks"}}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", [*modules("parsers"), *modules("sinks")], ids=str)
def test_parsers_and_sinks_know_only_the_contracts(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    wrong = {
        n
        for n in imports(path)
        if n.split(".")[0] != own and not any(n == c or n.startswith(f"{c}.") for c in CONTRACTS)
    }

    assert wrong - {"logproc"} == set()


@pytest.mark.parametrize("path", modules("logproc"), ids=str)
def test_the_engine_knows_no_format_and_no_database(path: Path) -> None:
    place = path.relative_to(ROOT / "logproc").parts[0]
    if place == "commands":
        return
    wrong = {n for n in imports(path) if n.split(".")[0] in {"parsers", "sinks"}}
    if place == "simulator":  # plays Envoy, so it reads format strings; nothing imports it but its command and the demo
        wrong = {n for n in wrong if not n.startswith(("parsers.format_string", "parsers.defaults", "parsers"))}

    assert wrong == set()


def test_the_model_imports_nothing_of_ours() -> None:
    assert imports(ROOT / "logproc/model.py") == set()


@pytest.mark.parametrize("path", [p for f in ("logproc", "parsers", "sinks") for p in modules(f)], ids=str)
def test_no_module_has_outgrown_its_name(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 450, "split it: one reason to change per module"
