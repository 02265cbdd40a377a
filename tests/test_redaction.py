"""What is to be taken out is in no column of any table, and nothing else is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from logproc.columns import TABLES
from logproc.errors import ConfigError
from logproc.model import ACCESS_LOG, MESSAGE_LOG, REJECTED_LINE
from logproc.redaction import Redaction


def table(name: str, **columns: list[Any]) -> pa.RecordBatch:
    count = len(next(iter(columns.values())))
    schema = TABLES[name].schema
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(count, f.type) for f in schema],
        schema=schema,
    )


def redacted(redact: str, name: str = ACCESS_LOG, **columns: list[Any]) -> dict[str, list[Any]]:
    made = table(name, **columns)
    found = Redaction.parse(redact).table(name, made)
    assert found.schema == made.schema
    return {c: found.column(c).to_pylist() for c in columns}


PATHS = ["/orders/123?card=4111", "/orders", None, "/a#card", "/?"]
TEMPLATES = ["/orders/{n}", "/orders", None, "/a", "/"]


@pytest.mark.parametrize(
    ("redact", "expected"),
    [
        ("query", ["/orders/123", "/orders", None, "/a", "/"]),
        ("path-ids", ["/orders/{n}?card=4111", "/orders", None, "/a#card", "/?"]),
        ("query,path-ids", ["/orders/{n}", "/orders", None, "/a", "/"]),
        ("user_agent", PATHS),
    ],
)
def test_paths(redact: str, expected: list[Any]) -> None:
    assert redacted(redact, path=PATHS, path_template=TEMPLATES)["path"] == expected


def test_user_agents() -> None:
    assert redacted("user-agent", user_agent=["curl/8", None])["user_agent"] == [None, None]


def test_addresses_of_clients_lose_their_last_bits() -> None:
    found = redacted(
        "ip/24",
        downstream_remote_address=["10.1.2.3", "2001:db8:1:2:3::4", None],
        x_forwarded_for=["203.0.113.77, 10.9.8.7", "::ffff:192.0.2.9", "not an address 999.1.1.1"],
        upstream_host=["10.244.1.7:8080", "10.244.1.7:8080", None],
    )

    assert found == {
        "downstream_remote_address": ["10.1.2.0", "2001:db8:1::", None],
        "x_forwarded_for": ["203.0.113.0, 10.9.8.0", "::ffff:192.0.2.0", "not an address 999.1.1.1"],
        "upstream_host": ["10.244.1.7:8080", "10.244.1.7:8080", None],
    }


def test_a_wider_mask() -> None:
    assert redacted("ip/8", x_forwarded_for=["203.0.113.77"])["x_forwarded_for"] == ["203.0.0.0"]
    assert redacted("ip/0", x_forwarded_for=["203.0.113.77"])["x_forwarded_for"] == ["0.0.0.0"]


def test_fields_of_a_custom_format() -> None:
    extra = [
        [("REQ(REFERER)", "https://a/b/99?token=1"), ("REQ(USER_AGENT)", "curl/8")],
        None,
        [],
        [("ip", "10.1.2.3")],
    ]

    found = redacted("query,user_agent,ip/24,path-ids", extra=extra)["extra"]

    assert found == [
        [("REQ(REFERER)", "https://a/b/{id}?"), ("REQ(USER_AGENT)", "")], None, [], [("ip", "10.1.2.0")],
    ]  # fmt: skip


def test_a_slice_of_a_batch_is_redacted_like_the_whole() -> None:
    extra = [[("k", f"/a?{n}")] if n % 3 else None for n in range(9)]
    whole = table(ACCESS_LOG, extra=extra, x_forwarded_for=[f"10.0.0.{n}" for n in range(9)])

    part = Redaction.parse("query,ip").table(ACCESS_LOG, whole.slice(4, 3))

    assert part.column("extra").to_pylist() == [[("k", "/a?")], [("k", "/a?")], None]
    assert part.column("x_forwarded_for").to_pylist() == ["10.0.0.0"] * 3


def test_messages() -> None:
    text = 'gone: "GET /users/4711/99/cart?session=abc HTTP/1.1" from 192.0.2.77 at 10:11:12 "Mozilla/5.0 (X11)" "curl/8.1" 12:30'

    (found,) = redacted("query,user_agent,ip/24,path-ids", MESSAGE_LOG, message=[text])["message"]

    assert found == 'gone: "GET /users/{id}/{id}/cart? HTTP/1.1" from 192.0.2.0 at 10:11:12 - - 12:30'


def test_of_a_rejected_line_stays_what_is_certain() -> None:
    raw = [b'\xff"GET /a?secret HTTP" 10.1.2.3', b"\x00"]

    assert redacted("query", REJECTED_LINE, raw=raw, length=[29, 1]) == {"raw": [b"", b""], "length": [29, 1]}
    assert redacted("ip/16", REJECTED_LINE, raw=raw)["raw"] == [b'\xff"GET /a?secret HTTP" 10.1.0.0', b"\x00"]


def test_without_anything_to_take_out_rows_stay_themselves() -> None:
    rows = table(ACCESS_LOG, path=["/a?b"])

    assert Redaction.parse("").table(ACCESS_LOG, rows) is rows


@pytest.mark.parametrize("text", ["ip/33", "cookies", "query;ip"])
def test_unknown_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="known"):
        Redaction.parse(text)
