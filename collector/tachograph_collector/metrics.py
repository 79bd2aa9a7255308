"""Counters, histograms and gauges of the collector, as Prometheus text."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable

from tachograph_schemas import names

_HELP: dict[str, tuple[str, str]] = {
    names.METRIC_BODIES_RECEIVED: (
        "counter",
        "OTLP trace bodies received whole, by protocol and encoding.",
    ),
    names.METRIC_BODIES_REFUSED: ("counter", "OTLP bodies refused, by reason."),
    names.METRIC_BODIES_REPEATED: (
        "counter",
        "Bodies that came again and were answered without storing them again.",
    ),
    names.METRIC_BODIES_IN_FLIGHT: ("gauge", "Bodies between their arrival and their answer."),
    names.METRIC_IN_FLIGHT_BYTES: ("gauge", "Bytes of them, decompressed."),
    names.METRIC_SPANS_ACKNOWLEDGED: ("counter", "Spans that are on disk and acknowledged."),
    names.METRIC_SPANS_REJECTED: ("counter", "Spans without usable ids, dropped and told."),
    names.METRIC_SPANS_STORED: ("counter", "Spans inserted into the engine by this process."),
    names.METRIC_STRINGS_MENDED: ("counter", "Strings whose broken UTF-8 was replaced."),
    names.METRIC_RECORDS_REJECTED: (
        "counter",
        "Log records and metric data points, which are not stored, by signal.",
    ),
    names.METRIC_ACKNOWLEDGE_DURATION_S: (
        "histogram",
        "Seconds from a trace body received whole to its acknowledgement.",
    ),
    names.METRIC_LOG_QUEUE_DEPTH: ("gauge", "Bodies that wait for the disk."),
    names.METRIC_LOG_UNSTORED_BYTES: ("gauge", "Bytes in the log that no checkpoint covers yet."),
    names.METRIC_LOG_OLDEST_UNSTORED_S: ("gauge", "Age of the oldest of them."),
    names.METRIC_INSERTS: ("counter", "Inserts into the engine."),
    names.METRIC_INSERT_SECONDS: ("counter", "Time spent in inserts, roll-up included."),
    names.METRIC_INSERT_DURATION_S: ("histogram", "Seconds an insert took, roll-up included."),
    names.METRIC_BODIES_QUARANTINED: ("counter", "Bodies that the engine cannot store."),
}
# A counter of seconds to which every event adds its duration: each addition is an observation.
_OBSERVED = {names.METRIC_INSERT_SECONDS: names.METRIC_INSERT_DURATION_S}
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS_S) + 1)
        self.sum_s = 0.0


class Metrics:
    """Thread-safe counters and histograms, and gauges that are read when asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, _Labels], float] = {}
        self._histograms: dict[str, _Histogram] = {}
        self._gauges: dict[str, Callable[[], float]] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count ``amount`` more."""
        key = (name, tuple(labels.items()))
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount
        if name in _OBSERVED:
            self.observe(_OBSERVED[name], amount)

    def observe(self, name: str, duration_s: float) -> None:
        """Note one duration."""
        with self._lock:
            histogram = self._histograms.setdefault(name, _Histogram())
            histogram.counts[bisect_left(_BUCKETS_S, duration_s)] += 1
            histogram.sum_s += duration_s

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Have ``read`` called whenever the value is asked for."""
        self._gauges[name] = read

    def text(self) -> str:
        """Everything in Prometheus text format."""
        lines: list[str] = []
        for name, (kind, meaning) in _HELP.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            if kind == "histogram":
                lines += self._histogram_lines(name)
            elif name in self._gauges:
                lines.append(f"{name} {self._gauges[name]():g}")
            else:
                lines += self._counter_lines(name)
        return "\n".join(lines) + "\n"

    def _counter_lines(self, name: str) -> list[str]:
        with self._lock:
            rows = [
                (labels, value) for (key, labels), value in self._counters.items() if key == name
            ]
        lines = []
        for labels, value in rows or [((), 0.0)]:
            text = ",".join(f'{label}="{word}"' for label, word in labels)
            lines.append(f"{name}{{{text}}} {value:.10g}" if text else f"{name} {value:.10g}")
        return lines

    def _histogram_lines(self, name: str) -> list[str]:
        with self._lock:
            histogram = self._histograms.get(name, _Histogram())
            counts, sum_s = list(histogram.counts), histogram.sum_s
        lines = []
        total = 0
        for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {sum_s:.10g}", f"{name}_count {total}"]
