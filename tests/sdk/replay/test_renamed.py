"""rename-function: what is called otherwise now is matched by `aliases=`, and named where it is not said."""

from __future__ import annotations

import sys
import textwrap
import types

import pytest
from taped import assert_identical

from tachograph import _renamed
from tachograph.replay._continue import Plan
from tachograph.replay._entry import find_entry
from tachograph.replay._recording import RecordingError
from tachograph.replay._run import go_on, replay

PROGRAM = textwrap.dedent("""
    import asyncio
    import tachograph as tacho

    @tacho.tool
    async def look_up(order):
        return {"order": order, "paid": 30}

    @tacho.agent
    def plan(order):
        return ask(order)

    @tacho.model
    def ask(prompt):
        return f"refund {prompt}"

    class Bank:
        @tacho.effect
        def pay(self, usd):
            return f"paid {usd}"

    @tacho.run(agent="desk")
    async def handle(orders):
        found = await asyncio.gather(*(look_up(order) for order in orders))
        said = plan(found[0]["order"])
        return [said, Bank().pay(found[1]["paid"])]
""")


@pytest.fixture
def load(monkeypatch):
    """Puts a program in the place of the one before it, as an edit does."""
    # One table for the process: no test hears what another one's program was called before.
    monkeypatch.setattr(_renamed, "_former", {})

    def load(source):
        module = types.ModuleType("desk_of_test")
        monkeypatch.setitem(sys.modules, "desk_of_test", module)
        exec(source, vars(module))
        return module

    return load


def renamed(old, new, alias=None):
    """The program with another name, and whether it says which one it had."""
    assert old in PROGRAM
    lines = PROGRAM.replace(old, new).splitlines()
    if alias is not None:
        at = next(n for n, line in enumerate(lines) if f"def {new}" in line) - 1
        lines[at] += f'(aliases="{alias}")'
    return "\n".join(lines)


RENAMES = {
    "a tool that is a task": ("look_up(", "find(", "look_up"),
    "a frame": ("plan(", "think(", "plan"),
    "a model": ("ask(", "speak(", "ask"),
    "a method": ("pay(", "send(", "pay"),
}


@pytest.mark.parametrize("change", RENAMES.values(), ids=RENAMES)
def test_a_renamed_boundary(tapes, load, change):
    """With the alias identical; without it NAME_CHANGED, which says what to write."""
    old, new, alias = change
    _, recording = tapes.record(load(PROGRAM).handle, ["a", "b"])
    found = replay(recording, load(renamed(old, new)).handle).divergence
    assert found.kind == "NAME_CHANGED", found.text()
    assert f'aliases="{alias}"' in found.message
    assert_identical(replay(recording, load(renamed(old, new, alias)).handle))


def test_a_fork_follows_the_earlier_name(tapes, load):
    """The fork's own recording replays with the program as it is."""
    _, recording = tapes.record(load(PROGRAM).handle, ["a", "b"])
    program = load(renamed("look_up(", "find(", "look_up"))
    outcome, _ = go_on(Plan(recording, 3, allow_writes=True), program.handle)
    assert outcome == "ok"
    assert_identical(replay(tapes.newest(), program.handle))


def test_what_is_still_there_was_not_renamed(tapes, load):
    """Another tool with the same arguments is another call, as long as the first one exists."""
    _, recording = tapes.record(load(PROGRAM).handle, ["a", "b"])
    other = "@tacho.tool\nasync def guess(order):\n    return {}\n\n@tacho.run"
    edited = PROGRAM.replace("(look_up(order)", "(guess(order)").replace("@tacho.run", other)
    found = replay(recording, load(edited).handle).divergence
    assert found.kind == "EXTRA_CALL"


def test_another_agent_with_the_same_request_is_no_rename(tapes, load):
    """Requests are made by functions of ours: whether the old name is there is asked of the program."""
    source = textwrap.dedent("""
        import httpx
        import tachograph as tacho

        @tacho.agent
        def worker(client):
            return client.get("http://model.test/answer").json()

        @tacho.run
        def handle():
            answer = lambda request: httpx.Response(200, json={"asked": 1})
            with httpx.Client(transport=httpx.MockTransport(answer)) as client:
                return worker(client)
    """)
    _, recording = tapes.record(load(source).handle)
    both = source.replace("return worker(client)", "return scout(client), worker(client)")
    agent = source[source.index("@tacho.agent") : source.index("@tacho.run")]
    edited = both.replace("@tacho.run", agent.replace("worker", "scout") + "@tacho.run")
    found = replay(recording, load(edited).handle).divergence
    assert found.kind == "EXTRA_CALL", found.text()
    found = replay(recording, load(source.replace("worker(", "scout(")).handle).divergence
    assert found.kind == "NAME_CHANGED"
    assert 'aliases="worker"' in found.message


def test_a_renamed_run_is_found(tapes, load, tmp_path, monkeypatch):
    """By its alias; without one it is said what to write."""
    _, recording = tapes.record(load(PROGRAM).handle, ["a", "b"])
    monkeypatch.syspath_prepend(str(tmp_path))
    script = tmp_path / "desk_of_test.py"
    script.write_text(PROGRAM.replace("handle(", "serve("))
    monkeypatch.delitem(sys.modules, "desk_of_test")
    with pytest.raises(RecordingError, match='aliases="handle"'):
        find_entry(recording, tmp_path)
    monkeypatch.delitem(sys.modules, "desk_of_test")
    edited = PROGRAM.replace("handle(", "serve(")
    script.write_text(edited.replace('run(agent="desk"', 'run(aliases=["handle"], agent="desk"'))
    entry = find_entry(recording, tmp_path)
    assert entry.__name__ == "serve"
    assert_identical(replay(recording, entry))
