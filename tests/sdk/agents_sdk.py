"""Agents of the OpenAI Agents SDK on the official client and a local server, for tests of what records them."""

from __future__ import annotations

import asyncio

import agents
import openai
import pytest
from agents import Agent, OpenAIResponsesModel, Runner
from openai_server import OpenAIServer, Reply, response

import tachograph as tacho

agents.set_trace_processors([])


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


def call(name, arguments="{}", number=1):
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def agent_of(client, name, **options):
    model = OpenAIResponsesModel(model="gpt-5-mini", openai_client=client)
    return Agent(name=name, model=model, **options)


def run(server, build, *outputs, config=None):
    """Run the agent that ``build`` makes on a client; the SDK would keep a default one over the tests."""
    server.will_say(*(Reply(response(output)) for output in outputs))

    @tacho.run(agent="billing")
    async def handle():
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
            result = await Runner.run(build(client), "Refund A-1007", run_config=config)
            return result.final_output

    return asyncio.run(handle())
