"""Forks that ask another model, with tools that go on being answered from the recording."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from taped import assert_identical

import tachograph as tacho
from tachograph.cli.fork import recorded_result
from tachograph.replay import _http
from tachograph.replay._continue import Plan
from tachograph.replay._run import go_on, replay

ASKED = []
LOOKED = []


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()
    LOOKED.clear()


@tacho.model
def ask(question, model="small"):
    ASKED.append(model)
    return f"{model}: {question}"


@tacho.model
async def stream(question, *, model):
    ASKED.append(model)
    for word in (model, question):
        yield word


@tacho.tool
def look(key):
    LOOKED.append(key)
    return {"key": key, "value": len(LOOKED)}


@tacho.run
def agent(question):
    first = ask(question)
    seen = look("a")
    return [first, seen, ask(f"again {question}"), look(question)]


@tacho.run
async def streaming(question):
    return [word async for word in stream(question, model="small")]


def test_fork_model_swap(tapes):
    """The code asks for one model, live calls go to the other; the fork replays with the code as it is."""
    _, recording = tapes.record(agent, "q")
    ASKED.clear()
    LOOKED.clear()
    outcome, value = go_on(Plan(recording, 3, model="large", tools_from_tape=True), agent)
    assert outcome == "ok"
    assert ASKED == ["large"]
    assert LOOKED == [], "tools are answered from the tape, after the step too"
    assert value[0] == "small: q"
    assert value[2] == "large: again q"
    assert value[3] == {"key": "q", "value": 2}
    child = tapes.newest()
    assert child.run["parent"] == {"run_id": recording.run_id, "step": 3, "model": "large"}
    assert_identical(replay(child, agent))


def test_what_came_of_the_recorded_run_is_told_as_python_would(tapes):
    """Beside the forks, whose errors are told so too."""

    @tacho.run
    def fails(said):
        raise LookupError(said)

    _, recording = tapes.record(fails, "no such order")
    assert recorded_result(recording.end) == "LookupError: no such order"
    _, recording = tapes.record(agent, "q")
    assert json.loads(recorded_result(recording.end))[0] == "small: q"


def test_tools_without_an_answer_are_not_called(tapes):
    """What was not recorded is refused, not guessed and not done."""
    _, recording = tapes.record(agent, "q")
    LOOKED.clear()
    recording.calls[3].args["key"] = "elsewhere"
    outcome, error = go_on(Plan(recording, 3, tools_from_tape=True), agent)
    assert outcome == "err"
    assert "look was not recorded with these arguments" in str(error)
    assert LOOKED == []


@tacho.tool
async def poll():
    LOOKED.append("poll")
    return len(LOOKED)


async def first():
    return "first", await poll()


async def second():
    return "second", await poll()


async def third():
    return "third", await poll()


@pytest.fixture
def siblings():
    return [first, second]


@pytest.fixture
def polling(siblings):
    @tacho.run
    async def polling():
        return dict(await asyncio.gather(*(each() for each in siblings)))

    return polling


def test_who_asks_the_same_gets_the_answer_of_its_own_place(tapes, siblings, polling):
    """However the code now starts those that ask, none gets what another one got."""
    (_, then), recording = tapes.record(polling)
    assert then["first"] != then["second"]
    siblings.reverse()
    outcome, now = go_on(Plan(recording, 1, tools_from_tape=True), polling)
    assert (outcome, now) == ("ok", then)


def test_who_is_new_gets_no_answer_of_one_of_several_others(tapes, siblings, polling):
    _, recording = tapes.record(polling)
    siblings.insert(0, third)
    outcome, error = go_on(Plan(recording, 1, tools_from_tape=True), polling)
    assert outcome == "err"
    assert "poll gave different answers to these arguments, none of them here" in str(error)


def test_streams_are_asked_of_the_other_model(tapes):
    _, recording = tapes.record(streaming, "q")
    outcome, value = go_on(Plan(recording, 1, model="large"), streaming)
    assert (outcome, value) == ("ok", ["large", "q"])
    assert_identical(replay(tapes.newest(), streaming))


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ASKED.append(body["model"])
        answer = json.dumps({"said": body["model"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/messages"
    server.shutdown()
    server.server_close()


@tacho.run
def by_http(url):
    with httpx.Client() as client:
        body = {"model": "small", "messages": []}
        first, second = (client.post(url, json=body).json() for _ in range(2))
        other = client.post(url, json={"model": "a car", "colour": "red"}).json()
        return [first, second, other]


def test_requests_of_clients_name_the_other_model(tapes, provider):
    """Below the provider's own client; a body that is none of a model stays as it is."""
    _http.install()
    _, recording = tapes.record(by_http, provider)
    ASKED.clear()
    outcome, value = go_on(Plan(recording, 2, model="large"), by_http)
    assert outcome == "ok", value
    assert [each["said"] for each in value] == ["small", "large", "a car"]
    assert ASKED == ["large", "a car"]
    assert_identical(replay(tapes.newest(), by_http))
