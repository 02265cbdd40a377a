"""Colours of the live view, and what is marked in it."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

PLAIN = "\x1b[0m"
BOLD, DIM, RED = "\x1b[1m", "\x1b[2m", "\x1b[31m"
_PODS = (
    "\x1b[36m",
    "\x1b[32m",
    "\x1b[35m",
    "\x1b[33m",
    "\x1b[34m",
    "\x1b[96m",
    "\x1b[92m",
    "\x1b[95m",
    "\x1b[93m",
    "\x1b[94m",
)
"""Red is left to errors."""
_MARK = "\x1b[1;30;43m"
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts colours around texts, or none."""

    colours: bool = False
    highlight: tuple[re.Pattern[str], ...] = ()

    def pod(self, name: str, text: str) -> str:
        """A pod always has the same colour, in every run."""
        return f"{_PODS[zlib.crc32(name.encode()) % len(_PODS)]}{text}{PLAIN}" if self.colours else text

    def code(self, code: int | None, text: str) -> str:
        """Green, cyan, yellow, red by class; 0, where no response began, magenta."""
        if not self.colours or code is None:
            return text
        styles = {0: "\x1b[35m", 1: "\x1b[37m", 2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[1;31m"}
        return f"{styles.get(code // 100, '')}{text}{PLAIN}"

    def flags(self, text: str) -> str:
        """Flags mean that something went wrong."""
        return f"{RED}{text}{PLAIN}" if self.colours else text

    def dim(self, text: str) -> str:
        """What stands behind."""
        return f"{DIM}{text}{PLAIN}" if self.colours else text

    def bold(self, text: str) -> str:
        """What stands in front."""
        return f"{BOLD}{text}{PLAIN}" if self.colours else text

    def level(self, level: str, text: str) -> str:
        """A message: dimmed, but warnings yellow and errors red."""
        if not self.colours:
            return text
        word = level.lower()
        style = (
            RED if word in ("error", "critical", "fatal", "err") else "\x1b[33m" if word in ("warn", "warning") else DIM
        )
        return f"{style}{text}{PLAIN}"

    def marked(self, line: str) -> str:
        """The line with everything marked that fits one of the highlighted patterns."""
        if not self.highlight or not self.colours:
            return line
        made, style, at = [], "", 0
        for escape in _ESCAPE.finditer(line):
            made.append(self._mark(line[at : escape.start()], style))
            made.append(escape[0])
            style, at = "" if escape[0] == PLAIN else style + escape[0], escape.end()
        return "".join([*made, self._mark(line[at:], style)])

    def _mark(self, text: str, style: str) -> str:
        for pattern in self.highlight:
            # An escape of an earlier mark must not be searched by a later pattern, so the first that fits marks the piece.
            marked = pattern.sub(lambda m: f"{PLAIN}{_MARK}{m[0]}{PLAIN}{style}" if m[0] else "", text)
            if marked != text:
                return marked
        return text
