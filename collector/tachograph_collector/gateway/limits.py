"""How much one query, and all of them together, may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tachograph_schemas.settings import Setting, declare, size_bytes

TABLE = declare(
    (
        Setting("TACHO_GATEWAY_READERS", 4, "queries that the gateway runs side by side", int),
        Setting("TACHO_GATEWAY_QUEUE", 64, "queries that may wait for a reader", int),
        Setting("TACHO_GATEWAY_QUEUE_TIMEOUT_S", 10.0, "how long a query may wait, s", float),
        Setting("TACHO_GATEWAY_MAX_EXECUTION_S", 60.0, "how long a query may run, s", float),
        Setting("TACHO_GATEWAY_MAX_MEMORY_BYTES", 2 << 30, "memory of one query", size_bytes),
        Setting("TACHO_GATEWAY_MAX_RESULT_ROWS", 100_000_000, "rows of one streamed result", int),
        Setting(
            "TACHO_GATEWAY_MAX_RESULT_BYTES", 16 << 30, "bytes of one streamed result", size_bytes
        ),
        Setting(
            "TACHO_GATEWAY_MAX_BUFFERED_BYTES",
            256 << 20,
            "bytes of one result in a format that must be made whole before it is sent",
            size_bytes,
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateway's limits; the field names are the settings' keys without ``gateway_``."""

    readers: int = 4
    queue: int = 64
    queue_timeout_s: float = 10.0
    max_execution_s: float = 60.0
    max_memory_bytes: int = 2 << 30
    max_result_rows: int = 100_000_000
    max_result_bytes: int = 16 << 30
    max_buffered_bytes: int = 256 << 20
    max_request_bytes: int = 4 << 20
    """Largest body of a query, before and after decompression."""
    send_timeout_s: float = 60.0
    """How long a client may take to accept the next piece of a result before it is let go."""

    @classmethod
    def from_settings(cls, values: Mapping[str, Any]) -> Self:
        """The limits out of resolved settings (:func:`tachograph_schemas.settings.resolve`)."""
        return cls(**{row.key.removeprefix("gateway_"): values[row.key] for row in TABLE})
