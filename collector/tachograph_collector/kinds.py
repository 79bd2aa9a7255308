"""Which signal a record of the log is: the log keeps a number, and knows nothing of OTLP."""

from __future__ import annotations

from tachograph_collector.wal import Record
from tachograph_schemas.names import Signal

# Written into files: never to be changed. Logs from before there were other signals have 0 everywhere.
KINDS: dict[Signal, int] = {"traces": 0, "logs": 1, "metrics": 2}
_SIGNALS: dict[int, Signal] = {kind: signal for signal, kind in KINDS.items()}


def signal_of(record: Record) -> Signal | None:
    """The signal of a record; ``None`` when a later version wrote it."""
    return _SIGNALS.get(record.kind)


def by_signal(records: list[Record]) -> list[list[Record]]:
    """The records in groups of one signal each, in order within each."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(record.kind, []).append(record)
    return list(groups.values())
