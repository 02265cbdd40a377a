"""The summary on a terminal (live, sorted by key presses), as plain text at the end, or as JSON."""

from __future__ import annotations

import json
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from logproc.output import text_table
from logproc.tail.reading import Rows
from logproc.tail.summary import BY, Expectation, Line, Summary, sentence
from logproc.tail.texts import duration, short_pod
from logproc.text_table import Heading, Kind, printable

REFRESH_SECONDS = 0.5
JSON_SECONDS = 5.0
"""How often an object is printed where there is no end."""
HEADS = {"service": ("service",), "edge": ("source", "service"), "subset": ("service", "subset"), "pod": ("pod",)}
ORDERS: dict[str, tuple[str, Callable[[Line], Any]]] = {
    "r": ("rate", lambda line: -line.rate),
    "e": ("errors", lambda line: -(line.group.failed / line.group.requests if line.group.requests else 0)),
    "l": ("latency", lambda line: -(line.group.percentile(0.95) or 0)),
    "n": ("name", lambda line: line.names),
    "w": ("weight", lambda line: (line.names[0], -line.weight)),
}
"""Keys, what they sort by, and how."""


def cells(line: Line, by: str) -> list[str]:
    """The texts of one row."""
    g = line.group
    names = [short_pod(n) if by == "pod" else n for n in line.names]
    share = f"{100 * g.failed / g.requests:.1f}%" if g.failed else "-"
    kinds = " ".join(f"{name} {100 * n / g.requests:.1f}%" for name, n in g.errors.most_common(3))
    found = [*map(printable, names), line.side, f"{line.rate:.1f}", f"{g.requests:,}", share, kinds or "-"]
    found += [_milliseconds(g.percentile(p)) for p in (0.5, 0.95, 0.99)]
    if by == "subset":
        found.append(f"{100 * line.weight:.1f}%")
    return found


def headings(by: str) -> list[str]:
    """The heads of the columns."""
    heads = [*HEADS[by], "side", "req/s", "requests", "errors", "of these", "p50", "p95", "p99"]
    return [*heads, "weight"] if by == "subset" else heads


_NUMBERS = {"req/s", "requests", "errors", "p50", "p95", "p99", "weight"}


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else duration(round(value))


class SummaryText:
    """Counts; prints a table at the end, and what became of the expectations."""

    def __init__(self, summary: Summary, by: str) -> None:
        self.summary, self.by = summary, by
        self._judged: list[dict[str, Any]] = []

    def show(self, rows: Rows) -> None:
        """Count the rows."""
        self.summary.add(rows)

    def tick(self) -> bool:
        """Nothing is shown before the end."""
        return True

    def resize(self, columns: int) -> None:
        """Nothing depends on the width before the end."""

    def judge(self, expectations: Sequence[Expectation]) -> bool:
        """Whether one of them failed."""
        lines = self.summary.lines("subset")
        self._judged = [entry for e in expectations for entry in e.judge(lines)]
        return not all(entry["ok"] for entry in self._judged)

    def close(self) -> None:
        """Leave the terminal as it was."""

    def finish(self) -> None:
        """Print what was counted."""
        lines = self.summary.lines(self.by)
        table = text_table([Heading(h, Kind.NUMBER if h in _NUMBERS else Kind.TEXT) for h in headings(self.by)])
        # Numbers are texts here: a share has its sign.
        table.write([cells(line, self.by) for line in lines])
        for entry in self._judged:
            print(sentence(entry), flush=True)


class SummaryJson(SummaryText):
    """One object at the end; without an end one every five seconds."""

    def __init__(self, summary: Summary, by: str) -> None:
        super().__init__(summary, by)
        self._printed = time.monotonic()

    def tick(self) -> bool:
        """Print an object when it is time."""
        if self.summary.window and time.monotonic() - self._printed >= JSON_SECONDS:
            self._printed = time.monotonic()
            self._print()
        return True

    def finish(self) -> None:
        """Print the last object."""
        self._print()

    def _print(self) -> None:
        lines = [line.as_json(self.by) for line in self.summary.lines(self.by)]
        said: dict[str, Any] = {
            "seconds": round(self.summary.seconds, 1),
            "requests": self.summary.requests,
            "by": self.by,
            "rows": lines,
        }
        if self._judged:
            said["expectations"] = self._judged
        print(json.dumps(said, ensure_ascii=False), flush=True)


class SummaryScreen(SummaryText):
    """A table that is drawn again and again, and stays when it ends."""

    def __init__(self, summary: Summary, by: str, *, colours: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(summary, by)
        self._order, self._drawn, self._quit = "r", 0.0, False
        self._console = Console(
            file=sys.stdout,
            force_terminal=True,
            color_system="auto" if colours else None,
            no_color=not colours,
            highlight=False,
        )
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()
        self._saved: list[Any] | None = None
        if sys.stdin.isatty():
            self._saved = termios.tcgetattr(0)
            tty.setcbreak(0)

    def say(self, text: str) -> None:
        """A line above the table."""
        self._console.print(printable(text), style="dim", markup=False)

    def tick(self) -> bool:
        """Take key presses and draw when it is time."""
        pressed = self._keys()
        now = time.monotonic()
        if pressed or now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._live.update(self._table(), refresh=True)
        return not self._quit

    def _keys(self) -> bool:
        pressed = False
        while self._saved is not None and select.select([0], [], [], 0)[0]:
            key = os.read(0, 1).decode("latin-1").lower()
            if not key:
                break
            pressed = True
            if key == "q":
                self._quit = True
            elif key == "b":
                self.by = BY[(BY.index(self.by) + 1) % len(BY)]
            elif key in ORDERS:
                self._order = key
        return pressed

    def _table(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lines = sorted(self.summary.lines(self.by), key=ORDERS[self._order][1])
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for head in headings(self.by):
            table.add_column(head, justify="right" if head in _NUMBERS else "left", no_wrap=True, overflow="ellipsis")
        room = max(3, self._console.size.height - 7)
        for line in lines[:room]:
            failed = line.group.failed / line.group.requests if line.group.requests else 0
            style = "red" if failed >= 0.05 else "yellow" if failed else ""
            table.add_row(
                *[
                    Text(c, style=style if h in ("errors", "of these") else "")
                    for h, c in zip(headings(self.by), cells(line, self.by), strict=True)
                ]
            )
        more = f"{len(lines) - room} more; " if len(lines) > room else ""
        window = f"last {self.summary.window:.0f} s" if self.summary.window else f"{self.summary.seconds:.0f} s"
        keys = " ".join(f"[{k}]{name[1:] if name[0] == k else name}" for k, (name, _) in ORDERS.items())
        foot = f"{more}{window}, by {ORDERS[self._order][0]};  sort {keys}   [b]y {self.by}   [q]uit"
        return Group(table, Text(foot, style="dim", no_wrap=True, overflow="ellipsis"))

    def close(self) -> None:
        """Draw the last table and give the terminal back."""
        self._live.update(self._table(), refresh=True)
        self._live.stop()
        if self._saved is not None:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            self._saved = None

    def finish(self) -> None:
        """The table stays; only the expectations are told."""
        for entry in self._judged:
            print(sentence(entry), flush=True)


def make_summary(summary: Summary, by: str, *, as_json: bool, terminal: bool, colours: bool) -> SummaryText:
    """The form that fits where it is printed."""
    if as_json:
        return SummaryJson(summary, by)
    return SummaryScreen(summary, by, colours=colours) if terminal else SummaryText(summary, by)
