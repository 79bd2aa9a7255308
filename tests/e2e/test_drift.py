"""Drift through a real collector: runs come in over OTLP, alarms go out over the API, the command line and the page."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from pipeline import until
from tachograph_schemas.control import AUDIT, DRIFT, KEYS
from tachograph_schemas.control_client import ControlClient

OWNER = "owner-of-this-collector"
HOSTILE = "new <img src=x onerror=alert(1)> **agent**"
SHOWN = {"refunds": LEARNT + 120, "orders": 400, HOSTILE: 40}


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    """A collector that has seen an agent that changed, one with a new version, and a new one."""
    home = tmp_path_factory.mktemp("drift") / "home"
    running = Collector(home, dashboard=True, TACHO_API_KEY=OWNER, TACHO_DRIFT_SETTLE_S="1").start()
    deployed = itertools.islice(runs(12, Change(cost=2), LEARNT + 100, "v2"), LEARNT, None)
    streams = (
        runs(11, Change(cost=1.6, tool_share=0.15), SHOWN["refunds"]),
        itertools.chain(runs(12, count=300), deployed),
        runs(13, count=SHOWN[HOSTILE]),
    )
    for number, (agent, points) in enumerate(zip(SHOWN, streams, strict=True)):
        for body in bodies(agent, points, 1 + 10_000 * number, 400):
            send(running, body)
    owner = ControlClient(running.url, OWNER)
    until(lambda: {name: each["runs"] for name, each in agents(owner).items()} == SHOWN, 300)
    yield running
    running.stop()


def send(collector: Collector, body: bytes) -> None:
    headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {OWNER}"}
    request = urllib.request.Request(f"{collector.url}/v1/traces", body, headers)
    with urllib.request.urlopen(request, timeout=180) as answer:
        assert answer.status == 200


def open_alarms(client: ControlClient, **query) -> list[dict]:
    answer = client.call("GET", f"{DRIFT}/alarms", query={"state": "open"} | query)
    assert answer, answer.why
    return answer.data["alarms"]


def agents(client: ControlClient) -> dict[str, dict]:
    answer = client.call("GET", f"{DRIFT}/agents")
    return {each["agent"]: each for each in answer.data["agents"]} if answer else {}


def tacho(collector: Collector, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tachograph.cli", *words],
        check=False,
        env={**os.environ, **collector.environment, "TACHO_API_KEY": OWNER},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_an_alarm_is_raised_explained_and_dismissed(collector):
    owner = ControlClient(collector.url, OWNER)
    alarms = {each["metric"]: each for each in open_alarms(owner, agent="refunds")}
    assert alarms["tools"]["category"] in {"search", "orders.get"}
    alarm = alarms["cost_usd"]
    assert alarm["direction"] == "more"
    assert alarm["effect"]["low"] < 1.6 < alarm["effect"]["high"]
    listed = tacho(collector, "drift", "--agent", "refunds")
    assert listed.returncode == 0, listed.stderr
    assert "Cost of a run: $" in listed.stdout
    assert alarm["after"][0]["run_id"][:8] in listed.stdout

    # Another project knows nothing of it, and one who may only look cannot end it.
    body = {"name": "x", "role": "admin", "project": "other"}
    other = ControlClient(collector.url, owner.call("POST", KEYS, body).data["key"])
    reader = owner.call("POST", KEYS, {"name": "y", "role": "read"}).data["key"]
    path, ending = f"{DRIFT}/alarms/{alarm['id']}", {"learn": True}
    assert open_alarms(other) == []
    assert agents(other) == {}
    assert other.call("GET", path).status == 404
    assert other.call("POST", f"{path}/ack", ending).status == 404
    assert ControlClient(collector.url, reader).call("POST", f"{path}/ack", ending).status == 403

    words = ("ack", alarm["id"][:6], "--dismiss", "--as", "maria", "--note", "a sale")
    dismissed = tacho(collector, "drift", *words)
    assert dismissed.returncode == 0, dismissed.stderr
    assert alarm["id"] not in {each["id"] for each in open_alarms(owner)}
    assert owner.call("POST", f"{path}/ack", ending).status == 409
    log = owner.call("GET", AUDIT).data["entries"]
    [entry] = [each for each in log if each["action"] == "drift.dismiss"]
    assert entry["actor"].startswith("maria")


def test_the_guard_tells_versions_apart(collector):
    changed = tacho(collector, "guard", "--agent", "orders", "--json")
    assert changed.returncode == 1, changed.stderr
    found = json.loads(changed.stdout)
    assert found["verdict"] == "changed"
    assert "cost_usd" in [each["metric"] for each in found["findings"] if each["changed"]]
    same = tacho(collector, "guard", "--agent", "orders", "--baseline", "v1", "--candidate", "v1")
    assert same.returncode == 0, same.stdout
    assert "can be excluded" in same.stdout
    by_itself = tacho(collector, "guard")
    assert by_itself.returncode == 0, by_itself.stderr
    assert "orders  version=v1 → version=v2" in by_itself.stdout
    assert "Changed: cost of a run" in by_itself.stdout
    unknown = tacho(collector, "guard", "--agent", "orders", "--candidate", "v9")
    assert unknown.returncode == 2
    assert "v9" in unknown.stderr


@pytest.mark.browser
@pytest.mark.parametrize(
    "page", [{}, {"color_scheme": "dark"}], ids=["light", "dark"], indirect=True
)
def test_the_page_leads_from_an_alarm_to_its_runs(collector, page, request):
    shown = page.open(f"{collector.instance['dashboard']}/drift")
    shown.locator(".inbox .card", has_text="Which tools are called").click()
    page.idle()
    drift = shown.locator(".drift")
    expect(drift.locator("h1")).to_contain_text("Which tools are called")
    expect(drift).to_contain_text("at most once in")
    expect(drift.locator("figure svg .turn")).to_have_count(1)
    examples = drift.locator("section", has_text="Runs that show it").locator("a")
    expect(examples).to_have_count(5)
    page.shoot(f"drift-alarm-{request.node.callspec.id}")
    shown.locator(".inbox .card", has_text="refunds").last.click()
    page.idle()
    expect(drift.locator("h1")).to_have_text("refunds")
    page.shoot(f"drift-agent-{request.node.callspec.id}")
    shown.locator(".inbox .card", has_text="**agent**").click()
    page.idle()
    expect(drift.locator("h1")).to_have_text(HOSTILE)
    expect(drift).to_contain_text("40 of the first 100 runs")
    expect(drift.locator("figure")).to_have_count(0)
    page.shoot(f"drift-learning-{request.node.callspec.id}")
    shown.locator(".inbox .card", has_text="version=v1 → version=v2").click()
    page.idle()
    expect(drift.locator("h1")).to_have_text("version=v1 → version=v2")
    expect(drift).to_contain_text("Changed: cost of a run")
    compared = drift.locator("section", has_text="What was compared").locator("tr")
    expect(compared.filter(has_text="Cost of a run")).to_contain_text("changed, seen after")
    page.shoot(f"drift-version-{request.node.callspec.id}")
    shown.locator(".inbox .card", has_text="Which tools are called").click()
    page.idle()
    examples.first.click()
    shown.wait_for_url(re.compile(r"/run\?id="))
    assert page.trouble == []


@pytest.mark.browser
def test_what_is_the_new_normal_is_learnt_from_the_change_on(collector, page):
    shown = page.open(f"{collector.instance['dashboard']}/drift")
    shown.locator(".inbox .card", has_text="Which tools are called").click()
    page.idle()
    shown.get_by_role("button", name="This is the new normal").click()
    expect(shown.get_by_text("Say who you are first")).to_be_visible()
    shown.get_by_label("Your name").fill("maria")
    shown.get_by_role("button", name="This is the new normal").click()
    expect(shown.locator(".inbox .card", has_text="Which tools are called")).to_have_count(0)
    assert agents(ControlClient(collector.url, OWNER))["refunds"]["state"] in {"learning", "young"}
    shown.get_by_text("Acknowledged", exact=True).first.click()
    page.idle()
    shown.locator(".inbox .card", has_text="Which tools are called").click()
    expect(shown.locator(".drift")).to_contain_text("maria")
    assert page.trouble == []
