import io
import json
import re

import pytest

from logproc.errors import ExpressionError
from logproc.simulator import SimulateOptions, simulate
from tests.simulator.conftest import START

FIELDS = {
    "T0": 15,
    "T1": 17,
    "T2": 18,
    "T3": 19,
    "T4": 18,
    "T5": 20,
    "T6": 20,
    "envoy": 11,
    "istio-1.24": 20,
    "istio-1.5": 19,
}
"""Values after the quoted request line."""
TOKEN = re.compile(r'"[^"]*"|[^ "]+')


def access_lines(format: str, topology: str = "bookinfo", requests: int = 200) -> list[str]:
    out = io.BytesIO()
    simulate(SimulateOptions(topology=topology, requests=requests, format=format, start=START, stream=out))
    lines = out.getvalue().decode().splitlines()
    return [line for line in lines if not re.match(r"2026-\S+\t|(concurrency|configPath|discoveryAddress): ", line)]


@pytest.mark.parametrize("format", FIELDS)
def test_each_text_format_has_its_number_of_fields(format: str) -> None:
    lines = access_lines(format)
    shapes = set()
    for line in lines:
        time, rest = line[: line.index("]") + 1], line[line.index("]") + 2 :]
        assert re.fullmatch(r"\[2026-11-21T06:00:[0-9]{2}\.[0-9]{3}Z\]", time)
        tokens = TOKEN.findall(rest)
        if tokens[0].startswith('"'):
            assert re.fullmatch(
                r'"\S+ \S+HTTP/[12.]+"' if format == "T0" else r'"(\S+ \S+ HTTP/[12.]+|- - -)"', tokens[0]
            )
            shapes.add(len(tokens) - 1)
        else:
            # Istio 1.0 had a format of its own for connections.
            assert format == "T0" and len(tokens) == 9

    assert len(lines) > 1000
    assert shapes == {FIELDS[format]}


def test_json_numbers_are_bare_and_missing_values_null() -> None:
    rows = [json.loads(line) for line in access_lines("json", "travels")]

    assert {len(row) for row in rows} == {24}
    assert all(isinstance(row["response_code"], int) and isinstance(row["duration"], int) for row in rows)
    assert {row["upstream_service_time"] for row in rows if row["response_flags"] == "FI"} == {None}
    assert "-" in {row["protocol"] for row in rows}
    assert "-" not in {row["path"] for row in rows}


def test_a_custom_json_format_keeps_its_nesting_and_texts() -> None:
    text = json.dumps(
        {"a": {"code": "%RESPONSE_CODE%", "both": "x %REQ(:METHOD)% 100%%"}, "list": ["%PROTOCOL%", 7], "no": None}
    )

    row = json.loads(access_lines(text, "helloworld", 5)[0])

    assert row == {"a": {"code": 200, "both": "x GET 100%"}, "list": ["HTTP/1.1", 7], "no": None}


def test_a_custom_text_format() -> None:
    text = "%START_TIME(%s.%3f)%|%REQ(USER-AGENT):4%|%UPSTREAM_HOST_WITHOUT_PORT%|%UPSTREAM_CLUSTER%|%GRPC_STATUS%|%REQ(X-NO?:METHOD)%|100%%"

    client, server = sorted(access_lines(text, "helloworld", 1), key=lambda line: "inbound" in line)

    assert re.fullmatch(
        r"17952408[0-9]{2}\.[0-9]{3}\|curl\|10\.244\.0\.[0-9]+\|outbound\|5000\|v[12]\|helloworld\S+;\|-\|GET\|100%",
        client,
    )
    assert re.fullmatch(r"[0-9.]+\|curl\|10\.244\.0\.[0-9]+\|inbound\|5000\|\|;\|-\|GET\|100%", server)


def test_a_format_that_does_not_read_is_shown_with_its_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        simulate(SimulateOptions(format="[%START_TIME] x", stream=io.BytesIO()))

    assert caught.value.column == 13
