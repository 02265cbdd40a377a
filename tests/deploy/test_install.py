"""`logproc install`: what is asked for is printed, what cannot work is refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from logproc.errors import ConfigError
from logproc.install.choice import Choice, Part
from tests.cli import run

KAFKA = "kafka://broker:9092/logproc"
CLICKHOUSE = "clickhouse://logproc@ch:8123/logproc"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "where shall the collectors write?"),
        ({"daemonset": True, "sidecar": True, "kafka": KAFKA}, "exclude each other"),
        ({"loader": True, "kafka": KAFKA}, "--clickhouse is missing"),
        ({"loader": True, "clickhouse": CLICKHOUSE}, "--kafka is missing"),
        ({"loader": True, "sidecar": True, "kafka": KAFKA, "clickhouse": CLICKHOUSE}, "different namespaces"),
        ({"daemonset": True, "kafka": KAFKA, "clickhouse": CLICKHOUSE}, "of no use here"),
        ({"embedded": True, "clickhouse": CLICKHOUSE}, "neither to Kafka nor to a server"),
        ({"embedded": True, "daemonset": True}, "whole installation"),
        ({"kafka": CLICKHOUSE}, "is no kafka URL"),
        ({"clickhouse": KAFKA}, "is no clickhouse URL"),
        ({"clickhouse": "clickhouse://me:secret@ch/logproc"}, "a password in a URL"),
        ({"clickhouse": CLICKHOUSE, "namespace": "Log_Proc"}, "no name of a namespace"),
        ({"clickhouse": CLICKHOUSE, "image": "a b"}, "no image"),
        ({"clickhouse": CLICKHOUSE, "mesh_config": "istio"}, "NAMESPACE/NAME"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Choice.of(**options)  # type: ignore[arg-type]

    assert said in str(error.value)
    assert error.value.hint


def test_without_a_part_it_is_the_node_agent_and_with_both_urls_the_loader_too() -> None:
    assert Choice.of(clickhouse=CLICKHOUSE).parts == {Part.DAEMONSET}
    assert Choice.of(kafka=KAFKA).parts == {Part.DAEMONSET}
    assert Choice.of(kafka=KAFKA, clickhouse=CLICKHOUSE).parts == {Part.DAEMONSET, Part.LOADER}


def test_objects_go_to_standard_output_and_the_command_for_the_secret_to_standard_error() -> None:
    done = run("install", "--print", "--clickhouse", CLICKHOUSE, "--namespace", "mesh", "--image", "r.example/x:1")

    assert done.returncode == 0, done.stderr.decode()
    objects = list(yaml.safe_load_all(done.stdout))
    assert {o["metadata"].get("namespace", "mesh") for o in objects} == {"mesh", "istio-system"}
    (agent,) = (o for o in objects if o["kind"] == "DaemonSet")
    assert agent["spec"]["template"]["spec"]["containers"][0]["image"] == "r.example/x:1"
    assert b"kubectl -n mesh create secret generic logproc-clickhouse --from-literal=password=...\n" in done.stderr


def test_files_that_the_url_names_are_keys_of_the_secret() -> None:
    place = "/run/secrets/logproc/kafka"
    done = run(
        "install",
        "--print",
        "--kafka",
        f"kafka://broker:9092/logproc?ca={place}/ca.crt&cert={place}/tls.crt&key={place}/tls.key",
    )

    assert done.returncode == 0, done.stderr.decode()
    assert b"generic logproc-kafka --from-file=ca.crt --from-file=tls.crt --from-file=tls.key\n" in done.stderr


def test_without_a_user_no_secret_is_asked_for() -> None:
    done = run("install", "--print", "--kafka", KAFKA)

    assert done.stderr == b""
    assert b"secretName" not in done.stdout


def test_options_of_a_url_are_checked_as_the_collector_would() -> None:
    done = run("install", "--print", "--kafka", "kafka://broker:9092/logproc?tsl=1")

    assert done.returncode == 2
    assert b"did you mean tls?" in done.stderr


def test_a_file_that_will_not_be_in_the_container_is_refused() -> None:
    done = run("install", "--print", "--kafka", "kafka://broker:9092/logproc?ca=ca.pem")

    assert done.returncode == 2
    assert b"/run/secrets/logproc/kafka" in done.stderr


def test_something_has_to_be_done() -> None:
    done = run("install", "--clickhouse", CLICKHOUSE)

    assert done.returncode == 2
    assert b"--print or --kustomize" in done.stderr


def test_a_folder_of_overlays_is_written(tmp_path: Path) -> None:
    done = run("install", "--kustomize", tmp_path / "mine")

    assert done.returncode == 0
    assert (tmp_path / "mine" / "overlays" / "kafka" / "kustomization.yaml").is_file()
    assert run("install", "--kustomize", tmp_path, "--kafka", KAFKA).returncode == 2
