"""The Claude Agent SDK with a program of ours in the place of Claude Code, over its real stdio protocol."""

from __future__ import annotations

import asyncio

import claude_agent_sdk as sdk
import pytest
from claude_cli import answers_to, environment_of, install_cli, tool_result, tool_use

import tachograph as tacho
from tachograph import Decision
from tachograph.instruments import claude_agent_sdk as hook
from tachograph_schemas import names

HOOKS = [hook]


@pytest.fixture
def talk(tmp_path):
    """Runs a session in which the program says a script; its messages, and the answers to its questions."""

    def run(*script, **options):
        cli = install_cli(tmp_path, *script)

        async def prompts():
            yield {"type": "user", "message": {"role": "user", "content": "Pay it back."}}

        @tacho.run(agent="billing")
        async def handle():
            settings = sdk.ClaudeAgentOptions(cli_path=cli, **options)
            return [message async for message in sdk.query(prompt=prompts(), options=settings)]

        return asyncio.run(handle())

    return run


def test_tools_are_spans_between_their_call_and_its_result(spans, talk):
    script = [
        tool_use("t1", "Task", prompt="look it up"),
        tool_use("t2", "Read", parent="t1", path="a.txt"),
        tool_result("t2", "no such file", is_error=True),
        tool_result("t1", "80 USD"),
        tool_use("t3", "Bash", command="ls"),
    ]
    messages = talk(*script)
    read, task, left = spans.where(layer="tool")
    assert (read.name, task.name) == ("execute_tool Read", "execute_tool Task")
    assert read.parent_id == task.span_id
    assert read.input == {"path": "a.txt"}
    assert (read.status, read.status_message) == ("error", "no such file")
    assert task.output == "80 USD"
    assert task.attributes[names.GEN_AI_TOOL_CALL_ID] == "t1"
    assert left.attributes[names.ABANDONED] is True
    hook.uninstall()
    assert talk(*script) == messages
    assert len(spans.where(layer="tool")) == 3


@pytest.mark.parametrize("allowed", [True, False])
def test_a_permission_prompt_is_an_approval(spans, talk, tmp_path, allowed):
    async def ada(tool, given, context):
        if allowed:
            return sdk.PermissionResultAllow()
        return sdk.PermissionResultDeny(message="too much")

    request = {"subtype": "can_use_tool", "tool_name": "refund", "input": {"usd": 80}}
    asked = {"type": "control_request", "request_id": "r1", "request": request}
    talk(asked, can_use_tool=ada)
    assert answers_to(tmp_path)[0]["behavior"] == ("allow" if allowed else "deny")
    approval = spans.one(layer="approval")
    assert approval.attributes[names.APPROVAL_DECISION] == ("approved" if allowed else "refused")
    assert approval.attributes[names.APPROVAL_APPROVER] == "ada"
    assert approval.attributes.get(names.REASON) == (None if allowed else "too much")
    assert approval.input == {"usd": 80}


def test_what_the_session_cost_is_charged_to_the_budget(spans, talk):
    with tacho.budget(usd=1) as budget:
        talk()
        assert budget.used("usd") == 0.5


def before_tool(name, number=1, **given):
    """What the process asks before it runs a tool; the id is the one that the SDK gave the hook."""
    request = {
        "subtype": "hook_callback",
        "callback_id": "hook_0",
        "tool_use_id": f"t{number}",
        "input": {"hook_event_name": "PreToolUse", "tool_name": name, "tool_input": given},
    }
    return {"type": "control_request", "request_id": f"r{number}", "request": request}


@pytest.mark.parametrize("allowed", [True, False])
def test_a_policy_asks_before_a_tool_of_the_session(policies, spans, talk, tmp_path, allowed):
    def ada(request, given):
        if allowed:
            return Decision(approved=True, params=given | {"command": "ls"}, edited=True)
        return Decision(approved=False, reason="not on this machine")

    policies([tacho.ApprovalPolicy(tools="Bash", approver=ada)])
    talk(before_tool("Bash", command="rm -r ."), before_tool("Read", 2, path="a"))
    asked, left_alone = answers_to(tmp_path)
    said = asked["hookSpecificOutput"]
    if allowed:
        assert (said["permissionDecision"], said["updatedInput"]) == ("allow", {"command": "ls"})
    else:
        assert said["permissionDecision"] == "deny"
        assert said["permissionDecisionReason"] == "refused by approval: not on this machine"
    assert left_alone == {}
    assert spans.one(layer="approval").parent == "invoke_agent billing"


def test_a_budget_stops_the_session_and_the_run(spans, talk):
    allowed, stopped = before_tool("Bash", command="ls"), before_tool("Bash", 2, command="ls")
    with tacho.budget(tool_calls=1), pytest.raises(tacho.BudgetExceeded):
        talk(allowed, stopped)
    assert spans.one(layer="run").attributes[names.RUN_OUTCOME] == "stopped"


def test_hooks_of_the_application_are_called_as_well(spans, talk):
    heard = []

    async def mine(given, tool_use_id, context):
        heard.append(given["tool_name"])
        return {}

    talk(before_tool("Read", path="a"), hooks={"PreToolUse": [sdk.HookMatcher(hooks=[mine])]})
    assert heard == ["Read"]


def test_the_process_goes_on_with_the_trace(spans, talk, tmp_path):
    """What Claude Code records by itself nests in the run."""
    talk()
    trace_id = environment_of(tmp_path)["TRACEPARENT"].split("-")[1]
    assert trace_id == spans.one(layer="run").trace_id
