"""Bodies that the engine cannot store: kept beside the log with the reason, out of the flow."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from tachograph_collector.wal import Record
from tachograph_collector.wal.segments import sync_directory

logger = logging.getLogger(__name__)


def put(directory: Path, record: Record, reason: str) -> None:
    """Keep a body and why it is here. Blocks on the disk; the log may forget the record afterwards."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    stem = directory / f"{record.sequence:020d}"
    facts = {
        "sequence": record.sequence,
        "received_ns": record.received_ns,
        "project": record.project,
        "spans": record.spans,
        "reason": reason,
    }
    stem.with_suffix(".otlp.pb").write_bytes(record.body)
    stem.with_suffix(".json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    sync_directory(directory)
    logger.error(
        "A body of %d spans cannot be stored and was put into %s: %s",
        record.spans,
        directory,
        reason,
    )


def count(directory: Path) -> int:
    """How many bodies are in quarantine."""
    return sum(1 for _ in directory.glob("*.otlp.pb")) if directory.is_dir() else 0
