"""The OpenAI Agents SDK on the official client and a local server."""

from __future__ import annotations

import agents
import pytest
from agents import (
    GuardrailFunctionOutput,
    function_tool,
    input_guardrail,
)
from agents_sdk import agent_of, call, run, server
from openai_server import said

import tachograph as tacho
from tachograph import Decision
from tachograph.instruments import openai as openai_hook
from tachograph.instruments import openai_agents as hook
from tachograph_schemas import names

__all__ = ["server"]
HOOKS = [hook, openai_hook]


@function_tool
def refund(order: str, usd: float) -> str:
    """Pay an order back."""
    return f"{usd} refunded for {order}"


@function_tool
def broken() -> str:
    """Cannot work."""
    raise ValueError("the bank is closed")


def test_agents_and_tools_nest_as_they_run(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", tools=[refund])

    asked = [call("refund", '{"order": "A-1007", "usd": 80}')]
    assert run(server, clerk, asked, [said("Done.")]) == "Done."
    agent, tool = spans.one(layer="agent"), spans.one(layer="tool")
    assert agent.attributes[names.GEN_AI_AGENT_NAME] == "clerk"
    assert agent.parent == "invoke_agent billing"
    assert agent.input["tools"] == ["refund"]
    assert tool.input == {"order": "A-1007", "usd": 80}
    assert tool.output == "80.0 refunded for A-1007"
    assert tool.parent_id == agent.span_id
    assert [span.parent_id for span in spans.where(layer="model")] == [agent.span_id] * 2


def test_an_error_of_a_tool_is_on_its_span(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", tools=[broken])

    assert run(server, clerk, [call("broken")], [said("Sorry.")]) == "Sorry."
    tool = spans.one(layer="tool")
    assert tool.status == "error"
    assert "Tool execution failed" in tool.status_message


@pytest.mark.parametrize("triggered", [True, False])
def test_a_guardrail_is_a_gate(server, spans, triggered):
    @input_guardrail(name="no_threats")
    def check(context, agent, given):
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=triggered)

    def clerk(client):
        return agent_of(client, "clerk", input_guardrails=[check])

    if triggered:
        with pytest.raises(agents.InputGuardrailTripwireTriggered):
            run(server, clerk, [said("Done.")])
    else:
        run(server, clerk, [said("Done.")])
    gate = spans.one(layer="gate")
    assert gate.attributes[names.GATE_RULE] == "no_threats"
    assert gate.attributes[names.GATE_VERDICT] == ("deny" if triggered else "allow")


def test_a_guardrail_that_raises_has_allowed_nothing(server, spans):
    """Not even while an error of somebody else is dealt with."""

    @input_guardrail(name="broken")
    def check(context, agent, given):
        raise LookupError("no list of threats")

    def clerk(client):
        return agent_of(client, "clerk", input_guardrails=[check])

    with pytest.raises(LookupError):
        run(server, clerk, [said("Done.")])
    gate = spans.one(layer="gate")
    assert names.GATE_VERDICT not in gate.attributes
    assert gate.attributes[names.ERROR_TYPE] == "LookupError"


def test_a_guardrail_is_not_blamed_for_an_error_that_its_caller_deals_with(server, spans):
    @input_guardrail(name="no_threats")
    def check(context, agent, given):
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    try:
        raise KeyError("before")
    except KeyError:
        run(
            server,
            lambda client: agent_of(client, "clerk", input_guardrails=[check]),
            [said("Done.")],
        )
    gate = spans.one(layer="gate")
    assert gate.attributes[names.GATE_VERDICT] == "allow"


def test_a_handoff_says_from_whom_to_whom(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", handoffs=[agent_of(client, "lawyer")])

    run(server, clerk, [call("transfer_to_lawyer")], [said("Sued.")])
    handoff = spans.one(layer="handoff")
    assert handoff.attributes[names.HANDOFF_FROM] == "clerk"
    assert handoff.attributes[names.HANDOFF_TO] == "lawyer"
    assert [span.attributes[names.GEN_AI_AGENT_NAME] for span in spans.where(layer="agent")] == [
        "clerk",
        "lawyer",
    ]
    calls = spans.where(layer="model")
    assert [span.attributes[names.GEN_AI_AGENT_NAME] for span in calls] == ["clerk", "lawyer"]


ASKED, ASKED_AGAIN = (
    [call("refund", '{"order": "A-1007", "usd": 80}', number)] for number in (1, 2)
)


def clerk_with(*tools):
    return lambda client: agent_of(client, "clerk", tools=list(tools))


def outputs_of_tools(server):
    """What the model was told of its tool calls, in the last request."""
    given = server.requests[-1]["input"]
    return [item["output"] for item in given if item.get("type") == "function_call_output"]


def test_a_tool_that_a_person_refuses_does_not_run_and_the_model_is_told(server, policies, spans):
    asked = []

    def no(request, params):
        asked.append((request, params))
        return Decision(approved=False, reason="not today")

    policies([tacho.ApprovalPolicy(tools="ref*", approver=no)])
    assert run(server, clerk_with(refund), ASKED, [said("Sorry.")]) == "Sorry."
    assert asked == [("call refund", {"order": "A-1007", "usd": 80})]
    assert outputs_of_tools(server) == ["Not called: refused by approval: not today"]
    assert spans.one(layer="approval").parent_id == spans.one(layer="tool").span_id


def test_a_person_changes_the_arguments_of_a_tool(server, policies, spans):
    def less(request, params):
        return Decision(approved=True, params=params | {"usd": 50}, edited=True)

    policies([tacho.ApprovalPolicy(approver=less)])
    assert run(server, clerk_with(refund), ASKED, [said("Done.")]) == "Done."
    assert outputs_of_tools(server) == ["50.0 refunded for A-1007"]


def test_a_budget_stops_a_tool_and_with_it_the_run(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", tools=[refund])

    with tacho.budget(tool_calls=1), pytest.raises(tacho.BudgetExceeded, match="tool_calls"):
        run(server, clerk, ASKED, ASKED_AGAIN, [said("Done.")])
    assert [span.status for span in spans.where(layer="tool")] == ["unset", "error"]
    assert spans.one(layer="run").attributes[names.RUN_OUTCOME] == "stopped"
    assert outputs_of_tools(server) == ["80.0 refunded for A-1007"]


def test_a_tool_of_ours_is_asked_about_and_counted_once(server, policies, spans):
    asked = []

    @function_tool
    @tacho.tool(name="refund")
    def own(order: str, usd: float) -> str:
        """Pay an order back."""
        return f"{usd} refunded for {order}"

    def yes(request, params):
        asked.append(request)
        return True

    policies([tacho.ApprovalPolicy(tools="refund", approver=yes)])
    own.name = "refund"
    with tacho.budget(tool_calls=1):
        run(server, clerk_with(own), ASKED, [said("Done.")])
    assert asked == ["call refund"]
    server.replies.clear()
    # What stops the run is no answer for the model to work around.
    with tacho.budget(tool_calls=1), pytest.raises(tacho.BudgetExceeded):
        run(server, clerk_with(own), ASKED, ASKED_AGAIN, [said("Done.")])


def test_without_the_hook_it_is_the_same(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", tools=[refund])

    asked = [call("refund", '{"order": "A-1007", "usd": 80}')]
    with_hook = run(server, clerk, asked, [said("Done.")])
    server.replies.clear()
    hook.uninstall()
    assert run(server, clerk, asked, [said("Done.")]) == with_hook
    assert len(spans.where(layer="agent")) == 1
    assert server.requests[:2] == server.requests[2:]
