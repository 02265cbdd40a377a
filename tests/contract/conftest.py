from collections.abc import Iterator

import pytest

from tests.chdb_store import Database


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()
