"""What --format takes: names, strings, files, and every place in which Istio and Envoy keep a format."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from logproc.errors import ConfigError, ExpressionError
from parsers import resolve_format
from parsers.defaults import by_name

TEXT = '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)%" %RESPONSE_CODE% %REQ(X-TENANT)%'
LABELS = {"at": "%START_TIME%", "code": "%RESPONSE_CODE%", "req": {"tenant": "%REQ(X-TENANT)%"}}
JSON_TEXT = json.dumps(LABELS)
MESH_TEXT = {"accessLogFile": "/dev/stdout", "accessLogFormat": TEXT + "\n"}
MESH_JSON = {"accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON", "accessLogFormat": JSON_TEXT}


def provider(name: str, log_format: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "envoyFileAccessLog": {"path": "/dev/stdout", "logFormat": log_format}}


def bootstrap(log_format: dict[str, Any]) -> dict[str, Any]:
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/stdout",
            **log_format,
        },
    }
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": {"access_log": [log]}}
    return {"static_resources": {"listeners": [{"name": "l", "filter_chains": [{"filters": [manager]}]}]}}


def config_map(mesh: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "istio", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": yaml.safe_dump(mesh)}}


def envoy_filter(log_format: dict[str, Any]) -> dict[str, Any]:
    patch = {"operation": "MERGE", "value": bootstrap(log_format)["static_resources"]["listeners"][0]}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "spec": {"configPatches": [{"applyTo": "NETWORK_FILTER", "patch": patch}]},
    }


TEXT_CONFIGS = {
    "mesh config": MESH_TEXT,
    "config map": config_map(MESH_TEXT),
    "istio operator": {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": {"meshConfig": MESH_TEXT}},
    "openshift": {
        "apiVersion": "maistra.io/v2",
        "kind": "ServiceMeshControlPlane",
        "spec": {"proxy": {"accessLogging": {"file": {"name": "/dev/stdout", "encoding": "TEXT", "format": TEXT}}}},
    },
    "openshift, techPreview": {"kind": "ServiceMeshControlPlane", "spec": {"techPreview": {"meshConfig": MESH_TEXT}}},
    "helm values": {"meshConfig": MESH_TEXT},
    "provider": {"extensionProviders": [provider("text-log", {"text": TEXT})]},
    "provider in a mesh config": {"accessLogFormat": TEXT, "extensionProviders": [provider("text-log", {"text": TEXT})]},
    "envoy": bootstrap({"log_format": {"text_format_source": {"inline_string": TEXT + "\n"}}}),
    "envoy, camel case": bootstrap({"logFormat": {"textFormatSource": {"inlineString": TEXT}}}),
    "envoy, text_format": bootstrap({"log_format": {"text_format": TEXT}}),
    "envoy, old": bootstrap({"format": TEXT}),
    "envoy filter": envoy_filter({"log_format": {"text_format_source": {"inline_string": TEXT}}}),
    "envoy gateway": {
        "kind": "EnvoyProxy",
        "spec": {"telemetry": {"accessLog": {"settings": [{"format": {"type": "Text", "text": TEXT}}]}}},
    },
}  # fmt: skip
JSON_CONFIGS = {
    "mesh config": MESH_JSON,
    "config map": config_map(MESH_JSON),
    "provider": {"extensionProviders": [provider("json-log", {"labels": LABELS})]},
    "envoy": bootstrap({"log_format": {"json_format": LABELS}}),
    "envoy, typed": bootstrap({"typed_json_format": LABELS}),
    "envoy, old": bootstrap({"json_format": LABELS}),
    "envoy gateway": {
        "kind": "EnvoyProxy",
        "spec": {"telemetry": {"accessLog": {"settings": [{"format": {"type": "JSON", "json": LABELS}}]}}},
    },
}


def file_with(folder: Path, content: str, name: str = "mesh.yaml") -> str:
    file = folder / name
    file.write_text(content)
    return str(file)


@pytest.mark.parametrize("name", TEXT_CONFIGS)
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_text_formats_in_configuration(tmp_path: Path, name: str, form: str) -> None:
    print_ = yaml.safe_dump if form == "yaml" else json.dumps
    found = resolve_format(file_with(tmp_path, print_(TEXT_CONFIGS[name])))

    assert found is not None
    assert found.json is None
    assert [o.text for o in found.operators] == [
        "%START_TIME%", "%REQ(:METHOD)%", "%REQ(:PATH)%", "%RESPONSE_CODE%", "%REQ(X-TENANT)%",
    ]  # fmt: skip


@pytest.mark.parametrize("name", JSON_CONFIGS)
def test_json_formats_in_configuration(tmp_path: Path, name: str) -> None:
    found = resolve_format(file_with(tmp_path, yaml.safe_dump(JSON_CONFIGS[name])))

    assert found is not None
    assert found.json is not None
    assert set(found.json) == set(LABELS)


@pytest.mark.parametrize("content", [TEXT, TEXT + "\n", "\ufeff" + TEXT, JSON_TEXT, json.dumps(LABELS, indent=2)])
def test_a_file_with_a_format_alone(tmp_path: Path, content: str) -> None:
    found = resolve_format(file_with(tmp_path, content, "format.txt"))

    assert found is not None
    assert (found.json is None) == (content.lstrip("\ufeff").startswith("["))


def test_names_and_strings_need_no_file() -> None:
    assert resolve_format("auto") is None
    assert resolve_format("T5") is by_name("istio-1.9")
    found = resolve_format(TEXT)
    assert found is not None
    assert found.text == TEXT


@pytest.mark.parametrize(("encoding", "name"), [("TEXT", "istio"), ("JSON", "istio-json"), (None, "istio")])
def test_a_mesh_config_without_a_format_prints_istios_default(tmp_path: Path, encoding: str | None, name: str) -> None:
    mesh = {"accessLogFile": "/dev/stdout"} | ({"accessLogEncoding": encoding} if encoding else {})

    for config in (mesh, config_map(mesh), mesh | {"accessLogFormat": ""}):
        assert resolve_format(file_with(tmp_path, yaml.safe_dump(config))) is by_name(name)


def test_one_of_several_is_named(tmp_path: Path) -> None:
    providers = [provider("a", {"text": TEXT}), provider("b", {"text": "%DURATION%"})]
    file = file_with(tmp_path, yaml.safe_dump_all([{"kind": "x"}, {"meshConfig": {"extensionProviders": providers}}]))

    with pytest.raises(ConfigError, match="2 formats") as error:
        resolve_format(file)
    assert f"{file}#a" in str(error.value)
    found = resolve_format(f"{file}#b")
    assert found is not None
    assert found.text == "%DURATION%"
    with pytest.raises(ConfigError, match="there are: a, b"):
        resolve_format(f"{file}#c")


def test_text_in_the_shape_of_json_stays_text(tmp_path: Path) -> None:
    """Istio prints it without escapes, so a client's quotes count."""
    found = resolve_format(
        file_with(tmp_path, yaml.safe_dump({"accessLogFormat": JSON_TEXT, "accessLogEncoding": "TEXT"}))
    )

    assert found is not None
    assert found.json is None


def test_values_that_are_left_out_are_known(tmp_path: Path) -> None:
    config = {"extensionProviders": [provider("a", {"labels": LABELS, "omitEmptyValues": True})]}

    found = resolve_format(file_with(tmp_path, yaml.safe_dump(config)))

    assert found is not None
    assert found.omit_empty_values


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("just words\n", "there is no %"),
        ("accessLogFile: /dev/null\nextensionProviders: []\naccessLogFormat: '%REQ%'\n", "an argument"),
        ("accessLogFormat: '[%START_TIME%'\nfoo: [\n", "YAML here"),
        ("meshConfig:\n  accessLogFormat: |\n    %START_TIME% %DURATION\n", "'%' at the operator's end"),
        ("accessLogEncoding: JSON\naccessLogFormat: '{\"a\": }'\n", "JSON here"),
        ("accessLogEncoding: JSON\naccessLogFormat: '[1]'\n", "it is no object"),
        ('accessLogFormat: |\n  {\n    "a": "%DURATION%"\n  }\n', "a format of one line"),
        ('{"a": "%DURATION%", "a": "%BYTES_SENT%"}', "there twice"),
        ('{"a": "%DURATION%"', "delimiter"),
    ],
)
def test_what_is_no_format_is_said_with_its_place(tmp_path: Path, content: str, said: str) -> None:
    file = file_with(tmp_path, content)

    with pytest.raises(ConfigError, match=said) as error:
        resolve_format(file)

    assert file in str(error.value)
    assert error.value.hint
    if isinstance(error.value, ExpressionError):
        assert error.value.caret.endswith("^")


def test_files_that_cannot_be_formats(tmp_path: Path) -> None:
    binary = tmp_path / "x.bin"
    binary.write_bytes(b"\xff\xfe%")
    with pytest.raises(ConfigError, match="no UTF-8 at byte 0"):
        resolve_format(str(binary))
    with pytest.raises(ConfigError, match="No such file"):
        resolve_format(str(tmp_path / "missing.yaml"))
    with pytest.raises(ConfigError, match="no format is named"):
        resolve_format("mesh")


def test_a_folded_mesh_config_as_people_write_it(tmp_path: Path) -> None:
    file = file_with(
        tmp_path,
        textwrap.dedent(
            """\
            apiVersion: install.istio.io/v1alpha1
            kind: IstioOperator
            spec:
              meshConfig:
                accessLogFile: /dev/stdout
                accessLogFormat: >
                  [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"
                  %RESPONSE_CODE% %RESPONSE_FLAGS%
            """
        ),
    )

    found = resolve_format(file)

    assert found is not None
    assert found.parts[-2:] == (" ", found.operators[-1])
