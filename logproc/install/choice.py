"""What an installation consists of: read from options, and refused where it cannot work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from logproc import __version__
from logproc.errors import ConfigError
from logproc.urls import Url

NAMESPACE = "logproc"
IMAGE = f"logproc:{__version__}"
EMBEDDED_IMAGE = f"logproc:{__version__}-full"
"""Only this target of the Dockerfile has the embedded ClickHouse."""

MESH_CONFIG = "istio-system/istio"
OPENSHIFT_MESH_CONFIG = "istio-system/istio-basic"
"""OpenShift Service Mesh 2 names it after its ServiceMeshControlPlane, which its documentation calls `basic`."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Part(StrEnum):
    """What can be installed."""

    DAEMONSET = "daemonset"
    LOADER = "loader"
    SIDECAR = "sidecar"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Choice:
    """One installation. `kafka` and `clickhouse` are URLs as `collect --to` takes them, empty where there is none."""

    parts: frozenset[Part]
    kafka: str = ""
    clickhouse: str = ""
    namespace: str = NAMESPACE
    image: str = IMAGE
    openshift: bool = False
    mesh_config: str = MESH_CONFIG
    native_sidecar: bool = True

    @property
    def sink(self) -> str:
        """Where collectors write: Kafka where there is one."""
        return self.kafka or self.clickhouse

    @classmethod
    def of(
        cls,
        *,
        daemonset: bool = False,
        loader: bool = False,
        sidecar: bool = False,
        embedded: bool = False,
        kafka: str = "",
        clickhouse: str = "",
        namespace: str = NAMESPACE,
        image: str = "",
        openshift: bool = False,
        mesh_config: str = "",
        native_sidecar: bool = True,
    ) -> Choice:
        """The installation that options describe; without a part the node agent, and the loader where both URLs are given.

        Raises ConfigError for options that contradict each other or miss one another.
        """
        asked = {Part.DAEMONSET: daemonset, Part.LOADER: loader, Part.SIDECAR: sidecar, Part.EMBEDDED: embedded}
        parts = {part for part, wanted in asked.items() if wanted}
        if not parts:
            parts = {Part.DAEMONSET} | ({Part.LOADER} if kafka and clickhouse else set())
        made = cls(
            frozenset(parts), kafka, clickhouse, namespace,
            image or (EMBEDDED_IMAGE if parts == {Part.EMBEDDED} else IMAGE), openshift,
            mesh_config or (OPENSHIFT_MESH_CONFIG if openshift else MESH_CONFIG), native_sidecar,
        )  # fmt: skip
        made._check()
        return made

    def _check(self) -> None:
        if not _LABEL.fullmatch(self.namespace):
            raise ConfigError(
                f"--namespace: {self.namespace!r} is no name of a namespace", "lower-case letters, digits and -"
            )
        if not self.image or any(c.isspace() for c in self.image):
            raise ConfigError(f"--image: {self.image!r} is no image", "for example registry.example/logproc:0.1.0")
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", self.mesh_config):
            raise ConfigError(f"--mesh-config: {self.mesh_config!r}", f"write NAMESPACE/NAME, as in {MESH_CONFIG}")
        self._check_parts()
        for option, text, scheme in (("--kafka", self.kafka, "kafka"), ("--clickhouse", self.clickhouse, "clickhouse")):
            if text and Url.parse(text).scheme != scheme:
                raise ConfigError(f"{option}: {text} is no {scheme} URL", f"write {_EXAMPLES[scheme]}")

    def _check_parts(self) -> None:
        if Part.EMBEDDED in self.parts:
            if len(self.parts) > 1:
                raise ConfigError("--embedded is a whole installation", "leave out --daemonset, --loader and --sidecar")
            if self.kafka or self.clickhouse:
                raise ConfigError(
                    "--embedded stores in its own pod and writes neither to Kafka nor to a server",
                    "leave out --embedded for a node agent that does",
                )
            return
        if {Part.DAEMONSET, Part.SIDECAR} <= self.parts:
            raise ConfigError(
                "--daemonset and --sidecar exclude each other: Envoy writes its log either to standard output or to a file",
                "render them one after the other if parts of the mesh differ in that",
            )
        if {Part.LOADER, Part.SIDECAR} <= self.parts:
            raise ConfigError(
                "--loader and --sidecar go into different namespaces: the sidecar into that of its application",
                "render them one after the other, each with its --namespace",
            )
        if Part.LOADER in self.parts and not (self.kafka and self.clickhouse):
            missing = "--kafka" if not self.kafka else "--clickhouse"
            raise ConfigError(
                f"--loader: {missing} is missing", "the loader reads from Kafka and writes to ClickHouse: it needs both"
            )
        if not self.sink:
            raise ConfigError(
                "where shall the collectors write?",
                f"--clickhouse {_EXAMPLES['clickhouse']}, or --kafka {_EXAMPLES['kafka']}, or --embedded",
            )
        if self.kafka and self.clickhouse and Part.LOADER not in self.parts:
            raise ConfigError(
                "--clickhouse is of no use here: with --kafka the collectors write to Kafka, and the loader to ClickHouse",
                "add --loader, or leave one of the URLs out",
            )


_EXAMPLES = {
    "clickhouse": "clickhouse://logproc@clickhouse.data:8123/logproc",
    "kafka": "kafka://logproc@kafka.data:9092/logproc",
}
