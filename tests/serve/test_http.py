"""The protocol itself: what curl and scripts see."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import zlib
from pathlib import Path

import lz4.frame
import pytest
from backports import zstd

from tests.serve.components import absent
from tests.serve.servers import Running, until

UNDO = {"gzip": gzip.decompress, "deflate": zlib.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}
DO = {"gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}
ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)"


def raw(server: Running, request: bytes, *, half: bool = False, whole: bool = True) -> bytes:
    """What comes back for these bytes; `half` leaves in the middle of them, `whole` says that nothing follows."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        if half:
            return b""
        if whole:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


@pytest.fixture(scope="module", autouse=True)
def table(server: Running) -> None:
    server.value(
        "CREATE TABLE IF NOT EXISTS http_rows (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )


@pytest.fixture
def empty(server: Running) -> Running:
    server.value("TRUNCATE TABLE http_rows")
    return server


def test_health(server: Running) -> None:
    assert server.ask(path="/ping", method="GET").text == "Ok.\n"
    assert server.ask(path="/replicas_status", method="GET").text == "Ok.\n"
    assert server.ask(method="GET").text == "Ok.\n"
    assert server.ask(path="/ping", method="HEAD").status == 200
    assert server.ask(path="/no/such", method="GET").status == 404


@pytest.mark.parametrize(
    ("sql", "parameters", "text", "format"),
    [
        ("SELECT 1", {}, "1\n", "TabSeparated"),
        ("SELECT 1;", {}, "1\n", "TabSeparated"),
        ("SELECT 1 ; ; -- the end", {}, "1\n", "TabSeparated"),
        ("SELECT 1 AS x FORMAT JSONEachRow", {}, '{"x":1}\n', "JSONEachRow"),
        ("SELECT 1 AS x FORMAT JSONEachRow;", {}, '{"x":1}\n', "JSONEachRow"),
        ("SELECT 1 AS x format CSVWithNames SETTINGS max_threads = 1", {}, '"x"\n1\n', "CSVWithNames"),
        ("SELECT 1 AS x SETTINGS max_threads = 1 FORMAT CSV", {}, "1\n", "CSV"),
        ("SELECT 1 AS x", {"default_format": "JSONEachRow"}, '{"x":1}\n', "JSONEachRow"),
        ("SELECT 1 AS x FORMAT CSV", {"default_format": "JSONEachRow"}, "1\n", "CSV"),
        ("SELECT 'FORMAT JSON' AS format", {}, "FORMAT JSON\n", "TabSeparated"),
        ("SELECT 'a' AS b -- FORMAT JSON", {}, "a\n", "TabSeparated"),
        ("/* FORMAT */ (SELECT 1) UNION ALL (SELECT 1)", {}, "1\n1\n", "TabSeparated"),
        ("WITH 1 AS x SELECT x", {}, "1\n", "TabSeparated"),
        ("FROM numbers(2) SELECT number", {}, "0\n1\n", "TabSeparated"),
        ("SHOW DATABASES LIKE 'logproc'", {}, "logproc\n", "TabSeparated"),
        ("EXISTS TABLE access_log", {}, "1\n", "TabSeparated"),
        ("SELECT {x:UInt8} + 1", {"param_x": "41"}, "42\n", "TabSeparated"),
        ("SELECT {s:String}", {"param_s": "it's\\t\\\\"}, "it\\'s\\t\\\\\n", "TabSeparated"),
        ("SELECT getSetting('max_block_size')", {"max_block_size": "77"}, "77\n", "TabSeparated"),
        ("SELECT currentDatabase()", {}, "logproc\n", "TabSeparated"),
        ("SELECT currentDatabase()", {"database": "default"}, "logproc\n", "TabSeparated"),
        ("SELECT currentDatabase()", {"database": "other"}, "other\n", "TabSeparated"),
        ("SELECT 1 FORMAT Null", {}, "", "Null"),
        ("SELECT 1 WHERE 0", {}, "", "TabSeparated"),
        ("SELECT 'ü', '‘', “x” FROM (SELECT 1 AS x)", {}, "ü\t‘\t1\n", "TabSeparated"),
        ("SELECT 1", {"session_id": "s", "session_timeout": "5", "query_id": "q"}, "1\n", "TabSeparated"),
    ],
)  # fmt: skip
def test_statements_as_people_write_them(
    server: Running, sql: str, parameters: dict[str, str], text: str, format: str
) -> None:
    for answer in (server.ask(sql, **parameters), server.ask(method="GET", query=sql, **parameters)):
        assert (answer.status, answer.text) == (200, text)
        assert answer.headers["X-ClickHouse-Format"] == format


def test_a_statement_goes_on_in_the_body(server: Running) -> None:
    assert server.ask("FROM numbers(3)", query="SELECT count()").text == "3\n"
    assert server.ask("1 + 1", query="SELECT").text == "2\n"


def test_headers(server: Running) -> None:
    answer = server.ask("SELECT number FROM numbers(5)", query_id="mine", default_format="JSON")

    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Server-Display-Name"] == "logproc"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["Content-Type"].startswith("application/json")
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("5", "5")
    assert server.ask("SELECT 1", query_id="x\r\nSet-Cookie: a=b").headers["Set-Cookie"] is None
    inserted = server.ask("INSERT INTO http_rows VALUES (1, 'a'), (2, 'b')")
    assert json.loads(inserted.headers["X-ClickHouse-Summary"])["written_rows"] == "2"


@pytest.mark.parametrize("coding", UNDO)
@pytest.mark.parametrize("rows", [3, 300_000])
def test_compressed_answers(server: Running, coding: str, rows: int) -> None:
    headers = {"Accept-Encoding": coding}
    answer = server.ask(f"SELECT number FROM numbers({rows})", headers=headers, enable_http_compression=1)

    assert answer.headers["Content-Encoding"] == coding
    assert UNDO[coding](answer.body).decode().split() == [str(n) for n in range(rows)]
    assert server.ask("SELECT 1", headers=headers).headers["Content-Encoding"] is None


@pytest.mark.parametrize("coding", DO)
def test_compressed_inserts(empty: Running, coding: str) -> None:
    for first, sql in enumerate(({"query": "INSERT INTO http_rows FORMAT TSV"}, {})):
        data = "".join(f"{n}\t{coding} {first}\n" for n in range(50_000)).encode()
        body = data if sql else b"INSERT INTO http_rows FORMAT TSV\n" + data
        answer = empty.ask(DO[coding](body), headers={"Content-Encoding": coding}, **sql)
        assert answer.status == 200, answer.text

    assert empty.value("SELECT count(), uniqExact(a) FROM http_rows") == "100000\t50000"


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        ("INSERT INTO http_rows VALUES", "(1, 'a'), (2, 'b')"),
        ("INSERT INTO http_rows (b, a) VALUES", " ('a', 1), ('b', 2);"),
        ("INSERT INTO http_rows (b, a) VALUES", "(lower('A'), 2 - 1), (concat('b', toString(now())), '2')"),
        ("INSERT INTO http_rows FORMAT JSONEachRow", '\n{"a": 1, "b": "a"}\n{"a": 2, "b": "b"}'),
        ("INSERT INTO http_rows FORMAT CSV", "\n1,a\n2,b\n"),
        ("insert into table http_rows (a, b) settings max_insert_block_size = 10 format TSV", "\n1\ta\n2\tb\n"),
        ("INSERT INTO logproc.http_rows (* EXCEPT (b)) FORMAT CSV", "\n1\n2\n"),
        ("INSERT INTO http_rows SELECT number + 1, 'x' FROM numbers(2)", ""),
        ("INSERT INTO http_rows WITH x AS (SELECT 1) SELECT number + 1, 'x' FROM numbers(2)", ""),
        ("/* x */ INSERT INTO `http_rows` -- y\n FORMAT CSV", "\n1,a\n2,b\n"),
    ],
)
def test_inserts_as_people_write_them(empty: Running, sql: str, data: str) -> None:
    assert empty.ask(sql + data).text == ""
    if data:
        assert empty.ask(data.lstrip("\n"), query=sql).text == ""

    assert empty.value("SELECT groupArray(a) FROM (SELECT DISTINCT a FROM http_rows ORDER BY a)") == "[1,2]"


def test_a_token_that_comes_again_stores_nothing_again(empty: Running) -> None:
    for _ in range(3):
        assert (
            empty.ask("1,a\n", query="INSERT INTO http_rows FORMAT CSV", insert_deduplication_token="t1").status == 200
        )

    assert empty.value("SELECT count() FROM http_rows") == "1"


ROWS = b"".join(b"%d,x\n" % n for n in range(1000))


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /?query=INSERT+INTO+http_rows+FORMAT+CSV HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + ROWS,
        b"POST /?query=INSERT+INTO+http_rows+FORMAT+CSV HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(ROWS), ROWS),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nINSERT INTO http_rows FORMAT CSV\n" + ROWS,
    ],
    ids=["length", "chunked", "in the body"],
)  # fmt: skip
@pytest.mark.parametrize("half", [True, False], ids=["gone", "half closed"])
def test_a_body_that_is_cut_short_stores_nothing(empty: Running, request_: bytes, half: bool) -> None:
    raw(empty, request_, half=half)
    time.sleep(0.3)

    assert empty.value("SELECT count() FROM http_rows") == "0"


@pytest.mark.parametrize("coding", DO)
def test_a_compressed_body_that_is_cut_short_stores_nothing(empty: Running, coding: str) -> None:
    made = DO[coding](ROWS * 100)
    for body in (made[: len(made) // 2], made[:-3], b"no such stream"):
        answer = empty.ask(body, query="INSERT INTO http_rows FORMAT CSV", headers={"Content-Encoding": coding})
        assert answer.status == 400, answer.text

    assert empty.value("SELECT count() FROM http_rows") == "0"


def test_bad_rows_store_nothing(empty: Running) -> None:
    for sql, data, code in (
        ("INSERT INTO http_rows FORMAT CSV", "1,a\nx,b\n", 27),
        ("INSERT INTO http_rows FORMAT JSONEachRow", '{"a":1}\n{"a":', 32),
        ("INSERT INTO http_rows (a, no_such) FORMAT CSV", "1,a\n", 16),
        ("INSERT INTO no_such FORMAT CSV", "1,a\n", 60),
        ("INSERT INTO http_rows FORMAT NoSuch", "1,a\n", 73),
        ("INSERT INTO http_rows FORMAT Native", "garbage that is no block", 0),
        ("INSERT INTO http_rows FORMAT", "", 62),
    ):
        answer = empty.ask(data, query=sql)
        assert answer.status >= 400
        assert not code or answer.headers["X-ClickHouse-Exception-Code"] == str(code), answer.text
        assert "/proc/" not in answer.text

    assert empty.value("SELECT count() FROM http_rows") == "0"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC", 400, 62), ("SELECT no_such", 404, 47), ("SELECT * FROM no_such", 404, 60), ("SELECT no_such()", 404, 46), ("SELECT 1 FORMAT NoSuch", 404, 73),
        ("SELECT throwIf(1)", 500, 395), ("SELECT 1; SELECT 2", 400, 62), ("SELECT {x:UInt8}", 400, 456), ("SET max_threads = 1", 403, 497),
        ("CREATE TEMPORARY TABLE t (a UInt8)", 403, 497), ("USE other", 403, 497), ("SELECT 'no end", 400, 62), ("-- nothing", 400, 62), (";", 400, 62),
        ("SELECT 1 FORMAT JSON FORMAT CSV", 400, 62), (b"SELECT '\xff\xfe'", 400, 62),
    ],
)  # fmt: skip
def test_errors(server: Running, sql: str | bytes, status: int, code: int) -> None:
    answer = server.ask(sql)

    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer.text
    assert re.fullmatch(r"Code: \d+\. DB::Exception: [^\n]+ \([A-Z_]+\) \(version [\d.]+\)\n", answer.text), answer.text


def test_get_changes_nothing(server: Running) -> None:
    for sql in (
        "CREATE TABLE by_get (a Int8) ENGINE = Memory",
        "INSERT INTO http_rows VALUES (1, 'a')",
        "DROP TABLE http_rows",
        "KILL QUERY WHERE query_id = 'x'",
    ):
        answer = server.ask(method="GET", query=sql)
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164", answer.text
    assert (
        server.ask("INSERT INTO http_rows VALUES (1, 'a')", readonly=1).headers["X-ClickHouse-Exception-Code"] == "164"
    )


def test_what_is_not_spoken_says_so(server: Running) -> None:
    assert "HTTP compression" in server.ask("SELECT 1", compress=1).text
    assert server.ask("x", headers={"Content-Type": "multipart/form-data; boundary=x"}).status == 501
    assert server.ask("x", headers={"Content-Encoding": "br"}).status == 400
    assert server.ask("SELECT 1", no_such_setting=1).headers["X-ClickHouse-Exception-Code"] == "115"
    assert server.ask("SELECT 1", database="no_such").headers["X-ClickHouse-Exception-Code"] == "81"
    assert b" 400 " in raw(server, b"nonsense\r\n\r\n").split(b"\r\n")[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT throwIf(1, '" + " " * 250_000 + "')", "SELECT 1 " + "/* " * 80_000, "SELECT '" + "\\'" * 120_000, "SELECT " + "‘" * 80_000,
        "SELECT " + "".join(f"${n}$ " for n in range(30_000)), "SELECT [" + "settings, " * 5_000 + "1]", "SELECT " + "-(" * 900 + "1" + ")" * 900,
        "SELECT " + "a," * 500_000 + "1", "SELECT 1 " + " " * 1_000_000,
    ],
    ids=["error", "comments", "escapes", "quotes", "heredocs", "settings", "deep", "long", "blanks"],
)  # fmt: skip
def test_no_statement_takes_the_square_of_its_length(server: Running, sql: str) -> None:
    answer = server.ask(sql, user="reader", password="secret", timeout=20)

    assert answer.headers["X-ClickHouse-Exception-Code"] is not None
    assert len(answer.body) < 50_000
    assert server.value("SELECT 1", timeout=5) == "1"
    assert not [line for line in server.said if "Traceback" in line]


def test_a_number_that_is_too_long_is_none(server: Running) -> None:
    assert server.ask("SELECT 1", client_protocol_version="9" * 5000).text == "1\n"
    assert (
        server.ask("SELECT 1", user="reader", password="secret", max_threads="9" * 5000).headers[
            "X-ClickHouse-Exception-Code"
        ]
        == "36"
    )
    threads = server.ask("SELECT getSetting('max_threads')", user="reader", password="secret", max_threads=100_000).text
    assert int(threads) <= (os.cpu_count() or 1)


def test_guesses_do_not_keep_others_waiting(server: Running) -> None:
    server.ask("SELECT 1", user="reader", password="secret")
    guessing = [
        threading.Thread(target=server.ask, args=("SELECT 1",), kwargs={"user": f"user{n}", "password": "x"})
        for n in range(60)
    ]
    for thread in guessing:
        thread.start()
    began = time.monotonic()
    for n in range(5):
        assert server.ask(f"SELECT {n}, 'not asked before'", user="reader", password="secret").status == 200
    waited = time.monotonic() - began
    still = sum(thread.is_alive() for thread in guessing)
    for thread in guessing:
        thread.join()

    assert still, "all guesses were answered before: nothing was shown"
    assert waited < 20


def test_an_error_in_the_middle_of_a_result(server: Running) -> None:
    sql = "SELECT number, throwIf(number = 900000, 'too far') FROM numbers(1000000)"
    answer = server.ask(sql, max_block_size=1000)
    tag = answer.headers["X-ClickHouse-Exception-Tag"]

    assert answer.status == 200
    found = re.search(
        rf"\r\n__exception__\r\n{tag}\r\n(.*\n)(\d+) {tag}\r\n__exception__\r\n\Z", answer.text, re.DOTALL
    )
    assert found is not None
    assert "too far" in found[1]
    assert len(found[1].encode()) == int(found[2])
    whole = server.ask(sql, max_block_size=1000, wait_end_of_query=1)
    assert (whole.status, whole.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


@pytest.mark.parametrize(
    "format", ["JSON", "JSONEachRow", "Arrow", "ArrowStream", "Parquet", "Native", "CSVWithNames", "RowBinary"]
)
def test_large_results_of_every_format(server: Running, format: str) -> None:
    answer = server.ask(f"SELECT number, toString(number) AS s FROM numbers(500000) FORMAT {format}")

    assert answer.status == 200
    assert b"__exception__" not in answer.body
    if format == "JSON":
        assert len(json.loads(answer.body)["data"]) == 500_000
    if format in {"JSONEachRow", "CSVWithNames"}:
        assert answer.body.count(b"\n") == 500_000 + (format == "CSVWithNames")


def test_a_query_ends_when_its_client_leaves(server: Running) -> None:
    for request in (
        ENDLESS,
        "SELECT number FROM numbers(100000000000)",
        "SELECT number FROM numbers(100000000000) FORMAT JSON",
    ):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(request)}\r\n\r\n{request}".encode()
        )
        until(lambda: server.value("SELECT count() FROM system.processes") == "2")
        connection.close()
        until(lambda: server.value("SELECT count() FROM system.processes") == "1", 10)


def test_a_query_is_ended_by_the_id_that_its_client_gave(server: Running) -> None:
    said = []
    thread = threading.Thread(target=lambda: said.append(server.ask(ENDLESS, query_id="tired")))
    thread.start()
    until(lambda: server.value("SELECT count() FROM system.processes") == "2")
    assert server.ask("KILL QUERY WHERE query_id = 'tired' SYNC").text.startswith("finished")
    thread.join(20)

    assert said[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_limits_of_a_user(server: Running) -> None:
    def code(sql: str, **parameters: int) -> str | None:
        return server.ask(sql, user="small", password="secret", **parameters).headers["X-ClickHouse-Exception-Code"]

    assert code("SELECT number FROM numbers(1000)") is None
    assert code("SELECT number FROM numbers(1001)") == "396"
    assert code("SELECT number FROM numbers(1001)", max_result_rows=0) == "396"
    assert code("SELECT number FROM numbers(1001)", max_result_rows=1_000_000) == "396"
    assert code("SELECT number FROM numbers(500)", max_result_rows=100) == "396"
    assert code(ENDLESS) == "159"
    assert code(ENDLESS, max_execution_time=1000) == "159"
    assert code("SELECT length(groupArray(toString(number))) FROM numbers(100000000)") == "241"
    assert code("SELECT repeat('x', 1000000000)") in {"131", "241"}
    assert code("SELECT range(100000000)") is not None
    assert code("SELECT 1", format_schema="x") == "164"
    assert code("SELECT 1", max_threads=1) is None


def test_a_page_of_another_site_needs_a_password(server: Running) -> None:
    assert server.ask("SELECT 1", headers={"Origin": "http://evil.example"}).status == 403
    assert server.ask("SELECT 1", headers={"Host": "evil.example"}).status == 403
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert server.ask(method="GET", query="SELECT 1", headers=image).status == 403
    assert server.ask(method="GET", query="SELECT 1", headers=image | {"Sec-Fetch-Mode": "navigate"}).status == 200
    assert (
        server.ask("SELECT 1", headers={"Origin": "http://evil.example"}, user="reader", password="secret").status
        == 200
    )
    assert server.ask("SELECT 1", headers={"Origin": server.url}).status == 200


def test_ways_to_say_who_one_is(server: Running) -> None:
    assert server.ask("SELECT 1", headers={"Authorization": "Basic cmVhZGVyOnNlY3JldA=="}).status == 200
    for url in ("user=reader&password=secret", "user=default"):
        assert (
            b" 200 "
            in raw(
                server,
                f"GET /?query=SELECT+1&{url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
                whole=False,
            ).split(b"\r\n")[0]
        )
    for headers in (
        {"Authorization": "Basic cmVhZGVyOndyb25n"},
        {"Authorization": "Basic !!"},
        {"Authorization": "Bearer x"},
        {"X-ClickHouse-User": "nobody", "X-ClickHouse-Key": "x"},
    ):
        answer = server.ask("SELECT 1", headers=headers)
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    for name in ("reader", "nobody"):
        # What the answer is must not tell which names there are.
        answer = server.ask("SELECT 1", headers={"X-ClickHouse-User": name})
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (401, "194")


def test_what_curl_sees(server: Running, tmp_path: Path) -> None:
    """The examples of docs/serve.md, as they are written there."""
    if shutil.which("curl") is None:
        absent("curl is not installed")
    text = (Path(__file__).parent.parent.parent / "docs" / "serve.md").read_text()
    commands = [
        c
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for c in re.split(r"\n(?=\S)", block)
        if c.lstrip().startswith(("curl", "echo", "printf"))
    ]
    assert len(commands) >= 8
    for command in commands:
        mine = command.replace("http://127.0.0.1:8123", server.url).replace("grafana", "reader")
        done = subprocess.run(
            ["bash", "-ec", "set -o pipefail; " + mine], capture_output=True, cwd=tmp_path, timeout=60, check=False
        )
        assert done.returncode == 0, (mine, done.stderr)
        assert b"Code:" not in done.stdout, (mine, done.stdout)
