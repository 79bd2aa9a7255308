"""Counters, histograms and gauges of the collector, as Prometheus text."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable

from tachograph_schemas import metric_names

_HELP: dict[str, tuple[str, str]] = {
    metric_names.BODIES_RECEIVED: (
        "counter",
        "OTLP bodies received whole, by protocol, encoding and signal.",
    ),
    metric_names.BODIES_REFUSED: ("counter", "OTLP bodies refused, by reason and signal."),
    metric_names.BODIES_REPEATED: (
        "counter",
        "Bodies that came again and were answered without storing them again.",
    ),
    metric_names.BODIES_IN_FLIGHT: ("gauge", "Bodies between their arrival and their answer."),
    metric_names.IN_FLIGHT_BYTES: ("gauge", "Bytes of them, decompressed."),
    metric_names.RECORDS_ACKNOWLEDGED: (
        "counter",
        "Spans, log records and data points that are on disk and acknowledged, by signal.",
    ),
    metric_names.RECORDS_REJECTED: (
        "counter",
        "Spans without usable ids, dropped and told, by signal.",
    ),
    metric_names.RECORDS_STORED: (
        "counter",
        "Spans, log records and data points inserted into the engine by this process, by signal.",
    ),
    metric_names.STRINGS_MENDED: ("counter", "Strings whose broken UTF-8 was replaced."),
    metric_names.ACKNOWLEDGE_DURATION_S: (
        "histogram",
        "Seconds from a body received whole to its acknowledgement, by signal.",
    ),
    metric_names.LOG_QUEUE_DEPTH: ("gauge", "Bodies that wait for the disk."),
    metric_names.LOG_UNSTORED_BODIES: (
        "gauge",
        "Bodies in the log that the engine is not known to hold yet.",
    ),
    metric_names.LOG_UNSTORED_BYTES: ("gauge", "Bytes in the log that no checkpoint covers yet."),
    metric_names.LOG_OLDEST_UNSTORED_S: ("gauge", "Age of the oldest of them."),
    metric_names.LOG_DAMAGES: (
        "counter",
        "Damaged places and lost files of the log, found since the start.",
    ),
    metric_names.INSERTS: ("counter", "Inserts into the engine, by signal."),
    metric_names.INSERT_SECONDS: ("counter", "Time spent in inserts, roll-up included, by signal."),
    metric_names.INSERT_DURATION_S: (
        "histogram",
        "Seconds an insert took, roll-up included, by signal.",
    ),
    metric_names.BODIES_RESTORED: (
        "counter",
        "Bodies that the engine had lost and that were inserted again from the log, by signal.",
    ),
    metric_names.PARTS_BROKEN: (
        "counter",
        "Parts of the engine's tables that were found broken, by table.",
    ),
    metric_names.STORED_BYTES: ("gauge", "Size of everything stored, on disk."),
    metric_names.DAYS_DROPPED: (
        "counter",
        "Days of data deleted because of TACHO_MAX_DISK_BYTES.",
    ),
    metric_names.BODIES_QUARANTINED: ("counter", "Bodies that the engine cannot store, by signal."),
    metric_names.QUARANTINE_BODIES: ("gauge", "Bodies that wait in quarantine."),
    metric_names.QUARANTINE_BYTES: ("gauge", "Bytes of them."),
    metric_names.QUARANTINE_DROPPED: (
        "counter",
        "Bodies deleted from quarantine because it was full, the oldest first.",
    ),
    metric_names.DRIFT_BEHIND_S: (
        "gauge",
        "Seconds since finished runs were last looked for and compared with their agent's past.",
    ),
    metric_names.DRIFT_RESTARTS: (
        "counter",
        "How often the process that looks for drift ended or fell silent and was started again.",
    ),
    metric_names.QUARANTINE_RETRIED: (
        "counter",
        "Bodies of the quarantine that were put through again.",
    ),
}
# A counter of seconds to which every event adds its duration: each addition is an observation.
_OBSERVED = {metric_names.INSERT_SECONDS: metric_names.INSERT_DURATION_S}
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
        self._histograms: dict[tuple[str, _Labels], _Histogram] = {}
        self._gauges: dict[str, Callable[[], float]] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count ``amount`` more."""
        key = (name, tuple(labels.items()))
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount
        if name in _OBSERVED:
            self.observe(_OBSERVED[name], amount, **labels)

    def observe(self, name: str, duration_s: float, **labels: str) -> None:
        """Note one duration."""
        with self._lock:
            histogram = self._histograms.setdefault((name, tuple(labels.items())), _Histogram())
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
                lines.append(f"{name} {_number(self._gauges[name]())}")
            else:
                lines += self._counter_lines(name)
        return "\n".join(lines) + "\n"

    def _counter_lines(self, name: str) -> list[str]:
        with self._lock:
            rows = [
                (labels, value) for (key, labels), value in self._counters.items() if key == name
            ]
        return [
            f"{name}{_braced(labels)} {_number(value)}" for labels, value in rows or [((), 0.0)]
        ]

    def _histogram_lines(self, name: str) -> list[str]:
        with self._lock:
            found = [
                (labels, list(histogram.counts), histogram.sum_s)
                for (key, labels), histogram in self._histograms.items()
                if key == name
            ]
        lines: list[str] = []
        for labels, counts, sum_s in found or [((), _Histogram().counts, 0.0)]:
            total = 0
            for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), counts, strict=True):
                total += count
                lines.append(f"{name}_bucket{_braced((*labels, ('le', bound)))} {total}")
            lines.append(f"{name}_sum{_braced(labels)} {_number(sum_s)}")
            lines.append(f"{name}_count{_braced(labels)} {total}")
        return lines


def _braced(labels: _Labels) -> str:
    """Labels as they stand behind a name; no text without any."""
    if not labels:
        return ""
    escaped = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    return "{" + ",".join(f'{label}="{word.translate(escaped)}"' for label, word in labels) + "}"


def _number(value: float) -> str:
    """A sample's value: whole numbers with all their digits."""
    if math.isfinite(value) and value == int(value):
        return str(int(value))
    return f"{value:.10g}".replace("nan", "NaN").replace("inf", "Inf")
