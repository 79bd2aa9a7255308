"""framework-agents: agents of real frameworks, with parallel tools, on the official client and a local model server.

The server answers late and out of order; no code of the agents is made for replay but the decorators of their tools.
"""

from __future__ import annotations

import asyncio
import json
import operator
import random
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Annotated, TypedDict

import agents
import openai
import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from mcp import ClientSession, StdioServerParameters, stdio_client
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from taped import assert_identical

import tachograph as tacho
from tachograph.replay._run import replay

ROUNDS = 5
TOOLS = [("weather", '{"city": "Bern"}'), ("weather", '{"city": "Rome"}'), ("stock", "{}")]


class ModelServer(ThreadingHTTPServer):
    """Asks for three tools at once, then says what they gave. Late, and each time otherwise."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0
        self.never = Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked += 1
        self.server.never.wait(random.random() * 0.01)
        results = [m["content"] for m in given["messages"] if m["role"] == "tool"]
        message = {"role": "assistant", "content": None}
        if given.get("tools") and not results:
            message["tool_calls"] = [
                {
                    "id": f"call_{number}",
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for number, (name, arguments) in enumerate(TOOLS)
            ]
        else:
            last = given["messages"][-1]["content"]
            message["content"] = f"{results or last} {random.random()}"
        content = json.dumps(
            {
                "id": f"chat-{self.server.asked}",
                "object": "chat.completion",
                "created": 1,
                "model": given["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        """The console belongs to the tests."""


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


def client():
    return openai.AsyncOpenAI(base_url=SERVER.url, api_key="none", max_retries=0)


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
