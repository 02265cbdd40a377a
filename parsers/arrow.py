"""Arrow as the readers use it: by kernels that take an array of any type.

Its stubs tell the types of arrays apart more finely than kernels do, so here they are all one; what a function takes and gives is said
in its docstring and held by its tests.
"""

from __future__ import annotations

from typing import Any

import pyarrow
import pyarrow.compute

pa: Any = pyarrow
pc: Any = pyarrow.compute

Array = Any
Batch = Any
"""A batch of rows: a RecordBatch."""
