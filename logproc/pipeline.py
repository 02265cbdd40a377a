"""The only loop: read, gather, parse, seal, keep; the courier sends and settles beside it.

    this thread     source -> Batcher -> Framer -> parser -> Sealer
    keeping thread  encode, spool (the sync of one batch overlaps the parsing of the next)
    courier thread  sink, settle

At most one batch is being filled, one being kept and one being sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logproc.batching import PARSE_BYTES, Batcher
from logproc.courier import Courier
from logproc.entry import Entry
from logproc.frames import Framed, Framer
from logproc.metrics import Metrics
from logproc.model import ACCESS_LOG, MESSAGE_LOG, ROW_TABLES, Batch, Parsed, Parser, Sink, SinkLimits, Source, Stream
from logproc.seal import Sealer
from logproc.spool import Keeper, progress_of
from logproc.state import StreamKey

GRACE_SECONDS = 10.0
"""After a stop: time to send what is kept."""
KEEP_AGAIN_SECONDS = 1.0
GONE_EVERY_SECONDS = 60.0
STATUS_EVERY_SECONDS = 1.0
WAITING_BATCHES = 2
"""With a sink that works, reading waits when so many batches wait: the log files hold them better than a second copy does."""


class Pipeline:
    """Moves everything from one source to one sink. `run` returns when the source is finished or after `stop`."""

    def __init__(
        self,
        source: Source,
        parser: Parser,
        sink: Sink,
        keeper: Keeper,
        *,
        framer: Framer,
        sealer: Sealer,
        node: str = "",
        first_seq: int = 0,
        limits: SinkLimits | None = None,
        piece_bytes: int = PARSE_BYTES,
        metrics: Metrics | None = None,
        say: Callable[[str], None] = lambda _: None,
        progress: Callable[[], None] = lambda: None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """`limits` take the place of the sink's. `say` gets lines for the operator (from any thread); `progress` is called some times a second by the one that runs."""
        self._source, self._parser, self._sink, self._keeper = source, parser, sink, keeper
        self._framer, self._sealer = framer, sealer
        self._seq = first_seq
        self._say, self._progress, self._grace = say, progress, grace
        self._batcher = Batcher(limits or sink.limits, time.monotonic, piece_bytes)
        self._pieces: list[tuple[list[Framed], Parsed]] = []
        self._streams: dict[StreamKey, Stream] = {}
        self._were_open: set[StreamKey] = set()
        """Streams of the batch being filled, and those of them that had open fragments before it."""
        self.metrics = metrics or Metrics()
        self._courier = Courier(keeper, sink, node, self.metrics, say)
        self._stop, self._close_now = threading.Event(), threading.Event()
        self._keeping_thread = ThreadPoolExecutor(1, thread_name_prefix="keeper")
        self._keeping: Future[None] | None = None
        self._given_up = False
        """A batch could not be kept before the end: none that follows it may be, or its lines would be passed over."""
        self._gone_at = self._status_at = time.monotonic()
        self._deadline = float("inf")

    def stop(self) -> None:
        """Stop reading, keep what was read, send what time allows. A second call closes at once. Callable from a signal handler."""
        if self._stop.is_set():
            self._close_now.set()
        self._deadline = min(self._deadline, time.monotonic() + self._grace)
        self._stop.set()

    def run(self) -> Metrics:
        """Until the source is finished and everything sent, or stopped. Raises what sink, state or keeping raised for good."""
        try:
            self._courier.start()
            while not self._stop.is_set():
                if not self._step():
                    break
            self._seal("end")
            self._drain()
        finally:
            self._finish()
        self._courier.check()
        return self.metrics

    def _step(self) -> bool:
        """One read; False when nothing more comes."""
        self._courier.check()
        chunks = self._source.read(self._batcher.room)
        self._batcher.add(chunks)
        reason = self._batcher.due()
        if reason:
            self._seal(reason)
        elif self._batcher.piece_due():
            self._parse()
        elif not chunks:
            if self._source.finished():
                return False
            self._stop.wait(min(self._source.idle_seconds, self._batcher.seconds_left()))
        self._beat()
        if time.monotonic() - self._gone_at > GONE_EVERY_SECONDS:
            self._gone_at = time.monotonic()
            self._keeper.forget(self._source.gone())
        return True

    def _beat(self) -> None:
        """The loop is alive; now and then others are told how far it is."""
        metrics, now = self.metrics, time.monotonic()
        metrics.beat_at = now
        if now - self._status_at >= STATUS_EVERY_SECONDS:
            self._status_at = now
            self._tell_status()
        self._progress()

    def _tell_status(self) -> None:
        self.metrics.status = self._source.status()
        self.metrics.spool_batches, self.metrics.spool_bytes = self._keeper.waiting(), self._keeper.bytes

    # Sealing and keeping

    def _parse(self) -> None:
        """One call of the parser for all that was gathered; of the raw bytes nothing is held afterwards."""
        chunks = self._batcher.take()
        chunks.reverse()
        framed: list[Framed] = []
        while chunks:  # each chunk's bytes are given back as soon as nothing needs them
            chunk = chunks.pop()
            key = chunk.stream.key
            if key not in self._streams and self._framer.fragments(chunk.stream):
                self._were_open.add(key)
            self._streams[key] = chunk.stream
            framed.extend(self._framer.frame(chunk))
        texts = [f.text for f in framed if f.text.lines]
        began = time.monotonic()
        parsed = self._parser.parse(texts) if texts else Parsed({}, {})
        self.metrics.parse_seconds += time.monotonic() - began
        self.metrics.parse_columnar += parsed.columnar
        if framed:
            self._pieces.append(([replace(f, text=replace(f.text, data=b"")) for f in framed], parsed))

    def _seal(self, reason: str) -> None:
        self._parse()
        raw_bytes = self._batcher.bytes
        self._batcher.sealed()
        pieces, self._pieces = self._pieces, []
        streams, self._streams = self._streams, {}
        were_open, self._were_open = self._were_open, set()
        if not pieces:
            return
        batch = self._sealer.seal(self._seq, pieces, time.time_ns() // 1000, raw_bytes)
        fragments = {key: self._framer.fragments(stream) for key, stream in streams.items()}
        entry = progress_of(batch, {key: kept for key, kept in fragments.items() if kept or key in were_open})
        self._count(batch, reason)
        self._seq += 1
        if self._wait_for_room():
            self._keeping = self._keeping_thread.submit(self._keep, entry)

    def _wait_for_room(self) -> bool:
        """Until the batch before is kept and there is room for this one; False: closing at once, and it is not kept.

        Meanwhile the source is asked for nothing, but it notices and holds new files. After a stop the limit may be passed by one.
        """
        while not self._close_now.is_set():
            kept = self._kept(0.25)
            if kept and self._keeper.has_room(0.25) and not self._better_waits():
                return True
            if time.monotonic() > self._deadline:
                return kept and self._keeper.durable
            self._courier.check()
            if not self._stop.is_set():
                self._source.read(0)
            self._beat()
        return False

    def _better_waits(self) -> bool:
        return self._keeper.waiting() >= WAITING_BATCHES and self._courier.keeps_up() and not self._stop.wait(0.02)

    def _kept(self, timeout: float) -> bool:
        if self._keeping is not None:
            with suppress(TimeoutError):
                self._keeping.result(timeout)
                self._keeping = None
        return self._keeping is None

    def _keep(self, entry: Entry) -> None:
        """In the keeping thread: until the disk takes it. The batch stays as it is, with its seq."""
        told = False
        began = time.monotonic()
        while not self._given_up:
            try:
                self._keeper.append(entry)
            except OSError as error:
                self.metrics.keep_failures += 1
                self.metrics.keep_error = error.strerror or str(error)
                if not told:
                    self._say(f"warning: the spool cannot be written: {error.strerror}; reading waits, trying again")
                told = True
                if self._close_now.wait(KEEP_AGAIN_SECONDS) or self._stop.is_set():
                    self._given_up = True
                    self._say("warning: the last lines read could not be kept; they are read again at the next start")
            else:
                self.metrics.keep_error = ""
                self.metrics.keep_seconds += time.monotonic() - began
                if told:
                    self._say("the spool can be written again")
                return

    def _count(self, batch: Batch, reason: str) -> None:
        counts, spans = self.metrics.read, batch.spans
        counts.lines += sum(s.span.lines for s in spans)
        counts.bytes += sum(s.span.end - s.span.start for s in spans)
        for table in ROW_TABLES:
            counts.rows[table] += batch.tables[table].num_rows if table in batch.tables else 0
        counts.joined += sum(s.joined for s in spans)
        counts.left_out += sum(s.left_out for s in spans)
        counts.doubtful += sum(_doubtful(batch, table) for table in (ACCESS_LOG, MESSAGE_LOG))
        counts.batches += 1
        self.metrics.sealed[reason] = self.metrics.sealed.get(reason, 0) + 1

    # Ending

    def _drain(self) -> None:
        """Everything kept and sent: without a stop however long it takes, else within the grace."""
        while not self._close_now.is_set() and time.monotonic() < self._deadline:
            self._courier.check()
            if self._kept(0.05) and not self._keeper.waiting():
                return
            self._beat()
            self._close_now.wait(0.01)

    def _finish(self) -> None:
        self._stop.set()
        self._keeping_thread.shutdown(wait=not self._close_now.is_set())
        left = 0.0 if self._close_now.is_set() else max(1.0, min(self._grace, self._deadline - time.monotonic()))
        closed = self._courier.close(left)
        if closed:
            with suppress(OSError):
                self._keeper.close()
        self._tell_status()
        self._source.close()


def _doubtful(batch: Batch, table: str) -> int:
    """Rows whose `doubt` is neither null nor empty."""
    rows = batch.tables.get(table)
    doubt: Any = rows.column("doubt") if rows is not None else ()
    if not len(doubt) or doubt.null_count == len(doubt):
        return 0
    said: Any = pc.fill_null(pc.not_equal(doubt.cast(pa.string()), pa.scalar("")), False)
    return int(pc.sum(said).as_py() or 0)
