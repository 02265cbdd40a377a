"""All objects of an installation, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from logproc.install import embedded, loader, node_agent, openshift, parts, sidecar
from logproc.install.choice import Choice, Part
from logproc.install.parts import Object
from logproc.urls import Url

LEVELS = {Part.DAEMONSET: "privileged", Part.EMBEDDED: "privileged", Part.LOADER: "restricted", Part.SIDECAR: "restricted"}  # fmt: skip
"""Pod Security. A folder of the node in a pod is `privileged` whatever else the pod gives up; the others need nothing."""

_MAKERS = {
    Part.DAEMONSET: node_agent.objects,
    Part.EMBEDDED: embedded.objects,
    Part.SIDECAR: sidecar.objects,
    Part.LOADER: loader.objects,
}


def level(choice: Choice) -> str:
    """The level of Pod Security of the namespace: what the part that needs most needs."""
    return max((LEVELS[part] for part in choice.parts), key=["restricted", "privileged"].index)


def objects(choice: Choice) -> list[Object]:
    """Everything, in the order in which it can be applied. A sidecar goes into a namespace that is there."""
    made: list[Object] = [] if Part.SIDECAR in choice.parts else [parts.namespace_object(choice.namespace, level(choice))]  # fmt: skip
    for part, maker in _MAKERS.items():
        if part in choice.parts:
            made += maker(choice)
    return openshift.adapted(made, choice) if choice.openshift else made


def secrets(choice: Choice) -> list[str]:
    """The commands that make the Secrets which the objects refer to, from files in the folder where they are typed."""
    found = []
    for url in (Url.parse(text) for text in (choice.kafka, choice.clickhouse) if text and parts.login(text).volumes):
        keys = ["--from-literal=password=..."] if url.user else []
        keys += [f"--from-file={Path(file).name}" for file in parts.certificates(url)]
        command = f"kubectl -n {choice.namespace} create secret generic {parts.secret_name(url.scheme)}"
        found.append(" ".join([command, *keys]))
    return found


def text(made: Iterable[Object]) -> str:
    """YAML documents."""
    return "---\n".join(document(kept) for kept in made)


def document(kept: object) -> str:
    """One object as YAML; texts of several lines stand as they are."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without anchors, lists indented as kubectl's users write them."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
            super().increase_indent(flow, False)

    def literal(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, literal)
    dumped: str = yaml.dump(kept, Dumper=Dumper, sort_keys=False, width=140, allow_unicode=True)
    return dumped
