"""The pages cannot drift: what they tell users to type exists, and the tables' reference is what the code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from logproc import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "logproc" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def typed(page: Path) -> list[str]:
    """The command lines in a page's console blocks, pipes split."""
    lines = [
        line
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
    ]
    return [part.strip() for line in lines if line.startswith("$ ") for part in line[2:].split(" | ")]


COMMANDS = [text for page in PAGES for text in typed(page) if text.startswith("logproc ")]


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("text", COMMANDS)
def test_what_users_are_told_to_type_exists(text: str) -> None:
    words = shlex.split(text)[1:]
    assert words[0] in main.command_names()
    command = main.load(words[0])
    for word in words[1:]:
        if not hasattr(command, "commands"):
            break
        if word in command.commands:
            command = command.commands[word]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}
    assert {w.split("=")[0] for w in words if w.startswith("-") and w not in {"-", "-1"}} <= known


def test_every_target_the_readme_names_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"(?:^\$ |`)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(named)
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "logproc" / "README.md").read_text()
    for name in set(re.findall(r"`((?:parsers|sinks|sql|tests|logproc)/[\w/]+\.\w+|[a-z_]+\.py)`", page)):
        found = [ROOT / name, ROOT / "logproc" / name]
        assert any(path.exists() for path in found), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
        if link.startswith("http"):
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, anchor
