"""Keeping what nobody asked for out of the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not looked for now", name=name)


def arrow_without_pandas() -> None:
    """Tell pyarrow that there is no pandas, before it looks.

    Where pandas is installed (the embedded engine brings it), the first `pyarrow.array(list)` imports it to ask whether the list
    is one of its series: 40 MB and half a second for nothing. pyarrow's `to_pandas` does not work afterwards; pandas itself does.
    """
    # numpy's linear algebra, which nobody calls, would start a thread for each core, which then spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "pandas" in sys.modules:
        return
    absent = _NoPandas()
    sys.meta_path.insert(0, absent)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(absent)
