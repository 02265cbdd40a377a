"""What ClickHouse's refusals mean for the caller: the one file that knows clickhouse-connect's exceptions and the server's codes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError

from logproc.errors import ConfigError, LogprocError, QueryError, Rejected, Unavailable

UNKNOWN_TABLE = 60

_REJECTED = frozenset({
    6, 8, 10, 20, 26, 27, 32, 34, 36, 38, 41, 43, 44, 50, 53, 69, 70, 72, 117, 131, 321, 349, 406, 407, 441, 467, 469, 636, 675, 676,
})  # fmt: skip
"""The data does not fit the table: it cannot be parsed, converted, or violates a constraint."""

_MISCONFIGURED = {
    16: "the tables are from an older logproc: upgrade them with `logproc schema apply --store {place}`",
    60: "make the tables with `logproc schema apply --store {place}`",
    81: "make the database and its tables with `logproc schema apply --store {place}`",
    115: "the server is too old: it does not know a setting that storing each line once needs",
    164: "the user may only read: grant INSERT and SELECT on the database",
    192: "check the user in the URL, and the password in LOGPROC_PASSWORD or LOGPROC_PASSWORD_FILE",
    193: "check LOGPROC_PASSWORD or LOGPROC_PASSWORD_FILE",
    194: "set LOGPROC_PASSWORD or LOGPROC_PASSWORD_FILE",
    291: "grant the user INSERT and SELECT on the database",
    452: "the user's profile forbids a setting that storing each line once needs",
    497: "grant the user INSERT and SELECT on the database",
    516: "check the user in the URL, and the password in LOGPROC_PASSWORD or LOGPROC_PASSWORD_FILE",
}
"""Codes that only a person can mend, with what to do."""

_SLOW_DOWN = {202: 2.0, 241: 5.0, 243: 10.0, 252: 5.0}
"""Too many queries, out of memory, no space, too many parts: seconds to wait before the same again."""

# Both log each failed attempt at length; what matters of it comes as an error.
for _chatty in ("urllib3", "clickhouse_connect"):
    logging.getLogger(_chatty).setLevel(logging.CRITICAL)

_CODE = re.compile(r"\bCode:\s*(\d+)")
_PREFIX = re.compile(r"^.*?\bCode:\s*\d+\.\s*(?:DB::Exception:\s*)?", re.DOTALL)
_TRAILER = re.compile(r"\s*\(version [^()]*(?:\([^()]*\)[^()]*)*\)\s*$")
_NAME = re.compile(r"\s*\(([A-Z][A-Z0-9_]+)\)\s*$")
_NO_CONNECTION = re.compile(
    r"Failed to establish a new connection: (?:\[Errno -?\d+\] )?([^\"')]+)|(Connection aborted|Read timed out|Name or service not known)"
)
_NO_SPACE = re.compile(r"No space left on device|not enough space|File too large|Disk quota exceeded", re.IGNORECASE)


def code_of(error: BaseException) -> int:
    """The server's error code, 0 where there is none."""
    code = getattr(error, "code", None)
    if isinstance(code, int) and code > 0:
        return code
    found = _CODE.findall(str(error))
    return int(found[-1]) if found else 0


def one_line(error: BaseException, limit: int = 400) -> str:
    """The server's message without code, name, version and line breaks."""
    if found := _NO_CONNECTION.search(str(error)):
        # clickhouse-connect wraps it three times, with the number of the query in it.
        return f"no connection: {(found[1] or found[2]).lower()}"
    text = _TRAILER.sub("", _PREFIX.sub("", str(error).strip()))
    text = " ".join(_NAME.sub("", text).split()).rstrip(".")
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def outcome_unknown(error: BaseException) -> bool:
    """The server may or may not have done what was asked: no answer, a time-out, a lost connection, a cancelled query.

    216: clickhouse-connect has repeated a request without answer, and the first is still running.
    """
    return code_of(error) in {0, 159, 209, 210, 216, 236, 279, 394}


def when_opening(error: BaseException, place: str) -> LogprocError:
    """What an error at connecting means: a ConfigError where waiting cannot help, else Unavailable."""
    code = code_of(error)
    if code in _MISCONFIGURED:
        return ConfigError(f"{place}: {one_line(error)} (code {code})", _MISCONFIGURED[code].format(place=place))
    return when_writing(error, place)


def when_writing(error: BaseException, place: str) -> LogprocError:
    """What an error of an insert means: Rejected where the data is at fault, else Unavailable.

    A wrong password or a missing table is Unavailable here: somebody is changing the server, and the lines wait until it is mended.
    """
    code = code_of(error)
    text = str(error)
    if code == 243 or _NO_SPACE.search(text):
        return Unavailable(
            f"{place}: no space left on the disk of the store", "free some space: nothing is lost meanwhile", 10.0
        )
    if code in _REJECTED:
        return Rejected(f"{place}: {one_line(error)} (code {code})")
    if code in _MISCONFIGURED:
        return Unavailable(f"{place}: {one_line(error)} (code {code})", _MISCONFIGURED[code].format(place=place), 10.0)
    return Unavailable(
        f"{place}: {one_line(error)}" + (f" (code {code})" if code else ""), retry_after=_SLOW_DOWN.get(code, 1.0)
    )


def when_querying(error: BaseException) -> QueryError:
    """What an error of a query means, in one line with the server's code and what it proposes."""
    code = code_of(error)
    text = one_line(error)
    hint = ""
    if found := re.search(r"(?:Maybe you meant|Maybe)[:]?\s*\[?'?([^'\]]+)'?\]?", text):
        hint = f"did you mean {found.group(1).strip().rstrip('.?')}?"
        text = text[: found.start()].rstrip(" .,:;")
    if code == 62:
        # The expected tokens fill a screen; where it failed is what helps.
        text = text.split(". Expected one of")[0]
        text = re.sub(r" FORMAT \w+$", "", text)
    return QueryError(f"{text} (code {code})" if code else text, hint, code)


@contextmanager
def translated(place: str, meaning: type[LogprocError] = Unavailable) -> Iterator[None]:
    """Turn what clickhouse-connect and the operating system raise into ours.

    `meaning` says what was being done: ConfigError opening, QueryError reading for a person, Unavailable all else.
    """
    try:
        yield
    except (ClickHouseError, OSError, RuntimeError) as error:
        if meaning is QueryError:
            raise when_querying(error) from error
        if meaning is ConfigError:
            raise when_opening(error, place) from error
        refused = when_writing(error, place)
        # Only an insert can be at fault itself: a question that fails must not send a batch to the dead letters.
        raise (Unavailable(refused.message) if isinstance(refused, Rejected) else refused) from error
