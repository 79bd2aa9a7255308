"""Replays in the control database: who may ask, who takes, and what becomes of a worker that dies."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest
from collector_process import Collector

from tachograph_collector.control import replays as module
from tachograph_collector.control.audit import Audit
from tachograph_collector.control.database import Database
from tachograph_collector.control.replays import LEASE_NS, Replays
from tachograph_schemas.control import KEYS, REPLAYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"


@pytest.fixture
def clock(monkeypatch):
    """The wall clock of the module, which tests move."""
    now = [10**18]
    monkeypatch.setattr(module, "now_ns", lambda: now[0])
    return now


@pytest.fixture
def replays(tmp_path, clock):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    told = []
    made = Replays(database, Audit(database, tmp_path / "head"), told.append)
    made.told = told
    yield made
    database.close()


def test_the_oldest_is_taken_once(replays, clock):
    first = replays.ask("p", "run1", "replay", {}, "ada")
    clock[0] += 1
    replays.ask("p", "run2", "replay", {}, "ada")
    replays.ask("other", "run3", "replay", {}, "ada")
    assert replays.ask("p", "run1", "replay", {}, "bob") == first, "it waits already"
    assert replays.told == ["p", "p", "other"]
    assert replays.take("p", "box").run_id == "run1"
    assert replays.take("p", "box").run_id == "run2"
    assert replays.take("p", "box") is None
    assert replays.waiting("p") is False
    assert replays.waiting("other") is True


def test_a_dead_workers_replay_is_taken_by_another(replays, clock):
    """And what the first one says after all is not believed."""
    asked = replays.ask("p", "run", "replay", {}, "ada")
    replays.take("p", "first")
    clock[0] += LEASE_NS
    assert replays.take("p", "second") is None
    clock[0] += 1
    assert replays.waiting("p")
    assert replays.take("p", "second").worker == "second"
    assert replays.done("p", asked.id, "first", {"identical": True}) is None
    assert replays.done("other", asked.id, "second", {"identical": True}) is None
    assert replays.done("p", asked.id, "second", {"identical": False}).status == "done"
    assert replays.done("p", asked.id, "second", {"identical": True}) is None, "once"


def test_a_fork_is_found_from_both_of_its_runs(replays):
    made = replays.put_down("p", "parent", "fork", {"at": 2}, {"run_id": "child"}, "ada")
    assert replays.of_run("p", "parent", 10) == [made]
    assert replays.of_run("p", "child", 10) == [made]
    assert replays.of_run("other", "child", 10) == []
    seen = replays.put_down("p", "parent", "replay", {}, {"run_id": "x"}, "ada")
    assert seen.child_run_id is None, "a replay makes no run"
    again = replays.put_down("p", "parent", "resume", {}, {"run_id": "parent"}, "ada")
    assert again.child_run_id is None, "a resumption goes on with its own"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("jobs") / "home", TACHO_API_KEY=OWNER).start()
    yield running
    running.stop()


def test_each_key_may_do_what_its_role_says(collector):
    owner = ControlClient(collector.url, OWNER)

    def client(role):
        made = owner.call("POST", KEYS, {"name": role, "role": role})
        assert made, made.why
        return ControlClient(collector.url, made.data["key"])

    ingest, read, operate = (client(role) for role in ("ingest", "read", "operate"))
    body = {"run_id": "a" * 32}
    done = body | {"result": {"identical": True}}
    taking = {"worker": "box"}
    assert ControlClient(collector.url).call("GET", REPLAYS, query=body).status == 401
    assert ingest.call("POST", REPLAYS, body).status == 403
    assert read.call("POST", REPLAYS, body).status == 403
    assert read.call("POST", f"{REPLAYS}/take", taking).status == 403
    assert ingest.call("POST", f"{REPLAYS}/take", taking).status == 403
    assert ingest.call("POST", f"{REPLAYS}/done", done), "a program puts down what it did"
    asked = operate.call("POST", REPLAYS, body)
    assert asked
    assert [row["status"] for row in read.call("GET", REPLAYS, query=body).data["replays"]] == [
        "asked",
        "done",
    ]
    taken = operate.call("POST", f"{REPLAYS}/take", taking).data["replay"]
    assert taken["id"] == asked.data["id"]
    path = f"{REPLAYS}/{taken['id']}/result"
    other = operate.call("POST", path, {"worker": "other", "result": {}})
    assert other.status == 409
    assert operate.call("POST", path, {"worker": "box", "result": {"identical": False}})


def test_a_worker_that_has_gone_while_it_waited_takes_nothing(collector):
    """It would have the replay for a quarter of an hour."""
    owner = ControlClient(collector.url, OWNER)
    body = json.dumps({"worker": "gone"}).encode()
    head = (
        f"POST {REPLAYS}/take?wait_s=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OWNER}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = urlsplit(collector.url)
    for _ in range(3):
        with socket.create_connection((address.hostname, address.port)) as gone:
            gone.sendall(head.encode() + body)
    asked = owner.call("POST", REPLAYS, {"run_id": "b" * 32})
    taken = owner.call("POST", f"{REPLAYS}/take", {"worker": "here"}, query={"wait_s": 8})
    assert taken.data["replay"]["id"] == asked.data["id"]


def test_a_run_keeps_what_the_last_sweep_made_of_it(replays, clock):
    """Nightly sweeps of thousands of runs do not fill the database; what people did stays."""
    mine = replays.put_down("p", "run", "replay", {}, {"identical": True}, "ada")
    for sweep in ("one", "two"):
        clock[0] += 1
        found = {"identical": sweep == "one"}
        last = replays.put_down("p", "run", "replay", {"sweep": sweep}, found, "ci")
        other = replays.put_down("p", "other", "replay", {"sweep": sweep}, found, "ci")
        summary = replays.put_down("p", sweep, "sweep", {"agent": "desk"}, {"runs": 2}, "ci")
    assert replays.of_run("p", "run", 10) == [last, mine]
    assert replays.of_run("p", "other", 10) == [other]
    assert [each.run_id for each in replays.sweeps("p", 10)] == ["two", "one"]
    assert replays.sweeps("p", 1) == [summary]
    assert replays.sweeps("q", 10) == []


@pytest.mark.parametrize(
    "body",
    [
        {"run_id": "r", "kind": "shell"},
        {"run_id": "r", "kind": "sweep"},
        {"run_id": "r", "options": {"x": "y" * 20_000}},
        {"run_id": "r" * 300},
        {"run_id": "r", "result": {}},
        {"run_id": "r", "command": "rm"},
    ],
)
def test_what_is_no_replay_is_refused(collector, body):
    assert ControlClient(collector.url, OWNER).call("POST", REPLAYS, body).status == 422
