from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc.serve.users import hash_password
from tests.serve.servers import Running, serving

USERS = """
[users.default]
[users.writer]
password = "{hash}"
[users.reader]
password = "{hash}"
readonly = true
[users.small]
password = "{hash}"
readonly = true
max_result_rows = 1000
max_execution_time = 2
max_memory_usage = "200Mi"
"""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for the tests of this folder, with a user of every kind; each password is `secret`."""
    folder = tmp_path_factory.mktemp("serve")
    users = folder / "users.toml"
    users.write_text(USERS.replace("{hash}", hash_password("secret")))
    with serving("serve", "--store", folder / "store", "--users", users) as running:
        assert running.ask("CREATE DATABASE other").status == 200
        assert (
            running.ask("CREATE TABLE other.secrets (password String) ENGINE = MergeTree ORDER BY password").status
            == 200
        )
        assert running.ask("INSERT INTO other.secrets VALUES ('hunter2')").status == 200
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
