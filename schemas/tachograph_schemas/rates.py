"""What a model costs, by the user's own price list and ``genai-prices``; no database.

The collector keeps what is found here in ``model_rates`` (:mod:`.pricing`), where the inserts read it; the SDK counts its
budgets by the same rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from tachograph_schemas.rows_costs import ModelPrice, Rate

# The price list's names for the classes, and what a class costs when the list is silent about it.
_LIST_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
_FALLBACK = {
    "reasoning": "output",
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
}
_PER_MTOK = Decimal(1_000_000)
_PER_K = Decimal(1_000)
_DAY_S = 86_400
MOST_USD = 1e6
"""Of one token; what is not from 0 to this is no price."""
LATEST_S = 9_214_646_400
"""The year 2262, seconds since 1970: no storage holds later calls."""
_ALWAYS = date(1970, 1, 1)
_TIER_KEYS = ("processing", "service_tier")


@dataclass(frozen=True, slots=True)
class UserPrice:
    """A line of the user's own price list; USD per token."""

    model: str
    provider: str
    """Empty: of any provider."""
    from_s: int
    """From this start of a call on, seconds since 1970; 0: always."""
    input_usd: float
    output_usd: float
    cache_read_usd: float
    cache_write_usd: float
    cache_write_1h_usd: float
    set_by: str = ""


class Used(NamedTuple):
    """Tokens of one call; disjoint, but that ``reasoning_tokens`` are a part of ``output_tokens``."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0


@dataclass(slots=True)
class _Rates:
    """The rates of one model of the list, in the order in which they are tried."""

    price_id: str
    found: list[Rate] = field(default_factory=list)

    def add(self, prices: Any, service_tier: str, constraint: Any, tier_begins: date) -> None:
        """Every size of input that the list tells apart, the largest first."""
        begins = max(getattr(constraint, "start_date", _ALWAYS), tier_begins)
        base = Rate(
            self.price_id,
            int(datetime.combine(begins, time(), UTC).timestamp()),
            _second_of_day(getattr(constraint, "start_time", None)),
            _second_of_day(getattr(constraint, "end_time", None)),
            service_tier,
        )
        given = {name: getattr(prices, key, None) for name, key in _LIST_KEYS.items()}
        starts = {tier.start for rate in given.values() for tier in getattr(rate, "tiers", ())}
        for above in sorted({0, *starts}, reverse=True):
            per_token: dict[str, Decimal] = {}
            for name, rate in given.items():
                fallback = _FALLBACK.get(name)
                if rate is None:
                    per_token[name] = per_token[fallback] if fallback else Decimal(0)
                else:
                    per_token[name] = _at_size(rate, above)
            usd: dict[str, Any] = {f"{n}_usd": float(r / _PER_MTOK) for n, r in per_token.items()}
            call_usd = float((getattr(prices, "requests_kcount", None) or Decimal(0)) / _PER_K)
            self.found.append(base._replace(above_tokens=above, call_usd=call_usd, **usd))


def _at_size(rate: Any, above: int) -> Decimal:
    fitting = [tier.price for tier in getattr(rate, "tiers", ()) if tier.start <= above]
    # A tier that begins at 0 holds from the first token on, the base price for none at all.
    return Decimal(fitting[-1] if fitting and above else getattr(rate, "base", rate))


def _second_of_day(moment: time | None) -> int:
    if moment is None:
        return -1
    offset = moment.utcoffset()
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (second - int(offset.total_seconds() if offset else 0)) % _DAY_S


def look_up(provider: str, model: str, own: Iterable[UserPrice] = ()) -> ModelPrice:
    """What a model costs: by the user's own list, then by ``genai-prices``; no rates when neither knows it."""
    rates = [*_of_user(provider, model, own), *_of_list(provider, model)]
    return ModelPrice(provider, model, rates[0].price_id if rates else "", rates)


def _of_user(provider: str, model: str, own: Iterable[UserPrice]) -> list[Rate]:
    mine = [each for each in own if each.model == model and each.provider in {"", provider}]
    # The latest first; one for this provider before one for any.
    mine.sort(key=lambda each: (each.from_s, each.provider != ""), reverse=True)
    return [
        Rate(
            f"own/{each.model}@{datetime.fromtimestamp(each.from_s, UTC):%Y-%m-%d}",
            from_s=each.from_s,
            input_usd=each.input_usd,
            output_usd=each.output_usd,
            reasoning_usd=each.output_usd,
            cache_read_usd=each.cache_read_usd,
            cache_write_usd=each.cache_write_usd,
            cache_write_1h_usd=each.cache_write_1h_usd,
        )
        for each in mine
    ]


def _of_list(provider: str, model: str) -> list[Rate]:
    try:
        import genai_prices
    except ImportError:
        # The SDK alone comes without the list.
        return []

    for provider_id in (provider or None, None):
        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(input_tokens=0, output_tokens=0),
                model_ref=model,
                provider_id=provider_id,
            )
        except (LookupError, ValueError):
            continue
        version = f"genai-prices {genai_prices.__version__}"
        return rates_of(f"{found.provider.id}/{found.model.id}@{version}", found.model)
    return []


def rates_of(price_id: str, model: Any) -> list[Rate]:
    """The rates of a model of ``genai-prices``, in the order in which they are tried, each under ``price_id``."""
    rates = _Rates(price_id)
    listed = model.prices if isinstance(model.prices, list) else None
    # Of several, the last that is active holds; when none is, the first does.
    conditional = [] if listed is None else [*reversed(listed), replace(listed[0], constraint=None)]
    tiers: dict[tuple[str, str], set[date]] = {}
    for variant in model.price_variants or ():
        ((key, tier), *others) = variant.when.items()
        if key in _TIER_KEYS and not others:
            begins = getattr(variant.constraint, "start_date", _ALWAYS)
            tiers.setdefault((key, tier), set()).add(begins)
    contexts = [
        (tier, {key: tier}, begins)
        for (key, tier), dates in tiers.items()
        for begins in sorted(dates, reverse=True)
    ]
    for tier, context, begins in [*contexts, ("", {}, _ALWAYS)]:
        at = datetime.combine(begins, time(), UTC)
        for priced in conditional:
            whole = replace(model, prices=priced.prices).get_prices(at, context)
            rates.add(whole, tier, priced.constraint, begins)
        if listed is None:
            rates.add(model.get_prices(at, context), tier, None, begins)
    return rates.found


def usd_of(rates: Iterable[Rate], used: Used, at_s: int, service_tier: str = "") -> float | None:
    """What a call costs, in US dollars: the same sum as ``loader/_pricing.sql``; None when no rate fits it.

    Args:
        rates: In the order in which they are tried.
        used: The call's tokens.
        at_s: When it began, seconds since 1970.
        service_tier: ``batch``, ``flex`` ...; empty: the usual one.
    """
    whole = (
        used.input_tokens
        + used.cache_read_tokens
        + used.cache_write_5m_tokens
        + used.cache_write_1h_tokens
    )
    rate = next((each for each in rates if _fits(each, whole, at_s, service_tier)), None)
    if rate is None:
        return None
    thought = min(used.reasoning_tokens, used.output_tokens)
    return (
        rate.call_usd
        + used.input_tokens * rate.input_usd
        + (used.output_tokens - thought) * rate.output_usd
        + thought * rate.reasoning_usd
        + used.cache_read_tokens * rate.cache_read_usd
        + used.cache_write_5m_tokens * rate.cache_write_usd
        + used.cache_write_1h_tokens * rate.cache_write_1h_usd
    )


def _fits(rate: Rate, whole_input: int, at_s: int, service_tier: str) -> bool:
    start, end, second = rate.day_from_s, rate.day_until_s, at_s % _DAY_S
    if start >= 0:
        is_inside = second >= start or second < end if end < start else start <= second < end
        if not is_inside:
            return False
    if rate.from_s > at_s or rate.service_tier not in {"", service_tier}:
        return False
    return not rate.above_tokens or whole_input > rate.above_tokens
