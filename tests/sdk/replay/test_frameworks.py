"""framework-agents: agents of real frameworks, with parallel tools, on the official client and a local model server.

The server answers late and out of order; no code of the agents is made for replay but the decorators of their tools.
"""

from __future__ import annotations

import asyncio
import operator
import random
import sys
import time
from contextlib import contextmanager
from threading import Thread
from typing import Annotated, TypedDict

import agents
import openai
import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from mcp import ClientSession, StdioServerParameters, stdio_client
from model_server import ModelServer
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from taped import assert_identical

import tachograph as tacho
from tachograph.replay import _watch
from tachograph.replay._run import replay
from tachograph.replay._turns import GivenUp

ROUNDS = 5
SERVER = None


@contextmanager
def serving():
    global SERVER
    SERVER = ModelServer()
    thread = Thread(target=SERVER.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield SERVER
    finally:
        SERVER.shutdown()
        thread.join()
        SERVER.server_close()


@pytest.fixture(scope="module", autouse=True)
def server():
    with serving() as running:
        yield running
    # The agents here switch it off for the process, and other tests record by it.
    agents.set_tracing_disabled(disabled=False)


def client():
    return openai.AsyncOpenAI(base_url=SERVER.url, api_key="none", max_retries=0)


@contextmanager
def client_of_plain_code():
    """On the thread's own loop, which ``run_sync`` uses."""
    loop, asked = asyncio.new_event_loop(), client()
    asyncio.set_event_loop(loop)
    try:
        yield asked
    finally:
        loop.run_until_complete(asked.close())
        loop.close()
        asyncio.set_event_loop(None)


@tacho.tool
async def weather_of(city):
    await asyncio.sleep(random.random() * 0.004)
    return f"{city}: {random.randint(1, 30)} degrees"


@tacho.tool
async def stock_of():
    await asyncio.sleep(random.random() * 0.004)
    return f"{random.randint(1, 9)} left"


# --- LangGraph -------------------------------------------------------------------------------------


class State(TypedDict, total=False):
    cities: list
    found: Annotated[list, operator.add]
    answer: str


async def look(state):
    return {"found": [await weather_of(state["city"])]}


def fan_out(state):
    return [Send("look", {"city": city}) for city in state["cities"]]


async def answer(state):
    question = [{"role": "user", "content": " ".join(state["found"])}]
    async with client() as asked:
        said = await asked.chat.completions.create(model="gpt-5-mini", messages=question)
    return {"answer": said.choices[0].message.content}


@tacho.run
async def langgraph_agent():
    builder = StateGraph(State)
    builder.add_node("look", look)
    builder.add_node("answer", answer)
    builder.add_conditional_edges(START, fan_out, ["look"])
    builder.add_edge("look", "answer")
    builder.add_edge("answer", END)
    return await builder.compile().ainvoke({"cities": ["Bern", "Rome", "Oslo", "Lima"]})


NOTES = []


@tacho.tool
def rain_in(city, noted):
    time.sleep(random.random() * 0.002)
    return f"{city}: {random.randint(1, 90)} mm"


def note(state):
    """A node that shares a list with its siblings, which is nobody's idea of good style."""
    for _ in range(2):
        NOTES.append(rain_in(state["city"], len(NOTES)))
    return {"found": [f"{state['city']} {len(NOTES)}"]}


@tacho.run(threads="exact")
def langgraph_threads():
    NOTES.clear()
    builder = StateGraph(State)
    builder.add_node("look", note)
    builder.add_conditional_edges(START, fan_out, ["look"])
    builder.add_edge("look", END)
    cities = ["Bern", "Rome", "Oslo", "Lima"]
    return builder.compile().invoke({"cities": cities})["found"], list(NOTES)


# --- pydantic-ai -----------------------------------------------------------------------------------


@tacho.run
async def pydantic_ai_agent():
    agent = PydanticAgent()

    @agent.tool_plain
    async def weather(city: str) -> str:
        return await weather_of(city)

    @agent.tool_plain
    async def stock() -> str:
        return await stock_of()

    async with client() as asked:
        model = OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=asked))
        result = await agent.run("Where is it warm?", model=model)
    return result.output


@tacho.run
def pydantic_ai_plain():
    """``run_sync``, and a plain tool, which pydantic-ai runs in a thread of anyio's."""
    agent = PydanticAgent()

    @agent.tool_plain
    async def weather(city: str) -> str:
        return await weather_of(city)

    @agent.tool_plain
    def stock() -> str:
        return rain_in("Bern", 0)

    with client_of_plain_code() as asked:
        model = OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=asked))
        return agent.run_sync("Where is it warm?", model=model).output


# --- OpenAI Agents ---------------------------------------------------------------------------------


@agents.function_tool
async def weather(city: str) -> str:
    """The weather of a city."""
    return await weather_of(city)


@agents.function_tool
async def stock() -> str:
    """How many are left."""
    return await stock_of()


@tacho.run
async def openai_agents_agent():
    agents.set_tracing_disabled(disabled=True)
    async with client() as asked:
        model = agents.OpenAIChatCompletionsModel("gpt-5-mini", asked)
        agent = agents.Agent(name="helper", tools=[weather, stock], model=model)
        result = await agents.Runner.run(agent, "Where is it warm?")
    return result.final_output


@tacho.run
def openai_agents_plain():
    """``run_sync`` makes its task on a loop that does not run yet."""
    agents.set_tracing_disabled(disabled=True)
    with client_of_plain_code() as asked:
        model = agents.OpenAIChatCompletionsModel("gpt-5-mini", asked)
        agent = agents.Agent(name="helper", tools=[weather, stock], model=model)
        return agents.Runner.run_sync(agent, "Where is it warm?").final_output


# --- a server of the Model Context Protocol, as a child process ---------------------------------------

BANK = """
import os, pathlib, random
from mcp.server.mcpserver import MCPServer

server = MCPServer("bank")
pathlib.Path(os.environ["STARTS"]).open("a").write("started ")

@server.tool()
def rate(currency: str) -> str:
    return f"{currency} {random.random()}"

server.run()
"""
STARTS = {}


@tacho.tool
async def rates(*currencies):
    server = StdioServerParameters(command=sys.executable, args=["-c", BANK], env=STARTS)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        listed = [tool.name for tool in (await session.list_tools()).tools]
        calls = [await session.call_tool("rate", {"currency": each}) for each in currencies]
        return listed, [call.content[0].text for call in calls]


@tacho.run
async def mcp_agent():
    return await asyncio.gather(rates("CHF", "USD"), weather_of("Bern"))


def test_mcp_session(tapes, tmp_path):
    """Sessions in a tool are answered from the tape: the server is not started."""
    STARTS["STARTS"] = str(tmp_path / "starts")
    (outcome, result), recording = tapes.record(mcp_agent)
    assert outcome == "ok", result
    assert result[0][0] == ["rate"]
    assert not recording.leaks
    assert_identical(replay(recording, mcp_agent))
    assert (tmp_path / "starts").read_text() == "started "


FRAMEWORKS = [langgraph_agent, pydantic_ai_agent, openai_agents_agent]
FRAMEWORKS += [pydantic_ai_plain, openai_agents_plain]


@pytest.mark.parametrize("agent", FRAMEWORKS, ids=lambda each: each.__name__)
def test_framework_agents(tapes, server, agent):
    """Identical in every schedule, without asking the server anything, and nothing taken for a leak."""
    for _ in range(ROUNDS):
        (outcome, result), recording = tapes.record(agent)
        assert outcome == "ok", result
        assert not recording.limits
        assert not recording.leaks
        assert {"http", "tool"} == {call.kind for call in recording.calls}
        asked = server.asked
        assert_identical(replay(recording, agent))
        assert server.asked == asked


def test_langgraph_threads(tapes, monkeypatch):
    """Synchronous nodes run in a pool of LangGraph's own: their turns are replayed."""
    for name in ("_STUCK_S", "_BUSY_S", "_LONG_S", "_STALLED_S"):
        monkeypatch.setattr(_watch, name, 60.0)
    for _ in range(ROUNDS):
        (outcome, result), recording = tapes.record(langgraph_threads)
        assert outcome == "ok", result
        assert len(recording.turns) > 8
        assert not [turn for turn in recording.turns if isinstance(turn, GivenUp)]
        assert_identical(replay(recording, langgraph_threads))
