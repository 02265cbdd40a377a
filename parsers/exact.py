"""Lines whose values hold no mark that also stands between fields, as one expression.

In such a line every mark counts: it has as many as the format, so none can be a part of a value, and there is one reading only.
The marks are the quotes and, in each stretch between two quotes, the characters that follow its free fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from parsers.fields import Field
from parsers.operators import NO_BLANK, NO_BLANK_NO_QUOTE

_Stretch = list["str | Field"]
BLANK = " "


def exact_pattern(parts: Sequence[str | Field]) -> re.Pattern[bytes] | None:
    """One group for each field. None where a value of fixed shape can hold a mark, so that counting marks proves nothing."""
    patterns = [_pattern(stretch, quoted=i % 2 == 1) for i, stretch in enumerate(_stretches(parts))]
    return re.compile(b'"'.join(p for p in patterns if p is not None)) if None not in patterns else None


def _stretches(parts: Sequence[str | Field]) -> list[_Stretch]:
    found: list[_Stretch] = [[]]
    for part in parts:
        if isinstance(part, Field):
            found[-1].append(part)
            continue
        for i, text in enumerate(part.split('"')):
            if i:
                found.append([])
            if text:
                found[-1].append(text)
    return found


def _pattern(stretch: _Stretch, *, quoted: bool) -> bytes | None:
    marks: set[str] = set()
    for left, right in pairwise(stretch):
        if isinstance(left, Field) and left.shape is None:
            # Where a protocol follows at once, blanks are what the stretch is divided by.
            marks.add(right[0] if isinstance(right, str) else BLANK)
    shaped = any(isinstance(p, Field) and p.shape is not None for p in stretch)
    if any(not m.isascii() or (shaped and m != BLANK) for m in marks):
        return None
    if not quoted:
        marks.add(BLANK)
    free = b'[^"' + b"".join(re.escape(m.encode()) for m in sorted(marks)) + b"]*"
    pattern = b""
    for i, part in enumerate(stretch):
        if isinstance(part, str):
            pattern += re.escape(part.encode())
        elif part.shape is not None:
            pattern += b"(" + (NO_BLANK_NO_QUOTE if part.shape == NO_BLANK else part.shape) + b")"
        elif i + 1 < len(stretch) and isinstance(stretch[i + 1], Field):
            pattern += b"(" + free + b")"  # it gives back what the field after it needs
        else:
            pattern += b"(" + free + b"+)"
    return pattern
