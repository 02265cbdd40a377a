"""`logproc collect`: log files in, batches out, each line once."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from logproc.errors import EXIT_DONE, EXIT_FINDING, ConfigError
from logproc.log import LogFormat
from logproc.sizes import count_text

if TYPE_CHECKING:
    from logproc.collector import Options
    from logproc.kube_watch import MeshConfig, Pods
    from logproc.metrics import Metrics
    from logproc.model import Parser, Sink, Source
    from logproc.pipeline import Pipeline
    from logproc.progress import Progress
    from logproc.sidecar import Sidecar

TITLE = "Read log files, parse them and store each line once."

LABELS_SECONDS = 10.0
FORMAT_SECONDS = 1.0
"""What was read before the mesh's format is known would be stored as messages, so the first lines wait that long for it."""


class Output(StrEnum):
    """What is printed at the end."""

    TEXT = "text"
    JSON = "json"


# What `up` takes too; one definition for both.
# fmt: off
PATHS = typer.Argument(..., metavar="PATH", help="A file, a kubelet's log root (/var/log/pods), or - for standard input.")
FORMAT = typer.Option("auto", "--format", help="Access-log format: a name, a format string, a file with one, or a mesh config.")
FRAME = typer.Option("auto", "--frame", help="What the runtime put around a line: plain, cri, docker ...")
CONTAINERS = typer.Option("istio-proxy", "--containers", help="Containers of a log root, with commas; * for all.")
NAMESPACES = typer.Option("", "--namespaces", metavar="NAMES", help="Namespaces of a log root, with commas; patterns such as team-*.", show_default="all")
SELECTOR = typer.Option("", "--selector", "-l", metavar="LABELS", help="Pods of a log root by their labels, as kubectl -l takes them. Needs the Kubernetes API.", show_default="all")
KUBERNETES = typer.Option(True, "--kubernetes/--no-kubernetes", help="Ask the API, where there is one, for labels of pods and the mesh's log format.")
KUBECONFIG = typer.Option(None, "--kubeconfig", metavar="FILE", help="Ask the API with this configuration.", show_default="the pod's service account")
MESH_CONFIG = typer.Option("istio-system/istio", "--mesh-config", metavar="NAMESPACE/NAME", help="ConfigMap of the mesh config, for its log format.")
EXCLUDE = typer.Option([], "--exclude", metavar="EXPR", help="Leave out what an expression selects, and count it (repeatable).")
PROBES = typer.Option(True, "--probes/--no-probes", help="Store the kubelet's health checks, or leave them out.")
SAMPLE = typer.Option([], "--sample", metavar="EXPR:1/N", help="Of what an expression selects keep one request of N, with weight N; errors stay (repeatable).")
REDACT = typer.Option("", "--redact", metavar="LIST", help="Take out before anything is kept: query, user_agent, ip/24, path-ids.", show_default="nothing")
OUTPUT = typer.Option(Output.TEXT, "--output", "-o", help="The summary: text on standard error, or json on standard output.")
MAX_LINE = typer.Option("1Mi", "--max-line", metavar="SIZE", help="Longer lines are kept cut, in rejected_line.")
SPOOL_MAX = typer.Option("1Gi", "--spool-max", metavar="SIZE", help="What may wait on disk while the sink is away.")
HELD_MAX = typer.Option("2Gi", "--held-max", metavar="SIZE", help="Deleted files that are not read yet are held open up to this; what is beyond is lost, and said.")
RATE_LIMIT = typer.Option("0", "--rate-limit", metavar="SIZE", help="Bytes a second of each pod; what exceeds it waits in the file. 0: none.")
MEMORY = typer.Option("0", "--memory", metavar="SIZE", help="Keep the process within this by smaller batches; an embedded store's engine comes on top.", show_default="about 250Mi")
GRACE = typer.Option(10.0, "--grace", metavar="SECONDS", help="After SIGTERM or Ctrl-C: time to send what was read.", min=0)
METRICS_LISTEN = typer.Option(None, "--metrics-listen", metavar="HOST:PORT", help="Serve /metrics, /healthz and /readyz there.", show_default="not served")
LOG_FORMAT = typer.Option(None, "--log-format", help="Own messages as lines or JSON.", show_default="text; json with --follow where standard error is no terminal")
STRICT = typer.Option(False, "--strict", help="Exit with 1 if a line was rejected.")
QUIET = typer.Option(False, "--quiet", "-q", help="No progress, no summary.")
# fmt: on


def run(
    paths: list[str] = PATHS,
    *,
    to: str = typer.Option(..., "--to", metavar="URL", help="chdb:///DIR, clickhouse://USER@HOST:PORT/DATABASE, stdout:, null: ..."),
    state: Path = typer.Option(
        None, "--state", metavar="DIR", help="Where it remembers what is stored.",
        show_default="~/.local/state/logproc/HASH-OF-URL",
    ),
    follow: bool = typer.Option(
        False, "--follow/--no-follow", "-f", help="Wait for more, or read what is there and end."
    ),
    sidecar: bool = typer.Option(False, "--sidecar", help="PATH is the access log of this pod's Envoy: follow, rotate and delete it, end with the pod."),
    rotate_at: str = typer.Option("32Mi", "--rotate-at", metavar="SIZE", help="With --sidecar: rotate the log at this size."),
    envoy_admin: str = typer.Option("http://127.0.0.1:15000", "--envoy-admin", metavar="URL", help="With --sidecar: where Envoy is asked to reopen its log."),
    exit_with_envoy: bool = typer.Option(False, "--exit-with-envoy", help="With --sidecar: end when Envoy has ended, for Jobs."),
    format: str = FORMAT,
    frame: str = FRAME,
    containers: str = CONTAINERS,
    namespaces: str = NAMESPACES,
    selector: str = SELECTOR,
    kubernetes: bool = KUBERNETES,
    kubeconfig: Path = KUBECONFIG,
    mesh_config: str = MESH_CONFIG,
    exclude: list[str] = EXCLUDE,
    probes: bool = PROBES,
    sample: list[str] = SAMPLE,
    redact: str = REDACT,
    output: Output = OUTPUT,
    max_line: str = MAX_LINE,
    spool_max: str = SPOOL_MAX,
    held_max: str = HELD_MAX,
    rate_limit: str = RATE_LIMIT,
    memory: str = MEMORY,
    grace: float = GRACE,
    metrics_listen: str = METRICS_LISTEN,
    log_format: LogFormat = LOG_FORMAT,
    strict: bool = STRICT,
    quiet: bool = QUIET,
) -> int:  # fmt: skip
    """Read access logs from files and store each line once, through rotation, crashes and outages.

    With the same --state a file is never stored twice; a ClickHouse store recognises its lines even without it.
    A rotated or gzipped file is the same file. Rejected and doubtful lines are stored, never dropped.

    Examples:

    \b
      logproc collect access.log --to chdb:///tmp/store
      logproc collect /var/log/pods --follow --to clickhouse://default@ch:8123/logproc --state /var/lib/logproc
      logproc collect /var/log/pods -f --to URL --no-probes --sample 'response_code < 400 and duration < 500ms: 1/10'
      logproc collect --sidecar /var/log/istio/access.log --to kafka://broker:9092/logproc --state /var/log/istio/state
      kubectl logs deploy/web -c istio-proxy | logproc collect - --to stdout: --redact query,user_agent,ip/24
    """
    from logproc.lean import arrow_without_pandas
    from logproc.memory import keep_little

    arrow_without_pandas()
    keep_little()
    from logproc.collector import STDIN, default_state
    from logproc.progress import Progress
    from parsers import open_parser
    from sinks import make_sink

    follow = follow or sidecar
    parser, sink = open_parser(format), make_sink(to)
    progress = Progress(quiet=quiet, format=log_format or usual_log_format(follow=follow))
    beside = (
        _sidecar(paths, envoy_admin, rotate_at, grace=grace, exits=exit_with_envoy, say=progress.say)
        if sidecar
        else None
    )
    chosen = state or _state_for(to, follow=follow or STDIN in paths, limits=sink.limits, default=default_state(to))
    options = read_options(paths, chosen, locals(), follow=follow, grace=grace / 4 if beside else grace)
    began = time.monotonic()
    with opened(options, parser, sink, locals(), to=to, beside=beside, progress=progress) as (pipeline, source):
        if state is None and chosen is not None and not quiet:
            progress.say(f"state: {chosen}")
        if not sink.limits.exactly_once and sink.limits.durable and follow:
            progress.say(f"note: {to} cannot recognise lines: after a crash some may come twice")
        progress.begin(pipeline.metrics, source.status)
        try:
            with _stopped_by_signals(beside or pipeline):
                metrics = pipeline.run()
        finally:
            progress.end()
    if getattr(source, "empty_roots", None) is not None:
        for root in source.empty_roots():  # type: ignore[attr-defined]
            progress.say(f"warning: {root} holds no pod logs (<namespace>_<pod>_<uid>/<container>/0.log)")
    return concluded(metrics, time.monotonic() - began, locals(), say=progress.say, aside=to.startswith("stdout:"))


def read_options(
    paths: list[str], state: Path | None, typed: Mapping[str, Any], *, follow: bool, grace: float
) -> Options:
    """What a collector is to do; `typed` are the options that `collect` and `up` have in common, by name. Raises ConfigError."""
    from logproc.collector import Options
    from logproc.policy import Policy
    from logproc.sizes import parse_size

    return Options(
        paths, state, follow, typed["containers"], typed["frame"],
        max_line=_at_least("--max-line", parse_size("--max-line", typed["max_line"]), 1024),
        spool_max=_at_least("--spool-max", parse_size("--spool-max", typed["spool_max"]), 1 << 20),
        grace=grace,
        held_max=parse_size("--held-max", typed["held_max"]),
        rate=parse_size("--rate-limit", typed["rate_limit"]),
        memory=parse_size("--memory", typed["memory"]),
        policy=Policy.parse(typed["exclude"], typed["sample"], typed["redact"], probes=typed["probes"]),
        namespaces=typed["namespaces"],
        labels=typed["selector"],
    )  # fmt: skip


@contextmanager
def opened(
    options: Options, parser: Parser, sink: Sink, typed: Mapping[str, Any], *, to: str, progress: Progress, beside: Sidecar | None = None
) -> Iterator[tuple[Pipeline, Source]]:  # fmt: skip
    """A collector with what it asks the API for and the metrics it serves, ready to run."""
    from logproc.collector import STDIN, collector

    cluster = _Cluster(progress.say)
    if typed["kubernetes"] and not beside and STDIN not in options.paths:
        parser = cluster.open(typed["kubeconfig"], parser, typed["mesh_config"] if typed["format"] == "auto" else "")
    with closing(cluster):
        if options.labels:
            cluster.require_labels()
        pods = beside.pod if beside else cluster.pods
        with (
            collector(options, parser, sink, pods=pods, sidecar=beside, say=progress.say, progress=progress.step) as made,
            _metrics_served(typed["metrics_listen"], made[0].metrics, to, progress.say),
        ):  # fmt: skip
            yield made


def concluded(
    metrics: Metrics, seconds: float, typed: Mapping[str, Any], *, say: Callable[[str], None], aside: bool = False
) -> int:
    """Say what was done, as JSON `aside` of standard output where rows go there; the exit code."""
    if typed["output"] is Output.JSON:
        print(json.dumps(_summary(metrics, seconds)), file=sys.stderr if aside else sys.stdout)
    elif not typed["quiet"]:
        say(_sentence(metrics, seconds))
    found = metrics.dead_lines or metrics.status.lost_lines
    return EXIT_FINDING if found or (typed["strict"] and metrics.read.rows["rejected_line"]) else EXIT_DONE


def _sidecar(
    paths: list[str], admin: str, rotate_at: str, *, grace: float, exits: bool, say: Callable[[str], None]
) -> Sidecar:
    from logproc.sidecar import Sidecar
    from logproc.sizes import parse_size

    if len(paths) != 1:
        raise ConfigError("--sidecar reads one log: Envoy's accessLogFile", "for example /var/log/istio/access.log")
    size = _at_least("--rotate-at", parse_size("--rotate-at", rotate_at), 4096)
    return Sidecar(paths[0], admin=admin, rotate_at=size, grace=grace, exit_with_envoy=exits, say=say)


class _Cluster:
    """The Kubernetes API as far as it can be asked: without it everything else works."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.pods: Pods | None = None
        self._mesh: MeshConfig | None = None

    def open(self, kubeconfig: Path | None, parser: Parser, mesh_config: str) -> Parser:
        """Begin to ask; the parser that follows the mesh config."""
        from logproc.collector import node_name
        from logproc.kube_api import Access, Api
        from logproc.kube_watch import MeshConfig, Pods
        from parsers.dispatch import FormatParser
        from parsers.followed import FollowingParser

        access = Access.from_kubeconfig(kubeconfig) if kubeconfig is not None else Access.in_cluster()
        if access is None:
            return parser
        self.pods = Pods(Api(access), node_name(), say=self._say)
        self.pods.start()
        namespace, _, name = mesh_config.partition("/")
        if not name or not isinstance(parser, FormatParser):
            return parser
        self._mesh = MeshConfig(Api(access), namespace, name, say=self._say)
        self._mesh.start()
        self._mesh.wait(FORMAT_SECONDS)
        return FollowingParser(parser, self._mesh.latest, self._say)

    def require_labels(self) -> None:
        """Raise ConfigError where pods cannot be selected by their labels."""
        if self.pods is None:
            raise ConfigError(
                "-l needs the Kubernetes API", "run it in a pod with a service account, or give --kubeconfig"
            )
        if not self.pods.wait(LABELS_SECONDS):
            self._say("warning: no pod's labels are known yet; with -l nothing is read before")

    def close(self) -> None:
        """Ask no more."""
        for watched in (self.pods, self._mesh):
            if watched is not None:
                watched.close()


def _state_for(to: str, *, follow: bool, limits: Any, default: Path) -> Path | None:  # noqa: ARG001
    """A single reading into a sink that cannot recognise lines remembers nothing unless told to: the next one prints them again."""
    return default if limits.durable and (follow or limits.exactly_once) else None


def _at_least(option: str, size: int, least: int) -> int:
    if size < least:
        raise ConfigError(f"{option}: {size} bytes is too little", f"at least {least}")
    return size


def usual_log_format(*, follow: bool) -> LogFormat:
    """Lines where a person reads them, JSON where a collector of logs does."""
    return LogFormat.JSON if follow and not sys.stderr.isatty() else LogFormat.TEXT


@contextmanager
def _metrics_served(listen: str | None, metrics: Metrics, to: str, say: Callable[[str], None]) -> Iterator[None]:
    if not listen:
        yield
        return
    from logproc.collector import node_name
    from logproc.exposition import CollectorMetrics
    from logproc.metrics_http import MetricsServer, parse_listen

    address = parse_listen("--metrics-listen", listen)
    shown = CollectorMetrics(metrics, node_name(), to.split("?", maxsplit=1)[0])
    with MetricsServer(address, shown, metrics.dead, metrics.unready) as server:
        say(f"metrics: http://{address[0] or '0.0.0.0'}:{server.port}/metrics")  # noqa: S104  it is what listens already
        yield


@contextmanager
def _stopped_by_signals(pipeline: Pipeline | Sidecar) -> Iterator[None]:
    """SIGTERM and Ctrl-C stop reading and let it end in order; a second one closes at once."""
    before = {s: signal.signal(s, lambda *_: pipeline.stop()) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(metrics: Metrics, seconds: float) -> dict[str, Any]:
    read = metrics.read
    said: dict[str, Any] = {
        "lines": read.lines,
        "rows": read.rows,
        "doubtful": read.doubtful,
        "joined": read.joined,
        "left_out": read.left_out,
        "seconds": round(seconds, 3),
    }
    said |= {"dead": metrics.dead_lines} if metrics.dead_lines else {}
    return said | ({"lost": metrics.status.lost_lines} if metrics.status.lost_lines else {})


def _sentence(metrics: Metrics, seconds: float) -> str:
    read = metrics.read
    rows = ", ".join(f"{count:,} {table}" for table, count in read.rows.items() if count)
    if not rows:
        files = metrics.status.files
        rows = f"nothing new in {count_text(files, 'file')}" if files and not read.lines else "no rows"
    extra = [f"{read.joined:,} joined"] if read.joined else []
    extra += [f"{read.left_out:,} left out"] if read.left_out else []
    extra += [f"{read.doubtful:,} doubtful"] if read.doubtful else []
    said = f"{count_text(read.lines, 'line')} in {seconds:.1f} s: {rows}" + (f" ({', '.join(extra)})" if extra else "")
    said += f"; {count_text(metrics.status.lost_lines, 'line')} LOST" if metrics.status.lost_lines else ""
    unsent = read.batches - metrics.sent_batches - metrics.dead_batches
    return said + (
        f"; {count_text(unsent, 'batch')} {'waits' if unsent == 1 else 'wait'} in the spool" if unsent > 0 else ""
    )
