"""Drift through a real collector: runs come in over OTLP, an alarm goes out over the API and the command line."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import urllib.request

import pytest
from collector_process import Collector

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from pipeline import until
from tachograph_schemas.control import AUDIT, DRIFT, KEYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"
WAIT_S = 60


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    """A collector that has the history of two agents: one whose cost has doubled, one without a change."""
    home = tmp_path_factory.mktemp("drift") / "home"
    running = Collector(home, TACHO_API_KEY=OWNER, TACHO_DRIFT_SETTLE_S="1").start()
    drifting = runs(11, Change(cost=2), LEARNT + 120)
    healthy = runs(12, count=LEARNT - 350)
    for agent, points, first in (("drifting", drifting, 1), ("healthy", healthy, 10_000)):
        for body in bodies(agent, points, first):
            send(running, body)
    # A deployment: the newer version costs twice as much.
    after = itertools.islice(runs(12, Change(cost=2), LEARNT + 100, "v2"), LEARNT, None)
    for body in bodies("healthy", after, 20_000):
        send(running, body)
    yield running
    running.stop()


def send(collector: Collector, body: bytes) -> None:
    headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {OWNER}"}
    request = urllib.request.Request(f"{collector.url}/v1/traces", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def open_alarms(client: ControlClient, **query) -> list[dict]:
    answer = client.call("GET", f"{DRIFT}/alarms", query={"state": "open"} | query)
    assert answer, answer.why
    return answer.data["alarms"]


def agents(client: ControlClient) -> dict[str, dict]:
    return {each["agent"]: each for each in client.call("GET", f"{DRIFT}/agents").data["agents"]}


def tacho(collector: Collector, *words: str) -> subprocess.CompletedProcess[str]:
    environment = collector.environment | {"TACHO_API_KEY": OWNER}
    return subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_alarm_is_raised_explained_and_acknowledged(collector):
    owner = ControlClient(collector.url, OWNER)
    until(lambda: agents(owner).get("drifting", {}).get("runs") == LEARNT + 120, WAIT_S)
    alarms = open_alarms(owner, agent="drifting")
    # The simulated cost is made of output tokens.
    assert {each["metric"] for each in alarms} <= {"cost_usd", "output_tokens"}
    [alarm] = [each for each in alarms if each["metric"] == "cost_usd"]
    assert alarm["direction"] == "more"
    assert alarm["effect"]["low"] < 2 < alarm["effect"]["high"]
    listed = tacho(collector, "drift", "--agent", "drifting")
    assert listed.returncode == 0, listed.stderr
    assert "Cost of a run: $" in listed.stdout
    assert alarm["after"][0]["run_id"] in listed.stdout

    # Another project knows nothing of it, and one who may only look cannot end it.
    body = {"name": "x", "role": "admin", "project": "other"}
    other = ControlClient(collector.url, owner.call("POST", KEYS, body).data["key"])
    reader = owner.call("POST", KEYS, {"name": "y", "role": "read"}).data["key"]
    path = f"{DRIFT}/alarms/{alarm['id']}"
    assert open_alarms(other) == []
    assert other.call("GET", path).status == 404
    assert other.call("POST", f"{path}/ack", {"learn": True}).status == 404
    assert (
        ControlClient(collector.url, reader).call("POST", f"{path}/ack", {"learn": True}).status
        == 403
    )

    words = ("ack", alarm["id"][:6], "--learn", "--as", "maria", "--note", "new prices")
    acknowledged = tacho(collector, "drift", *words)
    assert acknowledged.returncode == 0, acknowledged.stderr
    assert open_alarms(owner, agent="drifting") == []
    assert owner.call("POST", f"{path}/ack", {"learn": True}).status == 409
    # The runs since the change are the first of the new baseline.
    assert agents(owner)["drifting"]["state"] in {"learning", "young"}
    [entry] = [e for e in owner.call("GET", AUDIT).data["entries"] if e["action"] == "drift.learn"]
    assert entry["actor"].startswith("maria")

    # What was learnt and acknowledged is still so in the next process.
    before = agents(owner)["drifting"]
    collector.stop()
    collector.start()
    owner = ControlClient(collector.url, OWNER)
    assert agents(owner)["drifting"] == before


def test_the_guard_tells_versions_apart(collector):
    until(
        lambda: agents(ControlClient(collector.url, OWNER))["healthy"]["runs"] == LEARNT - 250,
        WAIT_S,
    )
    changed = tacho(collector, "guard", "--agent", "healthy", "--json")
    assert changed.returncode == 1, changed.stderr
    found = json.loads(changed.stdout)
    assert found["verdict"] == "changed"
    assert "cost_usd" in [each["metric"] for each in found["findings"] if each["changed"]]
    same = tacho(collector, "guard", "--agent", "healthy", "--baseline", "v1", "--candidate", "v1")
    assert same.returncode == 0, same.stdout
    assert "can be excluded" in same.stdout
    unknown = tacho(collector, "guard", "--agent", "healthy", "--candidate", "v9")
    assert unknown.returncode == 2
    assert "v9" in unknown.stderr
