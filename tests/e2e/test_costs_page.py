"""The page of costs in a real browser, over a real collector and an agent that spends."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from collector_process import Collector
from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import expect

from tachograph_schemas.control import APPROVALS, BUDGETS
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser
LONG = "globex <b>" + "z" * 150
AGENT = f"""
import tachograph as tacho
from tachograph._spending import add_usage

tacho.init(service="spender")

@tacho.model
def ask():
    add_usage(input_tokens=10, output_tokens=10, usd=2.5)

@tacho.run(agent="spender", customer={LONG!r})
def spend():
    ask()

spend()
"""


def test_a_budget_shows_its_burn_down_and_the_navigation_what_waits(page, tmp_path):
    collector = Collector(tmp_path / "home", dashboard=True).start()
    try:
        client = ControlClient(collector.url)
        rule = {"name": "day", "limit": 10.0, "unit": "usd", "scope": "customer", "window": "day"}
        assert client.call("POST", BUDGETS, {"budgets": [rule], "actor": "test"})
        asks = {"idempotency_key": "0" * 64, "action": "refund", "params": "{}"}
        assert client.call("POST", APPROVALS, asks)
        environment = collector.environment | {"TACHO_ENDPOINT": collector.url}
        subprocess.run([sys.executable, "-c", AGENT], env=environment, check=True, timeout=180)
        tab = page.open(f"{collector.instance['dashboard']}/costs")
        approvals = tab.get_by_role("link", name="Approvals (1)")
        for _ in range(3):
            # A collector that is too busy to say what waits holds up no page; the next one asks again.
            with contextlib.suppress(NotInTime):
                approvals.wait_for(timeout=10_000)
                break
            tab.reload()
        expect(approvals).to_be_visible()
        card = tab.locator(".budgets .card")
        expect(card).to_contain_text("at most $10 a day for each customer")
        expect(card).to_contain_text("$2.50 of $10")
        # However long a name is, the card stays within the page.
        assert tab.locator(".budgets").evaluate("e => e.scrollWidth <= e.clientWidth")
        card.click()
        expect(tab.get_by_role("dialog")).to_contain_text("At this pace")
        expect(tab.locator(".js-plotly-plot .scatterlayer .trace")).to_have_count(2)
        page.shoot("costs-burn-down")
    finally:
        collector.stop()
