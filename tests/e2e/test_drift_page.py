"""The page of drift in a real browser, over a real collector: an agent that changed, one that did not, a new one."""

from __future__ import annotations

import re
import urllib.request

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from drift_bodies import bodies
from drift_simulator import LEARNT, Change, runs
from pipeline import until
from tachograph_schemas.control import DRIFT
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser
HOSTILE = "new <img src=x onerror=alert(1)> **agent**"
SHOWN = {"refunds": LEARNT + 120, "orders": 450, HOSTILE: 40}


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    home = tmp_path_factory.mktemp("drift") / "home"
    running = Collector(home, dashboard=True, TACHO_DRIFT_SETTLE_S="1").start()
    streams = (
        runs(11, Change(cost=1.6, tool_share=0.15), SHOWN["refunds"]),
        runs(12, count=SHOWN["orders"]),
        runs(13, count=SHOWN[HOSTILE]),
    )
    for number, (agent, points) in enumerate(zip(SHOWN, streams, strict=True)):
        for body in bodies(agent, points, 1 + 10_000 * number):
            headers = {"content-type": "application/x-protobuf"}
            request = urllib.request.Request(f"{running.url}/v1/traces", body, headers)
            urllib.request.urlopen(request, timeout=30).read()
    client = ControlClient(running.url)

    def fed() -> bool:
        found = client.call("GET", f"{DRIFT}/agents").data["agents"]
        return {each["agent"]: each["runs"] for each in found} == SHOWN

    until(fed, 90)
    yield running
    running.stop()


@pytest.mark.parametrize(
    "page", [{}, {"color_scheme": "dark"}], ids=["light", "dark"], indirect=True
)
def test_an_alarm_leads_to_its_runs(collector, page):
    shown = page.open(f"{collector.instance['dashboard']}/drift")
    cost = shown.locator(".inbox .card", has_text="Cost of a run").first
    cost.click()
    page.idle()
    drift = shown.locator(".drift")
    expect(drift.locator("h1")).to_contain_text("Cost of a run")
    expect(drift).to_contain_text("at most once in")
    expect(drift.locator("figure svg .turn")).to_have_count(1)
    expect(drift.locator("section", has_text="Runs that show it").locator("a")).to_have_count(5)
    page.shoot(f"drift-alarm-{page_scheme(page)}")
    shown.locator(".inbox .card", has_text="refunds").last.click()
    page.idle()
    expect(drift.locator("h1")).to_have_text("refunds")
    expect(drift.locator("figure").first).to_be_visible()
    page.shoot(f"drift-agent-{page_scheme(page)}")
    shown.go_back()
    page.idle()
    drift.locator("section", has_text="Runs that show it").locator("a").first.click()
    shown.wait_for_url(re.compile(r"/run\?id="))
    assert page.trouble == []


def page_scheme(page) -> str:
    return page.page.evaluate(
        "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'"
    )


def test_an_agent_that_is_still_learnt_says_so_and_shows_no_markup(collector, page):
    shown = page.open(f"{collector.instance['dashboard']}/drift")
    shown.locator(".inbox .card", has_text="**agent**").click()
    page.idle()
    drift = shown.locator(".drift")
    expect(drift.locator("h1")).to_have_text(HOSTILE)
    expect(drift).to_contain_text("40 of the first 100 runs")
    page.shoot("drift-learning")
    assert page.trouble == []


def test_an_acknowledged_alarm_moves_to_the_other_list(collector, page):
    shown = page.open(f"{collector.instance['dashboard']}/drift")
    alarm = shown.locator(".inbox .card", has_text="Cost of a run").first
    alarm.click()
    page.idle()
    shown.get_by_role("button", name="Dismiss").click()
    expect(shown.get_by_text("Say who you are first")).to_be_visible()
    shown.get_by_label("Your name").fill("maria")
    shown.get_by_role("button", name="Dismiss").click()
    expect(shown.locator(".inbox .card", has_text="Cost of a run")).to_have_count(0)
    shown.get_by_text("Acknowledged", exact=True).first.click()
    page.idle()
    shown.locator(".inbox .card", has_text="Cost of a run").click()
    expect(shown.locator(".drift")).to_contain_text("maria")
    page.shoot("drift-acknowledged")
    assert page.trouble == []
