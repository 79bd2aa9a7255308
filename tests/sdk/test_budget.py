"""Budgets stop the next call before it is made, wherever in the block it is made."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

import tachograph as tacho
from tachograph._budget import add_usage, before_call
from tachograph_schemas import names

calls = []


@tacho.tool
def act():
    calls.append("tool")


@tacho.model
def ask():
    calls.append("model")
    add_usage(input_tokens=60, output_tokens=40, usd=0.02)


def repeat(call):
    for _ in range(10):
        call()


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def test_call_over_the_limit_is_not_made(spans):
    """The exception carries the numbers, the record says what stopped."""
    with pytest.raises(tacho.BudgetExceeded) as caught, tacho.budget(tool_calls=2, scope="task"):
        repeat(act)
    assert calls == ["tool", "tool"]
    error = caught.value
    assert (error.limit, error.used, error.unit, error.scope) == (2, 2, "tool_calls", "task")
    assert isinstance(error, tacho.RunStopped)
    fact = spans.one(layer="budget").attributes
    assert (fact[names.BUDGET_UNIT], fact[names.BUDGET_LIMIT]) == ("tool_calls", 2)
    assert (fact[names.BUDGET_ACTION], fact[names.BUDGET_SCOPE]) == ("stopped", "task")


@pytest.mark.parametrize(
    ("limits", "made", "unit"),
    [
        ({"model_calls": 3}, 3, "model_calls"),
        ({"tokens": 250}, 3, "tokens"),
        ({"usd": 0.03}, 2, "usd"),
        ({"wall_s": 0}, 0, "wall_s"),
    ],
)
def test_every_unit_stops(spans, limits, made, unit):
    """Usage is known after a call, so the call that crosses the limit is the last one."""
    with pytest.raises(tacho.BudgetExceeded) as caught, tacho.budget(**limits):
        repeat(ask)
    assert len(calls) == made
    assert caught.value.unit == unit


def test_steps_are_counted(spans):
    """A loop of steps can be bounded."""
    step = tacho.step(lambda: None)
    with pytest.raises(tacho.BudgetExceeded), tacho.budget(steps=2):
        repeat(step)


def test_a_call_budget_leaves_other_calls_alone(spans):
    """Tools may go on when only model calls are used up."""
    with tacho.budget(model_calls=1):
        ask()
        act()
        with pytest.raises(tacho.BudgetExceeded):
            ask()


def test_nested_budgets_are_all_charged(spans):
    """The outer limit holds however often an inner budget is renewed."""

    def turn():
        with tacho.budget(tool_calls=1, scope="turn"):
            act()

    with pytest.raises(tacho.BudgetExceeded) as caught, tacho.budget(tool_calls=3, scope="run"):
        repeat(turn)
    assert caught.value.scope == "run"
    assert len(calls) == 3


def test_warning_budget_goes_on_and_says_so_once(spans):
    """action=warn records, it does not stop."""
    with tacho.budget(tool_calls=1, action="warn"):
        for _ in range(4):
            act()
    assert len(calls) == 4
    assert spans.one(layer="budget").attributes[names.BUDGET_ACTION] == "warned"


def test_tasks_and_threads_share_the_budget(spans):
    """The budget travels with the context."""

    @tacho.tool
    async def act_async():
        await asyncio.sleep(0)

    async def main():
        with tacho.budget(tool_calls=3):
            found = await asyncio.gather(*(act_async() for _ in range(5)), return_exceptions=True)
            return [type(error) for error in found if error]

    assert asyncio.run(main()) == [tacho.BudgetExceeded] * 2
    with ThreadPoolExecutor(1) as pool, tacho.budget(tool_calls=1):
        carried = tacho.wrap(act)
        pool.submit(carried).result()
        with pytest.raises(tacho.BudgetExceeded):
            pool.submit(carried).result()


def test_decorated_function_has_a_fresh_budget_each_call(spans):
    """Sync and async alike; a generator is refused."""

    @tacho.budget(tool_calls=1)
    def once():
        act()
        return "ok"

    @tacho.budget(tool_calls=1)
    async def twice():
        act()
        act()

    assert [once(), once()] == ["ok", "ok"]
    assert asyncio.iscoroutinefunction(twice)
    with pytest.raises(tacho.BudgetExceeded):
        asyncio.run(twice())
    with pytest.raises(TypeError, match="generator"):

        @tacho.budget(tool_calls=1)
        def stream():
            yield 1


def test_run_stopped_by_its_budget_is_stopped_not_failed(spans):
    """The loop at 2 a.m. ends as a decision."""

    @tacho.run
    def loop():
        with tacho.budget(model_calls=2):
            while True:
                ask()

    with pytest.raises(tacho.BudgetExceeded):
        loop()
    run = spans.one(layer="run")
    assert run.attributes[names.RUN_OUTCOME] == "stopped"
    assert "model_calls" in run.attributes[names.RUN_STOP_REASON]
    assert run.status == "unset"


def test_model_call_inside_a_model_span_counts_once(spans):
    """A decorated function around an instrumented client is one call."""

    @tacho.model
    def outer():
        before_call("model")

    with tacho.budget(model_calls=2):
        outer()
        outer()
        with pytest.raises(tacho.BudgetExceeded):
            outer()


def test_dollars_are_priced_by_the_model(spans):
    """Without a known cost the price list is asked; an unknown model is said, never taken as free."""
    pytest.importorskip("genai_prices")

    with tacho.budget(usd=1.0) as budget:
        before_call("model")
        add_usage(input_tokens=1_000_000, output_tokens=0, model="gpt-4o-mini", provider="openai")
        assert 0.05 < budget.used("usd") < 1
        add_usage(input_tokens=1_000, output_tokens=0, model="no-such-model-1")
    fact = spans.one(layer="budget").attributes
    assert fact[names.BUDGET_ACTION] == "warned"
    assert "no price is known for no-such-model-1" in fact[names.REASON]


def test_nonsense_limits_are_refused():
    """A budget without a limit would only look like one."""
    with pytest.raises(ValueError, match="at least one limit"):
        tacho.budget()
    with pytest.raises(ValueError, match="at least one limit"):
        tacho.budget(tokens=-1)


@pytest.mark.parametrize(
    "error",
    [
        tacho.BudgetExceeded(limit=1, used=2, unit="usd", scope="run"),
        tacho.RunStopped("rule", "why", needs="x"),
        tacho.Refused("rule", "why", verdict="escalate"),
    ],
)
def test_exceptions_survive_process_pools(error):
    """Exceptions cross processes by being copied."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
