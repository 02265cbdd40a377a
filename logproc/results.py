"""From SQL to what is printed: a result is asked for in the form in which it is shown, so that values keep ClickHouse's own types.

A query runs in a thread of its own, because the embedded engine does not return to Python before it ends: so Ctrl-C is heard
at once and the query is killed.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, TypeVar

from logproc.errors import ConfigError
from logproc.output import Format, text_table
from logproc.text_table import Heading, Kind

T = TypeVar("T")

RAW: Mapping[Format, str] = {
    Format.JSON: "JSONEachRow",
    Format.JSONL: "JSONEachRow",
    Format.CSV: "CSV",
    Format.TSV: "TSV",
    Format.PARQUET: "Parquet",
    Format.ARROW: "Parquet",
}
"""ClickHouse's formats. Arrow is made of Parquet, which keeps `DateTime` a time where ClickHouse's Arrow has a plain number."""

_EXACT: Mapping[str, Any] = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
    "format_csv_null_representation": "",
}
_KILL_SECONDS = 3.0

_COMMENT = re.compile(r"\s+|--[^\n]*(?:\n|$)|#![^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
"""What may hold a `;` that ends nothing, and one that ends a statement."""
_ANSWERS = re.compile(r"(?:select|with|show|describe|desc|explain|exists|values|check)\b|\(", re.IGNORECASE)
_OWN_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*$", re.IGNORECASE)
_NUMBER = re.compile(r"(?:U?Int\d+|Float\d+|BFloat16|Decimal.*)")


class Answers(Protocol):
    """A store that can be asked."""

    def query_raw(
        self,
        sql: str,
        format: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The result in one of ClickHouse's formats. Raises QueryError."""
        ...

    def command(self, sql: str) -> Any:
        """Run a statement that has no result. Raises QueryError."""
        ...


class Closing(Answers, Protocol):
    """A store that can be asked and let go of."""

    def close(self) -> None:
        """Let go of it."""
        ...


S = TypeVar("S", bound=Closing)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was printed. `rows` is None where it was not counted; `more`: there are rows beyond the limit."""

    rows: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without what ends it. `format` is the one it asks for by itself."""

    sql: str
    has_result: bool
    format: str = ""

    @classmethod
    def of(cls, text: str) -> Statement:
        """Read a statement as it was typed: a `;` at its end and comments around it do not matter.

        Raises ConfigError for more than one, of which the embedded engine would run all and mix their results.
        """
        sql = text
        for token in _TOKEN.finditer(text):
            if token[0] == ";":
                sql = text[: token.start()]
                if not _is_blank(text[token.end() :].replace(";", " ")):
                    raise ConfigError("there is more than one statement", "give one at a time")
                break
        sql = sql.strip()
        begin = 0
        while found := _COMMENT.match(sql, begin):
            begin = found.end()
        has_result = _ANSWERS.match(sql, begin) is not None
        if has_result and (own := _OWN_FORMAT.search(sql)):
            return cls(sql[: own.start()].rstrip(), True, own[1])
        return cls(sql, has_result)

    @property
    def empty(self) -> bool:
        """There is nothing in it but comments."""
        return _is_blank(self.sql)


def _is_blank(sql: str) -> bool:
    return not _COMMENT.sub("", sql)


def show(
    store: Answers,
    statement: Statement,
    out: BinaryIO,
    *,
    format: Format = Format.TABLE,
    parameters: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int = 0,
    header: bool = True,
    local: bool = False,
) -> Shown:
    """Run a statement and print its result. Raises QueryError.

    `limit` rows of a table are shown at most, 0: all. `local`: a table shows times of columns in UTC in the machine's zone;
    all other formats are for programs and stay in UTC.
    """
    given = dict(settings or {})
    if not statement.has_result:
        store.command(statement.sql)
        return Shown()
    if statement.format:
        out.write(store.query_raw(statement.sql, statement.format, parameters, given))
        return Shown()
    if format is Format.TABLE:
        return _table(store, statement.sql, parameters, given, limit=limit, header=header, local=local)
    exact = {**given, **_EXACT, "output_format_json_array_of_rows": int(format is Format.JSON)}
    name = RAW[format] + ("WithNames" if header and format in (Format.CSV, Format.TSV) else "")
    raw = store.query_raw(statement.sql, name, parameters, exact)
    if format is Format.ARROW:
        raw = _parquet_to_arrow(raw)
    elif format is Format.JSON and not raw.strip():
        raw = b"[]\n"
    out.write(raw)
    return Shown()


def _table(
    store: Answers,
    sql: str,
    parameters: Mapping[str, Any] | None,
    settings: dict[str, Any],
    *,
    limit: int,
    header: bool,
    local: bool,
) -> Shown:
    if limit:
        settings["limit"] = limit + 1
    raw = store.query_raw(sql, "JSONCompactEachRowWithNamesAndTypes", parameters, settings)
    lines = raw.decode("utf-8", "replace").splitlines()
    if not lines:
        return Shown(0)
    types = json.loads(lines[1])
    headings = [Heading(n, kind(t)) for n, t in zip(json.loads(lines[0]), types, strict=True)]
    zoned = [i for i, t in enumerate(types) if local and headings[i].kind is Kind.TIME and "'UTC'" in t]
    rows = lines[2 : 2 + limit] if limit else lines[2:]
    if re.match(r"\s*explain\b", sql, re.IGNORECASE):
        # A plan is a drawing, not a column of values.
        print("\n".join(str(json.loads(line)[0]) for line in rows))
        return Shown(len(rows), len(lines) - 2 > len(rows))
    table = text_table(headings, header=header)
    table.write([_row(headings, _in_local_time(json.loads(line), zoned)) for line in rows])
    sys.stdout.flush()
    return Shown(len(rows), len(lines) - 2 > len(rows))


def _row(headings: list[Heading], row: list[Any]) -> list[Any]:
    # ClickHouse writes decimals and huge integers as text, and booleans inside number columns do not occur.
    return [
        float(v) if h.kind is Kind.NUMBER and isinstance(v, str) and "." in v else v
        for h, v in zip(headings, row, strict=True)
    ]


def _in_local_time(row: list[Any], places: Sequence[int]) -> list[Any]:
    for place in places:
        if isinstance(row[place], str):
            with suppress(ValueError, OverflowError):  # beyond the years that Python knows
                at = datetime.fromisoformat(row[place]).replace(tzinfo=UTC).astimezone()
                digits = len(row[place].partition(".")[2])
                row[place] = f"{at:%Y-%m-%d %H:%M:%S}" + (f".{at:%f}"[: digits + 1] if digits else "")
    return row


def kind(clickhouse: str) -> Kind:
    """How a column of a ClickHouse type is shown in a table."""
    while found := re.fullmatch(r"(?:Nullable|LowCardinality|SimpleAggregateFunction\(\w+,)\s*\(?(.*)\)", clickhouse):
        clickhouse = found[1].strip()
    if clickhouse.startswith("DateTime"):
        return Kind.TIME
    return Kind.NUMBER if _NUMBER.fullmatch(clickhouse) else Kind.TEXT


def _parquet_to_arrow(raw: bytes) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    with parquet.ParquetFile(io.BytesIO(raw)) as file, pa.ipc.new_stream(out, file.schema_arrow) as stream:
        for batch in file.iter_batches():
            stream.write_batch(batch)
    return out.getvalue()


def asked(open_store: Callable[[], S], work: Callable[[S, Mapping[str, Any]], T]) -> tuple[T, float]:
    """Open a store and work with it; what came of it, and the seconds it took. Ctrl-C ends what it is running.

    `work` gets the store and the settings that its queries have to carry.
    """
    with closing(open_store()) as store:

        def kill(mark: str) -> None:
            with closing(open_store()) as beside:
                beside.command(kill_statement(mark))

        return cancellable(lambda mark: work(store, {"log_comment": mark}), kill)


def cancellable(work: Callable[[str], T], kill: Callable[[str], object]) -> tuple[T, float]:
    """The result of `work`, and the seconds it took; KeyboardInterrupt where Ctrl-C is pressed meanwhile.

    `work` gets a mark, which its query has to carry as the setting `log_comment`; `kill` is given the same and ends the query.
    """
    mark = f"logproc-{os.getpid()}-{time.monotonic_ns()}"
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work(mark))
        except BaseException as error:
            failed.append(error)

    began = time.monotonic()
    thread = threading.Thread(target=run, name="query", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except KeyboardInterrupt:
        # An engine that is still starting lets nobody in: asking it to end the query must not take longer than the query.
        killer = threading.Thread(target=_quietly, args=(kill, mark), name="kill", daemon=True)
        killer.start()
        killer.join(_KILL_SECONDS)
        thread.join(_KILL_SECONDS)
        if thread.is_alive() or killer.is_alive():
            # The engine would make the end of the process wait for the query.
            print("cancelled", file=sys.stderr)
            sys.stderr.flush()
            os._exit(130)
        raise
    if failed:
        raise failed[0]
    return done[0], time.monotonic() - began


def _quietly(kill: Callable[[str], object], mark: str) -> None:
    with suppress(Exception):
        kill(mark)


def kill_statement(mark: str) -> str:
    """SQL that ends the query with a mark."""
    return f"KILL QUERY WHERE Settings['log_comment'] = '{mark}' ASYNC"
