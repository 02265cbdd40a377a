import os
from collections.abc import Iterator

import pytest

from tests.kube.bed import Bed, missing


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    reason = missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with Bed(tmp_path_factory.mktemp("kube")) as running:
        yield running
