"""Counters and gauges of the collector, as Prometheus text."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tachograph_schemas import names

_HELP: dict[str, tuple[str, str]] = {
    names.METRIC_BODIES_RECEIVED: ("counter", "OTLP bodies received, refused ones included."),
    names.METRIC_BODIES_REFUSED: ("counter", "OTLP bodies refused, by reason."),
    names.METRIC_SPANS_ACKNOWLEDGED: ("counter", "Spans that are on disk and acknowledged."),
    names.METRIC_SPANS_STORED: ("counter", "Spans inserted into the engine by this process."),
    names.METRIC_LOG_UNSTORED_BYTES: ("gauge", "Bytes in the log that no checkpoint covers yet."),
    names.METRIC_LOG_OLDEST_UNSTORED_S: ("gauge", "Age of the oldest of them."),
    names.METRIC_INSERTS: ("counter", "Inserts into the engine."),
    names.METRIC_INSERT_SECONDS: ("counter", "Time spent in inserts, roll-up included."),
    names.METRIC_BODIES_QUARANTINED: ("counter", "Bodies that the engine cannot store."),
}


class Metrics:
    """Thread-safe counters, and gauges that are read when asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, str], float] = {}
        self._gauges: dict[str, Callable[[], float]] = {}

    def add(self, name: str, amount: float = 1, *, reason: str = "") -> None:
        """Count ``amount`` more."""
        key = (name, reason)
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Have ``read`` called whenever the value is asked for."""
        self._gauges[name] = read

    def text(self) -> str:
        """Everything in Prometheus text format."""
        with self._lock:
            counters = dict(self._counters)
        lines: list[str] = []
        for name, (kind, meaning) in _HELP.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            if name in self._gauges:
                lines.append(f"{name} {self._gauges[name]():g}")
                continue
            rows = [(reason, value) for (key, reason), value in counters.items() if key == name]
            for reason, value in rows or [("", 0.0)]:
                label = f'{{reason="{reason}"}}' if reason else ""
                lines.append(f"{name}{label} {value:.10g}")
        return "\n".join(lines) + "\n"
