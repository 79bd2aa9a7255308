"""Client sessions of the Model Context Protocol with a real server, in memory and as a child process."""

from __future__ import annotations

import asyncio
import sys

import pytest
from mcp import Client, ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import tachograph as tacho
from tachograph.instruments.mcp import install, uninstall
from tachograph.testing import captured_spans
from tachograph_schemas import names


@pytest.fixture
def spans():
    install()
    try:
        with captured_spans() as collected:
            yield collected
    finally:
        uninstall()


@pytest.fixture
def bank():
    server = MCPServer("bank")

    @server.tool()
    def refund(order: str, usd: float) -> str:
        if usd < 0:
            raise ToolError("an amount must be positive")
        return f"{usd} refunded for {order}"

    @server.resource("orders://{order}")
    def order(order: str) -> str:
        return f"{order}: 80 USD"

    @server.prompt()
    def greet(name: str) -> str:
        return f"Greet {name}."

    return server


def talk(server, conversation):
    async def main():
        async with Client(server) as client:
            return await conversation(client)

    return asyncio.run(main())


def ours(spans):
    return [
        span
        for span in spans
        if names.MCP_METHOD in span.attributes and "tacho.layer" in span.attributes
    ]


def test_a_tool_call_has_arguments_result_and_server(bank, spans):
    async def conversation(client):
        return await client.call_tool("refund", {"order": "A-1007", "usd": 80})

    result = talk(bank, conversation)
    span = spans.one(layer="tool")
    assert span.name == "execute_tool refund"
    assert span.attributes[names.GEN_AI_TOOL_NAME] == "refund"
    assert span.attributes[names.MCP_SERVER] == "bank"
    assert span.attributes[names.MCP_METHOD] == "tools/call"
    assert span.input == {"order": "A-1007", "usd": 80}
    assert span.output == {"result": "80.0 refunded for A-1007"}
    assert span.status == "unset"
    uninstall()
    assert talk(bank, conversation) == result
    assert len(spans.where(layer="tool")) == 1


def test_errors_of_a_tool_and_of_the_protocol(bank, spans):
    async def conversation(client):
        failed = await client.call_tool("refund", {"order": "A", "usd": -1})
        assert failed.is_error
        unknown = None
        try:
            unknown = await client.call_tool("no_such_tool", {})
        except MCPError as error:
            return error
        return unknown

    talk(bank, conversation)
    failed, unknown = spans.where(layer="tool")
    assert failed.status == unknown.status == "error"
    assert "must be positive" in failed.status_message
    assert "no_such_tool" in unknown.name


def test_lists_resources_and_prompts(bank, spans):
    async def conversation(client):
        await client.list_tools()
        await client.read_resource("orders://A-1007")
        await client.get_prompt("greet", {"name": "Ada"})
        await client.list_resources()
        await client.list_prompts()

    talk(bank, conversation)
    read = spans.one(layer="retrieval")
    assert read.attributes[names.MCP_RESOURCE_URI] == "orders://A-1007"
    assert read.attributes[names.GEN_AI_DATA_SOURCE_ID] == "bank"
    assert read.output == ["A-1007: 80 USD"]
    told = {span.attributes[names.MCP_METHOD]: span.output for span in ours(spans)}
    assert told["tools/list"] == ["refund"]
    assert told["prompts/get"] == ["Greet Ada."]
    assert told["prompts/list"] == ["greet"]


def test_budgets_of_tool_calls_hold(bank, spans):
    async def conversation(client):
        with tacho.budget(tool_calls=1):
            await client.call_tool("refund", {"order": "A", "usd": 1})
            with pytest.raises(tacho.BudgetExceeded):
                await client.call_tool("refund", {"order": "A", "usd": 1})

    talk(bank, conversation)
    assert len(spans.where(layer="tool")) == 1


def test_a_session_over_stdio(tmp_path, spans):
    program = tmp_path / "server.py"
    program.write_text(
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('bank')\n"
        "@server.tool()\n"
        "def add(a: int, b: int) -> int:\n"
        "    return a + b\n"
        "server.run()\n"
    )

    async def main():
        parameters = StdioServerParameters(command=sys.executable, args=[str(program)])
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()
            return await session.call_tool("add", {"a": 1, "b": 2})

    assert asyncio.run(main()).content[0].text == "3"
    assert spans.one(layer="tool").attributes[names.MCP_SERVER] == "bank"
