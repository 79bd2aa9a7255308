"""What a model call cost, for budgets in dollars; by ``genai-prices`` when it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tachograph._guard import say_rarely


class Usage(NamedTuple):
    """Tokens of one call. ``input_tokens`` includes what was read from and written to a cache."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


as_reading: Callable[[str, Callable[[], float | None]], float | None] | None = None
"""Puts a price on the run's tape, or takes it from there: lists change, and budgets decide by them."""


def usd_of(model: str | None, provider: str | None, usage: Usage) -> float | None:
    """The price in US dollars; None when the model or the price list is not known, never 0 for that."""
    if not model:
        return None
    if as_reading is None:
        return _usd_of(model, provider, usage)
    return as_reading("price", lambda: _usd_of(model, provider, usage))


def _usd_of(model: str, provider: str | None, usage: Usage) -> float | None:
    try:
        import genai_prices
    except ImportError:
        say_rarely(
            "prices",
            "tachograph: a budget in usd needs prices: pip install genai-prices (or tachograph[server])",
        )
        return None
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(**{key: value for key, value in usage._asdict().items() if value}),
            model,
            provider_id=provider,
        )
    except LookupError:
        return None
    return float(found.total_price)


def estimated_usd(model: str, provider: str | None, usage: Usage) -> float:
    """The price of what a call may use at most, as if nothing came from a cache; 0 when it is not known.

    Not put on a run's tape: it decides only beside other calls, and never about what was used.
    """
    return _usd_of(model, provider, usage) or 0.0
