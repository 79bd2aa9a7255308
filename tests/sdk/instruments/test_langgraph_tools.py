"""Tools in a tool node of LangGraph: recorded, asked about, stopped; results as without the hook."""

from __future__ import annotations

import asyncio
import json

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

import tachograph as tacho
from tachograph import Decision
from tachograph.instruments import langgraph as hook
from tachograph_schemas import names

HOOKS = [hook]


@tool
def refund(order: str, usd: float) -> str:
    """Pay an order back."""
    if usd < 0:
        raise ValueError("an amount must be positive")
    return f"{usd} refunded for {order}"


@tool
@tacho.tool
def own(order: str) -> str:
    """Ours, and theirs."""
    return f"{order} seen"


def called(name, number=1, **given):
    return {"name": name, "args": given, "id": f"call_{number}", "type": "tool_call"}


@pytest.fixture(params=["sync", "async"])
def answers(request):
    """Runs calls of tools in a node; what each answers, as the model is told it, and its status."""

    def run(*calls, **options):
        builder = StateGraph(MessagesState)
        builder.add_node("tools", ToolNode([refund, own], handle_tool_errors=True))
        builder.add_edge(START, "tools")
        builder.add_edge("tools", END)
        graph = builder.compile()
        asked = {"messages": [AIMessage("", tool_calls=list(calls))]}

        @tacho.run(agent="billing")
        def handle():
            return graph.invoke(asked)

        @tacho.run(agent="billing")
        async def handle_async():
            return await graph.ainvoke(asked)

        state = handle() if request.param == "sync" else asyncio.run(handle_async())
        return [(message.content, message.status) for message in state["messages"][1:]]

    return run


def test_a_call_of_a_tool_is_a_span_in_its_step(spans, answers):
    calls = [called("refund", order="A", usd=80), called("refund", 2, order="A", usd=-1)]
    with_hook = answers(*calls, called("unknown", 3))
    refunds = [span for span in spans.where(layer="tool") if "refund" in span.name]
    first, second = sorted(refunds, key=lambda span: span.status)[::-1]
    assert first.input == {"order": "A", "usd": 80}
    assert first.output == "80.0 refunded for A"
    assert first.attributes[names.GEN_AI_TOOL_CALL_ID] == "call_1"
    assert first.parent_id == spans.one(layer="step").span_id
    assert (second.status, "must be positive" in second.status_message) == ("error", True)
    hook.uninstall()
    assert answers(*calls, called("unknown", 3)) == with_hook
    assert len(spans.where(layer="tool")) == 3


def test_a_tool_that_the_model_made_up_is_a_record(spans, answers):
    answers(called("fly_to_moon", when="now"))
    refused = spans.one(layer="tool")
    assert refused.attributes[names.TOOL_REFUSAL] == "unknown"
    assert refused.attributes[names.GEN_AI_TOOL_NAME] == "fly_to_moon"
    assert json.loads(refused.attributes[names.TOOL_OFFERED]) == ["refund", "own"]
    assert refused.input == {"when": "now"}


def test_the_model_is_told_of_a_refusal_and_changed_arguments_are_used(policies, answers):
    def ada(request, given):
        if given["usd"] > 100:
            return Decision(approved=False, reason="too much")
        return Decision(approved=True, params=given | {"usd": 50.0}, edited=True)

    policies([tacho.ApprovalPolicy(tools="refund", approver=ada)])
    told = answers(called("refund", order="A", usd=500), called("refund", 2, order="A", usd=80))
    assert told == [
        ("Not called: refused by approval: too much", "error"),
        ("50.0 refunded for A", "success"),
    ]


def test_a_budget_stops_the_graph_even_where_errors_of_tools_are_told_to_the_model(spans, answers):
    with tacho.budget(tool_calls=1):
        assert answers(called("refund", order="A", usd=80)) == [("80.0 refunded for A", "success")]
        with pytest.raises(tacho.BudgetExceeded):
            answers(called("refund", order="A", usd=80))
    assert [run.attributes[names.RUN_OUTCOME] for run in spans.where(layer="run")] == [
        "success",
        "stopped",
    ]


def test_a_tool_of_ours_asks_itself_and_is_counted_once(policies, spans, answers):
    asked = []

    def yes(request, given):
        asked.append(request)
        return True

    policies([tacho.ApprovalPolicy(approver=yes)])
    with tacho.budget(tool_calls=1) as budget:
        assert answers(called("own", order="A")) == [("A seen", "success")]
        assert budget.used("tool_calls") == 1
    assert asked == ["call own"]
    assert spans.one(layer="tool").parent_id == spans.one(layer="step").span_id
