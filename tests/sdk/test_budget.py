"""Budgets stop the next call before it is made, wherever in the block it is made."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import tachograph as tacho
from tachograph import _budget
from tachograph._estimate import size_of, tokens_in
from tachograph._spending import add_usage, before_call
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
        ({"tokens": 250}, 2, "tokens"),
        ({"tokens": 250, "strict": False}, 3, "tokens"),
        ({"usd": 0.03}, 1, "usd"),
        ({"usd": 0.03, "strict": False}, 2, "usd"),
        ({"wall_s": 0}, 0, "wall_s"),
    ],
)
def test_every_unit_stops(spans, limits, made, unit):
    """A call as large as the largest so far has to fit; not strict, the one that crosses the limit is the last."""
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


def test_fifty_calls_at_once_never_pass_what_is_left(spans):
    """Each holds what it may use until it ends: 20 fit into the budget, and not one more is made."""
    start, made = threading.Barrier(50), []

    @tacho.model
    def ask_for(max_tokens):
        made.append(max_tokens)
        go_on.wait(30)
        add_usage(input_tokens=0, output_tokens=max_tokens)

    def one():
        start.wait(30)
        try:
            ask_for(max_tokens=1_000)
        except tacho.BudgetExceeded as error:
            refused.append(error)
            if len(refused) == 30:
                # Nobody who was let in has ended before the last one was turned away.
                go_on.set()

    refused, go_on = [], threading.Event()

    limit = 20 * (1_000 + spent_on_arguments())
    with tacho.budget(tokens=limit) as budget, ThreadPoolExecutor(50) as pool:
        for each in [pool.submit(tacho.wrap(one)) for _ in range(50)]:
            each.result()
        assert budget.used("tokens") == 20_000
    assert (len(made), len(refused)) == (20, 30)
    assert {error.held for error in refused} == {float(limit)}
    assert "held for calls under way" in str(refused[0])


def spent_on_arguments():
    return tokens_in(len('{"max_tokens":1000}'))


def test_a_call_that_fails_gives_back_what_it_held(spans):
    @tacho.model
    def broken(max_tokens):
        raise ValueError("no answer")

    with tacho.budget(tokens=1_100, strict=True):
        for _ in range(5):
            with pytest.raises(ValueError, match="no answer"):
                broken(max_tokens=1_000)


def test_strict_wants_the_whole_estimate_to_fit(spans):
    @tacho.model
    def ask_for(max_tokens):
        add_usage(input_tokens=0, output_tokens=10)

    with tacho.budget(tokens=500, strict=False):
        ask_for(max_tokens=1_000)
    with pytest.raises(tacho.BudgetExceeded) as caught, tacho.budget(tokens=500):
        ask_for(max_tokens=1_000)
    assert caught.value.used == 0
    assert caught.value.needed > 1_000
    assert "no room for another call" in caught.value.reason


@pytest.mark.parametrize("strict", [True, False])
def test_fifty_calls_at_once_hold_what_they_may_use(spans, strict):
    """Only as many are made as fit with their estimates, whatever they then use."""
    together, made = threading.Barrier(50, timeout=60), []

    @tacho.model
    def answer(prompt, max_tokens):
        made.append(prompt)
        add_usage(input_tokens=5, output_tokens=max_tokens)

    def ask_at_once(number):
        together.wait()
        try:
            answer(number, max_tokens=100)
        except tacho.BudgetExceeded:
            return 1
        return 0

    with ThreadPoolExecutor(50) as pool, tacho.budget(tokens=1_250, strict=strict) as budget:
        refused = sum(pool.map(tacho.wrap(ask_at_once), range(50)))
        assert len(made) == 50 - refused
        assert budget.used("tokens") == 105 * len(made)
        # An estimate is a little more than what is used: that is given back, and may be held again.
        assert 1 <= len(made) <= 1_250 // 105 + (not strict)


def test_degrade_tells_the_agent_and_goes_on(spans):
    told = []
    with tacho.budget(model_calls=2, action="degrade", on_reached=told.append):
        ask()
        assert not tacho.degraded()
        repeat(ask)
        assert tacho.degraded()
    assert len(calls) == 11
    assert [type(each) for each in told] == [tacho.BudgetExceeded]
    assert spans.one(layer="budget").attributes[names.BUDGET_ACTION] == "degraded"
    assert not tacho.degraded()


def test_nobody_to_ask_is_a_stop(spans):
    """An `ask` budget without a collector refuses, as every approval does."""
    with pytest.raises(tacho.BudgetExceeded), tacho.budget(tool_calls=1, action="ask"):
        repeat(act)
    assert calls == ["tool"]


def test_waiting_for_people_is_no_working_time(spans):
    with tacho.budget(working_s=1e-9):
        with pytest.raises(tacho.BudgetExceeded) as caught:
            act()
        assert caught.value.unit == "working_s"
    with tacho.budget(working_s=60) as budget:
        decided = tacho.Decision(True, "maria", waiting_ns=3_600 * 10**9)
        tacho.approve("go on", approver=lambda *_: decided)
        act()
        assert budget.used("tool_calls") == 1


def test_odd_numbers_do_not_make_room(spans):
    """Usage below zero is no refund."""

    def up_and_down():
        with_usage(60)
        with_usage(-1_000)

    with pytest.raises(tacho.BudgetExceeded), tacho.budget(tokens=150):
        repeat(up_and_down)
    assert len(calls) == 3


@tacho.model
def with_usage(tokens):
    calls.append("model")
    add_usage(input_tokens=tokens, output_tokens=0, usd=-5.0)


@pytest.mark.parametrize(
    ("limits", "used"), [({"usd": 0.01}, {"usd": 0.008}), ({"tokens": 400}, {})]
)
def test_of_two_first_calls_that_say_nothing_only_one_is_made(spans, limits, used):
    """No model, no max_tokens, and nothing seen so far: taken for a short answer of a large model."""
    under_way, refused = threading.Event(), threading.Event()

    @tacho.model
    def ask(question):
        under_way.set()
        assert refused.wait(30)
        add_usage(input_tokens=100, output_tokens=200, **used)

    with tacho.budget(**limits) as budget, ThreadPoolExecutor(1) as pool:
        first = pool.submit(tacho.wrap(ask), "why")
        assert under_way.wait(30)
        with pytest.raises(tacho.BudgetExceeded) as stop:
            ask("how")
        refused.set()
        first.result(30)
        (unit,) = limits
        assert (stop.value.used, stop.value.unit) == (0, unit)
        assert stop.value.held == pytest.approx(stop.value.needed)
        assert 0 < budget.used(unit) <= limits[unit]


def test_what_calls_have_shown_takes_the_place_of_what_was_presumed(spans):
    """A model of one's own is cheaper than what it is taken for at first."""

    @tacho.model
    def ask(question):
        add_usage(input_tokens=5, output_tokens=5, usd=0.001)

    made = []

    def all_day():
        while True:
            made.append(ask("why"))

    with pytest.raises(tacho.BudgetExceeded), tacho.budget(usd=0.01):
        all_day()
    assert len(made) == 10


@pytest.mark.parametrize(
    "text",
    [
        "\u3053\u308c\u306f\u9577\u3044\u6587\u7ae0\u3067\u3059\u3002" * 1_000,
        '{"a":1,"b":[2,3]},' * 1_000,
    ],
)
def test_a_text_without_spaces_is_no_picture(text):
    """Else a long prompt in Japanese, or of JSON, holds a tenth of what it uses."""
    assert size_of({"content": text}) >= len(text.encode())
    assert size_of({"content": "data:image/png;base64," + "aGVsbG8v" * 10_000}) < 10_000


@pytest.mark.parametrize("limit", [float("nan"), "5", "five", object()])
@pytest.mark.filterwarnings("ignore")
def test_a_limit_that_is_no_number_allows_nothing(limit, monkeypatch, spans):
    """It was meant to limit something, and the bill would be the first to say that it does not."""
    said = []
    monkeypatch.setattr(_budget, "misused", lambda *words: said.append(words))
    with pytest.raises(tacho.BudgetExceeded), tacho.budget(tool_calls=5, model_calls=limit):
        ask()
    assert not calls
    assert said == [
        ("budget", "model_calls: no number, so it is taken for 0 and nothing may be used")
    ]


@pytest.mark.parametrize(
    "told",
    [{"usd": float("nan")}, {"usd": "5"}, {"usd": 1e300}, {"usd": -1.0}, {"input_tokens": 10**400}],
)
def test_numbers_that_are_none_spoil_no_budget(told, spans):
    """A sum with one of them in it is below every limit for ever."""

    @tacho.model
    def odd():
        add_usage(**told)

    def go():
        with tacho.budget(usd=0.05):
            odd()
            repeat(ask)

    with pytest.raises(tacho.BudgetExceeded):
        go()
    assert len(calls) == 2
