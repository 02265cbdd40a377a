"""What a test needs beside Python: where it is kept, and what happens where it is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

CACHE = Path(__file__).parent.parent.parent / ".cache"


def absent(reason: str) -> NoReturn:
    """Fail on CI, where everything has to be there; skip on a user's machine."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
