"""What stands before and after every model, tool and step call: budgets are asked, held from, and charged.

The budgets around a piece of code travel with its context, so calls made in tasks and threads count too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tachograph import _orders, _prices, _shared_budgets, _told_budgets
from tachograph._budget_state import COUNTED, Account, BudgetState, Call, Hold, Shortage
from tachograph._estimate import Estimate, needs_of, presumed_of
from tachograph._facts import begin, misused
from tachograph._frame import Frame, frame_of
from tachograph._given import usd_of
from tachograph._guard import guarded, say_rarely
from tachograph.errors import BudgetExceeded
from tachograph_schemas import names

_MOST_TOKENS = 1 << 32
"""Of one call; as many as the storage believes."""


def in_force() -> bool:
    """Whether any budget may have a word; free when none has."""
    return bool(
        _shared_budgets.in_force
        or _shared_budgets.replays
        or frame_of().budgets
        or not _shared_budgets.heard.is_open
    )


def before_call(
    layer: names.Layer,
    estimate: Callable[[], Estimate] | None = None,
    tool: str = "",
    usd: float = 0.0,
) -> Hold | None:
    """Check every budget around the current code, hold what the call may use, and count it.

    Called before a ``model``, ``tool`` or ``step`` span is opened; free when no budget is in force. A
    model call inside a model span is the same call seen twice and not counted.

    Args:
        layer: What is called.
        estimate: What a model call may use; asked only when a budget wants to know.
        tool: The name of the tool that is called.
        usd: What the call costs, US dollars, unless it says that a cache answered it.

    Returns:
        What is held for the call; give it to ``open_span``, with whose end it is released.

    Raises:
        BudgetExceeded: the call must not be made. A ``budget`` span that says why was recorded.
        RunStopped: a person stopped the run. Waits while one paused it.
    """
    if _orders.in_force or _shared_budgets.replays:
        _orders.obey(layer)
    frame = frame_of()
    if _is_inside(layer, frame):
        return None
    if frame.run is not None:
        _shared_budgets.wait_for_word()
    accounts = [*frame.budgets, *_told_budgets.shared(frame, tool, "spending")]
    if not accounts:
        return None
    hold = _hold(accounts, _call_of(layer, estimate, accounts, usd))
    # Charged at the end: only the call itself can say that a cache answered it.
    hold.due_usd = usd
    return hold if hold.is_any else None


def _hold(accounts: Iterable[Account], call: Call) -> Hold:
    hold = Hold()
    try:
        for account in accounts:
            _reserve(account, hold, call)
    except BaseException:
        hold.release()
        raise
    return hold


def _is_inside(layer: names.Layer, frame: Frame) -> bool:
    """Whether a call is none that budgets know, or one that they know already: a model call seen twice."""
    return layer not in COUNTED or (layer == "model" and frame.layer == "model")


def _call_of(
    layer: names.Layer,
    estimate: Callable[[], Estimate] | None,
    accounts: Iterable[Account],
    usd: float = 0.0,
) -> Call:
    needs, is_bounded, presumed = {COUNTED[layer]: 1.0}, False, {}
    if layer == "model" and estimate is not None:
        with guarded("estimating a model call"):
            found = estimate()
            is_bounded = found.output_tokens > 0
            needs |= needs_of(found, usd=any(a.counts("usd") for a in accounts))
            presumed = {} if found.model else presumed_of(found)
    if usd:
        needs["usd"] = usd
    return Call(layer, needs, is_bounded=is_bounded, presumed=presumed)


def _accounts(frame: Frame) -> list[Account]:
    own: list[Account] = list(frame.budgets)
    return own + _shared_budgets.accounts(frame) if _shared_budgets.in_force else own


def _room(account: Account, call: Call) -> Shortage | dict[str, float]:
    """Hold what a call may use, or tell why there is no room for it."""
    held: dict[str, float] | None = None

    def look() -> Any:
        nonlocal held
        found = account.reserve(call)
        held = None if isinstance(found, Shortage) else found
        return found

    found = _told_budgets.lacks(account, look)
    if found is not None:
        return found
    return account.reserve(call, force=True) if held is None else held


def _reserve(account: Account, hold: Hold, call: Call) -> None:
    found = _room(account, call)
    may_ask = account.action == "ask" and not _in_event_loop()
    if isinstance(found, Shortage) and may_ask and _approve(account, found):
        account.extend()
        found = _room(account, call)
    if isinstance(found, Shortage):
        _reached(account, found)
        found = account.reserve(call, force=True)
    if not isinstance(found, Shortage):
        hold.add(account, found)


def asks() -> bool:
    """Whether a budget around this code asks people: async code then awaits :func:`ask_first`."""
    if not _shared_budgets.heard.is_open and frame_of().run is not None:
        _shared_budgets.wait_for_word()
    if _shared_budgets.asking or _shared_budgets.replays:
        return True
    return any(each.action == "ask" for each in frame_of().budgets)


async def ask_first(
    layer: names.Layer,
    tool: str = "",
    estimate: Callable[[], Estimate] | None = None,
    usd: float = 0.0,
) -> None:
    """Ask people to go on where a budget that asks is used up, without holding up the event loop.

    The arguments are those of :func:`before_call`, which follows, counts the call and finds room then.
    """
    frame = frame_of()
    if _is_inside(layer, frame):
        return
    around = [*frame.budgets, *_told_budgets.shared(frame, tool, "asking")]
    accounts = [account for account in around if account.action == "ask"]
    if not accounts:
        return
    call = _call_of(layer, estimate, accounts, usd)
    for account in accounts:
        found = _told_budgets.lacks(account, partial(account.short, call))
        if found is not None:
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
    # Programs without an event loop are spared the import of asyncio: over two megabytes.
    running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return running is not None and running() is not None


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
    # What a tool holds is its own price.
    hold = frame.hold if frame.layer == "model" else None
    accounts = _accounts(frame)
    if hold is not None:
        accounts += [held for held in hold.accounts if held not in accounts]
    if not accounts:
        return
    with guarded("charging a budget"):
        # From an answer, so anything: one number that is none would spoil every sum after it.
        usd = usd_of(usd)
        tokens = sum(min(max(each or 0, 0), _MOST_TOKENS) for each in (input_tokens, output_tokens))
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


def charge(usd: float) -> None:
    """Charge what a tool or a step cost, US dollars, to every budget around the current code."""
    with guarded("charging a budget"):
        for account in _accounts(frame_of()):
            account.settle({}, {"usd": usd})


def answered_by_cache() -> None:
    """The tool call that the current code is in costs nothing."""
    hold = frame_of().hold
    if hold is not None:
        hold.due_usd = 0.0


def waited(seconds: float) -> None:
    """The agent waited for a person: time, but no working time."""
    for account in _accounts(frame_of()):
        if isinstance(account, BudgetState):
            account.waited(seconds)


def degraded() -> bool:
    """Whether a budget around this code with ``action="degrade"`` is used up: choose the cheaper way."""
    frame = frame_of()
    own = any(account.degraded for account in frame.budgets)
    return own or any(account.degraded for account in _told_budgets.shared(frame, "", "degraded"))


def on_degrade(hook: Callable[[BudgetExceeded], Any]) -> None:
    """Call ``hook`` once for each budget kept at the collector that is used up and says ``degrade``.

    It is called before the next model, tool or step call, with what ``BudgetExceeded`` would have told; what
    it raises goes to the agent.
    """
    if callable(hook):
        _shared_budgets.on_degrade = hook
    else:
        misused("on_degrade", "hook is no function")
