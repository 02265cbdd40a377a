"""The part of requirements.lock that an image needs, with its hashes: python requirements.py [--extras a,b | --build] LOCK.

The lock names everything that any use of the project needs, each with the packages that asked for it (`# via`). From what
pyproject.toml says an image uses, this follows those arrows.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path


def name_of(requirement: str) -> str:
    """The normalised name of a package."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def entries(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Each package's text in the lock, and who asked for it."""
    found: dict[str, tuple[str, set[str]]] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE):
        if name := name_of(block):
            comments = block.partition("# via")[2].replace("#", " ")
            text = "\n".join(line for line in block.splitlines() if not line.lstrip().startswith("#"))
            # One package has an entry for each range of Python versions.
            before, asked = found.get(name, ("", set()))
            found[name] = (f"{before}\n{text}".strip(), asked | {name_of(word) for word in comments.split()})
    return found


def needed(wanted: Iterable[str], lock: dict[str, tuple[str, set[str]]]) -> list[str]:
    """The wanted packages and all that they ask for. Raises KeyError for one that is not in the lock."""
    found = {name: lock[name] for name in wanted}
    while more := {n: e for n, e in lock.items() if n not in found and e[1] & set(found)}:
        found |= more
    return [text for _, (text, _) in sorted(found.items())]


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", default="", help="extras of pyproject.toml, with commas")
    parser.add_argument("--build", action="store_true", help="what builds the wheel, and nothing else")
    parser.add_argument("lock", type=Path)
    asked = parser.parse_args()
    project = tomllib.loads((asked.lock.parent / "pyproject.toml").read_text())
    if asked.build:
        wanted = project["build-system"]["requires"]
    else:
        wanted = list(project["project"]["dependencies"])
        for extra in filter(None, asked.extras.split(",")):
            wanted += project["project"]["optional-dependencies"][extra]
    sys.stdout.write("\n".join(needed(map(name_of, wanted), entries(asked.lock.read_text()))) + "\n")


if __name__ == "__main__":
    main()
