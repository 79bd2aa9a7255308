"""The questions of the page of costs, over runs whose answers are known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from otlp import Trace
from tachograph_schemas import costs
from tachograph_schemas.rows_costs import COST_GROUPS

SINCE = datetime(2000, 1, 1, tzinfo=UTC)
# gpt-4o: 2.5 and 10 USD a million tokens, 1.25 from the cache.
ASKED = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "gpt-4o"}


def run(number: int, agent: str, *, fails: bool = False) -> Trace:
    made = Trace(number)
    more = {"tacho__layer": "run", "gen_ai__agent__name": agent, "tacho__customer": "acme"}
    return made.span(1, "run", ms=900, error="broken" if fails else None, **more)


def call(made: Trace, number: int, *, at_ms: float, fresh: int, out: int, read: int = 0, parent=1):
    used = {
        "gen_ai__usage__input_tokens": fresh + read,
        "gen_ai__usage__output_tokens": out,
        "gen_ai__usage__cache_read__input_tokens": read,
    }
    return made.span(number, "chat gpt-4o", parent, at_ms=at_ms, **ASKED, **used)


def test_costs_by_property_with_the_cost_of_a_success(client, load):
    good, bad, free = run(1, "billing"), run(2, "billing", fails=True), run(3, "idle")
    call(good, 2, at_ms=1, fresh=1_000_000, out=0)
    call(bad, 2, at_ms=1, fresh=0, out=100_000)
    bad.span(
        3, "chat", 1, at_ms=20, gen_ai__operation__name="chat", gen_ai__request__model="no-such"
    )
    load(good.body(), bad.body(), free.body())
    found = costs.costs_by(client, "agent", SINCE)
    assert len(found) == 2, found
    billing, idle = found
    assert (billing.key, billing.runs, billing.succeeded) == ("billing", 2, 1)
    assert billing.cost_usd == pytest.approx(3.5)
    assert billing.per_success_usd == pytest.approx(3.5)
    assert billing.failed_cost_usd == pytest.approx(1.0)
    assert (billing.calls, billing.unpriced_calls) == (3, 1)
    assert (idle.key, idle.runs, idle.cost_usd, idle.calls) == ("idle", 1, None, 0)
    by_model = {row.key: row for row in costs.costs_by(client, "model", SINCE)}
    assert by_model["gpt-4o"].cost_usd == pytest.approx(3.5)
    assert by_model["no-such"].cost_usd is None
    assert tuple(costs.GROUPS) == COST_GROUPS
    for group in costs.GROUPS:
        found = costs.costs_by(client, group, SINCE)
        assert sum(row.cost_usd or 0 for row in found) == pytest.approx(3.5), group
        drawn = costs.costs_over_time(client, group, SINCE, 3600)
        assert sum(row.cost_usd for row in drawn) == pytest.approx(3.5), group


def test_what_was_paid_twice_or_for_nothing(client, load):
    made = run(4, "writer")
    loop = {
        "tacho__layer": "repair",
        "tacho__repair__outcome": "gave_up",
        "tacho__repair__attempt": 2,
    }
    made.span(2, "repair answer", 1, at_ms=0, ms=500, **loop)
    call(made, 3, at_ms=10, fresh=100_000, out=0, parent=2)
    # The second sends what the first sent and 20,000 more, and half of it comes from the cache.
    call(made, 4, at_ms=100, fresh=70_000, read=50_000, out=0, parent=2)
    load(made.body())
    found = costs.lost(client, SINCE)
    assert (found.repairs, found.failed_repairs) == (1, 1)
    assert found.failed_repairs_usd == pytest.approx(70_000 * 2.5e-6 + 50_000 * 1.25e-6)
    assert found.repairs_usd == 0
    assert found.cache_missed_usd == pytest.approx(50_000 * 1.25e-6)
    assert found.odd_calls == 0
    odd = run(5, "writer")
    odd.span(
        2,
        "chat gpt-4o",
        1,
        **ASKED,
        gen_ai__usage__input_tokens=10,
        gen_ai__usage__output_tokens=5,
        gen_ai__usage__total_tokens=40,
    )
    load(odd.body())
    assert costs.lost(client, SINCE).odd_calls == 1


def test_by_step_and_what_was_paid_beside_tokens(client, load):
    """The innermost step around a call, however deep it is; a tool's own cost is the tool's and the step's."""
    made = run(6, "planner")
    made.span(2, "plan", 1, at_ms=1, ms=400, tacho__layer="step")
    made.span(3, "work", 2, at_ms=2, ms=300, tacho__layer="agent")
    call(made, 4, at_ms=10, fresh=1_000_000, out=0, parent=3)
    paid = {"tacho__layer": "tool", "gen_ai__tool__name": "search", "tacho__cost__usd": 0.5}
    made.span(5, "execute_tool search", 3, at_ms=50, **paid)
    call(made, 6, at_ms=500, fresh=0, out=100_000)
    made.span(7, "review", 1, at_ms=600, tacho__layer="step", tacho__cost__human_usd=3.0)
    load(made.body())
    steps = {row.key: row for row in costs.costs_by(client, "step", SINCE)}
    assert {key: row.cost_usd for key, row in steps.items()} == {
        "plan": 2.5,
        "": 1.0,
        "review": None,
    }
    assert (steps["plan"].tool_cost_usd, steps["plan"].whole_usd) == (0.5, 3.0)
    assert steps["review"].human_cost_usd == 3.0
    (agent,) = costs.costs_by(client, "agent", SINCE)
    assert (agent.cost_usd, agent.tool_cost_usd, agent.human_cost_usd) == (3.5, 0.5, 3.0)
    assert agent.per_success_usd == pytest.approx(7.0)
    tools = {row.key: row.tool_cost_usd for row in costs.costs_by(client, "tool", SINCE)}
    assert tools["search"] == 0.5


def test_a_retry_costs_what_the_attempt_before_it_did(client, load):
    made = run(7, "caller")
    failed = {"tacho__layer": "tool", "gen_ai__tool__name": "look", "tacho__cost__usd": 0.25}
    made.span(2, "execute_tool look", 1, at_ms=0, ms=100, error="broken", **failed)
    call(made, 3, at_ms=10, fresh=100_000, out=0, parent=2)
    made.span(4, "retry look", 1, at_ms=120, tacho__layer="retry")
    made.span(5, "execute_tool look", 1, at_ms=200, ms=100, **failed)
    call(made, 6, at_ms=210, fresh=100_000, out=0, parent=5)
    load(made.body())
    found = costs.lost(client, SINCE)
    assert found.retries == 1
    assert found.retried_usd == pytest.approx(0.25 + 0.25)
    assert found.tools_usd == pytest.approx(0.5)


def test_what_retries_cost_is_counted_once(client, load):
    """Retries of parallel calls stand beside the same failed one, and nested ones lie within the same attempt."""
    made, broken = run(8, "caller"), {"error": "broken", "tacho__layer": "step"}
    made.span(2, "outer", 1, at_ms=0, ms=100, **broken)
    made.span(3, "inner", 2, at_ms=10, ms=50, tacho__cost__usd=0.5, **broken)
    call(made, 4, at_ms=20, fresh=100_000, out=0, parent=3)
    made.span(5, "retry inner", 2, at_ms=70, tacho__layer="retry")
    made.span(6, "retry outer", 1, at_ms=120, tacho__layer="retry")
    made.span(7, "retry other", 1, at_ms=121, tacho__layer="retry")
    load(made.body())
    assert costs.lost(client, SINCE).retried_usd == pytest.approx(0.25 + 0.5)


def test_a_call_that_two_spans_show_is_one_odd_call_and_one_failed_one(client, load):
    made = run(9, "caller")
    odd = {
        "gen_ai__usage__input_tokens": 100_000,
        "gen_ai__usage__cache_read__input_tokens": 200_000,
    }
    made.span(2, "ask", 1, at_ms=0, ms=50, error="cut", **ASKED, **odd)
    made.span(3, "chat gpt-4o", 2, at_ms=1, ms=40, error="cut", **ASKED, **odd)
    load(made.body())
    for group in costs.GROUPS:
        assert sum(row.odd_calls for row in costs.costs_by(client, group, SINCE)) == 1, group
    found = costs.lost(client, SINCE)
    (agent,) = costs.costs_by(client, "agent", SINCE)
    assert (found.odd_calls, found.failed_calls_usd) == (1, pytest.approx(agent.cost_usd))


def test_nothing_costs_nothing(client):
    assert costs.costs_by(client, "agent", SINCE) == []
    assert costs.costs_over_time(client, "agent", SINCE, 60) == []
    assert costs.lost(client, SINCE).failed_repairs_usd == 0
