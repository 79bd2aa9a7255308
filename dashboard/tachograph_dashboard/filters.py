"""The filters of the list of runs, as they stand in the page's address and in a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from tachograph_dashboard.icons import OUTCOME_WORDS
from tachograph_schemas.names import Outcome
from tachograph_schemas.queries import Order, RunFilter

# The labels stand in the address, so they are names that do not change.
WINDOWS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "all": timedelta(days=365),
}
DEFAULT_WINDOW = "7d"
OUTCOME_LABELS: Mapping[str, Outcome] = {word: outcome for outcome, word in OUTCOME_WORDS.items()}
ORDER_LABELS: tuple[Order, ...] = get_args(Order)
DEFAULT_ORDER: Order = "newest"
# A moment's rounding, so that a query asked again a second later is the same query.
_GRAIN_S = 30


@dataclass(frozen=True, slots=True)
class Choice:
    """What the reader has chosen."""

    text: str
    agents: tuple[str, ...]
    customers: tuple[str, ...]
    outcomes: tuple[str, ...]
    """Labels of :data:`OUTCOME_LABELS`."""
    window: str
    session_id: str = ""
    tag: str = ""

    def query(self, now: datetime) -> RunFilter:
        """The runs that match, as of ``now``."""
        since = None
        if self.window != "all":
            moment = (now - WINDOWS[self.window]).timestamp() // _GRAIN_S * _GRAIN_S
            since = datetime.fromtimestamp(moment, UTC)
        return RunFilter(
            agents=self.agents,
            outcomes=tuple(OUTCOME_LABELS[label] for label in self.outcomes),
            customers=self.customers,
            since=since,
            text=self.text.strip(),
            tag=self.tag,
            session_id=self.session_id,
        )

    @property
    def narrows(self) -> bool:
        """Whether anything but the time window is set."""
        return bool(
            self.text.strip()
            or self.agents
            or self.customers
            or self.outcomes
            or self.session_id
            or self.tag
        )


def chosen(state: Mapping[str, Any], session_id: str, tag: str) -> Choice:
    """The choice that the widgets hold."""
    return Choice(
        text=str(state.get("q") or ""),
        agents=tuple(state.get("agent") or ()),
        customers=tuple(state.get("customer") or ()),
        outcomes=tuple(state.get("outcome") or ()),
        window=str(state.get("window") or DEFAULT_WINDOW),
        session_id=session_id,
        tag=tag,
    )
