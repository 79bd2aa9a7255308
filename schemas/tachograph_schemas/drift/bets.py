"""Evidence by betting: the e-detector (Shiryaev-Roberts) and the e-process, for values between 0 and 1.

Each bet wins when values lie above (or below) a tolerance band. While the mean, given the past, stays inside the band, no
bet gains on average; so the mean number of values until the restarted bets reach ``runs`` is at least ``runs`` (Shin,
Ramdas, Rinaldo, arXiv 2203.03532), and bets that are never restarted reach ``1/alpha`` with probability ``alpha`` at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHIFTS = (0.1, 0.2, 0.4, 0.8)
"""The changes that are bet on, in standard deviations of the baseline."""
GUARD_SHIFTS = (0.15, 0.35)
"""The same at a known time: fewer bets share the stake, so each is decided sooner."""
BETS = 2 * len(SHIFTS)
_MOST_STAKE = 0.9  # of what a single value can lose: no bet is ever ruined

Bets = tuple[tuple[float, float], ...]
"""(stake, edge of the band) of each bet: those on more first, then those on less."""


@dataclass(frozen=True, slots=True)
class Band:
    """What counts as unchanged: the mean lies between ``low`` and ``high``."""

    low: float
    high: float
    deviation: float
    """Standard deviation of a single value."""
    least: float = 0.0
    most: float = 1.0
    """No value lies outside of these."""

    def bets(self, shifts: Sequence[float] = SHIFTS) -> Bets:
        """The bets against this band."""
        safe_more = _MOST_STAKE / (self.high - self.least)
        safe_less = _MOST_STAKE / (self.most - self.low)
        more = [(min(s / self.deviation, safe_more), self.high) for s in shifts]
        less = [(-min(s / self.deviation, safe_less), self.low) for s in shifts]
        return (*more, *less)


def restarted(money: Sequence[float], value: float, bets: Bets) -> list[float]:
    """The e-detector's step: one unit is put on every bet each time, so a change may begin anywhere."""
    return [
        (had + 1.0) * (1.0 + stake * (value - edge))
        for had, (stake, edge) in zip(money, bets, strict=True)
    ]


def kept(money: Sequence[float], value: float, bets: Bets) -> list[float]:
    """The e-process's step: what was won is staked again, for a change at a known time."""
    return [
        had * (1.0 + stake * (value - edge)) for had, (stake, edge) in zip(money, bets, strict=True)
    ]
