"""`logproc doctor`: what this machine, the cluster, the broker and the store allow."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING

if TYPE_CHECKING:
    from logproc.doctor.finding import Finding

TITLE = "What this machine, cluster, broker and store allow, and how to mend it."

LOGS = Path("/var/log/pods")


class Output(StrEnum):
    """How it is printed."""

    TEXT = "text"
    JSON = "json"


def run(
    ctx: typer.Context,
    paths: list[Path] = typer.Argument(None, metavar="PATH", help="Log files or folders.", show_default="/var/log/pods where it is"),
    *,
    state: Path = typer.Option(None, "--state", metavar="DIR", help="The collector's state folder.", show_default="that of [collect] in the settings"),
    to: list[str] = typer.Option([], "--to", metavar="URL", help="A sink, store or topic: clickhouse://, kafka://, chdb:// (repeatable).", show_default="those of [collect] and [load] in the settings"),
    kubeconfig: Path = typer.Option(None, "--kubeconfig", metavar="FILE", help="Ask the Kubernetes API with this.", show_default="the pod's service account"),
    mesh_config: str = typer.Option("", "--mesh-config", metavar="NAMESPACE/NAME", help="ConfigMap of the mesh config.", show_default="that of [collect] in the settings"),
    output: Output = typer.Option(Output.TEXT, "--output", "-o", help="text or json."),
) -> int:  # fmt: skip
    """Look at what a collector or loader would meet here, and say how to mend what is wrong; exit code 1 where anything is.

    Looked at are: settings, log folders and their permissions, the state folder and its disk, limits of open files and memory, rights
    at the Kubernetes API, topic settings, the store's tables, and clocks. What is not configured is not looked at.

    Examples:

    \b
      logproc doctor
      logproc doctor /var/log/pods --state /var/lib/logproc --to kafka://broker:9092/logproc
      logproc doctor --to clickhouse://logproc@clickhouse:8123/logproc -o json | jq '.[] | select(.verdict == "bad")'
      kubectl -n logproc exec ds/logproc-node-agent -- logproc doctor
    """
    from logproc.doctor.finding import Verdict

    found = []
    for finding in _findings(ctx, paths or [], to, state=state, kubeconfig=kubeconfig, mesh_config=mesh_config):
        found.append(finding)
        if output is Output.TEXT:
            _show(finding)
    if output is Output.JSON:
        print(json.dumps([finding.as_json() for finding in found], indent=2))
    wrong = sum(finding.verdict is Verdict.BAD for finding in found)
    if output is Output.TEXT:
        print(f"{wrong} to mend" if wrong else "nothing to mend", file=sys.stderr)
    return EXIT_FINDING if wrong else EXIT_DONE


def _findings(
    ctx: typer.Context,
    paths: list[Path],
    to: list[str],
    *,
    state: Path | None,
    kubeconfig: Path | None,
    mesh_config: str,
) -> Iterator[Finding]:
    from logproc.doctor import cluster, machine, topics
    from logproc.doctor.finding import bad, caught, good
    from logproc.kube_api import Access
    from logproc.sizes import parse_size

    config = ctx.find_root().params.get("config")
    path, problems = _settings(config)
    yield from (
        bad("settings", str(path or "environment"), p.message, p.hint or "see docs/settings.md") for p in problems
    )
    if not problems:
        yield good("settings", str(path or "environment"), "as it should be")
    collect, load = ({}, {}) if problems else (_values("collect", path), _values("load", path))
    for place in paths or ([LOGS] if LOGS.exists() else []):
        yield from machine.logs(place)
    folder = state or (Path(collect["state"]) if "state" in collect else None)
    spool = parse_size("--spool-max", str(collect.get("spool-max", "1Gi")))
    if folder is not None:
        yield from machine.state(folder, spool)
    yield from machine.limits()
    refused: list[Finding] = []
    with caught("kubernetes", str(kubeconfig or "service account"), refused.append):
        access = Access.from_kubeconfig(kubeconfig) if kubeconfig else Access.in_cluster()
        if access is not None:
            yield from cluster.check(access, mesh_config or str(collect.get("mesh-config", "istio-system/istio")))
    yield from refused
    for url in dict.fromkeys(to or [str(table["to"]) for table in (collect, load) if "to" in table]):
        yield from topics.check(url) if url.startswith("kafka:") else _store(url)


def _settings(config: Any) -> tuple[Path | None, list[Any]]:
    from logproc.commands.settings import problems
    from logproc.settings import settings_path

    path = settings_path(Path(config) if config else None)
    return path, list(problems(path, os.environ))


def _values(command: str, path: Path | None) -> dict[str, Any]:
    """What somebody set for a command."""
    from logproc import main
    from logproc.settings import command_defaults, read_settings
    from logproc.settings_values import resolved

    names = main.command_names()
    given = command_defaults(path, read_settings(path), command, names, main.options_of) if path else {}
    return {s.name: s.value for s in resolved(command, main.load(command), given, path) if s.origin != "default"}


def _store(url: str) -> Iterator[Finding]:
    """The version of the tables, how they differ, and the server's clock."""
    from contextlib import closing

    from logproc.doctor.finding import bad, caught, clock, good, note

    if url.startswith(("null:", "stdout:", "parquet:")):
        return  # nothing that could refuse
    from sinks import compare, ddl, server
    from sinks.store import open_store

    found: list[Finding] = []
    with caught("store", url, found.append), closing(open_store(url, upgrade=False)) as opened:
        connection, database = opened.connection, opened.database
        version = ddl.version_of(connection, database)
        if version != ddl.VERSION:
            older = version < ddl.VERSION
            mend = f"logproc schema apply --store {url}" if older else "use the logproc that made the tables, or a newer one"  # fmt: skip
            found.append(bad("store", url, f"tables of version {version}, this logproc has {ddl.VERSION}", mend))
        else:
            wrong = compare.differences(connection, database, {})
            found += [note("store", url, line, "see `logproc schema diff`") for line in wrong]
            found.append(good("store", url, f"version {version}, rows are kept: {compare.kept(connection, database) or 'forever'}"))  # fmt: skip
        if url.startswith("clickhouse:"):
            server.require_version(connection)
            server.require_settings(connection)
            now = connection.query("SELECT toUnixTimestamp64Milli(now64(3)) AS t")["t"][0].as_py()
            found.append(clock(url, datetime.fromtimestamp(now / 1000, UTC)))
    yield from found


def _show(finding: Finding) -> None:
    print(f"{finding.verdict.value:4}  {finding.check:10}  {finding.subject}: {finding.said}", flush=True)
    if finding.mend:
        print(f"{'':4}  {'':10}  {finding.mend}", flush=True)
