"""What `--format` takes: a name, a format string, or a file with one of them in it.

A file is text as it stands in a mesh config, a JSON template, or configuration in YAML or JSON that has formats in it: Istio's mesh config
(alone, in its ConfigMap, in an IstioOperator or a ServiceMeshControlPlane), its extension providers, and Envoy's own (bootstrap, listeners,
EnvoyFilter). `FILE#NAME` takes one of several.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logproc.errors import ConfigError, ExpressionError
from parsers import defaults
from parsers.format_string import Format, compile_format

AUTO = "auto"
MOST_BYTES = 4 << 20
"""Bytes of a file that can be a format."""
_LISTED = 12

_NAMES = (
    "apiVersion|kind|accessLogFormat|accessLogEncoding|accessLogFile|meshConfig|extensionProviders|static_resources|access_log|log_format"
    "|logFormat"
)
_CONFIG_KEYS = re.compile(rf"""^[ \t]*-?[ \t]*["']?(?:{_NAMES})["']?[ \t]*:|[{{,]\s*"(?:{_NAMES})"\s*:""", re.MULTILINE)
"""Keys that only configuration has."""


@dataclass(frozen=True, slots=True)
class Found:
    """A format that stands in configuration: `name` by which it can be asked for, and the `path` of its key."""

    name: str
    path: str
    format: Format


def resolve_format(given: str) -> Format | None:
    """The format that is named, written or in the file that is named; None for `auto`. Raises ConfigError where there is none."""
    if given == AUTO:
        return None
    found = defaults.by_name(given)
    if found is not None:
        return found
    if "%" in given or given.lstrip().startswith("{"):
        return compile_format(given)
    name, _, wanted = given.partition("#")
    path = Path(name)
    if path.is_file() or (name and ("/" in name or path.suffix in (".yaml", ".yml", ".json", ".txt", ".conf"))):
        return read_format(path, wanted)
    names = [AUTO, *(d.name for d in defaults.DEFAULTS), *defaults.ALIASES]
    near = difflib.get_close_matches(given, names, 1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"known: {', '.join(names)}; or a format string such as '%START_TIME% ...', or a file with one"
    )
    raise ConfigError(f"no format is named {given!r}", hint)


def read_format(path: Path, name: str = "") -> Format:
    """The format in a file; `name`: which of several. Raises ConfigError, for a fault in it ExpressionError with its place."""
    text = _text(path)
    found = list(_of_configuration(path, text))
    if found:
        return _one(path, found, name)
    if re.search(r"^[ \t]*(?:apiVersion|accessLogFile|meshConfig)[ \t]*:", text, re.MULTILINE):
        raise ConfigError(
            f"{path}: there is no format in this configuration",
            "it would stand in accessLogFormat, or in a provider's logFormat",
        )
    if not text.strip():
        raise ConfigError(f"{path}: this is no format: it is empty", "put a format string into it")
    if "%" not in text:
        raise ConfigError(
            f"{path}: this is no format: there is no % in it",
            "it needs operators such as %START_TIME%, or a mesh config with accessLogFormat",
        )
    try:
        return compile_format(text)
    except ExpressionError as error:
        raise ExpressionError(f"{path}", error.text, error.offset, error.expected, error.hint) from None


def formats_in(where: str, text: str) -> list[Format]:
    """All formats that configuration as text holds, each once; `where` names it in errors. Raises ConfigError."""
    return list({found.format.text: found.format for found in _of_configuration(Path(where), text)}.values())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", "`logproc formats` lists the known names") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is no format: no UTF-8 at byte {error.start}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path}: this is no format: it has more than {MOST_BYTES:,} bytes")
    return text


def _of_configuration(path: Path, text: str) -> Iterator[Found]:
    """The formats in a file of configuration; nothing for any other file."""
    if not _CONFIG_KEYS.search(text):
        return
    import yaml  # 20 ms that a name or a format string need not wait for

    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None or re.match(r"[ \t]*[\[{\"]?[^\n:]*%", text):
            return  # a format that happens to hold such a word
        said = str(getattr(error, "problem", "")) or "YAML"
        raise ExpressionError(
            f"{path}", text, mark.index, f"YAML here ({said})", "indent and quote it as YAML wants"
        ) from error
    for document in documents:
        if isinstance(document, Mapping):
            yield from _walk(path, document, "", "")
            if _is_mesh_config(document) and "accessLogFormat" not in document:
                yield Found("accessLogFormat", "accessLogFormat", _default(document.get("accessLogEncoding")))


def _one(path: Path, found: list[Found], name: str) -> Format:
    if name:
        named = [f for f in found if name in (f.name, f.path)]
        if not named:
            names = ", ".join(dict.fromkeys(f.name for f in found))
            raise ConfigError(f"{path}: no format in it is named {name!r}", f"there are: {names}")
        found = named
    distinct = {f.format.text: f for f in found}
    if len(distinct) == 1:
        return found[0].format
    listed = "\n".join(f"  {path}#{f.name}  ({f.path})" for f in list(distinct.values())[:_LISTED])
    raise ConfigError(
        f"{path}: there are {len(distinct)} formats in it\n{listed}", f"name one, such as {path}#{found[0].name}"
    )


def _is_mesh_config(document: Mapping[str, Any]) -> bool:
    return "accessLogFile" in document or "accessLogEncoding" in document


def _default(encoding: Any) -> Format:
    """What Istio prints where no format is set."""
    name = "istio-json" if str(encoding).upper() == "JSON" else "istio"
    return next(d.format for d in defaults.DEFAULTS if d.name == name)


def _walk(path: Path, value: Any, at: str, provider: str) -> Iterator[Found]:
    """Every format below, in the order in which they stand."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(path, item, f"{at}[{i}]", provider)
        return
    if not isinstance(value, Mapping):
        return
    provider = str(value["name"]) if isinstance(value.get("name"), str) and "envoyFileAccessLog" in value else provider
    for key, inner in value.items():
        here = f"{at}.{key}" if at else str(key)
        where = f"{path}: {here}"
        if key == "accessLogFormat" and isinstance(inner, str):
            if inner.strip():
                yield Found("accessLogFormat", here, _mesh_format(where, inner, value.get("accessLogEncoding")))
            else:
                yield Found("accessLogFormat", here, _default(value.get("accessLogEncoding")))
        elif key in ("mesh", "meshNetworks", "mesh.yaml") and isinstance(inner, str):
            yield from _embedded(path, inner, here)
        elif key in ("logFormat", "log_format", "format") and isinstance(inner, Mapping):
            yield from _log_format(where, here, inner, provider)
        elif key in _STRINGS and isinstance(inner, str) and "%" in inner and _is_log(value):
            yield Found(provider or here, here, _mesh_format(where, inner, value.get("encoding")))
        elif key in _TEMPLATES and isinstance(inner, Mapping) and _is_log(value):
            yield Found(provider or here, here, _json_format(where, inner, omit_empty=False))
        else:
            yield from _walk(path, inner, here, provider)


_STRINGS = {"format", "stringFormat"}
_TEMPLATES = {"json_format", "jsonFormat", "typed_json_format", "typedJsonFormat"}
"""Envoy's file access log before `log_format`, Gloo's, and OpenShift's with its `encoding`."""


def _is_log(value: Mapping[Any, Any]) -> bool:
    return "path" in value or "encoding" in value or "FileAccessLog" in str(value.get("@type", ""))


def _embedded(path: Path, text: str, here: str) -> Iterator[Found]:
    """The mesh config that a ConfigMap holds as text."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        offset = mark.index if mark is not None else 0
        raise ExpressionError(f"{path}: {here}", text, offset, "YAML here", "it is a mesh config as text") from error
    if isinstance(document, Mapping):
        yield from _walk(path, document, here, "")
        if _is_mesh_config(document) and "accessLogFormat" not in document:
            yield Found("accessLogFormat", f"{here}.accessLogFormat", _default(document.get("accessLogEncoding")))


def _log_format(where: str, here: str, value: Mapping[Any, Any], provider: str) -> Iterator[Found]:
    """Envoy's `SubstitutionFormatString`, Istio's `logFormat` of a provider, Envoy Gateway's `format`."""
    omit = bool(value.get("omit_empty_values", value.get("omitEmptyValues", False)))
    source = value.get("text_format_source", value.get("textFormatSource"))
    text = source.get("inline_string", source.get("inlineString")) if isinstance(source, Mapping) else None
    text = next(
        (t for t in (text, value.get("text_format"), value.get("textFormat"), value.get("text")) if isinstance(t, str)),
        None,
    )
    named = ("json_format", "jsonFormat", "labels", "json", "typed_json_format")
    template = next((value[k] for k in named if isinstance(value.get(k), Mapping)), None)
    if text is not None:
        yield Found(provider or here, here, _text_format(where, text, omit_empty=omit))
    elif template is not None:
        yield Found(provider or here, here, _json_format(where, template, omit_empty=omit))
    elif isinstance(source, Mapping) and "filename" in source:
        raise ConfigError(f"{where}: the format is in the file {source['filename']}", "give that file to --format")


def _mesh_format(where: str, text: str, encoding: Any) -> Format:
    if str(encoding).upper() != "JSON":
        return _text_format(where, text)
    try:
        return _json_format(where, json.loads(text), omit_empty=False, text=text)
    except (json.JSONDecodeError, RecursionError) as error:
        hint = "accessLogEncoding is JSON; Istio prints its default JSON in place of a template that is none"
        raise ExpressionError(where, text, getattr(error, "pos", 0), "JSON here", hint) from None


def _text_format(where: str, text: str, *, omit_empty: bool = False) -> Format:
    """A text format, even one in the shape of JSON: its values are printed without escapes."""
    return _placed(where, text, omit_empty=omit_empty, encoding="text")


def _json_format(where: str, template: Any, *, omit_empty: bool, text: str | None = None) -> Format:
    if not isinstance(template, Mapping):
        raise ConfigError(f"{where}: this is no JSON template: it is no object", 'such as {"code": "%RESPONSE_CODE%"}')
    return _placed(where, text or json.dumps(template, default=str), omit_empty=omit_empty, encoding="json")


def _placed(where: str, text: str, *, omit_empty: bool, encoding: str) -> Format:
    try:
        return compile_format(text, omit_empty_values=omit_empty, encoding=encoding)
    except ExpressionError as error:
        raise ExpressionError(where, error.text, error.offset, error.expected, error.hint) from None
