"""The Claude Agent SDK over its own Transport interface: the other end is a script, as its CLI needs an account.

The package brings that CLI along (170 MB), so it is no part of the development environment; where it is installed,
these tests run.
"""

from __future__ import annotations

import asyncio
import json

import pytest

import tachograph as tacho
from tachograph.testing import captured_spans
from tachograph_schemas import names

sdk = pytest.importorskip("claude_agent_sdk", reason="brings its CLI along; installed on demand")


def assistant(*blocks, parent=None):
    message = {"role": "assistant", "model": "claude-haiku-4-5", "content": list(blocks)}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def tool_use(call_id, name, **given):
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def tool_result(call_id, content, *, is_error=False):
    block = {
        "type": "tool_result",
        "tool_use_id": call_id,
        "content": content,
        "is_error": is_error,
    }
    return {"type": "user", "message": {"role": "user", "content": [block]}}


RESULT = {
    "type": "result",
    "subtype": "success",
    "duration_ms": 1,
    "duration_api_ms": 1,
    "is_error": False,
    "num_turns": 1,
    "session_id": "s",
    "total_cost_usd": 0.5,
}


class Scripted(sdk.Transport):
    """Answers the handshake, says its script, and asks for permission where the script does."""

    def __init__(self, *script):
        self.script = list(script)
        self.answers = []
        self.queue = asyncio.Queue()

    async def connect(self):
        pass

    async def write(self, data):
        message = json.loads(data)
        if message["type"] == "control_request":
            response = {
                "subtype": "success",
                "request_id": message["request_id"],
                "response": {},
            }
            await self.queue.put({"type": "control_response", "response": response})
        elif message["type"] == "user":
            await self._go_on()
        elif message["type"] == "control_response":
            self.answers.append(message["response"]["response"])
            await self._go_on()

    async def _go_on(self):
        while self.script:
            message = self.script.pop(0)
            await self.queue.put(message)
            if message is None or message["type"] == "control_request":
                return

    async def read_messages(self):
        while (message := await self.queue.get()) is not None:
            yield message

    async def close(self):
        await self.queue.put(None)

    def is_ready(self):
        return True

    async def end_input(self):
        pass


@pytest.fixture
def hook():
    from tachograph.instruments import claude_agent_sdk

    claude_agent_sdk.install()
    yield claude_agent_sdk
    claude_agent_sdk.uninstall()


@pytest.fixture
def spans(hook):
    with captured_spans() as collected:
        yield collected


def talk(*script, **options):
    async def prompts():
        yield {"type": "user", "message": {"role": "user", "content": "Pay it back."}}

    @tacho.run(agent="billing")
    async def handle():
        transport = Scripted(*script, RESULT, None)
        stream = sdk.query(
            prompt=prompts(), options=sdk.ClaudeAgentOptions(**options), transport=transport
        )
        return [message async for message in stream], transport.answers

    return asyncio.run(handle())


def test_tools_are_spans_between_their_call_and_its_result(spans, hook):
    script = [
        assistant(tool_use("t1", "Task", prompt="look it up")),
        assistant(tool_use("t2", "Read", path="a.txt"), parent="t1"),
        tool_result("t2", "no such file", is_error=True),
        tool_result("t1", "80 USD"),
        assistant(tool_use("t3", "Bash", command="ls")),
    ]
    messages, _ = talk(*script)
    read, task, left = spans.where(layer="tool")
    assert (read.name, task.name) == ("execute_tool Read", "execute_tool Task")
    assert read.parent_id == task.span_id
    assert read.input == {"path": "a.txt"}
    assert (read.status, read.status_message) == ("error", "no such file")
    assert task.output == "80 USD"
    assert task.attributes[names.GEN_AI_TOOL_CALL_ID] == "t1"
    assert left.attributes[names.ABANDONED] is True
    hook.uninstall()
    assert talk(*script)[0] == messages
    assert len(spans.where(layer="tool")) == 3


@pytest.mark.parametrize("allowed", [True, False])
def test_a_permission_prompt_is_an_approval(spans, allowed):
    async def ada(tool, given, context):
        if allowed:
            return sdk.PermissionResultAllow()
        return sdk.PermissionResultDeny(message="too much")

    request = {"subtype": "can_use_tool", "tool_name": "refund", "input": {"usd": 80}}
    asked = {"type": "control_request", "request_id": "r1", "request": request}
    _, answers = talk(asked, can_use_tool=ada)
    assert answers[0]["behavior"] == ("allow" if allowed else "deny")
    approval = spans.one(layer="approval")
    assert approval.attributes[names.APPROVAL_DECISION] == ("approved" if allowed else "refused")
    assert approval.attributes[names.APPROVAL_APPROVER] == "ada"
    assert approval.attributes.get(names.REASON) == (None if allowed else "too much")
    assert approval.input == {"usd": 80}


def test_what_the_session_cost_is_charged_to_the_budget(spans):
    with tacho.budget(usd=1) as budget:
        talk()
        assert budget.used("usd") == 0.5
