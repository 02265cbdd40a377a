"""`logproc install`: the Kubernetes objects of a deployment."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from logproc.errors import ConfigError
from logproc.sizes import count_text

TITLE = "Print the Kubernetes objects of a node agent, sidecar or loader."


def run(
    *,
    print_: bool = typer.Option(False, "--print", help="Print the objects as YAML, for kubectl apply -f -."),
    kustomize: Path = typer.Option(None, "--kustomize", metavar="DIR", help="Write a folder with a base and overlays for kubectl apply -k."),
    daemonset: bool = typer.Option(False, "--daemonset", help="The node agent: a DaemonSet that reads the pods' log files."),
    loader: bool = typer.Option(False, "--loader", help="The loader: a Deployment from Kafka to ClickHouse."),
    sidecar: bool = typer.Option(False, "--sidecar", help="An application with logproc beside its Envoy, to take from."),
    embedded: bool = typer.Option(False, "--embedded", help="Collector, store and SQL in one pod: minikube, kind, a look."),
    kafka: str = typer.Option("", "--kafka", metavar="URL", help="kafka://[USER@]HOST:PORT/TOPIC: collectors write there.", show_default="none"),
    clickhouse: str = typer.Option("", "--clickhouse", metavar="URL", help="clickhouse://[USER@]HOST:PORT/DATABASE.", show_default="none"),
    namespace: str = typer.Option("logproc", "--namespace", "-n", help="Where the objects go; for --sidecar the application's."),
    image: str = typer.Option("", "--image", help="The image, from a registry that the nodes reach.", show_default="logproc:VERSION"),
    openshift: bool = typer.Option(False, "--openshift", help="With what OpenShift wants besides."),
    mesh_config: str = typer.Option("", "--mesh-config", metavar="NAMESPACE/NAME", help="ConfigMap of the mesh config.", show_default="istio-system/istio; with --openshift istio-system/istio-basic"),
    native: bool = typer.Option(True, "--native/--plain", help="With --sidecar: as an init container that stays (Kubernetes 1.29), or as a plain container."),
) -> None:  # fmt: skip
    """Print the Kubernetes objects that run logproc in a cluster; nothing is sent anywhere.

    Without a part it is the node agent, and with both --kafka and --clickhouse the loader too. A user in a URL makes the objects refer to
    a Secret, and the command that creates it is said.

    Examples:

    \b
      logproc install --print --clickhouse clickhouse://logproc@clickhouse.data:8123/logproc | kubectl apply -f -
      logproc install --print --kafka kafka://kafka.data:9092/logproc --clickhouse clickhouse://logproc@clickhouse.data:8123/logproc
      logproc install --print --embedded --image logproc:full | kubectl apply -f -
      logproc install --print --sidecar --kafka kafka://kafka.data:9092/logproc -n shop
      logproc install --kustomize my-cluster
    """
    from logproc.install import bundle
    from logproc.install.choice import Choice

    if print_ == (kustomize is not None):
        raise ConfigError(
            "say what to do: --print or --kustomize DIR", "logproc install --print ... | kubectl apply -f -"
        )
    if kustomize is not None:
        from logproc.install import kustomize as layout

        if any((daemonset, loader, sidecar, embedded, kafka, clickhouse, openshift)):
            raise ConfigError(
                "--kustomize writes all overlays, each with its own choice", "leave out the other options, and edit the overlay you need"
            )  # fmt: skip
        written = layout.write(kustomize)
        print(f"{count_text(len(written), 'file')} in {kustomize}; next: kubectl kustomize {kustomize}/overlays/direct", file=sys.stderr)  # fmt: skip
        return
    choice = Choice.of(
        daemonset=daemonset, loader=loader, sidecar=sidecar, embedded=embedded, kafka=kafka, clickhouse=clickhouse,
        namespace=namespace, image=image, openshift=openshift, mesh_config=mesh_config, native_sidecar=native,
    )  # fmt: skip
    _check_urls(choice.kafka, choice.clickhouse)
    typer.echo(bundle.text(bundle.objects(choice)), nl=False)
    for command in bundle.secrets(choice):
        print(f"once the namespace is there: {command}", file=sys.stderr)


def _check_urls(*urls: str) -> None:
    """Raise ConfigError for a URL that the collector or the loader would refuse."""
    from sinks import make_sink

    for text in filter(None, urls):
        make_sink(text)
