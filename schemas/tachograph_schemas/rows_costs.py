"""What the queries about prices return; see :mod:`.rows`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

COST_GROUPS: Final = ("agent", "model", "customer", "user", "tool", "step", "session", "version")
"""By what costs are told apart; :data:`.costs.GROUPS` says how."""
ODD_USAGE: Final = {
    "negative": "a negative number",
    "unreadable": "a number that is none",
    "cache_over_input": "more from the cache than was sent",
    "reasoning_over_output": "more reasoning than output",
    "total_differs": "a total that is not the sum",
}
"""Why a call's numbers of tokens do not add up, by the word that is stored."""


class Rate(NamedTuple):
    """USD per token, and for which calls: begun from ``from_s`` on, at that time of day (UTC; -1: any), in that
    service tier (empty: any), with more than ``above_tokens`` of input in all (0: any).
    """  # fmt: skip

    price_id: str
    """``provider/model`` and the list it is from, with its version."""
    from_s: int = 0
    day_from_s: int = -1
    day_until_s: int = -1
    service_tier: str = ""
    above_tokens: int = 0
    call_usd: float = 0.0
    """For the call itself."""
    input_usd: float = 0.0
    output_usd: float = 0.0
    reasoning_usd: float = 0.0
    cache_read_usd: float = 0.0
    cache_write_usd: float = 0.0
    """5 minutes, and where the lifetime is not said."""
    cache_write_1h_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What one model costs under the name that spans give it; a row of ``model_rates``."""

    provider: str
    model: str
    price_id: str
    """Of the first rate; empty when no list knows the model."""
    rates: list[Rate] = field(default_factory=list)
    """The first that fits a call holds."""

    def rate(self, price_id: str, input_tokens: int, service_tier: str = "") -> Rate | None:
        """The first rate of ``price_id`` for so much input in all; the time of day is not looked at."""
        for each in map(Rate._make, self.rates):
            if (
                each.price_id == price_id
                and each.service_tier in {"", service_tier}
                and (not each.above_tokens or input_tokens > each.above_tokens)
            ):
                return each
        return None


@dataclass(frozen=True, slots=True)
class BillLine:
    """What the calls of one model used in a run, and at which rates (USD per token)."""

    model: str
    price_id: str
    """Empty: no list knew the model."""
    input_usd: float
    output_usd: float
    cache_read_usd: float
    cache_write_usd: float
    cache_write_1h_usd: float
    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cost_usd: float | None
    """As stored; None when no call is priced."""
    client_cost_usd: float | None
    """What the sender says they cost."""

    @property
    def classes(self) -> list[tuple[str, int, float]]:
        """Name, tokens, USD per token; the classes that were used."""
        listed = [
            ("fresh input", self.input_tokens, self.input_usd),
            ("read from the cache", self.cache_read_tokens, self.cache_read_usd),
            ("written to the cache for 5 min", self.cache_write_5m_tokens, self.cache_write_usd),
            ("written to the cache for 1 h", self.cache_write_1h_tokens, self.cache_write_1h_usd),
            ("output", self.output_tokens, self.output_usd),
        ]
        return [each for each in listed if each[1]]

    @property
    def difference_usd(self) -> float:
        """The stored cost less the sum of the classes: what is not priced per token, or was priced at other rates."""
        return (self.cost_usd or 0.0) - sum(tokens * rate for _, tokens, rate in self.classes)
