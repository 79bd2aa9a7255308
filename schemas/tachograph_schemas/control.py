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
REPLAYS: Final = "/api/v1/replays"
AUDIT: Final = "/api/v1/audit"
DRIFT: Final = "/api/v1/drift"
ALERTS: Final = "/api/v1/alerts"
BUDGETS: Final = "/api/v1/budgets"
PRICES: Final = "/api/v1/prices"
LEASES: Final = "/api/v1/budget-leases"
LEASE_S: Final = 60.0
"""How long a share of a budget may be used without a word to the collector; then it counts as used up."""
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
