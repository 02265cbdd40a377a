"""What a terminal shows: rows, colours, sizes, key presses, and how it is left."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte
import pytest

from tests import cli
from tests.tail.lines import MESSAGE, inbound, outbound

GOLDEN = Path(__file__).parent.parent / "golden"


class Terminal:
    """A process on a pseudo-terminal, and the screen that it draws."""

    def __init__(self, child: pexpect.spawn, rows: int, columns: int) -> None:
        self.child, self.screen = child, pyte.HistoryScreen(columns, rows, history=10_000)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""

    def read(self, seconds: float = 0.1) -> None:
        try:
            data = self.child.read_nonblocking(1 << 16, seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self.stream.feed(data)

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "\n".join(self.lines())
            self.read()

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.lines())

    def end(self) -> int:
        end = time.monotonic() + 120
        while self.child.isalive():
            assert time.monotonic() < end
            self.read()
        self.read(0.2)
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)


@contextmanager
def terminal(*args: str | Path, rows: int = 24, columns: int = 120, color: bool = False) -> Iterator[Terminal]:
    env = {k: v for k, v in cli.environment().items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | ({} if color else {"NO_COLOR": "1"})
    child = pexpect.spawn(
        sys.executable, ["-m", "logproc", "tail", *map(str, args)], env=env, dimensions=(rows, columns)
    )
    child.delaybeforesend = None
    try:
        yield Terminal(child, rows, columns)
    finally:
        child.close(force=True)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    rows = [
        MESSAGE,
        inbound(1, path="/api/catalogue", duration=7),
        outbound(
            2,
            path="/api/orders/4389940e09ac9abeda203dfd",
            code=503,
            flags="UO",
            details="overflow",
            duration=0,
            subset="beta",
        ),
        inbound(3, path="/" + "long/" * 30, code=404, duration=1240),
        inbound(4, method="POST", path="/paymentAuth", code=201, duration=65_000),
        "2026-11-21T10:00:05.000000Z\twarning\tenvoy config\tgRPC config stream closed: 14, connection reset \x1b[31m by peer",
    ]
    path.write_text("".join(r + "\n" for r in rows))
    return path


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("columns", [70, 100, 160, 220])
def test_rows_fit_the_terminal(columns: int, log: Path) -> None:
    with terminal(log, "--no-follow", columns=columns, rows=12) as shown:
        assert shown.end() == 0
        lines = shown.lines()

    golden(f"tail_{columns}", "\n".join(lines) + "\n")
    assert all(len(line) <= columns for line in lines)
    assert len(lines) == 6  # nothing wraps


def test_colours_and_their_absence(log: Path) -> None:
    with terminal(log, "--no-follow", color=True) as coloured:
        coloured.end()
    with terminal(log, "--no-follow") as plain:
        plain.end()
    with terminal(log, "--no-follow", "--color", "always") as forced:
        forced.end()
    with terminal(log, "--no-follow", "--color", "never", color=True) as refused:
        refused.end()

    assert b"\x1b[1;31m503" in coloured.raw
    assert b"\x1b[1;31m503" in forced.raw
    assert b"\x1b" not in plain.raw + refused.raw
    assert coloured.raw.count(b"\x1b[31m") == 1, "only flags are red, and no escape of the log comes through"


def test_ctrl_c_leaves_the_terminal_clean(log: Path) -> None:
    with terminal(log, color=True) as shown:
        shown.until(lambda: shown.shows("paymentAuth"))
        shown.child.sendintr()
        assert shown.end() == 0

    assert re.fullmatch(r"6 lines in \d+ s, 6 shown", shown.lines()[-1])
    assert shown.screen.cursor.attrs.fg == "default"


def test_another_size_changes_the_rows_that_follow(log: Path) -> None:
    with terminal(log, columns=160) as shown:
        shown.until(lambda: shown.shows("paymentAuth"))
        shown.child.setwinsize(24, 70)
        shown.screen.resize(24, 70)
        time.sleep(0.3)
        shown.raw = b""
        with log.open("a") as file:
            file.write(inbound(9, path="/" + "again/" * 30) + "\n")
        shown.until(lambda: b"again" in shown.raw)
        shown.read(0.3)
        shown.child.sendintr()
        shown.end()

    (line,) = [part for part in shown.raw.decode().split("\r\n") if "again" in part]
    assert len(line) <= 70


def test_matches_are_marked(log: Path) -> None:
    with terminal(log, "--no-follow", "--highlight", "catalogue", color=True) as shown:
        shown.end()

    assert b"\x1b[1;30;43mcatalogue\x1b[0m" in shown.raw


def test_what_is_too_fast_for_the_display_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    count = 60_000
    log.write_text("".join(inbound(n) + "\n" for n in range(count)))
    with terminal(log, "--tail", "-1", "--no-follow") as shown:
        shown.end()
        said = shown.raw.decode().replace("\r\n", " ")
    found = re.search(r"([0-9,]+) lines in [0-9]+ s, ([0-9,]+) shown; ([0-9,]+) too fast for the display", said)
    assert found is not None, said[-300:]
    lines, printed, unseen = (int(text.replace(",", "")) for text in found.groups())
    assert lines == count
    assert printed + unseen == count
    assert said.count(" GET ") == printed

    everything = cli.output("tail", log, "--tail", "-1", "--no-follow").splitlines()
    assert len(everything) == count, "a file or a pipe gets every line"


def test_the_summary_sorts_by_keys_and_stays(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    lines = [outbound(n, subset="beta" if n % 5 == 0 else "original") for n in range(50)]
    lines += [outbound(n, service="cart.shop.svc.cluster.local", code=503, flags="UO", duration=900) for n in range(5)]
    log.write_text("".join(line + "\n" for line in lines))
    with terminal(log, "--tail", "-1", "--summary", rows=20, columns=120) as shown:
        shown.until(lambda: shown.shows("cart.shop"))
        first = shown.lines()
        shown.child.send("e")
        shown.until(lambda: shown.shows("by errors"))
        sorted_by_errors = shown.lines()
        shown.child.send("bb")
        shown.until(lambda: shown.shows("weight") and shown.shows("20.0%"))
        by_subset = shown.lines()
        shown.child.send("q")
        assert shown.end() == 0

    def rank(lines: list[str], name: str) -> int:
        return next(i for i, line in enumerate(lines) if line.startswith(name))

    assert rank(first, "storefront") < rank(first, "cart")
    assert rank(sorted_by_errors, "cart") < rank(sorted_by_errors, "storefront")
    assert "100.0%" in next(line for line in first if line.startswith("cart"))
    assert [line.split()[-1] for line in by_subset if line.startswith("storefront")] == ["80.0%", "20.0%"]
    assert shown.shows("storefront.mushop"), "the last table stays"
    assert not shown.screen.cursor.hidden
