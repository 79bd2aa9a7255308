"""A model call's tokens and cost as a small sum: tokens of each class times its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tachograph_schemas import names, words
from tachograph_schemas.rows import SpanRow
from tachograph_schemas.rows_costs import ODD_USAGE, ModelPrice

_PER_MILLION = 1_000_000
_EXACT = 1e-9
"""Of the cost: so far sums of fractions may be apart."""
_UNKNOWN_COST = {
    "unknown_price": "The price list does not know this model, so the cost is unknown, not nothing.",
    "no_usage": "The client reported no token usage for this call, so its cost is unknown.",
    "pending": "The price of this model is being looked up.",
}
_NOT_EXPLAINED = (
    "The price list has changed since, or this model has prices that are not per token; the total is what was stored "
    "at the time."
)


@dataclass(frozen=True, slots=True)
class _Class:
    label: str
    tokens: int | None
    price_usd: float | None

    @property
    def cost_usd(self) -> float | None:
        if self.tokens is None or self.price_usd is None:
            return None
        return self.tokens * self.price_usd


def token_sum(span: SpanRow, price: ModelPrice | None) -> dict[str, Any]:
    """The block that draws the sum; a class that was not reported says so.

    Args:
        span: A model call.
        price: What the store knows of the model's price now; used only when it explains the stored cost.
    """
    if span.cost_usd is None or span.is_cached:
        price = None
    classes = _classes(span, price)
    priced = sum(item.cost_usd or 0.0 for item in classes)
    agrees = span.cost_usd is not None and abs(priced - span.cost_usd) <= _EXACT * span.cost_usd
    is_explained = price is None or agrees
    if not is_explained:
        classes = _classes(span, None)
    return {
        "kind": "sum",
        "rows": _rows(span, classes),
        "total": ["Total", words.tokens(_total(span)), "", words.usd(span.cost_usd)],
        "note": " ".join(_notes(span, is_explained=is_explained)),
    }


def _notes(span: SpanRow, *, is_explained: bool) -> list[str]:
    notes = []
    if span.is_cached:
        saved = "an unknown amount" if span.saved_usd is None else words.usd(span.saved_usd)
        notes.append(f"Answered from a cache: it cost nothing and saved {saved}.")
    if span.cost_usd is None:
        notes.append(_UNKNOWN_COST.get(span.cost_status, ""))
    if span.odd_usage:
        why = ODD_USAGE.get(span.odd_usage, span.odd_usage)
        notes.append(
            f"The provider's numbers do not add up: {why}. They are shown as they were said."
        )
    if not is_explained:
        notes.append(_NOT_EXPLAINED)
    return notes


def _rows(span: SpanRow, classes: list[_Class]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for item in classes:
        price = "" if item.price_usd is None else words.usd(item.price_usd * _PER_MILLION)
        cost = "" if item.cost_usd is None else words.usd(item.cost_usd)
        said = "not reported" if item.tokens is None else f"{item.tokens:,}"
        rows.append([item.label, said, price, cost, False])
    if span.reasoning_tokens:
        rows.append(["of which reasoning", f"{span.reasoning_tokens:,}", "", "", True])
    return rows


def _classes(span: SpanRow, price: ModelPrice | None) -> list[_Class]:
    sizes = (span.input_tokens, span.cache_read_tokens, span.cache_write_tokens)
    whole_input = sum(size for size in sizes if size is not None)
    tier = span.attributes.get(names.OPENAI_RESPONSE_SERVICE_TIER, "").lower()
    found = None if price is None else price.rate(span.price_id, whole_input, tier)

    def rate(name: str) -> float | None:
        return None if found is None else float(getattr(found, name))

    classes = [_Class("Fresh input", span.input_tokens, rate("input_usd"))]
    if span.cache_read_tokens is not None:
        classes.append(_Class("Read from cache", span.cache_read_tokens, rate("cache_read_usd")))
    if span.cache_write_tokens is not None:
        hour = span.cache_write_1h_tokens
        label = "Written to cache, 5 min" if hour else "Written to cache"
        shorter = span.cache_write_tokens - (hour or 0)
        classes.append(_Class(label, shorter, rate("cache_write_usd")))
        if hour:
            classes.append(_Class("Written to cache, 1 h", hour, rate("cache_write_1h_usd")))
    classes.append(_Class("Output", span.output_tokens, rate("output_usd")))
    return classes


def _total(span: SpanRow) -> int | None:
    known = [
        number
        for number in (
            span.input_tokens,
            span.cache_read_tokens,
            span.cache_write_tokens,
            span.output_tokens,
        )
        if number is not None
    ]
    return sum(known) if known else None
