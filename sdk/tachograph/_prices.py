"""What a model call cost, for budgets in dollars."""

from __future__ import annotations

from collections.abc import Callable
from time import time  # not the one that agents read, which recordings for replay put in its place
from typing import Any, NamedTuple

from tachograph import _price_list


class Usage(NamedTuple):
    """Tokens of one call. ``input_tokens`` includes what was read from and written to a cache."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


_PRESUMED_USD = (5e-6, 25e-6)
"""A token in and a token out of a model that is not named, US dollars: as much as a large one costs."""
as_reading: Callable[[str, Callable[[], Any]], Any] | None = None
"""Puts a price, or what a budget lacks, on the run's tape, or takes it from there: lists change, and budgets decide by them."""
at_place: Callable[[str, Callable[[], Any], bool], Any] | None = None
"""The same for what was decided before one call, which a tape may have or not: see :mod:`._told_budgets`."""


def usd_of(model: str | None, provider: str | None, usage: Usage) -> float | None:
    """The price in US dollars; None when the model or the price list is not known, never 0 for that."""
    if not model:
        return None
    if as_reading is None:
        return _usd_of(model, provider, usage)
    price: float | None = as_reading("price", lambda: _usd_of(model, provider, usage))
    return price


def _usd_of(model: str, provider: str | None, usage: Usage) -> float | None:
    rates = _price_list.rates(provider or "", model)
    if not rates:
        return None
    from tachograph_schemas.rates import Used
    from tachograph_schemas.rates import usd_of as sum_of

    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    used = Used(
        input_tokens=max(usage.input_tokens - read - written, 0),
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_5m_tokens=written,
    )
    return sum_of(rates, used, int(time()))


def estimated_usd(model: str, provider: str | None, usage: Usage) -> float:
    """The price of what a call may use at most, as if nothing came from a cache; 0 when it is not known.

    Not put on a run's tape: it decides only beside other calls, and never about what was used.
    """
    return _usd_of(model, provider, usage) or 0.0


def presumed_usd(usage: Usage) -> float:
    """What a call of a model that is not named is taken to cost at most, US dollars."""
    return _PRESUMED_USD[0] * usage.input_tokens + _PRESUMED_USD[1] * usage.output_tokens
