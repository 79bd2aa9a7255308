"""Client sessions of the Model Context Protocol with a real server, in memory and as a child process."""

from __future__ import annotations

import asyncio
import sys

import pytest
from mcp import Client, ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import tachograph as tacho
from tachograph import Decision
from tachograph._clearance import cleared_async, under_way
from tachograph.instruments import mcp as hook
from tachograph_schemas import names

HOOKS = [hook]


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
    hook.uninstall()
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


def test_a_person_is_asked_before_a_tool_of_a_server(bank, policies, spans):
    def ada(request, given):
        if given["usd"] > 100:
            return Decision(approved=False, reason="too much")
        return Decision(approved=True, params=given | {"usd": 50}, edited=True)

    async def conversation(client):
        with pytest.raises(tacho.Refused, match="too much"):
            await client.call_tool("refund", {"order": "A", "usd": 500})
        return await client.call_tool("refund", {"order": "A", "usd": 80})

    policies([tacho.ApprovalPolicy(tools="refund", approver=ada)])
    assert talk(bank, conversation).content[0].text == "50.0 refunded for A"
    assert spans.one(layer="tool").input == {"order": "A", "usd": 50}


@pytest.mark.parametrize("tools", ["*refund", "refund", "bank__*"])
def test_of_two_hooks_that_see_one_call_one_asks(bank, policies, tools):
    """Whichever of the two names a policy means; and budgets count it once."""
    given, asked = {"order": "A", "usd": 80}, []

    def yes(request, params):
        asked.append(request)
        return True

    async def conversation(client):
        with tacho.budget(tool_calls=1) as budget:
            agreed = await cleared_async("bank__refund", given)
            with under_way("bank__refund", agreed):
                await client.call_tool("refund", given)
            return budget.used("tool_calls")

    policies([tacho.ApprovalPolicy(tools=tools, approver=yes)])
    assert talk(bank, conversation) == 1
    assert asked == ["call refund" if tools == "refund" else "call bank__refund"]


@pytest.mark.parametrize("outer", ["unrefund", "arefund"])
def test_a_tool_whose_name_ends_alike_is_not_taken_for_the_same_call(bank, policies, outer):
    """One tool that calls another with the same arguments is two calls, and both are asked about."""
    given, asked = {"order": "A", "usd": 80}, []

    def yes(request, params):
        asked.append(request)
        return True

    async def conversation(client):
        with under_way(outer, await cleared_async(outer, given)):
            return await client.call_tool("refund", given)

    policies([tacho.ApprovalPolicy(tools="*refund", approver=yes)])
    talk(bank, conversation)
    assert asked == [f"call {outer}", "call refund"]


def test_arguments_that_cannot_be_compared_do_not_break_a_call():
    class Array:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    with under_way("server.tool", {"x": Array()}):
        assert list(asyncio.run(cleared_async("tool", {"x": Array()}))) == ["x"]
