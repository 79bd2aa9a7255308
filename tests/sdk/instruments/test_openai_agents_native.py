"""Shell, editor, computer and custom tools of the OpenAI Agents SDK, and tools that do not exist."""

from __future__ import annotations

import dataclasses
import json

import agents
import pytest
from agents_sdk import agent_of, call, run, server
from openai_server import said

import tachograph as tacho
from tachograph import Decision
from tachograph.instruments import openai as openai_hook
from tachograph.instruments import openai_agents as hook
from tachograph_schemas import names

__all__ = ["server"]
HOOKS = [hook, openai_hook]

done: list[object] = []


class Editor:
    """Notes what it was told to do."""

    def create_file(self, operation):
        done.append(operation.path)
        return "created"

    update_file = delete_file = create_file


class Screen(agents.Computer):
    """A computer without a screen."""

    def screenshot(self):
        return "aGVsbG8="

    def click(self, x, y, button):
        done.append([x, y])

    def _nothing(self, *args, **kwargs):
        raise AssertionError

    environment = dimensions = None
    double_click = scroll = type = wait = move = keypress = drag = _nothing


async def invoke_custom(context, text):
    return carry_out(text)


def carry_out(text):
    done.append(text)
    return "done"


@dataclasses.dataclass
class Case:
    """A kind of tool, a call of it, what it does then, and what a person may make of the arguments."""

    tool: object
    name: str
    item: dict
    did: object
    change: dict
    did_instead: object


CASES = {
    "shell": Case(
        agents.ShellTool(executor=lambda request: carry_out(request.data.action.commands)),
        "shell",
        {"type": "shell_call", "action": {"commands": ["rm a"]}},
        ["rm a"],
        {"commands": ["ls"]},
        ["ls"],
    ),
    "local shell": Case(
        agents.LocalShellTool(executor=lambda request: carry_out(request.data.action.command)),
        "local_shell",
        {"type": "local_shell_call", "action": {"type": "exec", "command": ["rm"], "env": {}}},
        ["rm"],
        {"command": ["ls"]},
        ["ls"],
    ),
    "custom": Case(
        agents.CustomTool(name="sql", description="", on_invoke_tool=invoke_custom, format=None),
        "sql",
        {"type": "custom_tool_call", "name": "sql", "input": "drop table orders"},
        "drop table orders",
        {"input": "select 1"},
        "select 1",
    ),
    "editor": Case(
        agents.ApplyPatchTool(editor=Editor()),
        "apply_patch",
        {
            "type": "apply_patch_call",
            "operation": {"type": "create_file", "path": "a.txt", "diff": "+a"},
        },
        "a.txt",
        {"path": "b.txt"},
        "b.txt",
    ),
    "computer": Case(
        agents.ComputerTool(computer=Screen()),
        "computer",
        {
            "type": "computer_call",
            "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
            "pending_safety_checks": [],
        },
        [1, 2],
        {"action": {"type": "click", "x": 8, "y": 9, "button": "left"}},
        [8, 9],
    ),
}
TELLS = [kind for kind in CASES if kind != "computer"]


def asked_for(case, number=1):
    return [{"id": f"i_{number}", "call_id": f"call_{number}", "status": "completed", **case.item}]


def agent_with(case):
    return lambda client: agent_of(client, "clerk", tools=[case.tool])


@pytest.fixture(params=CASES)
def case(request):
    done.clear()
    return CASES[request.param]


def test_a_tool_that_nobody_objects_to_runs_and_is_a_span(server, spans, case):
    assert run(server, agent_with(case), asked_for(case), [said("Done.")]) == "Done."
    assert done == [case.did]
    tool = spans.one(layer="tool")
    assert tool.attributes[names.GEN_AI_TOOL_NAME] == case.name
    assert tool.parent == "invoke_agent clerk"
    assert str(case.did if isinstance(case.did, str) else case.did[0]) in json.dumps(tool.input)


def test_pictures_of_a_screen_are_named_by_their_digest(server, spans):
    run(server, agent_with(CASES["computer"]), asked_for(CASES["computer"]), [said("Done.")])
    picture = spans.one(layer="tool").output
    assert (picture["type"], picture["mime_type"]) == ("blob", "image/png")
    assert "aGVsbG8=" not in json.dumps(picture)


@pytest.mark.parametrize("case", TELLS, indirect=True)
def test_the_model_is_told_of_a_refusal(server, policies, spans, case):
    def no(request, params):
        return Decision(approved=False, reason="not today")

    policies([tacho.ApprovalPolicy(tools=case.name, approver=no)])
    assert run(server, agent_with(case), asked_for(case), [said("Sorry.")]) == "Sorry."
    assert done == []
    answer = json.dumps(server.requests[-1]["input"][-1])
    assert "Not called: refused by approval: not today" in answer
    assert spans.one(layer="approval").parent_id == spans.one(layer="tool").span_id


def test_a_refused_computer_ends_the_run(server, policies, spans):
    done.clear()
    policies([tacho.ApprovalPolicy(tools="computer", approver=lambda request, params: False)])
    with pytest.raises(tacho.Refused):
        run(server, agent_with(CASES["computer"]), asked_for(CASES["computer"]))
    assert done == []


def test_a_person_changes_the_arguments(server, policies, spans, case):
    def otherwise(request, params):
        return Decision(approved=True, params=params | case.change, edited=True)

    policies([tacho.ApprovalPolicy(tools=case.name, approver=otherwise)])
    assert run(server, agent_with(case), asked_for(case), [said("Done.")]) == "Done."
    assert done == [case.did_instead]


def test_a_budget_stops_the_run(server, spans, case):
    calls = (asked_for(case), asked_for(case, 2), [said("Done.")])
    with tacho.budget(tool_calls=1), pytest.raises(tacho.BudgetExceeded, match="tool_calls"):
        run(server, agent_with(case), *calls)
    assert done == [case.did]
    assert spans.one(layer="run").attributes[names.RUN_OUTCOME] == "stopped"


def test_a_tool_of_ours_asks_itself_and_is_counted_once(server, policies, spans):
    asked = []

    def yes(request, params):
        asked.append(request)
        return True

    @tacho.tool(name="run_commands")
    def own(request):
        return "done"

    policies([tacho.ApprovalPolicy(tools="*", approver=yes)])
    case = dataclasses.replace(CASES["shell"], tool=agents.ShellTool(executor=own))
    with tacho.budget(tool_calls=1), pytest.raises(tacho.BudgetExceeded):
        run(server, agent_with(case), asked_for(case), asked_for(case, 2), [said("Done.")])
    assert asked == ["call run_commands"] * 2


@pytest.mark.parametrize("told", [True, False])
def test_a_tool_that_the_model_made_up_is_a_record(server, spans, told):
    """Whether the SDK raises or, where the application wants that, tells the model."""
    behaviour = "return_error_to_model" if told else "raise_error"
    outputs = ([call("fly_to_moon", '{"when": "now"}')], [said("Sorry.")])

    def clerk(client):
        return agent_of(client, "clerk", tools=[CASES["custom"].tool])

    config = agents.RunConfig(tool_not_found_behavior=behaviour)
    if told:
        assert run(server, clerk, *outputs, config=config) == "Sorry."
    else:
        with pytest.raises(agents.ModelBehaviorError, match="fly_to_moon not found"):
            run(server, clerk, *outputs, config=config)
    refused = spans.one(layer="tool")
    assert refused.attributes[names.TOOL_REFUSAL] == "unknown"
    assert refused.attributes[names.GEN_AI_TOOL_NAME] == "fly_to_moon"
    assert json.loads(refused.attributes[names.TOOL_OFFERED]) == ["sql"]
    assert refused.input == {"when": "now"}
