"""The page of alerts in a real browser, over a real collector."""

from __future__ import annotations

import hashlib
import re

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from pipeline import until
from receivers import webhook
from tachograph_schemas.control import ALERTS, APPROVALS
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(2))"
NEAR = {"TACHO_ALERT_INTERVAL_S": "0.2", "TACHO_ALERT_NETWORKS": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    home = tmp_path_factory.mktemp("alerts") / "home"
    running = Collector(home, dashboard=True, **NEAR).start()
    yield running
    running.stop()


@pytest.fixture
def client(collector):
    return ControlClient(collector.url)


@pytest.fixture
def hook(client):
    with webhook() as received:
        assert client.call("POST", f"{ALERTS}/targets", {"name": "team", "url": received.url})
        yield received
        client.call("DELETE", f"{ALERTS}/targets", query={"name": "team"})


def ask(client: ControlClient, agent: str) -> None:
    """An agent waits for a person."""
    key = hashlib.sha256(agent.encode()).hexdigest()
    body = {"idempotency_key": key, "action": "refund", "agent": agent}
    assert client.call("POST", APPROVALS, body)


def address(collector: Collector, query: str = "") -> str:
    return f"{collector.instance['dashboard']}/alerts{query}"


def choose(tab, label: str, text: str) -> None:
    # A long list draws only what is in view: narrow it, as a person would.
    tab.get_by_label(label, exact=True).click()
    tab.keyboard.type(text)
    tab.get_by_role("option", name=text, exact=True).click()


def test_a_rule_is_made_fires_is_acknowledged_and_snoozed(page, collector, client, hook):
    tab = page.open(address(collector))
    expect(tab.get_by_text("Be told before somebody asks")).to_be_visible()
    page.shoot("alerts-empty")
    tab.get_by_role("button", name="New rule").first.click()
    tab.get_by_label("Name", exact=True).fill("inbox is full")
    choose(tab, "Watch", "Approvals that wait")
    expect(tab.get_by_label("Critical", exact=True)).to_be_visible()
    tab.get_by_label("Critical").fill("1")
    tab.get_by_label("Critical").press("Enter")
    page.idle()
    choose(tab, "Tell", "team")
    tab.keyboard.press("Escape")
    tab.get_by_label("Note").fill("Somebody has to look.")
    tab.get_by_label("Note").press("Control+Enter")
    page.idle()
    tab.get_by_role("button", name="What would it find now?").click()
    expect(tab.get_by_text("There is nothing to measure")).to_be_visible()
    page.shoot("alerts-form")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved.")).to_be_visible()
    expect(tab.get_by_text("inbox is full")).to_be_visible()
    (rule,) = client.call("GET", f"{ALERTS}/rules").data["rules"]
    assert (rule["metric"], rule["critical"], rule["targets"]) == ("approvals_waiting", 1, ["team"])
    page.shoot("alerts-rules")
    ask(client, "billing")
    ask(client, HOSTILE)
    until(lambda: len(hook.taken) == 2, 60)
    tab = page.open(address(collector))
    expect(tab.get_by_text("Critical").first).to_be_visible()
    assert tab.locator("img[src=x]").count() == 0
    tab.get_by_label("Your name").fill("maria")
    tab.get_by_label("Your name").press("Enter")
    page.idle()
    page.shoot("alerts-firing")
    tab.get_by_role("button", name="I take care of it").first.click()
    expect(tab.get_by_text("maria takes care of it")).to_be_visible()
    tab.get_by_role("button", name="Snooze 1 h").first.click()
    expect(tab.get_by_text(re.compile("snoozed"))).to_be_visible()
    page.shoot("alerts-acknowledged")
    events = client.call("GET", f"{ALERTS}/history").data["events"]
    assert [event["acked_by"] for event in events].count("maria") == 1


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_history_and_targets(page, collector, client, hook):
    rule = {"name": "waits", "metric": "approvals_waiting", "critical": 1, "targets": ["team"]}
    client.call("POST", f"{ALERTS}/rules", {"rule": rule | {"warning": None, "note": "Look."}})
    ask(client, "support")
    until(lambda: any(each["rule"] == "waits" for each in hook.taken), 60)
    tab = page.open(address(collector, "?show=History"))
    expect(tab.get_by_text("waits fired").first).to_be_visible()
    page.shoot("alerts-history-dark")
    tab = page.open(address(collector))
    expect(tab.get_by_text("Critical").first).to_be_visible()
    page.shoot("alerts-now-dark")
    tab = page.open(address(collector, "?show=Who+is+told"))
    tab.get_by_role("button", name="Send a test").click()
    expect(tab.get_by_text("The test arrived: HTTP 200")).to_be_visible()
    assert hook.taken[-1]["type"] == "test"
    # The way to the webhook is a secret.
    assert "s3cr3t" not in tab.content()
    expect(tab.get_by_text("http://127.0.0.1/…")).to_be_visible()
    page.shoot("alerts-targets-dark")


def test_quiet_times_are_made_ended_and_removed(page, collector, client):
    tab = page.open(address(collector, "?show=Quiet+times"))
    expect(tab.get_by_text("No quiet times")).to_be_visible()
    page.shoot("alerts-quiet-empty")
    tab.get_by_label("Name", exact=True).fill("release")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(tab.get_by_text("release was added.")).to_be_visible()
    expect(tab.get_by_text(re.compile("left$"))).to_be_visible()
    (window,) = client.call("GET", f"{ALERTS}/windows").data["windows"]
    assert window["is_open"]
    assert window["ends_ns"] - window["starts_ns"] == 3_600 * 10**9
    body = {name: window[name] for name in ("starts_ns", "ends_ns")}
    body |= {"name": HOSTILE, "every": "day", "agents": ["billing"]}
    assert client.call("POST", f"{ALERTS}/windows", body)
    assert client.call("POST", f"{ALERTS}/windows", body | {"name": "gone", "agents": []})
    tab = page.open(address(collector, "?show=Quiet+times"))
    expect(tab.get_by_text("rules about billing")).to_be_visible()
    assert client.call("DELETE", f"{ALERTS}/windows", query={"name": "gone"})
    tab.get_by_role("button", name="End now: gone").click()
    expect(tab.get_by_text("gone was removed meanwhile.")).to_be_visible()
    assert tab.locator("img[src=x]").count() == 0
    page.shoot("alerts-quiet")
    # What comes back every day is left out today; what does not is gone.
    tab.get_by_role("button", name=f"End now: {HOSTILE}").click()
    expect(tab.get_by_text("Planned")).to_be_visible()
    tab.get_by_role("button", name="End now: release").click()
    expect(tab.get_by_role("button", name="Remove: release")).to_have_count(0)
    (window,) = client.call("GET", f"{ALERTS}/windows").data["windows"]
    assert (window["name"], window["is_open"]) == (HOSTILE, False)
    tab.emulate_media(color_scheme="dark")
    tab = page.open(address(collector, "?show=Quiet+times"))
    expect(tab.get_by_text("Planned")).to_be_visible()
    page.shoot("alerts-quiet-dark")
    tab.get_by_role("button", name=f"Remove: {HOSTILE}").click()
    expect(tab.get_by_text("No quiet times")).to_be_visible()


def test_a_digest_is_made_looked_at_and_removed(page, collector, client, hook):
    tab = page.open(address(collector, "?show=Digests"))
    expect(tab.get_by_text("No digest yet")).to_be_visible()
    page.shoot("alerts-digests-empty")
    tab.get_by_label("Name", exact=True).fill("morning")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(tab.get_by_text("say whom to tell")).to_be_visible()
    choose(tab, "Tell", "team")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(tab.get_by_text("Every day at 07:00 UTC, to team")).to_be_visible()
    (digest,) = client.call("GET", f"{ALERTS}/digests").data["digests"]
    assert (digest["every"], digest["minute"], digest["targets"]) == ("day", 420, ["team"])
    tab.get_by_role("button", name="What would it say now?").click()
    expect(tab.get_by_text("morning: the day until now")).to_be_visible()
    expect(tab.get_by_text("Nothing ran.")).to_be_visible()
    page.shoot("alerts-digests")
    assert not hook.taken
    tab.emulate_media(color_scheme="dark")
    tab = page.open(address(collector, "?show=Digests"))
    expect(tab.get_by_text("Every day at 07:00 UTC, to team")).to_be_visible()
    page.shoot("alerts-digests-dark")
    tab.get_by_role("button", name="Remove: morning").click()
    expect(tab.get_by_text("No digest yet")).to_be_visible()
