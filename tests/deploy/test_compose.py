"""deploy/compose.yaml, deploy/clickhouse and deploy/kafka: as the commands, the code and ClickHouse's grammar understand them.

What Docker Compose makes of the file is asked in tests/kube.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from logproc import __version__, main
from logproc.topic_settings import DEAD_LETTER_SUFFIX
from logproc.urls import Url
from tests.cli import output
from tests.deploy.test_image import STAGES

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("logproc:")}

KNOWN = {
    "image", "build", "restart", "read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period", "command", "environment",
    "volumes", "ports", "healthcheck", "depends_on", "user", "ulimits",
}  # fmt: skip
"""Of the Compose specification's keys of a service, those that are used here."""


def test_the_services_are_there() -> None:
    assert set(SERVICES) == {"kafka", "clickhouse", "topic", "schema", "simulator", "collector", "loader"}
    assert set(COMPOSE) <= {"name", "services", "volumes", "x-logproc", "x-clickhouse-password"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_complete(name: str) -> None:
    service = SERVICES[name]

    assert set(service) <= KNOWN
    assert re.search(r":\d+\.\d+", service["image"]), "a version, not latest"
    assert service["restart"] in {"unless-stopped", "on-failure"}
    assert service.get("healthcheck") or name in {"collector", "loader"}, "theirs is the image's"
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[needed]["healthcheck"]
        else:
            assert SERVICES[needed]["restart"] == "on-failure"
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "a laptop's neighbours are not asked in"


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_understood_and_its_servers_are_services(name: str) -> None:
    words = OURS[name]["command"]
    command = main.load(words[0])
    rest = words[1:]
    if hasattr(command, "commands") and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]

    assert command.make_context(words[0], list(rest)).params
    for word in words:
        if word.startswith(("kafka://", "clickhouse://")):
            assert Url.parse(word).host in SERVICES


def test_images_are_built_from_the_dockerfile() -> None:
    for service in OURS.values():
        assert service["build"]["target"] in STAGES
        assert service["image"] == f"logproc:{__version__}"


def test_grace_ends_before_the_engine_kills() -> None:
    for name in ("collector", "loader"):
        words = SERVICES[name]["command"]
        assert words[words.index("--metrics-listen") + 1] == ":9090", "the image's health check asks there"
        assert float(words[words.index("--grace") + 1]) < float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_the_schema_is_what_the_code_prints() -> None:
    assert (DEPLOY / "clickhouse/schema.sql").read_bytes() == output("schema", "print"), (
        "run `logproc schema print > deploy/clickhouse/schema.sql`"
    )
    assert (DEPLOY / "clickhouse/schema-cluster.sql").read_bytes() == output("schema", "print", "--cluster", "main")


def test_clickhouse_reads_the_users() -> None:
    text = re.sub(r"^--.*$", "", (DEPLOY / "clickhouse/users.sql").read_text(), flags=re.MULTILINE)
    statements = [s.strip() for s in text.split(";") if s.strip()]
    program = (
        "import sys, chdb\n"
        "for q in sys.argv[1:]: print(chdb.query('SELECT formatQuerySingleLine({q:String})', 'TSVRaw', params={'q': q}), end='')"
    )
    done = subprocess.run([sys.executable, "-c", program, *statements], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [s.split()[0] for s in statements]

    assert not re.search(r"GRANT (ALL|INSERT)[^;]*TO logproc_reader", text)
    for limit in ("max_execution_time", "max_memory_usage"):
        assert re.search(rf"{limit} = \d+ MIN 1 MAX \d+", done.stdout), "a client could lift it"


def test_acls_cover_the_topic_the_group_and_the_dead_letters() -> None:
    script = (DEPLOY / "kafka/acls.sh").read_text()

    assert subprocess.run(["sh", "-n", DEPLOY / "kafka/acls.sh"], check=False).returncode == 0
    assert f"$topic{DEAD_LETTER_SUFFIX}" in script
    assert "logproc-load}" in script
