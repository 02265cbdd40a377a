"""Whatever the rules: every line is one row, joined, or left out, and the weights of what is kept say how much there was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from logproc.frames import Framer
from logproc.model import ACCESS_LOG, ROW_TABLES, SinkLimits, Stream
from logproc.pipeline import Pipeline
from logproc.policy import Policy
from logproc.seal import Sealer
from logproc.spool import Unkept
from logproc.testing import MemorySink, MemorySource
from parsers import open_parser
from tests.test_policy import MESSAGE, access

LINES = st.lists(
    st.one_of(
        st.builds(
            access,
            st.sampled_from(["/a", "/b?q=1", "/orders/17", "/healthz"]),
            st.sampled_from([0, 200, 404, 503]),
            st.sampled_from(["curl/8", "kube-probe/1.33"]),
            st.integers(0, 1 << 30),
        ),
        st.sampled_from([MESSAGE, "", '[2026-11-20T10:00:00.000Z] "GET /x', "\x00\x01", "x" * 3000]),
    ),
    min_size=1,
    max_size=60,
)
RULES = st.builds(
    Policy.parse,
    st.lists(
        st.sampled_from(["path : /a*", "code = 5xx", "level = info", "namespace = shop", "duration > 1s"]), max_size=2
    ),
    st.lists(st.sampled_from(["code < 400: 1/3", "duration >= 0ms: 1/1000", "method = GET: 1/1"]), max_size=2),
    st.sampled_from(["", "query", "user_agent,ip/16", "path-ids,query"]),
    probes=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(LINES, RULES, st.integers(1, 20))
def test_every_line_is_accounted_for(lines: list[str], policy: Policy, per_chunk: int) -> None:
    def run(rules: Policy | None) -> MemorySink:
        sink = MemorySink(SinkLimits(rows=25, bytes=1 << 20, seconds=60, durable=False))
        source = MemorySource.of_lines(
            *lines, stream=Stream("/p/0.log", "shop", "web-0", "istio-proxy", "u"), per_chunk=per_chunk
        )
        Pipeline(
            source, open_parser("auto"), sink, Unkept(), framer=Framer(), sealer=Sealer("c", "n", policy=rules)
        ).run()
        return sink

    ruled, whole = run(policy), run(None)

    for table, column in zip(ROW_TABLES, ("access_rows", "message_rows", "rejected_rows"), strict=True):
        assert len(ruled.rows(table)) == sum(row[column] for row in ruled.ledger())
    account = sum(r["access_rows"] + r["message_rows"] + r["rejected_rows"] + r["left_out"] for r in ruled.ledger())
    assert account == sum(r["lines"] for r in ruled.ledger()) == len(lines)
    # Rules leave lines out and never move, make or change the place of one.
    assert {line for kept in ruled.lines().values() for line in kept} <= set(range(len(lines)))
    for table in ROW_TABLES:
        before = {r["line"] for r in whole.rows(table)}
        assert {r["line"] for r in ruled.rows(table)} <= before
    wrong = {r["line"] for r in whole.rows(ACCESS_LOG) if (r["response_code"] or 0) >= 500 or r["doubt"]}
    if not policy.exclude:
        kept = {r["line"]: r["weight"] for r in ruled.rows(ACCESS_LOG)}
        assert all(kept[line] == 1 for line in wrong)
