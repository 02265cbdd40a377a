"""What an error of the server means: wait, give up on the batch, or tell a person."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from logproc.errors import ConfigError, QueryError, Rejected, Unavailable
from sinks.answers import code_of, one_line, outcome_unknown, translated, when_opening, when_querying, when_writing


def server(code: int, text: str, name: str = "SOME_NAME") -> DatabaseError:
    return DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}. DB::Exception: {text} ({name}) (version 26.9.2.1 (official build))",
        code=code,
    )


@pytest.mark.parametrize("code", [6, 26, 27, 53, 70, 117, 349])
def test_data_that_does_not_fit_is_rejected(code: int) -> None:
    assert isinstance(when_writing(server(code, "Cannot parse"), "place"), Rejected)


@pytest.mark.parametrize("code", [159, 202, 209, 210, 241, 242, 243, 252, 319, 999, 1002, 16, 60, 81, 516])
def test_everything_else_is_sent_again(code: int) -> None:
    assert isinstance(when_writing(server(code, "Later"), "place"), Unavailable)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error HTTPConnectionPool executing HTTP request"),
        ConnectionResetError(104, "reset"),
        OSError(5, "Input/output error"),
    ],
)
def test_a_lost_connection_is_unavailable_and_its_outcome_unknown(error: Exception) -> None:
    assert isinstance(when_writing(error, "place"), Unavailable)
    assert outcome_unknown(error)


def test_a_refusal_has_a_known_outcome() -> None:
    assert not outcome_unknown(server(252, "Too many parts"))
    assert outcome_unknown(server(159, "Timeout exceeded"))


def test_too_many_parts_waits_longer() -> None:
    slow, fast = when_writing(server(252, "Too many parts"), "p"), when_writing(server(210, "Network"), "p")

    assert isinstance(slow, Unavailable)
    assert isinstance(fast, Unavailable)
    assert slow.retry_after > fast.retry_after


@pytest.mark.parametrize(
    "text",
    [
        "Code: 75. DB::ErrnoException: Cannot write to file, errno: 28, strerror: No space left on device.",
        "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space.",
    ],
)
def test_a_full_disk_is_said_in_plain_words(text: str) -> None:
    refused = when_writing(DatabaseError(text), "chdb:///data")

    assert isinstance(refused, Unavailable)
    assert refused.message == "chdb:///data: no space left on the disk of the store"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (516, "LOGPROC_PASSWORD"),
        (60, "logproc schema apply --store clickhouse://h"),
        (81, "logproc schema apply"),
        (16, "logproc schema apply"),
        (497, "grant"),
    ],
)
def test_what_a_person_has_to_mend_is_said_with_what_to_do(code: int, hint: str) -> None:
    refused = when_opening(server(code, "No"), "clickhouse://h")

    assert isinstance(refused, ConfigError)
    assert hint in refused.hint


def test_a_message_is_one_line_without_code_name_and_version() -> None:
    error = server(47, "Unknown expression identifier `pathh`.\n In scope SELECT pathh", "UNKNOWN_IDENTIFIER")

    assert one_line(error) == "Unknown expression identifier `pathh`. In scope SELECT pathh"
    assert code_of(error) == 47


def test_what_the_server_proposes_becomes_the_hint() -> None:
    refused = when_querying(
        server(47, "Unknown expression identifier `pathh` in scope SELECT pathh. Maybe you meant: ['path'].")
    )

    assert (refused.code, refused.hint) == (47, "did you mean path?")
    assert "Maybe" not in refused.message


def test_a_syntax_error_does_not_fill_the_screen() -> None:
    refused = when_querying(
        server(
            62,
            "Syntax error: failed at position 7 (1) (line 1, col 7): 1\n FORMAT Native. Expected one of: token sequence, Dot, "
            + "x, " * 300,
        )
    )

    assert refused.message == "Syntax error: failed at position 7 (1) (line 1, col 7): 1 (code 62)"


def test_a_question_that_fails_never_rejects_a_batch() -> None:
    with pytest.raises(Unavailable), translated("place"):
        raise server(43, "Illegal type")
    with pytest.raises(QueryError), translated("place", QueryError):
        raise server(43, "Illegal type")
