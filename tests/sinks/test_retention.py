"""An embedded store keeps lines of any age; a server's tables say how long they keep them."""

from pathlib import Path

from sinks import ddl
from tests import cli

OLD = (
    b'[2016-04-15T20:17:00.310Z] "GET /old HTTP/1.1" 200 - via_upstream - "-" 0 1 2 1 "-" "curl/7" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"'
    b' "web" "10.0.0.2:80" outbound|80||web.shop.svc.cluster.local 10.0.0.1:40000 10.0.0.9:80 10.0.0.1:40001 - default\n'
)


def test_lines_of_years_ago_stay_in_an_embedded_store(tmp_path: Path) -> None:
    file, store = tmp_path / "old.log", tmp_path / "store"
    file.write_bytes(OLD)
    cli.collect([file], f"chdb://{store}", tmp_path / "state")

    assert cli.query("SELECT path, toYear(timestamp) AS year FROM access_log", store) == [
        {"path": "/old", "year": 2016}
    ]


def test_a_servers_tables_have_their_retention() -> None:
    made = "\n".join(ddl.create())

    assert made.count("\nTTL ") == 5
    assert made.count("toDateTime(timestamp) + toIntervalDay(30)") == 3
