"""A collector put together: source, state folder, spool and pipeline for the paths, parser and sink of one command."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from logproc.budget import within
from logproc.errors import ConfigError
from logproc.files import MAX_LINE, FileSource
from logproc.frames import Fragment, Framer, frame_named
from logproc.held import MAX_BYTES as HELD_BYTES
from logproc.held import HeldLimits
from logproc.kube import PodFacts
from logproc.metrics import Metrics
from logproc.model import NodeSink, Parser, Sink, Source
from logproc.pipeline import GRACE_SECONDS, Pipeline
from logproc.policy import Policy
from logproc.seal import Sealer
from logproc.selection import Selection
from logproc.sidecar import PodSource, Sidecar
from logproc.spool import MAX_BYTES, Keeper, Spool, Unkept
from logproc.state import StateFolder
from logproc.stdin import StdinSource

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """What a user chooses. `state` None: nothing is remembered."""

    paths: Sequence[str]
    state: Path | None
    follow: bool = False
    containers: str = "istio-proxy"
    frame: str = "auto"
    max_line: int = MAX_LINE
    spool_max: int = MAX_BYTES
    grace: float = GRACE_SECONDS
    node: str = ""
    held_max: int = HELD_BYTES
    rate: int = 0
    """Bytes per second of each pod; 0: no limit."""
    memory: int = 0
    """Bytes that the process may take; 0: what the sink's limits need."""
    policy: Policy = field(default_factory=Policy)
    """What is left out, sampled and redacted."""
    namespaces: str = ""
    labels: str = ""


def default_state(to: str) -> Path:
    """The state folder for a destination where none is named: `~/.local/state/logproc/<hash of the URL>`."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return home / "logproc" / hashlib.blake2b(to.encode(), digest_size=6).hexdigest()


def node_name() -> str:
    """The node this runs on: NODE_NAME (downward API), else the host's name."""
    return os.environ.get("NODE_NAME") or socket.gethostname()


@contextmanager
def collector(
    options: Options,
    parser: Parser,
    sink: Sink,
    *,
    pods: PodFacts | None = None,
    sidecar: Sidecar | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pipeline, Source]]:
    """A pipeline ready to run, and its source; `pods` tell labels where they are known, `sidecar` what its files are.

    Raises ConfigError, SourceError, StateError for what cannot begin.
    """
    node = options.node or node_name()
    _allow_many_files()
    state = StateFolder(options.state, node) if sink.limits.durable and options.state is not None else None
    if isinstance(sink, NodeSink):
        sink.bind(node, state.path / "partition" if state else None)
    try:
        spool = Spool(state, options.spool_max) if state else None
        for note in spool.notes if spool else ():
            say(note)
        source = _source(options, spool, pods, say, every_rotation=sidecar is not None)
        if sidecar is not None and isinstance(source, FileSource):
            source = PodSource(source, sidecar.pod)
        limits, piece_bytes = within(options.memory, sink.limits)
        collector_id = state.collector if state else os.urandom(8).hex()
        keeper: Keeper = spool or Unkept()
        pipeline = Pipeline(
            source,
            parser,
            sink,
            keeper,
            framer=Framer(frame_named(options.frame), _open_fragments(spool)),
            sealer=Sealer(
                collector_id, node, pods.app_and_version if pods else None, options.policy, lambda: sink.limits.keeps
            ),
            node=node,
            first_seq=keeper.next_seq,
            limits=limits,
            piece_bytes=piece_bytes,
            metrics=Metrics(spool_max=options.spool_max if spool else 0),
            say=say,
            progress=progress,
            grace=options.grace,
        )
        with _beside(sidecar, source, pipeline, state):
            yield pipeline, source
    finally:
        if state:
            state.close()


def _beside(
    sidecar: Sidecar | None, source: Source, pipeline: Pipeline, state: StateFolder | None
) -> AbstractContextManager[None]:
    """The work that a sidecar has beside the pipeline's."""
    if sidecar is None or not isinstance(source, PodSource):
        return nullcontext()
    return sidecar.beside(source, pipeline.stop, lambda f: state.settled.positions.get(f) if state else None)


def _source(
    options: Options, spool: Spool | None, pods: PodFacts | None, say: Callable[[str], None], *, every_rotation: bool
) -> Source:
    if STDIN in options.paths:
        if len(options.paths) > 1:
            raise ConfigError("standard input (-) and files cannot be read at once", "run two commands")
        return StdinSource(max_line=options.max_line)
    return FileSource(
        options.paths,
        follow=options.follow,
        positions=spool.latest.positions if spool else None,
        selection=replace(
            Selection.parse(options.containers, options.namespaces, options.labels),
            labels_of=pods.labels if pods else None,
        ),
        max_line=options.max_line,
        unfinished=[f.stream for f in _open_fragments(spool)],
        held=HeldLimits.of(options.held_max),
        rate=options.rate,
        every_rotation=every_rotation,
        tell=_once(say),
    )


def _open_fragments(spool: Spool | None) -> list[Fragment]:
    return [f for kept in spool.latest.fragments.values() for f in kept] if spool else []


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told and len(told) < 1000:
            told.add(text)
            say(text)

    return tell


def _allow_many_files() -> None:
    """Every unread file is held open, so that its deletion loses nothing: raise the limit as far as is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
