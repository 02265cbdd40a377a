"""The options that people type, over rows as they come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from logproc.frames import KUBECTL_PREFIX
from logproc.model import ACCESS_LOG, Chunk, Span, Stream
from logproc.tail.filters import Wanted, compile_wanted
from logproc.tail.forms import make_form
from logproc.tail.order import Lines
from logproc.tail.reading import RowReader, Rows
from parsers import open_parser
from tests.tail.lines import MESSAGE, inbound, outbound

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def rows(*lines: str, pod: str = "cart-7d4b9c6f5-2xk8p") -> Rows:
    data = "".join(f"[pod/{pod}/istio-proxy] {line}\n" for line in lines).encode()
    chunk = Chunk(Stream("-"), Span(0, 0, len(data), 0, len(lines)), data)
    return RowReader(open_parser(), KUBECTL_PREFIX, keep_raw=True).read([Lines(chunk)])


SOME = rows(
    inbound(1, path="/api/cart?x=1", service="cart.shop.svc.cluster.local"),
    outbound(2, code=503, flags="UO", details="overflow", subset="v2", service="reviews.shop.svc.cluster.local"),
    inbound(3, code=404, duration=900, agent="kube-probe/1.31", path="/healthz"),
    MESSAGE,
    "probed by kube-probe/1.31",
    outbound(5, code=200, duration=501, service="reviews-old.shop.svc.cluster.local"),
)


def shown(**wanted: object) -> list[int]:
    kept = compile_wanted(Wanted(**wanted), NOW).apply(SOME)  # type: ignore[arg-type]
    return sorted(place for table in kept.tables.values() for place in table.places.tolist())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"code": "5xx,404"}, [1, 2]),
        ({"flag": "uo,UF"}, [1]),
        ({"slower": "500ms"}, [2, 5]),
        ({"path": "/api/*"}, [0, 1, 5]),
        ({"path": "/api/cart"}, [0]),
        ({"method": "get"}, [0, 1, 2, 5]),
        ({"source": "cart"}, [1, 5]),
        ({"source": "reviews"}, []),
        ({"destination": "reviews"}, [1]),
        ({"destination": "reviews.shop"}, [1]),
        ({"subset": "v2"}, [1]),
        ({"direction": "inbound"}, [0, 2]),
        ({"no_probes": True}, [0, 1, 3, 5]),
        ({"no_probes": True, "only": "access"}, [0, 1, 5]),
        ({"only": "messages"}, [3, 4]),
        ({"where": "code >= 400 and not has_flag(UO)"}, [2]),
        ({"include": ["reviews"]}, [1, 5]),
        ({"include": ["reviews"], "exclude": ["-old"]}, [1]),
        ({"include": ["ready"], "code": "2xx"}, []),
        ({"since": datetime(2026, 11, 21, 10, 0, 3, tzinfo=UTC), "only": "access"}, [2, 5]),
    ],
)
def test_which_rows_are_shown(wanted: dict[str, object], expected: list[int]) -> None:
    assert shown(**wanted) == expected


def test_forms_for_programs() -> None:
    kept = compile_wanted(Wanted(flag="UO"), NOW).apply(SOME)
    form, template = make_form("logfmt"), make_form("{code:>5}|{subset}|{pod}|{sni}")
    assert form is not None and template is not None

    (pairs,) = bytes(form.text(kept)).decode().splitlines()
    assert "response_code=503" in pairs and "upstream_subset=v2" in pairs
    assert template.text(kept) == b"  503|v2|cart-7d4b9c6f5-2xk8p|-\n"


def test_rows_of_all_tables_come_in_the_order_of_their_lines() -> None:
    form = make_form("raw")
    assert form is not None

    lines = bytes(form.text(SOME)).decode().splitlines()
    assert [("GET" in line, "ready" in line) for line in lines[2:5]] == [(True, False), (False, True), (False, False)]
    assert SOME.tables[ACCESS_LOG].batch.num_rows == 4
