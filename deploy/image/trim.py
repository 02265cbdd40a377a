"""Take out of an installed environment what nothing runs: tests, headers, libraries to link with, others' programs: python trim.py FOLDER."""

import shutil
import sys
from pathlib import Path

FOLDERS = ("tests", "include", "__pycache__")
FILES = ("*.a", "*.pxd", "*.pyx", "*.lib")
PACKAGES = {"pyarrow": ("src",), "numpy": ("f2py", "distutils")}
"""Further folders of single packages. numpy imports neither unless it is asked for."""

PROGRAMS = ("logproc", "python*")
"""Of `bin` what stays: dependencies bring programs of their own, one of them for a folder that goes."""


def main() -> None:
    """Say how much it was."""
    environment = Path(sys.argv[1])
    for program in (environment / "bin").iterdir():
        if not any(program.match(pattern) for pattern in PROGRAMS):
            program.unlink()
    packages = next(environment.glob("lib/python3*/site-packages"))
    before = size(packages)
    for folder in FOLDERS:
        for path in [p for p in packages.rglob(folder) if p.is_dir()]:
            shutil.rmtree(path, ignore_errors=True)
    for package, names in PACKAGES.items():
        for name in names:
            shutil.rmtree(packages / package / name, ignore_errors=True)
    for pattern in FILES:
        for path in packages.rglob(pattern):
            path.unlink()
    print(f"{before >> 20} MB, {(before - size(packages)) >> 20} MB of it not needed")


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


if __name__ == "__main__":
    main()
