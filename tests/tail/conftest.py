from collections.abc import Iterator

import pytest

from tests.fake_api.server import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.close()
