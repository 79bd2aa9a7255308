"""How much runs that follow each other resemble each other in a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pvariance

LEAST_IN_STRATUM = 30
"""Runs from which on something can be said of a part of them."""
_BLOCKS = (1, 2, 4, 8, 16)
_LEAST_BLOCKS = 20
_INDEPENDENT = 0.15  # three times what chance makes of 400 values


@dataclass(frozen=True, slots=True)
class Likeness:
    """Neighbours that resemble each other (a slow hour, one session) are no independent witnesses."""

    block: int = 1
    """So many values in a row are averaged and count as one."""
    excess: float = 1.0
    """How much larger the variance of a mean is than that of independent values."""


def likeness(rows: Sequence[Mapping[str, float]]) -> Likeness:
    """The shortest block whose means hardly resemble each other any more; ``rows`` are positions by category, in order."""
    if len(rows) < LEAST_IN_STRATUM:
        return Likeness()
    name = max(rows[0], key=lambda each: pvariance([row[each] for row in rows]))
    values = [row[name] for row in rows]
    variance = pvariance(values)
    for block in _BLOCKS:
        means = [fmean(values[at : at + block]) for at in range(0, len(values) - block + 1, block)]
        if len(means) < _LEAST_BLOCKS or not variance:
            return Likeness()
        if block == _BLOCKS[-1] or _resemblance(means) < _INDEPENDENT:
            break
    if block == 1:
        return Likeness()
    return Likeness(block, max(1.0, block * pvariance(means) / variance))


def _resemblance(values: Sequence[float]) -> float:
    """The correlation of each value with the next."""
    mean = fmean(values)
    around = [value - mean for value in values]
    squares = sum(value * value for value in around)
    return sum(a * b for a, b in pairwise(around)) / squares if squares else 0.0
