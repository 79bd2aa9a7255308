"""fork-edit-arguments: live calls of a fork with other arguments than the code gives them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import SimpleNamespace

import httpx
import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.cli.fork_settings import settings_of
from tachograph.cli.problem import Problem
from tachograph.replay._continue import Plan
from tachograph.replay._edits import EditError, applied, from_lists, parse
from tachograph.replay._run import go_on, replay

ASKED = []


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()


@dataclass
class Order:
    number: int
    notes: list


@tacho.model
def ask(messages, model="small", **options):
    ASKED.append((model, messages, options))
    return f"{model}: {messages[-1]['content']}"


@tacho.model
async def stream(history):
    ASKED.append(history)
    for message in history:
        await asyncio.sleep(0)
        yield message["content"]


@tacho.tool
async def look(order):
    ASKED.append(order)
    return order.number


@tacho.run
async def agent():
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
    first = ask(messages, temperature=1)
    words = [word async for word in stream(messages)]
    found = await look(Order(7, ["a"]))
    return [first, ask(messages), words, found, messages]


def forked(tapes, at, *settings):
    _, recording = tapes.record(agent)
    ASKED.clear()
    edits = from_lists([parse(text).as_list() for text in settings])
    outcome, value = go_on(Plan(recording, at, edits=edits), agent)
    assert outcome == "ok", value
    child = tapes.newest()
    assert_identical(replay(child, agent))
    return child, value


def test_a_live_call_gets_other_arguments(tapes):
    """What was sent is another thing, what the agent has is not, and the fork's recording replays."""
    child, value = forked(
        tapes,
        1,
        '1.args.model="large"',
        '1.messages[0].content+=" Be brief."',
        "1.args.temperature=0",
    )
    (model, messages, options), *_ = ASKED
    assert (model, options) == ("large", {"temperature": 0})
    assert messages[0]["content"] == "Be kind. Be brief."
    assert value[4][0]["content"] == "Be kind.", "the agent's own list is as it was"
    assert ASKED[3][0] == "small", "the other calls as the code says"
    assert child.calls[0].args["messages"][0]["content"] == "Be kind."
    assert child.run["parent"]["set"] == [
        *("1.args.model", "1.messages[0].content", "1.args.temperature")
    ]


def test_what_is_never_reached_is_said(tapes):
    """Of all that was set: a result of a step that does not come, and arguments of one."""
    _, recording = tapes.record(agent)
    steps = len(recording.calls)
    texts = [f"{steps + 5}.args.temperature=0", '2.messages[0].content+=" Be brief."']
    edits = from_lists([parse(text).as_list() for text in texts])
    unreached = []
    plan = Plan(recording, 2, {1: "another", steps + 7: "late"}, edits=edits, unreached=unreached)
    outcome, value = go_on(plan, agent)
    assert outcome == "ok", value
    assert unreached == [f"{steps + 7}.result", f"{steps + 5}.args.temperature"]


def test_streams_and_objects_are_edited_too(tapes):
    _, value = forked(
        tapes,
        2,
        '2.messages[-1].content="bye"',
        "3.args.order.number=8",
        '3.args.order.notes+=["b"]',
    )
    assert value[2] == ["Be kind.", "bye"]
    assert ASKED[1] == Order(8, ["a", "b"])
    assert value[3] == 8


def test_what_is_answered_from_the_recording_is_not_edited(tapes):
    forked(tapes, 4, '2.messages[0].content="x"')
    assert len(ASKED) == 1


def test_a_call_without_such_a_place_is_refused(tapes):
    _, recording = tapes.record(agent)
    edits = from_lists([parse("3.args.amount=1").as_list()])
    outcome, error = go_on(Plan(recording, 3, edits=edits), agent)
    assert outcome == "err"
    assert "3.args.amount: there is no such argument; there is order" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3.args.order=x", 'is no JSON: .* in quotation marks: "x"'),
        ("3.args=1", "takes the name of an argument"),
        ("3.arguments.order=1", "--set takes STEP.result=JSON"),
        ("1.args.model=1", "step 1 is answered from the recording"),
        ("2.args.modle=1", "no such argument; there is history"),
        ("2.messages[5].content=1", "there is no 5 in list"),
        ("2.messages[0].content+=1", "int cannot be put behind str"),
        ("2.args.history=" + "[" * 100_000, "nested too deeply"),
        ("4.result=" + "[" * 100_000, "nested too deeply"),
        ("2.messages[0].content=" + "9" * 5_000, "is no JSON"),
        ("9" * 5_000 + ".args.model=1", "--set takes"),
        ("\u00b2.result=1", "--set takes"),
        ("2.args.history.../x=1", "--set takes"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_happens(tapes, text, said):
    _, recording = tapes.record(agent)
    with pytest.raises(Problem, match=said):
        settings_of([text], 2, recording)
    results, edits = settings_of(['4.result="x"', '2.messages[0].content="y"'], 2, recording)
    assert results == {"4": "x"}
    assert [edit.place for edit in edits] == ["2.messages[0].content"]


def test_messages_are_found_by_what_they_are():
    arguments = {"options": {}, "turns": [{"role": "user", "content": "a"}]}
    found = applied(arguments, [parse('1.messages+=[{"role": "user", "content": "b"}]')])
    assert [each["content"] for each in found["turns"]] == ["a", "b"]
    assert len(arguments["turns"]) == 1
    objects = {"turns": [SimpleNamespace(role="user", content="a")]}
    assert applied(objects, [parse('1.messages[0].content="b"')])["turns"][0].content == "b"
    with pytest.raises(EditError, match="the call has no messages"):
        applied({"question": "?"}, [parse('1.messages[0].content="b"')])


class _Odd:
    """An argument with code of its own."""

    kind = "shared"

    def __init__(self) -> None:
        self.kept = Order(1, [])

    @property
    def broken(self) -> str:
        raise RuntimeError("not now")

    def go(self) -> None:
        """What all of its kind share."""


@pytest.mark.parametrize(
    "path",
    [
        *("__class__.kind", "__dict__.kept", "__init__.__globals__.ASKED", "kept.__class__.number"),
        *("go.kind", "broken", "broken.kind", "_private"),
    ],
)
def test_an_edit_reaches_nothing_but_the_copy(path):
    """Not the class, not the module, not other objects; and what the object's own code raises is said."""
    with pytest.raises(EditError, match=r"1\.args\.x"):
        applied({"x": _Odd()}, [parse(f'1.args.x.{path}="changed"')])
    assert (_Odd.kind, ASKED) == ("shared", [])


def test_what_cannot_be_copied_is_not_edited():
    with pytest.raises(EditError, match="cannot be copied"):
        applied({"x": SimpleNamespace(lock=Lock(), n=1)}, [parse("1.args.x.n=2")])


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ASKED.append(given)
        content = json.dumps({"said": given["messages"][0]["content"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        """The console belongs to the tests."""


@tacho.run
async def over_http(url):
    async with httpx.AsyncClient() as client:
        body = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
        return [(await client.post(url, json=body)).json() for _ in range(2)]


def test_requests_are_edited(tapes):
    """As bodies of requests have them: no need to know that `messages` is within `body`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/chat"
        _, recording = tapes.record(over_http, url)
        ASKED.clear()
        said = ['2.args.model="large"', '2.messages[0].content+=" there"']
        _, settings = settings_of(said, 2, recording)
        edits = from_lists([edit.as_list() for edit in settings])
        outcome, value = go_on(Plan(recording, 2, edits=edits), over_http)
        assert outcome == "ok", value
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert value == [{"said": "hi"}, {"said": "hi there"}]
    (sent,) = ASKED
    assert sent["model"] == "large"
    assert_identical(replay(tapes.newest(), over_http))
