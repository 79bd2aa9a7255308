"""The page behind a link in a real browser: it shows everything, decides by its button alone, and once."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from collector_process import Collector
from playwright.sync_api import expect

from tachograph_schemas.control import APPROVALS
from tachograph_schemas.control_client import ControlClient

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> \u202egnihton"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    running = Collector(tmp_path_factory.mktemp("links") / "home").start()
    yield ControlClient(running.url)
    running.stop()


def pair(client: ControlClient, **more) -> tuple[dict, dict]:
    """A request and the links for it."""
    key = hashlib.sha256(f"{time.time_ns()}".encode()).hexdigest()
    body = {"idempotency_key": key, "action": "refund A-1", "params": '{"usd": 900}'} | more
    request = client.call("POST", APPROVALS, body).data
    made = client.call("POST", f"{APPROVALS}/{request['id']}/links", {"approver": "maria"})
    assert made, made.why
    return request, made.data


def status(client: ControlClient, request: dict) -> str:
    return client.call("GET", f"{APPROVALS}/{request['id']}").data["status"]


def test_a_person_reads_and_approves_once(page, client):
    asked = {"risk": "high", "reason": "it arrived broken", "agent": "billing"}
    request, links = pair(client, params='{"order":"A-1","usd":900.0}', **asked)
    tab = page.page
    tab.goto(links["approve"])
    expect(tab.get_by_role("heading", name="Approve? refund A-1")).to_be_visible()
    for shown in ("billing", "high", "it arrived broken", "maria", '"usd": 900.0'):
        expect(tab.get_by_text(shown).first).to_be_visible()
    assert "#" not in tab.url, "the secret does not stay in the address bar"
    assert status(client, request) == "pending"
    page.shoot("link-approve")
    tab.get_by_label("Reason").fill("seen the photos")
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_role("heading", name="Done: approved")).to_be_visible()
    said = client.call("GET", f"{APPROVALS}/{request['id']}").data["decisions"][0]
    assert (said["approver"], said["reason"]) == ("maria", "seen the photos")
    tab.goto("about:blank")
    tab.goto(links["approve"])
    expect(tab.get_by_text("works once")).to_be_visible()
    page.trouble.clear()  # the browser counts the refusal, 410, as an error of the page


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_refusing_needs_a_reason_and_hostile_text_is_text(page, client):
    params = json.dumps({"note": HOSTILE, "last": "drop everything"})
    request, links = pair(client, action=HOSTILE, params=params, reason=HOSTILE)
    tab = page.page
    tab.goto(links["refuse"])
    expect(tab.get_by_role("heading", name="Refuse? <img src=x")).to_be_visible()
    assert tab.locator("img").count() == 0
    shown = tab.locator("#params").inner_text()
    assert "drop everything" in shown
    assert "\\u202e" in shown
    assert "\u202e" not in tab.locator("body").inner_text()
    tab.get_by_role("button", name="Refuse").click()
    expect(tab.get_by_text("Say why")).to_be_visible()
    assert status(client, request) == "pending"
    tab.get_by_label("Reason").fill("no")
    tab.get_by_role("button", name="Refuse").click()
    expect(tab.get_by_role("heading", name="Done: refused")).to_be_visible()
    assert status(client, request) == "refused"
