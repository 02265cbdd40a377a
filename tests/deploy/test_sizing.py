"""docs/sizing.md, which says what was measured, and the manifests: one cannot be changed without the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from logproc.install import embedded, loader, node_agent, sidecar
from logproc.install.choice import Choice
from logproc.install.parts import Resources
from logproc.sizes import parse_size

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sizing.md").read_text()
NODE_AGENT = Choice.of(clickhouse="clickhouse://a@b/c")
SIDECAR = Choice.of(sidecar=True, kafka="kafka://a:9092/b", namespace="shop")
EMBEDDED = Choice.of(embedded=True)

PARTS = {
    "Node agent": (node_agent.RESOURCES, {"memory": node_agent.settings(NODE_AGENT)["collect"]["memory"]}),
    "Loader": (loader.RESOURCES, {}),
    "Sidecar": (sidecar.RESOURCES, {"memory": sidecar.settings(SIDECAR)["collect"]["memory"]}),
    "Embedded store": (embedded.RESOURCES, {"max-memory": embedded.settings(EMBEDDED)["up"]["max-memory"]}),
}


def cells(section: str, column: int) -> list[str]:
    """A column of the tables of a section, without its head."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [row[column].strip() for row in rows[2:]]


@pytest.mark.parametrize("section", PARTS)
def test_requests_limits_and_settings_are_those_of_the_page(section: str) -> None:
    resources, settings = PARTS[section]
    manifests = " ".join(cells(section, 2))
    requests, limits = (re.findall(rf"{word} ([0-9]\w*)", manifests) for word in ("request", "limit"))

    assert Resources(*requests, *limits) == resources
    assert dict(re.findall(r'`([\w-]+) = "(\w+)"`', manifests)) == settings


@pytest.mark.parametrize("section", PARTS)
def test_the_measured_peaks_fit_into_the_limits(section: str) -> None:
    resources, settings = PARTS[section]
    measured = [
        float(number) * {"MB": 1e6, "GB": 1e9}[unit]
        for what, cell in zip(cells(section, 0), cells(section, 1), strict=True)
        if what.startswith("memory")
        for number, unit in re.findall(r"([0-9.]+) (MB|GB)", cell)
    ]
    limit = parse_size("limit", resources.memory_limit)

    assert measured
    assert max(measured) * 1.25 < limit, "page cache counts too"
    assert all(parse_size("memory", value) * 1.25 < limit for value in settings.values())
    assert min(measured) < parse_size("request", resources.memory) * 1.25, "what is asked for is what it takes"


def test_the_volumes_hold_the_spools() -> None:
    spool = parse_size("spool-max", sidecar.settings(SIDECAR)["collect"]["spool-max"])

    assert cells("Sidecar", 2)[-1] == sidecar.VOLUME_SIZE
    assert spool * 2 < parse_size("volume", sidecar.VOLUME_SIZE)
    assert f"`spool-max`, {spool >> 20} MiB" in cells("Sidecar", 1)[-1]
    assert "1 GiB" in cells("Node agent", 1)[-2]
    assert node_agent.settings(NODE_AGENT)["collect"]["spool-max"] == "1Gi"
