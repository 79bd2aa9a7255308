"""What steps cost beside tokens is on their spans, and counts in budgets."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import tachograph as tacho
from tachograph._spending import add_usage
from tachograph_schemas import names


@tacho.tool(cost_usd=0.4)
def search(query: str) -> str:
    return query


@tacho.model(model="gpt-4o")
def ask() -> None:
    add_usage(input_tokens=10, output_tokens=0, usd=0.01)


def test_a_tool_says_what_each_call_costs(spans):
    """The price of a call is on every span, with what the call said besides."""

    @tacho.tool(cost_usd=0.25)
    def crawl(pages: int) -> None:
        for _ in range(pages):
            tacho.cost(usd=0.5, what="pages")

    crawl(2)
    search("sky")
    found = {s.name: s.attributes for s in spans.all()}
    crawled = found["execute_tool crawl"]
    assert crawled[names.COST_USD] == pytest.approx(1.25)
    assert crawled[names.COST_WHAT] == "pages"
    assert found["execute_tool search"][names.COST_USD] == 0.4


def test_the_time_of_people_is_kept_apart(spans):
    """Seconds times the rate, on the span that this code is in."""

    @tacho.run(agent="desk")
    def handle() -> None:
        tacho.cost(human_s=1_200, usd_per_hour=90, what="review")
        tacho.cost(human_s=600, usd_per_hour=90, what="call back")

    handle()
    run = spans.one(layer="run").attributes
    assert run[names.COST_HUMAN_USD] == pytest.approx(45)
    assert run[names.COST_WHAT] == "review, call back"
    assert names.COST_USD not in run


@pytest.mark.parametrize(
    "given",
    [{}, {"usd": -1}, {"usd": float("nan")}, {"usd": "1"}, {"human_s": 60}, {"usd": 10**400}],
)
def test_a_cost_that_makes_no_sense_is_said(spans, given):
    with pytest.raises(ValueError, match=r"tacho\.cost"):
        tacho.cost(**given)


def test_a_cost_that_makes_no_sense_does_not_reach_the_agent(monkeypatch, spans):
    """Outside of pytest it is logged, and what is recorded stays finite."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    @tacho.tool
    def pay() -> None:
        for usd in (10**400, 1e308, 1e308, float("inf"), -1, "1", 0.5):
            tacho.cost(usd, what="\x1b[31m")
            tacho.cost(human_s=usd, usd_per_hour=1e308)

    with tacho.budget(usd=1.0) as budget:
        pay()
        assert budget.used("usd") == 0.5
    assert spans.one(layer="tool").attributes[names.COST_USD] == 0.5


def test_a_cached_answer_is_marked_with_the_tokens_it_stands_for(spans):
    @tacho.model(model="gpt-4o")
    def answer() -> str:
        tacho.cache_hit(input_tokens=1_000, output_tokens=50, by="redis")
        return "four"

    answer()
    said = spans.one(layer="model").attributes
    assert (said[names.CACHED], said[names.CACHED_BY]) == (True, "redis")
    assert (said[names.GEN_AI_USAGE_INPUT_TOKENS], said[names.GEN_AI_USAGE_OUTPUT_TOKENS]) == (
        1_000,
        50,
    )


def test_a_budget_in_dollars_counts_tools_before_they_are_called(spans):
    """The third does not fit; what it costs tells nothing about the next model call."""
    with tacho.budget(usd=1.0, strict=True):
        search("a")
        search("b")
        ask()
        with pytest.raises(tacho.BudgetExceeded) as stop:
            search("c")
    assert stop.value.used == pytest.approx(0.81)
    assert stop.value.needed == pytest.approx(0.4)


def test_a_budget_counts_what_a_step_says_it_cost(spans):
    with tacho.budget(usd=1.0) as budget:
        tacho.cost(usd=1.5, what="a machine")
        tacho.cost(human_s=3_600, usd_per_hour=100)
        assert budget.used("usd") == 1.5
        with pytest.raises(tacho.BudgetExceeded):
            ask()


def test_a_tool_that_its_cache_answers_costs_no_budget_anything(spans):
    """Only the call itself knows; until it says so, its price is held."""
    kept: dict[str, str] = {}

    @tacho.tool(cost_usd=0.4)
    def look_up(query: str) -> str:
        if query in kept:
            tacho.cache_hit(by="kept")
            return kept[query]
        kept[query] = query
        return query

    with tacho.budget(usd=1.0) as budget:
        for _ in range(4):
            look_up("a")
        assert budget.used("usd") == pytest.approx(0.4)
        look_up("b")
        with pytest.raises(tacho.BudgetExceeded):
            look_up("c")
        assert budget.used("usd") == pytest.approx(0.8)
    cached = [s.attributes.get(names.CACHED, False) for s in spans.all() if s.name.endswith("up")]
    assert cached == [False, True, True, True, False]


def test_a_tool_that_fails_has_cost_its_price_and_one_that_is_refused_nothing(spans):
    @tacho.tool(cost_usd=0.6)
    def broken() -> None:
        add_usage(input_tokens=10, output_tokens=0, usd=0.1)
        raise ValueError("no answer")

    with tacho.budget(usd=1.0) as budget:
        with pytest.raises(ValueError, match="no answer"):
            broken()
        assert budget.used("usd") == pytest.approx(0.7)
        with pytest.raises(tacho.BudgetExceeded):
            broken()
        assert budget.used("usd") == pytest.approx(0.7)


@pytest.mark.parametrize("usd", [Decimal("0.5"), np.float32(0.5), Fraction(1, 2)], ids=str)
def test_numbers_of_other_libraries_are_amounts(spans, usd):
    """What a bill says is rarely a float."""
    tacho.step(lambda: tacho.cost(usd))()
    assert spans[0].attributes[names.COST_USD] == 0.5
