"""Many commands in one process of its own: as fast as calls, and the embedded engine stays out of the tests' process.

with Session(env={"LOGPROC_STORE": ...}) as logproc:
    logproc("query", "SELECT 1").out
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import environment


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output of a command that succeeded."""
        assert self.code == 0, self.err
        return self.out.decode()


class Session:
    """A process that runs one `logproc` command after the other."""

    def __init__(self, env: Mapping[str, str] | None = None, home: Path | None = None) -> None:
        to_child, self._ask = os.pipe()
        self._answers, from_child = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.session", str(to_child), str(from_child)],
            env=environment(home, env),
            pass_fds=(to_child, from_child),
            cwd=Path(__file__).parent.parent,
        )
        os.close(to_child)
        os.close(from_child)
        self._requests = os.fdopen(self._ask, "w")
        self._replies = os.fdopen(self._answers)

    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Said:
        request = {"args": [str(a) for a in args], "stdin": base64.b64encode(stdin).decode()}
        print(json.dumps(request), file=self._requests, flush=True)
        reply: dict[str, Any] = json.loads(self._replies.readline())
        return Said(reply["code"], base64.b64decode(reply["out"]), base64.b64decode(reply["err"]).decode())

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._process.wait(60)
        self._replies.close()


def _run(args: list[str], stdin: bytes) -> dict[str, Any]:
    from logproc.main import main

    sys.argv = ["logproc", *args]
    sys.modules["__main__"].__package__ = None  # or help pages would name this module
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        for number, file in enumerate((given, out, err)):
            os.dup2(file.fileno(), number)
        sys.stdin = os.fdopen(0, closefd=False)
        code: Any = 0
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
        except BaseException:
            code = 1
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        out.seek(0)
        err.seek(0)
        return {
            "code": code,
            "out": base64.b64encode(out.read()).decode(),
            "err": base64.b64encode(err.read()).decode(),
        }


if __name__ == "__main__":
    held = None
    if "LOGPROC_STORE" in os.environ:
        # The engine stays open between the commands: to start it costs more than most of them.
        from sinks.store import open_store

        held = open_store(os.environ["LOGPROC_STORE"], create=True)
    requests, replies = os.fdopen(int(sys.argv[1])), os.fdopen(int(sys.argv[2]), "w")
    for line in requests:
        asked = json.loads(line)
        print(json.dumps(_run(asked["args"], base64.b64decode(asked["stdin"]))), file=replies, flush=True)
    if held:
        held.close()
