"""The sink over HTTP: the same tables, tokens and answers as embedded, and what a bad network does to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logproc.errors import ConfigError, Rejected, Unavailable
from logproc.model import Sink
from logproc.urls import Url, password, user
from sinks import ddl, make_sink
from sinks.clickhouse import token
from tests.batches import batch, expected, span
from tests.chdb_store import Database
from tests.sinks.http_front import Front, serving

FILE = 42


@pytest.fixture
def front(database: Database) -> Iterator[Front]:
    with serving(database.connection) as made:
        yield made


def sink_of(front: Front, database: Database, options: str = "") -> Sink:
    return make_sink(f"clickhouse://reader@127.0.0.1:{front.port}/{database.name}{options}")


@pytest.fixture
def sink(front: Front, database: Database) -> Iterator[Sink]:
    ddl.apply(database.connection, database.name)
    made = sink_of(front, database)
    made.open()
    yield made
    made.close()


def test_a_server_without_tables_names_the_command_that_makes_them(front: Front, database: Database) -> None:
    with pytest.raises(ConfigError, match="no tables yet") as refused:
        sink_of(front, database).open()

    assert (
        refused.value.hint
        == f"run `logproc schema apply --store clickhouse://reader@127.0.0.1:{front.port}/{database.name}`"
    )


def test_batches_arrive_over_http_as_they_do_embedded(sink: Sink, front: Front, database: Database) -> None:
    sink.write(batch(0, [span(FILE, 0, 40)]))
    sink.write(batch(1, [span(FILE, 40, 55)]))

    assert database.stored_lines(FILE) == expected(FILE, 55)
    assert database.rollup_difference() == 0
    tables = [p["sql"].split()[2] for p in front.seen]
    assert tables == [f"`{database.name}`.`{t}`" for t in ("access_log", "message_log", "rejected_line", "ledger")] * 2
    for parameters in front.seen:
        assert len(parameters["insert_deduplication_token"]) == 32
        assert parameters["async_insert"] == "0"
        assert parameters["deduplicate_blocks_in_dependent_materialized_views"] == "1"
        assert parameters["query_id"].startswith("logproc-c0ffee00c0ffee00-")
        assert "session_id" not in parameters
    assert len({p["query_id"] for p in front.seen}) == 8


@pytest.mark.parametrize("nth", [0, 3])
@pytest.mark.parametrize("fault", ["drop before", "drop after"])
def test_a_lost_answer_is_asked_about_and_nothing_is_lost_or_doubled(
    sink: Sink, front: Front, database: Database, nth: int, fault: str
) -> None:
    calls = iter(range(100))
    # clickhouse-connect repeats a lost request by itself, with the same token: so it is lost three times.
    front.fault = lambda _: (fault, 0) if nth <= next(calls) < nth + 3 else None
    for _ in range(10):
        try:
            sink.write(batch(0, [span(FILE, 0, 40)]))
            break
        except Unavailable:
            continue

    assert database.stored_lines(FILE) == expected(FILE, 40)
    assert sum(r["lines"] for r in database.ledger(FILE)) == 40
    assert database.rollup_difference() == 0


def test_after_a_lost_answer_nothing_is_sent_while_the_insert_still_runs(
    sink: Sink, front: Front, database: Database
) -> None:
    front.fault = lambda _: ("drop after", 0)
    with pytest.raises(Unavailable):
        sink.write(batch(0, [span(FILE, 0, 40)]))
    sent = len(front.seen)
    front.fault = lambda _: None
    run, front.run = front.run, lambda p, b: b""  # type: ignore[method-assign]

    def still_running(parameters: dict[str, str], body: bytes) -> bytes:
        if b"system.processes" in body:
            body = b"SELECT toUInt64(1) AS n FORMAT ArrowStream"
        return run(parameters, body)

    front.run = still_running  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="still running"):
        sink.write(batch(0, [span(FILE, 0, 40)]))
    assert len(front.seen) == sent

    front.run = run  # type: ignore[method-assign]
    sink.write(batch(0, [span(FILE, 0, 40)]))
    assert database.stored_lines(FILE) == expected(FILE, 40)


def test_too_many_parts_is_waited_for_and_bad_data_is_not(sink: Sink, front: Front) -> None:
    front.fault = lambda _: ("refuse", 252)
    with pytest.raises(Unavailable):
        sink.write(batch(0, [span(FILE, 0, 10)]))

    front.fault = lambda _: ("refuse", 53)
    with pytest.raises(Rejected):
        sink.write(batch(0, [span(FILE, 0, 10)]))

    front.fault = lambda _: None
    sink.write(batch(0, [span(FILE, 0, 10)]))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (516, ConfigError, "LOGPROC_PASSWORD"),
        (194, ConfigError, "LOGPROC_PASSWORD"),
        (210, Unavailable, "no"),
        (241, Unavailable, "no"),
    ],
)
def test_a_server_that_refuses_everything_is_said_when_opening(
    front: Front, database: Database, code: int, kind: type[Exception], words: str
) -> None:
    front.refuse_all = code

    with pytest.raises(kind, match=words):
        sink_of(front, database).open()


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=re.escape("clickhouse://127.0.0.1:1/x")):
        make_sink("clickhouse://127.0.0.1:1/x").open()


@pytest.mark.parametrize("options", ["?secure=maybe", "?timeout=soon", "?verify=2"])
def test_an_option_with_a_wrong_value_is_refused(front: Front, database: Database, options: str) -> None:
    with pytest.raises(ConfigError):
        sink_of(front, database, options).open()


def test_the_next_host_is_asked_where_one_is_down(front: Front, database: Database) -> None:
    ddl.apply(database.connection, database.name)
    made = make_sink(f"clickhouse://reader@127.0.0.1:1,127.0.0.1:{front.port}/{database.name}")
    made.open()
    made.write(batch(0, [span(FILE, 0, 10)]))
    made.close()

    assert database.stored_lines(FILE) == expected(FILE, 10)
    with pytest.raises(Unavailable, match=r"no host answers: .*127\.0\.0\.1:1.*127\.0\.0\.1:2"):
        make_sink("clickhouse://127.0.0.1:1,127.0.0.1:2/x").open()


def test_a_host_that_goes_down_is_left_for_the_next(front: Front, database: Database) -> None:
    ddl.apply(database.connection, database.name)
    with serving(database.connection) as other:
        other.lock = front.lock
        made = make_sink(f"clickhouse://127.0.0.1:{front.port},127.0.0.1:{other.port}/{database.name}")
        made.open()
        made.write(batch(0, [span(FILE, 0, 10)]))
        front.fault = lambda _: ("drop after", 0)
        with pytest.raises(Unavailable):
            made.write(batch(1, [span(FILE, 10, 20)]))
        made.write(batch(1, [span(FILE, 10, 20)]))
        made.close()

        assert database.stored_lines(FILE) == expected(FILE, 20)
        assert database.rollup_difference() == 0
        assert other.seen


@pytest.mark.parametrize("hosts", ["a@b:8123,c@d:1", "a:8123,b:99999", "a:8123,"])
def test_hosts_that_are_none_are_refused(hosts: str) -> None:
    with pytest.raises(ConfigError):
        make_sink(f"clickhouse://{hosts}/x")


def test_a_server_that_is_too_old_is_refused_and_the_oldest_named(front: Front, database: Database) -> None:
    ddl.apply(database.connection, database.name)
    run = front.run

    def old(parameters: dict[str, str], body: bytes) -> bytes:
        return run(parameters, body.replace(b"SELECT version() AS v", b"SELECT '24.3.5.46' AS v"))

    front.run = old  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"has version 24\.3\.5\.46; the oldest .* is 24\.8"):
        sink_of(front, database).open()


def test_what_the_tables_keep_is_known_once_it_is_open(front: Front, database: Database) -> None:
    ddl.apply(database.connection, database.name, retain={"access_log": 14, "ledger": 44})
    made = sink_of(front, database)
    assert made.limits.keeps == {}
    made.open()
    made.close()

    assert made.limits.keeps == {"access_log": 14 * 86400.0}


def test_a_table_that_is_gone_is_waited_for_once_it_was_there(sink: Sink, front: Front, database: Database) -> None:
    front.refuse_all = 516
    with pytest.raises(Unavailable, match="no"):
        sink.write(batch(0, [span(FILE, 0, 10)]))
    sink.close()
    with pytest.raises(Unavailable, match="no"):
        sink.write(batch(0, [span(FILE, 0, 10)]))

    front.refuse_all = 0
    sink.write(batch(0, [span(FILE, 0, 10)]))


def test_user_and_password_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("LOGPROC_USER", "writer\n"), ("LOGPROC_PASSWORD", "s3cret\n")):
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))

    assert (user(Url("clickhouse", "h")), password()) == ("writer", "s3cret")
    assert user(Url("clickhouse", "h", user="me")) == "me"
    monkeypatch.setenv("LOGPROC_USER_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="LOGPROC_USER_FILE"):
        user(Url("clickhouse", "h"))


def test_a_token_names_batches_table_and_what_was_dropped() -> None:
    tokens = [
        token([("a", 1)], "access_log"), token([("a", 2)], "access_log"), token([("b", 1)], "access_log"),
        token([("a", 1)], "ledger"), token([("a", 1)], "access_log", b"x"), token([("a", 1), ("a", 2)], "access_log"),
        token([("a", 2), ("a", 1)], "access_log"),
    ]  # fmt: skip

    assert len(set(tokens)) == len(tokens)
    assert token([("a", 1)], "access_log") == tokens[0]
