"""Random JSON templates, nested and typed, printed as Envoy prints them: every value lands in its column or under its key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logproc.model import ACCESS_LOG, PLAIN, Text
from parsers import compile_format, open_parser

SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

# Operator, column, values as printed. Kinds with a shape of their own are tested elsewhere.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12).filter(lambda t: t != "-")
NUMBERS = st.integers(0, 60000)
OPERATORS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "%START_TIME%": ("timestamp", st.integers(0, 10**12).map(lambda ms: EPOCH + timedelta(milliseconds=ms))),
    "%RESPONSE_CODE%": ("response_code", NUMBERS),
    "%BYTES_SENT%": ("bytes_sent", st.integers(0, 2**64 - 1)),
    "%DURATION%": ("duration_ms", NUMBERS),
    "%REQ(USER-AGENT)%": ("user_agent", WORDS),
    "%REQ(:AUTHORITY)%": ("authority", WORDS),
    "%ROUTE_NAME%": ("route_name", WORDS),
    "%REQ(X-B3-TRACEID)%": ("trace_id", WORDS),
    "%REQ(X-TENANT)%": ("", WORDS),
    "%HOSTNAME%": ("", WORDS),
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%": ("", NUMBERS),
}
KEYS = st.sampled_from("abcdefghij")


@st.composite
def templates(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """A template, and the operator of each full key."""
    template: dict[str, Any] = {}
    flat: dict[str, str] = {}
    for operator in draw(st.lists(st.sampled_from(list(OPERATORS)), unique=True, min_size=3, max_size=9)):
        path = draw(st.lists(KEYS, min_size=1, max_size=3))
        inner = template
        for key in path[:-1]:
            below = inner.setdefault(key, {})
            inner = below if isinstance(below, dict) else inner
        key = path[-1]
        while key in inner:
            key += "x"
        inner[key] = operator
    for full, operator in members(template, ""):
        flat[full] = operator
    return template, flat


def members(template: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found = []
    for key, value in template.items():
        found += members(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def printed(template: dict[str, Any], values: dict[str, Any], style: str) -> dict[str, Any]:
    """The object that Envoy prints: `typed`, all `strings`, or without what is missing (`omitted`)."""
    found: dict[str, Any] = {}
    for key, operator in template.items():
        if isinstance(operator, dict):
            found[key] = printed(operator, values, style)
            continue
        value = values[operator]
        if isinstance(value, datetime):
            value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if value is None and style == "omitted":
            continue
        if style == "strings":
            value = "-" if value is None else str(value)
        found[key] = value
    return found


@SETTINGS
@given(st.data(), templates(), st.sampled_from(["typed", "strings", "omitted"]), st.sampled_from([1, 3, 30]))
def test_every_value_lands_where_its_operator_belongs(
    data: st.DataObject, case: tuple[dict[str, Any], dict[str, str]], style: str, lines: int
) -> None:
    template, flat = case
    rows = []
    for _ in range(min(lines, 3)):
        rows.append({o: data.draw(st.none() | OPERATORS[o][1]) for o in flat.values()})
    rows = (rows * lines)[:lines]
    raw = [json.dumps(printed(template, values, style), ensure_ascii=False).encode() + b"\n" for values in rows]

    parsed = open_parser(compile_format(json.dumps(template))).parse([Text("a", PLAIN, b"".join(raw), lines)])

    if ACCESS_LOG not in parsed.tables:  # hardly a key is left
        assert style == "omitted"
        return
    for number, row in zip(parsed.rows[ACCESS_LOG].tolist(), parsed.tables[ACCESS_LOG].to_pylist(), strict=True):
        assert not row["doubt"]
        extra = dict(row["extra"] or ())
        for key, operator in flat.items():
            column, value = OPERATORS[operator][0], rows[number][operator]
            if column:
                assert row[column] == value, (operator, raw[number])
            else:
                assert extra.pop(key, None) == (None if value is None else str(value)), (operator, raw[number])
        assert extra == {}
    assert style == "omitted" or parsed.tables[ACCESS_LOG].num_rows == lines
