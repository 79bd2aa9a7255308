"""What SDK, command line, dashboard and collector agree on about the control API: paths and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

APPROVALS: Final = "/api/v1/approvals"
ORDERS: Final = "/api/v1/orders"
KEYS: Final = "/api/v1/keys"
RECORDINGS: Final = "/api/v1/recordings"
RECORDING_TYPE: Final = "application/vnd.tachograph.recording+zip"
RECORDINGS_TYPE: Final = "application/vnd.tachograph.recordings"
"""Several recordings in one body."""
KEEP: Final = "Tacho-Keep"
"""A header of a request with spans: keep its body by this name, 32 hexadecimal digits that nobody guesses."""
KEPT: Final = "Tacho-Kept"
"""A header of the answer: it is kept, for a while."""
PREFIX: Final = "Tacho-Prefix"
"""A header of a request with recordings in zstd: names of kept bodies, with spaces between, which together are the raw
dictionary it was compressed with. 412 means that one of them is gone."""
PREFIX_LIMIT_BYTES: Final = 4 << 20
"""Of such a dictionary. It and the recordings behind it fit into a window of 8 MiB, the most that readers of zstd have to have."""
PREFIX_MOST_BODIES: Final = 100
"""In one such dictionary: their names have to fit into a header, and each is unpacked."""
REPLAYS: Final = "/api/v1/replays"
REPLAY_LEASE_S: Final = 15 * 60
"""A worker that has said nothing of its replay for so long is taken for dead, and another may have it."""
AUDIT: Final = "/api/v1/audit"
DRIFT: Final = "/api/v1/drift"
ALERTS: Final = "/api/v1/alerts"
WAITING: Final = "/api/v1/waiting"
"""How much waits for people. Older collectors have no such path."""
MOST_FIRING: Final = 1_000
"""Groups of rules in one answer about what fires."""
BUDGETS: Final = "/api/v1/budgets"
PRICES: Final = "/api/v1/prices"
LEASES: Final = "/api/v1/budget-leases"
LEASE_S: Final = 60.0
"""How long a share of a budget may be used without a word to the collector; then it counts as used up."""
MOST_LEASES: Final = 1_000
"""In one request."""
MOST_NAME: Final = 200
"""Letters of a name of anything."""
MOST_AMOUNT: Final = 1e15
"""Of anything that a budget counts; more is no amount."""
MOST_WAIT_S: Final = 25.0
"""How long the collector lets a call wait for news: less than proxies allow a silent connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector said."""

    status: int
    """The HTTP status; 0 when nobody answered."""
    data: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    """Why it is no success, in a sentence; empty when it is."""

    def __bool__(self) -> bool:
        return 200 <= self.status < 300

    @property
    def may_change(self) -> bool:
        """Whether asking again later may help: nobody answered, or not now."""
        return self.status in {0, 408, 425, 429} or self.status >= 500
