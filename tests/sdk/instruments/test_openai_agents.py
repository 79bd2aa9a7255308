"""The OpenAI Agents SDK on the official client and a local server."""

from __future__ import annotations

import asyncio

import agents
import openai
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    input_guardrail,
)
from openai_server import OpenAIServer, Reply, response, said

import tachograph as tacho
from tachograph.instruments import openai as openai_hook
from tachograph.instruments.openai_agents import install, uninstall
from tachograph.testing import captured_spans
from tachograph_schemas import names


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def spans(server):
    install()
    openai_hook.install()
    agents.set_trace_processors([])
    try:
        with captured_spans() as collected:
            yield collected
    finally:
        uninstall()
        openai_hook.uninstall()


@function_tool
def refund(order: str, usd: float) -> str:
    """Pay an order back."""
    return f"{usd} refunded for {order}"


@function_tool
def broken() -> str:
    """Cannot work."""
    raise ValueError("the bank is closed")


def call(name, arguments="{}"):
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def agent_of(client, name, **options):
    model = OpenAIResponsesModel(model="gpt-5-mini", openai_client=client)
    return Agent(name=name, model=model, **options)


def run(server, build, *outputs):
    """Run the agent that ``build`` makes on a client; the SDK would keep a default one over the tests."""
    server.will_say(*(Reply(response(output)) for output in outputs))

    @tacho.run(agent="billing")
    async def handle():
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
            return (await Runner.run(build(client), "Refund A-1007")).final_output

    return asyncio.run(handle())


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


def test_without_the_hook_it_is_the_same(server, spans):
    def clerk(client):
        return agent_of(client, "clerk", tools=[refund])

    asked = [call("refund", '{"order": "A-1007", "usd": 80}')]
    with_hook = run(server, clerk, asked, [said("Done.")])
    server.replies.clear()
    uninstall()
    assert run(server, clerk, asked, [said("Done.")]) == with_hook
    assert len(spans.where(layer="agent")) == 1
    assert server.requests[:2] == server.requests[2:]
