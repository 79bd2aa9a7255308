"""The page of approvals in a real browser, over a real collector and an agent that really waits."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from pipeline import until
from tachograph_dashboard.control import PAGE_ROWS
from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser

AGENT = """
import tachograph as tacho

tacho.init(service="shop", heartbeat_s=0.2)

@tacho.retrieval(store="orders")
def order(order_id): return {"order_id": order_id, "usd": 1240.5, "status": "damaged"}

@tacho.effect(risk="high")
def refund(order_id, usd): return {"refunded": usd}

@tacho.run(agent="billing", goal="Refund the damaged order A-1007", customer="acme")
def handle():
    order("A-1007")
    tacho.gate("refund limit", verdict="escalate", reason="1,240.50 is over 500", proposal={"usd": 1240.5})
    decision = tacho.approve(
        "refund order A-1007",
        params={"order_id": "A-1007", "usd": 1240.5, "note": "goodwill"},
        context={"customer since": 2019},
        reason="The parcel arrived broken; the customer sent photos.",
        risk="high", approver="inbox", timeout_s=120,
    )
    if decision:
        refund(decision.params["order_id"], decision.params["usd"])
    return str(decision.params["usd"]) if decision else "refused: " + decision.reason

print(handle(), flush=True)
"""
HOSTILE = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(2)) \u202egnihton"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("inbox") / "home", dashboard=True).start()
    yield running
    running.stop()


@pytest.fixture
def agent(collector):
    """An agent that waits for a person."""
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT],
        env=collector.environment | {"TACHO_ENDPOINT": collector.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    client = ControlClient(collector.url)
    until(lambda: client.call("GET", APPROVALS).data["total"] == 1)
    until(lambda: collector.rows("SELECT 1 FROM spans WHERE layer = 'gate'"))
    yield process
    process.kill()
    process.wait(60)
    process.stdout.close()


def ask(collector: Collector, number: int, **more) -> dict:
    """A request as any program may put it."""
    key = hashlib.sha256(f"{number} {more}".encode()).hexdigest()
    body = {"idempotency_key": key, "action": f"action {number}", "params": "{}"} | more
    return ControlClient(collector.url).call("POST", APPROVALS, body).data


def address(collector: Collector) -> str:
    return f"{collector.instance['dashboard']}/approvals"


def test_a_request_appears_by_itself_and_is_approved_with_other_arguments(page, collector, request):
    tab = page.open(address(collector))
    expect(tab.get_by_text("Nothing waits for a decision")).to_be_visible()
    page.shoot("approvals-empty")
    agent = request.getfixturevalue("agent")
    expect(tab.get_by_role("heading", name="refund order A-1007")).to_be_visible()
    for shown in ("billing", "Refund the damaged order A-1007", "acme", "high risk", "photos."):
        expect(tab.get_by_text(shown).first).to_be_visible()
    expect(tab.get_by_text("What led here")).to_be_visible()
    expect(tab.get_by_text("1,240.50 is over 500").first).to_be_visible()
    page.shoot("approvals-waiting")
    # Nobody is named, so nothing is decided.
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("Say who you are first")).to_be_visible()
    tab.get_by_label("Your name").fill("maria")
    arguments = tab.get_by_role("textbox", name="Arguments, whole")
    arguments.fill("{not json")
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("The arguments are no JSON")).to_be_visible()
    arguments.fill(json.dumps({"order_id": "A-1007", "usd": 500}))
    tab.get_by_label("Reason").fill("the limit")
    tab.get_by_role("button", name="Approve").click()
    assert agent.stdout.readline().strip() == "500"
    expect(tab.get_by_text("Approved with these arguments instead")).to_be_visible()
    expect(tab.get_by_text("maria").first).to_be_visible()
    # What was asked for stays beside what was allowed.
    expect(tab.get_by_text("1240.5").first).to_be_visible()
    expect(tab.get_by_role("textbox", name="Arguments")).to_have_count(0)


def test_refusing_needs_a_reason_and_the_agent_is_told(page, collector, agent):
    tab = page.open(address(collector))
    tab.get_by_label("Your name").fill("maria")
    tab.get_by_role("button", name="Refuse").click()
    expect(tab.get_by_text("Say why")).to_be_visible()
    tab.get_by_label("Reason").fill("send a new one instead")
    tab.get_by_role("button", name="Refuse").click()
    assert agent.stdout.readline().strip() == "refused: send a new one instead"


def test_what_is_written_outlives_other_requests_and_a_faster_decision_shows(page, collector):
    mine = ask(collector, 1, risk="low")
    tab = page.open(f"{address(collector)}?id={mine['id']}")
    tab.get_by_label("Your name").fill("maria")
    tab.get_by_label("Reason").fill("half a sentence")
    ask(collector, 2, risk="critical")
    expect(tab.get_by_text("action 2")).to_be_visible()
    assert tab.get_by_label("Reason").input_value() == "half a sentence"
    body = {"decision": "deny", "params_hash": mine["params_hash"], "approver": "jo", "reason": "x"}
    ControlClient(collector.url).call("POST", f"{APPROVALS}/{mine['id']}/decision", body)
    expect(tab.get_by_text("jo (self-declared)", exact=True)).to_be_visible()
    expect(tab.get_by_role("button", name="Approve")).to_have_count(0)


def test_the_page_of_the_list_stands_in_the_address_and_never_behind_the_end(page, collector):
    for number in range(100, 100 + PAGE_ROWS):
        ask(collector, number)
    query = {"status": ["pending"], "limit": PAGE_ROWS, "offset": PAGE_ROWS}
    second = ControlClient(collector.url).call("GET", APPROVALS, query=query).data["approvals"]
    last = second[-1]["action"]
    assert last == f"action {99 + PAGE_ROWS}"
    for asked in ("2", "99", "two"):
        tab = page.open(f"{address(collector)}?page={asked}")
        here = tab.get_by_role("button", name=last)
        expect(here).to_have_count(0 if asked == "two" else 1)
    tab.get_by_role("button", name="Next page").click()
    expect(tab).to_have_url(re.compile("page=2"))
    # The other list begins at its beginning, and is not empty because it is shorter.
    tab.get_by_role("radio", name="Decided").or_(tab.get_by_role("button", name="Decided")).click()
    expect(tab.get_by_text(re.compile("Approved|Refused")).first).to_be_visible()
    # Where the keyboard is can be seen in the navigation, too.
    tab.get_by_role("link", name="Runs").focus()
    tab.keyboard.press("Tab")
    style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str
)
def test_hostile_content_is_text_and_nothing_is_hidden(page, collector):
    params = json.dumps({"note": HOSTILE, "rows": list(range(200)), "last": "drop everything"})
    hostile = ask(collector, 3, action=HOSTILE, params=params, agent=HOSTILE, reason=HOSTILE)
    tab = page.open(f"{address(collector)}?id={hostile['id']}")
    expect(tab.get_by_role("heading", name="<img src=x")).to_be_visible()
    assert tab.locator("img[src=x]").count() == 0
    assert tab.get_by_role("link", name="x", exact=True).count() == 0
    box = tab.get_by_role("textbox", name="Arguments, whole")
    expect(box).to_have_value(re.compile("drop everything"))
    shown = box.input_value()
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    assert json.loads(shown) == json.loads(params)
    page.shoot(
        f"approvals-hostile-{tab.evaluate('matchMedia(`(prefers-color-scheme: dark)`).matches')}"
    )
