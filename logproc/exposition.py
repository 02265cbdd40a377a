"""The collector's numbers as Prometheus metrics, named after the stages: read, parse, seal, spool, sink."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from logproc import __version__
from logproc.metrics import Metrics
from logproc.model import StreamLag

if TYPE_CHECKING:
    from prometheus_client import Metric

_PLACE = ("namespace", "pod", "container", "path")


class CollectorMetrics:
    """What `/metrics` of a collector shows; made anew from the plain numbers for every scrape."""

    def __init__(self, metrics: Metrics, node: str, sink: str) -> None:
        self._metrics, self._node, self._sink = metrics, node, sink

    def collect(self) -> Iterator[Metric]:
        """All families. Names and labels are stable; `docs/metrics.md` lists them."""
        yield from self._read()
        yield from self._batches()
        yield from self._lag()

    def _read(self) -> Iterator[Metric]:
        m, read = self._metrics, self._metrics.read
        yield info(
            "logproc_build", "Version, node and destination.", version=__version__, node=self._node, sink=self._sink
        )
        yield counter("logproc_read_lines", "Physical lines read and sealed into batches.", read.lines)
        yield counter("logproc_read_bytes", "Bytes of log read and sealed into batches.", read.bytes)
        yield counter("logproc_rows", "Rows sealed, by table.", {(t,): n for t, n in read.rows.items()}, ("table",))
        yield counter("logproc_joined_lines", "Lines that are part of a later line's row.", read.joined)
        yield counter("logproc_left_out_lines", "Lines left out by a rule.", read.left_out)
        yield counter("logproc_doubtful_rows", "Rows with a doubt.", read.doubtful)
        yield counter("logproc_lost_bytes", "Bytes of files that were deleted unread.", m.status.lost_bytes)
        yield counter("logproc_lost_lines", "Lines of files that were deleted unread.", m.status.lost_lines)
        yield counter("logproc_parse_columnar_lines", "Lines that took the parser's fast path.", m.parse_columnar)
        yield counter("logproc_parse_seconds", "Time spent in parsing.", m.parse_seconds)

    def _batches(self) -> Iterator[Metric]:
        m = self._metrics
        sealed = {(reason,): n for reason, n in sorted(m.sealed.items())}
        yield counter("logproc_sealed_batches", "Batches sealed, by what made them due.", sealed, ("reason",))
        yield gauge("logproc_spool_bytes", "Size of the batches that wait on disk.", m.spool_bytes)
        yield gauge("logproc_spool_limit_bytes", "Size at which reading waits.", m.spool_max)
        yield gauge("logproc_spool_batches", "Batches that the sink does not have yet.", m.spool_batches)
        yield counter(
            "logproc_spool_failures", "Writes to the spool that failed and were tried again.", m.keep_failures
        )
        yield counter("logproc_spool_write_seconds", "Time spent in writing to the spool.", m.keep_seconds)
        yield counter("logproc_sink_batches", "Batches that the sink has.", m.sent_batches)
        yield counter("logproc_sink_lines", "Lines of the batches that the sink has.", m.sent_lines)
        yield counter("logproc_sink_retries", "Writes that the sink could not take at that moment.", m.retries)
        yield counter("logproc_dead_batches", "Batches that the sink refused for good.", m.dead_batches)
        yield counter("logproc_dead_lines", "Lines of batches that the sink refused for good.", m.dead_lines)
        yield histogram(
            "logproc_sink_write_seconds", "Time until a batch was durable in the sink, retries included.", m
        )
        yield gauge("logproc_sink_ready", "1 while lines reach the sink, as /readyz says.", int(not m.unready()))
        beat = max(0.0, time.monotonic() - m.beat_at)
        yield gauge("logproc_loop_age_seconds", "Time since the loop last came round.", beat)

    def _lag(self) -> Iterator[Metric]:
        status = self._metrics.status
        yield gauge("logproc_files", "Files known.", status.files)
        yield gauge("logproc_open_files", "Files open.", status.open_files)
        yield gauge("logproc_held_files", "Deleted files held open because they are not read yet.", status.held_files)
        yield gauge(
            "logproc_held_bytes", "Disk space that deleted files take because they are not read yet.", status.held_bytes
        )
        yield gauge("logproc_lag_bytes", "Bytes not read yet.", status.lag_bytes)
        yield gauge("logproc_lag_seconds", "Age of the oldest byte that is not read yet.", status.lag_seconds)
        lags = _by_place(status.streams)
        sizes = {place: size for place, (size, _) in lags.items()}
        ages = {place: age for place, (_, age) in lags.items()}
        yield gauge(
            "logproc_stream_lag_bytes", "Bytes not read yet of the streams that are furthest behind.", sizes, _PLACE
        )
        yield gauge("logproc_stream_lag_seconds", "Age of the oldest byte not read yet of these streams.", ages, _PLACE)


def _by_place(streams: tuple[StreamLag, ...]) -> dict[tuple[str, ...], tuple[int, float]]:
    """Streams by their labels: restarts of a container, and pods of one name, are one."""
    found: dict[tuple[str, ...], tuple[int, float]] = {}
    for lag in streams:
        s = lag.stream
        place = (s.k8s_namespace, s.k8s_pod, s.k8s_container, "" if s.k8s_pod_uid else s.path)
        size, age = found.get(place, (0, 0.0))
        found[place] = (size + lag.bytes, max(age, lag.seconds))
    return found


Values = float | Mapping[Any, float]
"""One value, or one for each tuple of label values."""


def counter(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    """A counter; `_total` is added to its name."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(list(key), value)
    return family


def gauge(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    """A gauge."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(list(key), value)
    return family


def info(name: str, text: str, **values: str) -> Metric:
    """A gauge of 1 whose labels are the information; `_info` is added to its name."""
    from prometheus_client.core import InfoMetricFamily

    return InfoMetricFamily(name, text, value=values)


def histogram(name: str, text: str, metrics: Metrics) -> Metric:
    """The time of writes."""
    from prometheus_client.core import HistogramMetricFamily

    times = metrics.write_seconds
    return HistogramMetricFamily(name, text, buckets=times.buckets(), sum_value=times.sum)
