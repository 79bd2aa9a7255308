"""What stands before and after every model, tool and step call: budgets are asked, held from, and charged.

The budgets around a piece of code travel with its context, so calls made in tasks and threads count too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tachograph import _orders, _prices, _shared_budgets
from tachograph._budget_state import COUNTED, Account, BudgetState, Hold, Shortage
from tachograph._facts import begin
from tachograph._frame import Frame, frame_of
from tachograph._guard import guarded, say_rarely
from tachograph.errors import BudgetExceeded
from tachograph_schemas import names


class Estimate(NamedTuple):
    """What a model call may use at most, as far as its request tells."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    provider: str = ""


_FILE_BYTES = 6_000
_BYTES_PER_TOKEN = 3
"""Fewer than there are in nearly any text, so that the estimate is rather too high."""
_MOST_OUTPUT = ("max_tokens", "max_output_tokens", "max_completion_tokens")


def tokens_in(size_bytes: int) -> int:
    """How many tokens a text or JSON of this size is at most, nearly always."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def size_of(request: Any) -> int:
    """How many bytes of text a model is sent; pictures and files that lie in it are taken for a few pages."""
    if isinstance(request, str):
        return (
            _FILE_BYTES
            if len(request) > _FILE_BYTES and " " not in request[:500]
            else len(request.encode("utf-8", "replace"))
        )
    if isinstance(request, Mapping):
        return sum(len(str(key)) + 6 + size_of(value) for key, value in request.items())
    if isinstance(request, list | tuple):
        return sum(size_of(each) for each in request)
    return 8


def most_tokens(request: Mapping[str, Any]) -> int:
    """How much a request allows the model to answer, tokens; 0 when it does not say."""
    said = (request.get(name) for name in _MOST_OUTPUT)
    return max((number for number in said if type(number) is int and number > 0), default=0)


def in_force() -> bool:
    """Whether any budget may have a word; free when none has."""
    return bool(
        _shared_budgets.in_force or frame_of().budgets or not _shared_budgets.heard.is_set()
    )


def before_call(
    layer: names.Layer, estimate: Callable[[], Estimate] | None = None, tool: str = ""
) -> Hold | None:
    """Check every budget around the current code, hold what the call may use, and count it.

    Called before a ``model``, ``tool`` or ``step`` span is opened; free when no budget is in force. A
    model call inside a model span is the same call seen twice and not counted.

    Args:
        layer: What is called.
        estimate: What a model call may use; asked only when a budget wants to know.
        tool: The name of the tool that is called.

    Returns:
        What is held for the call; give it to ``open_span``, with whose end it is released.

    Raises:
        BudgetExceeded: the call must not be made. A ``budget`` span that says why was recorded.
        RunStopped: a person stopped the run. Waits while one paused it.
    """
    if _orders.in_force:
        _orders.obey(layer)
    frame = frame_of()
    unit = COUNTED.get(layer)
    if unit is None or (layer == "model" and frame.layer == "model"):
        return None
    if frame.run is not None:
        _shared_budgets.wait_for_word()
    accounts = _accounts(frame, tool)
    if not accounts:
        return None
    needs = {unit: 1.0}
    if layer == "model" and estimate is not None:
        with guarded("estimating a model call"):
            needs |= _needs(estimate(), accounts)
    hold = Hold()
    try:
        for account in accounts:
            _reserve(account, hold, layer, needs)
    except BaseException:
        hold.release()
        raise
    return hold if hold.is_any else None


def _accounts(frame: Frame, tool: str = "") -> list[Account]:
    own: list[Account] = list(frame.budgets)
    return own + _shared_budgets.accounts(frame, tool) if _shared_budgets.in_force else own


def _needs(estimate: Estimate, accounts: Iterable[Account]) -> dict[str, float]:
    needs = {"tokens": float(estimate.input_tokens + estimate.output_tokens), "usd": 0.0}
    if estimate.model and any(account.counts("usd") for account in accounts):
        usage = _prices.Usage(estimate.input_tokens, estimate.output_tokens)
        needs["usd"] = _prices.estimated_usd(estimate.model, estimate.provider or None, usage)
    return needs


def _reserve(account: Account, hold: Hold, layer: names.Layer, needs: Mapping[str, float]) -> None:
    found = account.reserve(layer, needs)
    may_ask = account.action == "ask" and not _in_event_loop()
    if isinstance(found, Shortage) and may_ask and _approve(account, found):
        account.extend()
        found = account.reserve(layer, needs)
    if isinstance(found, Shortage):
        _reached(account, found)
        found = account.reserve(layer, needs, force=True)
    if not isinstance(found, Shortage):
        hold.add(account, found)


def asks() -> bool:
    """Whether a budget around this code asks people: async code then awaits :func:`ask_first`."""
    return _shared_budgets.asking or any(each.action == "ask" for each in frame_of().budgets)


async def ask_first(layer: names.Layer) -> None:
    """Ask people to go on where a budget that asks is used up, without holding up the event loop."""
    for account in _accounts(frame_of()):
        if account.action != "ask":
            continue
        found = account.reserve(layer, {})
        if isinstance(found, Shortage):
            from tachograph._approve import approve_async

            if await approve_async(**_question(account, found)):
                account.extend()


def _approve(account: Account, found: Shortage) -> Any:
    # Imported late: approvals are recorded by what counts budgets.
    from tachograph._approve import approve

    return approve(**_question(account, found))


def _question(account: Account, found: Shortage) -> dict[str, Any]:
    what = f"{account.called or account.scope} budget of {found.limit:g} {found.unit}"
    params = {"used": found.used, "limit": found.limit, "unit": found.unit}
    return {
        "request": f"go on beyond the {what}",
        "params": params,
        "reason": _error(account, found).reason,
        "approver": "inbox",
    }


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _error(account: Account, found: Shortage) -> BudgetExceeded:
    return BudgetExceeded(
        limit=found.limit,
        used=found.used,
        unit=found.unit,
        scope=account.scope,
        budget=account.called,
        held=found.held,
        needed=found.needed,
        why=found.why,
    )


def _reached(account: Account, found: Shortage) -> None:
    error = _error(account, found)
    if account.action in {"stop", "ask"}:
        _record(account, found, "stopped", str(error))
        raise error
    if account.action == "degrade" and not account.degraded:
        account.degraded = True
        _record(account, found, "degraded", error.reason)
        if account.hook is not None:
            # The user's own code: what it raises is the agent's to see.
            account.hook(error)
    elif account.action == "warn" and account.first_warning(found.unit):
        _record(account, found, "warned", error.reason)
        say_rarely(f"budget:{account.scope}:{found.unit}", "tachograph: %s", error.reason)


def _record(account: Account, found: Shortage, action: str, why: str) -> None:
    facts = {
        names.BUDGET_SCOPE: account.scope,
        names.BUDGET_NAME: account.called or None,
        names.BUDGET_UNIT: found.unit,
        names.BUDGET_LIMIT: found.limit,
        names.BUDGET_USED: found.used,
        names.BUDGET_HELD: found.held or None,
        names.BUDGET_NEEDED: found.needed or None,
        names.BUDGET_ACTION: action,
        names.REASON: why,
    }
    begin("budget", found.unit, facts).end()


def add_usage(
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    usd: float | None = None,
    model: str | None = None,
    provider: str | None = None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
) -> None:
    """Charge a finished model call to every budget around the current code. Never raises.

    Args:
        input_tokens: All prompt tokens, cache reads and writes included.
        output_tokens: All output tokens, reasoning included.
        usd: What the call cost, when the caller knows; otherwise it is priced by ``model``.
        model: The model that answered, for the price.
        provider: The provider's name, for the price.
        cache_read_tokens: The part of ``input_tokens`` read from a cache, for the price.
        cache_write_tokens: The part of ``input_tokens`` written to a cache, for the price.
    """
    frame = frame_of()
    hold = frame.hold
    accounts = _accounts(frame)
    if hold is not None:
        accounts += [held for held in hold.accounts if held not in accounts]
    if not accounts:
        return
    with guarded("charging a budget"):
        tokens = max(input_tokens or 0, 0) + max(output_tokens or 0, 0)
        wants_price = usd is None and any(account.counts("usd") for account in accounts)
        if wants_price:
            counted = _prices.Usage(
                input_tokens or 0, output_tokens or 0, cache_read_tokens, cache_write_tokens
            )
            usd = _prices.usd_of(model, provider, counted) if tokens else None
        used = {"tokens": float(tokens)} | ({} if usd is None else {"usd": usd})
        for account in accounts:
            account.settle({} if hold is None else hold.take(account), used)
            if usd is None and account.counts("usd") and account.first_warning("unpriced"):
                why = f"no price is known for {model or 'this model'}: its calls are not in this budget"
                limit, spent = account.spent("usd")
                _record(account, Shortage("usd", limit, spent, 0, 0), "warned", why)
                say_rarely(f"unpriced:{model}", "tachograph: %s", why)


def waited(seconds: float) -> None:
    """The agent waited for a person: time, but no working time."""
    for account in _accounts(frame_of()):
        if isinstance(account, BudgetState):
            account.waited(seconds)


def degraded() -> bool:
    """Whether a budget around this code with ``action="degrade"`` is used up: choose the cheaper way."""
    return any(account.degraded for account in _accounts(frame_of()))


def on_degrade(hook: Callable[[BudgetExceeded], Any]) -> None:
    """Call ``hook`` once for each budget kept at the collector that is used up and says ``degrade``.

    It is called before the next model, tool or step call, with what ``BudgetExceeded`` would have told; what
    it raises goes to the agent.
    """
    _shared_budgets.on_degrade = hook
