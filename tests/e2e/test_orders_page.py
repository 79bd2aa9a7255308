"""Pause and stop by click: what a person sees and what a real agent does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from pipeline import until
from tachograph_schemas.control import ORDERS
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser

AGENT = """
import sys, time
import tachograph as tacho

tacho.init(service="shop", heartbeat_s=0.2)

@tacho.effect()
def send(number):
    time.sleep(0.3)
    return number

@tacho.run(agent=sys.argv[1])
def mail():
    print(tacho.current_run().id, flush=True)
    for number in range(100_000):
        send(number)

try:
    mail()
except tacho.RunStopped as stopped:
    print(f"stopped: {stopped}", flush=True)
"""
NAME = "[mailer](javascript:alert(1)) <b>\u202e"
REASON = "# wrong **list** <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("orders") / "home", dashboard=True).start()
    yield running
    running.stop()


@pytest.fixture
def agent(collector):
    """A run under way; its process and its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT, NAME],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    run_id = process.stdout.readline().strip()
    until(lambda: collector.rows(f"SELECT 1 FROM spans WHERE trace_id = '{run_id}'"))
    yield process, run_id
    process.kill()
    process.wait(60)
    process.stdout.close()


def steps(collector: Collector, run_id: str) -> int:
    """How many effects of a run are stored."""
    sql = f"SELECT count() FROM spans WHERE trace_id = '{run_id}' AND name LIKE '%send%'"
    return int(collector.rows(sql)[0][0])


def test_a_run_is_paused_and_goes_on_then_its_agent_is_stopped(page, collector, agent):
    process, run_id = agent
    address = collector.instance["dashboard"]
    client = ControlClient(collector.url)
    tab = page.open_run(address, run_id)
    tab.get_by_role("button", name="Pause or stop").click()
    tab.get_by_role("button", name="Pause", exact=True).click()
    expect(tab.get_by_text("Say who you are first")).to_be_visible()
    tab.get_by_label("Your name").fill("maria")
    tab.get_by_label("Reason").fill(REASON)
    tab.get_by_role("button", name="Pause", exact=True).click()
    until(lambda: client.call("GET", ORDERS).data["orders"])
    (order,) = client.call("GET", ORDERS).data["orders"]
    assert (order["action"], order["target"]) == ("pause", run_id)
    assert (order["actor"], order["reason"]) == ("maria (local)", REASON)
    expect(tab.get_by_text(REASON, exact=True).first).to_be_visible()
    assert tab.locator("img[src=x]").count() == 0
    page.shoot("orders-run")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Let it go on").click()
    until(lambda: not client.call("GET", ORDERS).data["orders"])
    before = steps(collector, run_id)
    until(lambda: steps(collector, run_id) > before, 60)
    tab.get_by_role("link", name="Agents").click()
    tab.get_by_role("link", name="mailer").click()
    # The list, which has such a button as well, goes only when the whole page of the agent is drawn.
    expect(tab.get_by_role("heading", name="mailer")).to_be_visible()
    page.idle()
    tab.get_by_role("button", name="Pause or stop").click()
    expect(tab.get_by_label("Your name")).to_have_value("maria")
    tab.get_by_role("button", name="Stop", exact=True).click()
    assert process.stdout.readline().startswith("stopped: ")
    expect(tab.get_by_text("by maria (local)").first).to_be_visible()
    page.shoot("orders-agent")
    # What is ordered for an agent is in force elsewhere, too, and is shown on the page of all of them.
    tab.goto(f"{address}/agents")
    listed = tab.get_by_role("listitem").get_by_text("Stopped", exact=True)
    expect(listed).to_be_visible()
    page.shoot("orders-all")
    tab.get_by_role("button", name="Let it go on").click()
    until(lambda: not client.call("GET", ORDERS).data["orders"])
    expect(listed).to_have_count(0)
