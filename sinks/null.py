"""`null:` takes everything and keeps nothing: what a collector does by itself, measured or tried."""

from __future__ import annotations

from logproc.model import Batch, SinkLimits
from logproc.urls import Url


def sink(url: Url) -> NullSink:
    """The sink that discards."""
    url.refuse_unknown_options(())
    return NullSink()


class NullSink:
    """Discards. Nothing has to be kept on disk for it."""

    limits = SinkLimits(durable=False)

    def open(self) -> None:
        """Nothing to open."""

    def write(self, batch: Batch) -> None:
        """Discard the batch."""

    def close(self) -> None:
        """Nothing to close."""
