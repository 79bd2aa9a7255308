"""Tools that Pydantic AI runs: there is no hook, a decorator of ours under the framework's is enough."""

from __future__ import annotations

import asyncio

import pytest
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import tachograph as tacho
from tachograph.testing import captured_spans


@pytest.fixture(autouse=True)
def loop():
    """The loop of ``run_sync``, which would leave one of its own behind for other tests to trip over."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
    asyncio.set_event_loop(None)


def agent_with(approver, ran):
    agent = Agent(TestModel(call_tools=["refund"]))

    @agent.tool_plain
    @tacho.tool(approval=tacho.ApprovalPolicy(approver=approver))
    def refund(order: str) -> str:
        """Pay an order back."""
        ran.append(order)
        return f"{order} refunded"

    return agent


def test_a_tool_of_ours_asks_and_counts_where_pydantic_ai_calls_it():
    asked, ran = [], []

    def yes(request, params):
        asked.append((request.rpartition(".")[2], sorted(params)))
        return True

    with captured_spans() as spans, tacho.budget(tool_calls=1) as budget:
        assert "refunded" in agent_with(yes, ran).run_sync("Refund A.").output
        assert budget.used("tool_calls") == 1
    assert (len(ran), len(asked), len(spans.where(layer="tool"))) == (1, 1, 1)
    assert asked[0][1] == ["order"]


def test_a_refusal_and_a_stop_go_through_pydantic_ai_to_the_caller():
    ran = []
    with captured_spans(), pytest.raises(tacho.Refused):
        agent_with(lambda *_: False, ran).run_sync("Refund A.")
    with captured_spans(), tacho.budget(tool_calls=0), pytest.raises(tacho.BudgetExceeded):
        agent_with(lambda *_: True, ran).run_sync("Refund A.")
    assert ran == []
