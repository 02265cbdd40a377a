"""The thread between keeper and sink: the oldest batch, again and again until the sink has it, then the next one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from random import random

from logproc import ledger
from logproc.errors import LogprocError, Rejected, Unavailable
from logproc.metrics import Metrics
from logproc.model import LEDGER, Batch, Sink
from logproc.sizes import count_text
from logproc.spool import Keeper

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 30.0
OPEN_SECONDS = 1.0
"""So long reading waits for the sink: most mistakes show by then, and the first lines are read soon also where it hangs."""
SLOW_WRITE_SECONDS = 5.0
"""A write that takes longer counts as an outage: reading goes on, and batches wait on disk."""


class Courier:
    """Sends batches in order, one at a time. `failure` is set when it had to give up."""

    def __init__(self, keeper: Keeper, sink: Sink, node: str, metrics: Metrics, say: Callable[[str], None]) -> None:
        self._keeper, self._sink, self._node, self._metrics, self._say = keeper, sink, node, metrics, say
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._is_open = False
        self._began_at = 0.0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Open the sink and begin. Raises what the sink raised within a second unless it is only unavailable now; `check` tells later."""
        self._began_at = time.monotonic()
        self._thread.start()
        self._opened.wait(OPEN_SECONDS)
        self.check()

    def check(self) -> None:
        """Raise what made the courier give up."""
        if self.failure is not None:
            raise self.failure

    @property
    def alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def keeps_up(self) -> bool:
        """The sink takes batches in reasonable time: then it is better to wait for it than to fill the disk."""
        since = self._metrics.writing_since if self._metrics.sink_open else self._began_at
        slow = since and time.monotonic() - since > SLOW_WRITE_SECONDS
        return self.alive and not (self._metrics.sink_error or slow)

    def close(self, seconds: float) -> bool:
        """Stop after the batch being sent, at most so many seconds later. False: it is still in the sink's hands."""
        self._stop.set()
        self._keeper.wake()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._attempt(self._open)
            while not self._stop.is_set():
                batch = self._keeper.next(timeout=0.5)
                if batch is not None:
                    self._deliver(batch)
        except BaseException as error:
            self.failure = error
        finally:
            self._opened.set()
            if self._is_open:
                self._sink.close()

    def _open(self) -> None:
        try:
            self._sink.open()
            self._is_open = self._metrics.sink_open = True
        finally:
            # Unavailable at the start: reading and keeping begin without it.
            self._opened.set()

    def _deliver(self, batch: Batch) -> None:
        began = time.monotonic()
        try:
            self._metrics.writing_since = began
            if not self._attempt(lambda: self._sink.write(batch)):
                return
        except Rejected as error:
            if not self._refused(batch, error):
                return
        else:
            self._metrics.write_seconds.observe(time.monotonic() - began)
            self._metrics.sent_batches += 1
            self._metrics.sent_lines += sum(counts.span.lines for counts in batch.spans)
        finally:
            self._metrics.writing_since = 0.0
        try:
            self._keeper.done(batch)
        except OSError as error:
            # Positions stay behind: after a crash this batch is sent again, and the sink knows it.
            self._say(f"warning: positions cannot be written: {error.strerror}; trying again with the next batch")

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Until it succeeds; False: stopped before that."""
        pause = FIRST_BACKOFF_SECONDS
        while not self._stop.is_set():
            try:
                action()
            except Unavailable as error:
                self._metrics.retries += 1
                if self._metrics.sink_error != error.message:
                    self._say(f"warning: {error.message}; trying again")
                if not self._metrics.sink_error:
                    self._metrics.sink_error_since = time.monotonic()
                self._metrics.sink_error = error.message
                # Spread out, so that a thousand nodes do not come back in the same moment.
                self._stop.wait(max(pause, error.retry_after) * (0.75 + random() / 2))  # noqa: S311
                pause = min(2 * pause, LONGEST_BACKOFF_SECONDS)
            else:
                if self._metrics.sink_error:
                    self._say("the sink takes batches again")
                self._metrics.sink_error = ""
                return True
        return False

    def _refused(self, batch: Batch, error: Rejected) -> bool:
        """A dead letter: the batch goes to its folder, and the ledger says that it is not stored. False: stopped before the ledger did."""
        lines = sum(counts.span.lines for counts in batch.spans)
        try:
            folder = self._keeper.bury(batch, str(error))
        except OSError as failure:
            raise LogprocError(
                f"the sink refused a batch ({error.message}), and it cannot be put aside: {failure.strerror}",
                "it stays in the spool and is tried again at the next start",
            ) from error
        self._metrics.dead_batches += 1
        self._metrics.dead_lines += lines
        self._say(
            f"error: the sink refused {count_text(lines, 'line')}: {error}"
            + (f"; they are in {folder}" if folder else "")
        )
        dead = ledger.table(batch.collector, batch.seq, self._node, batch.sealed_at, batch.spans, state="dead")
        try:
            # Under another name: the batch's own token has to stay free, for the case that it is stored later.
            name = ((f"{batch.collector}/dead", batch.seq),)
            return self._attempt(
                lambda: self._sink.write(replace(batch, tables={LEDGER: dead}, encoded=b"", merged=name))
            )
        except Rejected as again:
            self._say(f"error: the sink refused the ledger of these lines too: {again.message}")
            return True
